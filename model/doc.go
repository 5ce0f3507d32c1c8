// Package model holds the numbers of a recommender: named tensors over one flat
// float32 vector, what a device learned, and what was published.
//
// A model is a Layout and Params. A device trains from the global Params and
// gets an Update; a published model is described by a Version. The package
// knows nothing of networks or privacy and does no input or output of its own.
package model
