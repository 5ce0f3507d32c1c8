// Package seqrec is the family of sequential recommenders: Transformers that
// read what one user did, in time order, and score every item of the catalogue as
// the next thing.
//
// One Config describes them all. Its zero options are SASRec (Kang & McAuley
// 2018) with pre-layer-norm blocks, GELU and full-softmax cross-entropy over tied
// item embeddings. Arch makes it BERT4Rec (Sun et al. 2019) or an
// encoder-decoder that writes lists; the other options exchange the norms, the
// positions, the activation and the loss, let it read time gaps and what is known
// of the user, and give it heads for ratings and clicks. Items are rows of a
// learned table, frozen public features times a learned projection, or the sum
// of both.
//
// Config -> New -> Model, which names the weights and makes initial ones;
// Crops, Cloze and Continuations make batches, and Config.Sequences what one
// device learns; NewEngine computes loss and gradient; Train is one device's
// local training, Fit trains in one place; NewScorer ranks.
package seqrec
