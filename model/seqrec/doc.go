// Package seqrec is the family of sequential recommenders: Transformers that
// read what one user did, in time order, and score every item of the catalogue as
// the next thing. One Config describes them all, and its zero options are the one
// to start with.
//
// # Which architecture is best where
//
// Causal (SASRec, Kang & McAuley 2018) predicts at every position what comes
// next. One reading of a history teaches as many predictions as it has items, so
// it learns most from a little computing, and ranking computes one token of the
// last block. It is the choice for "what next", for devices, for short histories
// and for most else. It writes lists too, by reading its own output as more
// history.
//
// Bidirectional (BERT4Rec, Sun et al. 2019) sees both sides of what is hidden from
// it. That suits histories whose order means little, such as ratings given in one
// sitting. A reading teaches only the hidden part, a fifth of the items, so it
// wants several times the epochs, and published comparisons with equal losses put
// it behind Causal on ml-1m (NDCG@10 .156 beside .186: Time to Split, RecSys 2025,
// leave-one-out). It writes no lists.
//
// EncoderDecoder (Vaswani et al. 2017) reads the history both ways and writes a
// continuation item by item. It is for lists that are used as a whole, a playlist
// or a basket, where item j should fit those before it; it is trained on just
// that, while Causal drifts away from what it was trained on. Every block of the
// decoder costs a third more than one of the encoder, for every token it writes.
// For the next item alone it has no advantage.
//
// The command examples/peers/quality measures all three beside PyTorch; the
// recipes of package run are what was good on ml-1m.
//
// # The options
//
// Dim, Blocks, Heads, Hidden: DefaultConfig is enough for some thousand items and
// users. MaxLen: 64 is as good as 200 where the newest items say most, and several
// times as fast.
//
// Loss: FullSoftmax up to some ten thousand items; above, SampledSoftmax with 256
// negatives or more and Model.WithFrequency. GBCE with a Calibration of 0.75 where
// negatives must be few. BPR only to compare with what others published.
//
// Dropout: 0.1 to 0.2 in one place; 0 for the few steps of a device.
//
// FeatureDim: items that nobody met yet need public features; alone they make a
// model of a few thousand weights, which private training can afford. Hybrid adds
// a learned row, for items that are met often.
//
// Norm, Positions, Activation: PreNorm learns at rates at which PostNorm may not.
// RotaryPositions has no weights and knows distances only. SwiGLU costs half as
// much again as GELU at the same Hidden.
//
// TimeBuckets: where the time since the last event tells sessions apart; the
// question must then say Now. UserDim: what is known of the user besides the
// history, above all while that is short.
//
// RatingWeight, ClickWeight: heads beside the ranking, learned together with it.
//
// DecoderBlocks, Horizon: see Continuations for how to choose the horizon.
//
// # From a Config to a ranking
//
// New checks the Config and gives a Model, which names the weights and makes
// initial ones. Crops, Cloze and Continuations make batches of many histories for
// the three architectures; Config.Sequences makes what one device learns from its
// own. NewEngine computes loss and gradient, NewParallelEngine on several cores.
// Train is the local training of a device; Fit, FitSource and Fitter train in one
// place, and go on after a stop to the same bits. NewScorer ranks, NewGenerator
// writes lists.
//
// Everything random follows from seeds: the same call gives the same bits on one
// machine. With one number of workers, that is; another differs in the last bits.
package seqrec
