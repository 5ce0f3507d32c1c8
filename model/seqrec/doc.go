// Package seqrec is the family of sequential recommenders: Transformers that
// read what one user did, in time order, and score every item of the catalogue as
// the next thing. One Config describes them all; DefaultConfig is the one to start
// with.
//
// # Which architecture is best where
//
// Causal (SASRec, Kang & McAuley 2018) predicts at every position what comes
// next, so that one reading of a history teaches as many predictions as it has
// items: it learns fastest, and ranks fastest. It is the choice for "what next",
// for training on devices and for short histories. It also writes lists, by
// reading its own output as more history.
//
// Bidirectional (BERT4Rec, Sun et al. 2019) fills in hidden items from both sides.
// That suits items whose order says little, such as the contents of a basket. A
// reading teaches only what is hidden, a part of the items, so it wants several
// times the epochs; and as the next item has but one side, it ranks below Causal
// where order counts. It writes no lists.
//
// EncoderDecoder (Vaswani et al. 2017) reads a history both ways and writes a
// continuation item by item. It is for lists that are used as a whole, a playlist
// or a week's meals: the loss is that of the whole list, and the history stays
// apart from it, so that a list may be as long as Horizon whatever was read. For
// the next item alone it is behind Causal.
//
// On ml-1m (the last item of every user, ranked among all that the user has not
// met; Dim 64, two blocks, full softmax) NDCG@10 is .164 to .166 for Causal (three
// seeds), .150 to .155 for EncoderDecoder with one block in its decoder, and .132
// for Bidirectional after 100 epochs. SASRec in PyTorch, trained for 44 epochs
// where Causal had 60, gives .159 to .160, counting which item follows which .147.
// The recipes of package run are the settings; examples/peers/quality trains them
// beside PyTorch.
//
// # The options
//
// Dim, Blocks, Heads, Hidden: DefaultConfig is enough for some thousand items and
// users. MaxLen: the newest 10 items give 96 % of what a history of any length
// gives on ml-1m, and time grows with the length.
//
// Loss: FullSoftmax up to some ten thousand items; above, SampledSoftmax with 256
// negatives or more and Model.WithFrequency; GBCE with a Calibration of 0.75 where
// negatives must be few; BPR to compare with what others published.
//
// Dropout: 0.1 to 0.2 where a model sees its data many times; 0 for the few steps
// of a device.
//
// FeatureDim: items that nobody met yet need public features; alone they make a
// model of a few thousand weights, which private training can afford. Hybrid adds
// a learned row, for items that are met often.
//
// Norm, Positions, Activation: PostNorm is for comparison with older models, and
// wants a longer warm-up. RotaryPositions need no weights and know distances only.
// SwiGLU has half as many weights again as GELU at the same Hidden.
//
// TimeBuckets: where the time since the last event tells sessions apart; a Query
// then says Times and Now. UserDim: what is known of a user besides the history,
// above all while that is short. RatingWeight, ClickWeight: heads beside the
// ranking, which learn together with it.
//
// DecoderBlocks, Horizon: EncoderDecoder alone has them; Continuations says how to
// choose the horizon.
//
// # From a Config to a ranking
//
// New checks the Config and gives a Model, which names the weights and makes
// initial ones. CropHistories, ClozeHistories and ContinueHistories make batches
// of many histories, one for each architecture; Config.Sequences makes what one
// device learns of its own. NewEngine computes loss and gradient, NewParallelEngine
// on several cores. Train is the local training of a device; Fit, FitSource and
// Fitter train in one place, and go on after a stop to the same bits. NewScorer
// ranks, NewGenerator writes lists.
//
// All that is random follows from seeds: on one machine, and with one number of
// workers, the same calls give the same bits.
package seqrec
