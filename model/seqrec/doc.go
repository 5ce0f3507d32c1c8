// Package seqrec is the sequential recommender: a causal Transformer that reads
// what one user did, in time order, and scores every item of the catalogue as
// the next thing.
//
// The model is SASRec (Kang & McAuley 2018) with pre-layer-norm blocks, GELU,
// and full-softmax cross-entropy over tied item embeddings. Items are either
// rows of a learned table or frozen public features times a learned projection.
//
// Config -> New -> Model, which names the weights and makes initial ones;
// NewEngine computes loss and gradient; Train is one device's local training,
// Fit trains in one place; NewScorer ranks.
package seqrec
