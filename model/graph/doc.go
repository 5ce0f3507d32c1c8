// Package graph is the sequential recommender of model/seqrec as a gorgonia
// graph: the nodes are the fused layers of model/layer, their gradients come
// from gorgonia's symbolic differentiation, and its tape machine runs them. It
// has every option of seqrec.Config, and is equal to seqrec's fused engine in
// loss and gradient, to the bit; each checks the other.
//
// NewEngine trains as seqrec.NewEngine does, NewParallel as
// seqrec.NewParallelEngine. New takes a Loss, in which a caller builds any scalar
// out of gorgonia's own operations on top of the Transformer: an extra term
// beside the recommender's own loss, or another loss on the logits.
//
// Shapes. A batch is ragged: its N tokens lie one after another, without padding
// (package layer). Nodes have a fixed shape, so a graph is built for capacities:
// of tokens that are read, and of positions that are judged, which are others
// only for an EncoderDecoder. It is rebuilt for more when a larger batch comes.
// The fused layers compute the first N rows of a matrix. In the nodes that a Loss
// can reach the other rows are zero. Parameters are matrices too, vectors being
// 1 x d. Everything is float32.
//
// Sums. Where several operations read the same node, the residual stream or the
// item table, gorgonia would make a matrix for the gradient of each and add them
// all up. The operations of this package add to one another's in place instead
// (running.go), the parameters' in the memory of the engine's caller; gorgonia
// adds what its own operations contribute.
//
// Traps of gorgonia v0.9.18 that a Loss must know: a panic inside one of its own
// operations ends the process, because it runs on another goroutine; SoftMax and
// LogSoftMax of one node are taken for the same node, as are input nodes of the
// same name and shape and constants that print alike; ByIndices on a vector has a
// wrong gradient.
package graph
