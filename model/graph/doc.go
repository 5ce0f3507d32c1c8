// Package graph is the sequential recommender of model/seqrec as a gorgonia
// graph: the nodes are the fused layers of model/layer, their gradients come
// from gorgonia's symbolic differentiation, and its tape machine runs them. It is
// equal to seqrec's fused engine in loss and gradient; each checks the other.
//
// NewEngine trains as seqrec.NewEngine does. New takes a Loss, in which a caller
// builds any scalar out of gorgonia's own operations on top of the encoder: an
// extra term beside the cross-entropy, or another loss on the logits.
//
// Shapes. A batch is ragged: its N tokens lie one after another, without padding
// (package layer). Nodes have a fixed shape, so a graph is built for a capacity of
// C tokens and rebuilt for more when a larger batch comes. Token matrices are C x
// something; the fused layers compute their first N rows. In the nodes that a
// Loss can reach the other rows are zero. Parameters are matrices too, vectors
// being 1 x d. Everything is float32.
//
// Traps of gorgonia v0.9.18 that a Loss must know: a panic inside one of its own
// operations ends the process, because it runs on another goroutine; SoftMax and
// LogSoftMax of one node are taken for the same node, as are input nodes of the
// same name and shape and constants that print alike; ByIndices on a vector has a
// wrong gradient.
package graph
