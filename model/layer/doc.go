// Package layer holds the operations of the recommender, each forward beside
// its backward, as plain functions on buffers that the caller owns.
//
// Shapes: a batch is ragged. Its sequences lie one after another without
// padding, N tokens in all; offsets has one entry more than there are sequences,
// and sequence s is the rows offsets[s] to offsets[s+1]. d is the width of the
// model. Every matrix is row-major float32.
//
// One rule for all: forward functions overwrite their outputs; backward
// functions add to gradients, so the caller clears them first and a residual
// connection costs nothing. A nil gradient is not computed where the function
// says so. Lengths are the caller's duty; a wrong one panics.
package layer
