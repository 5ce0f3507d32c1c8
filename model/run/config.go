package run

import "tutti/model/seqrec"

// Config is everything that decides the outcome of a run. Default fills it by
// recipe; Set changes one field by its name in the file. What a value means for
// the model is checked where the model is built.
type Config struct {
	Recipe  Recipe
	Data    string // folder or zip; empty: the invented behaviour of the demo
	Seed    uint64 // of invented data, initial weights and batches
	Engine  string // EngineGraph or EngineFused
	Workers int    // parts of a batch that are computed side by side, >= 1; 0: one for each core

	Split    Split
	Model    Model
	Loss     Loss
	Batch    Batch
	Fit      Fit
	Validate Validate
	Save     Save
}

// Split says which behaviour is kept back for validation and test.
type Split struct {
	Kind     string  // SplitLeaveOneOut, SplitTime or SplitCold
	Quantile float64 // of all event times, in (0, 1); SplitTime only
	Cold     float64 // share of the items, in (0, 0.5); SplitCold only
}

// Model is the recommender's shape.
type Model struct {
	Dim, Blocks, Heads, Hidden int
	MaxLen                     int    // events that are read
	Items                      string // ItemsTable, ItemsFeatures or ItemsHybrid
	Norm                       seqrec.Norm
	Positions                  seqrec.Positions
	Activation                 seqrec.Activation
	TimeBuckets                int  // 0: times are not read
	User                       bool // attributes of the user are read, where the data have them
	Dropout                    float64
	DecoderBlocks, Horizon     int // recipe encdec only
}

// Loss is what is minimised.
type Loss struct {
	Kind         seqrec.LossKind
	Negatives    int     // not for seqrec.FullSoftmax
	Calibration  float64 // seqrec.GBCE only
	RatingWeight float64
	ClickWeight  float64
}

// Batch says how sequences are taken from histories.
type Batch struct {
	Size   int     // sequences of a batch; 0: by the number of people, see BatchSize
	Random float64 // share of long histories that give a random window instead of the last one
	// Recipe bidirectional only: the share of masked events, and of sequences in
	// which only the last one is.
	Mask, LastOnly float64
}

// Fit is how the weights move.
type Fit struct {
	Epochs      float64 // passes over the histories; used if Steps is 0
	Steps       int
	Optimiser   string
	Momentum    float64 // of sgd and rmsprop
	Rate        float64 // peak
	Schedule    string  // one of Schedules
	FinalRate   float64
	WarmUp      float64 // share of the steps, in [0, 1)
	WeightDecay float64
	Accumulate  int     // batches whose gradients make one step
	Clip        float64 // largest norm of a gradient; 0: none
}

// Validate says when quality is measured, and when training ends early.
type Validate struct {
	Every    int // steps; 0: about forty times a run
	Users    int // how many people are asked; 0: all
	Patience int // measurements without a new best after which training ends; 0: never early
}

// Save says how often the state is written; whichever comes first.
type Save struct {
	Steps   int // 0: by time alone
	Seconds int // 0: by steps alone
}

// Words of the configuration.
const (
	EngineGraph = "graph"
	EngineFused = "fused"

	SplitLeaveOneOut = "leave-one-out"
	SplitTime        = "time"
	SplitCold        = "cold" // asks for items that nobody met in training

	ItemsTable    = "table"
	ItemsFeatures = "features"
	ItemsHybrid   = "hybrid"
)

// Recommender is the configuration of the model for a catalogue of items with
// features public numbers each (read unless Items is ItemsTable), and people
// described by user numbers (read if User is set).
func (c Config) Recommender(items, features, user int) seqrec.Config {
	m := c.Model
	out := seqrec.Config{
		Items: items, Dim: m.Dim, Blocks: m.Blocks, Heads: m.Heads, Hidden: m.Hidden, MaxLen: m.MaxLen,
		Norm: m.Norm, Positions: m.Positions, Activation: m.Activation, TimeBuckets: m.TimeBuckets, Dropout: m.Dropout,
		Loss: seqrec.Loss{Kind: c.Loss.Kind}, RatingWeight: c.Loss.RatingWeight, ClickWeight: c.Loss.ClickWeight,
	}
	if m.Items != ItemsTable {
		out.FeatureDim, out.Hybrid = features, m.Items == ItemsHybrid
	}
	if m.User {
		out.UserDim = user
	}
	if c.Loss.Kind != seqrec.FullSoftmax {
		out.Loss.Negatives = c.Loss.Negatives
	}
	if c.Loss.Kind == seqrec.GBCE {
		out.Loss.Calibration = c.Loss.Calibration
	}
	switch c.Recipe {
	case Bidirectional:
		out.Arch = seqrec.Bidirectional
	case EncDec:
		out.Arch, out.DecoderBlocks, out.Horizon = seqrec.EncoderDecoder, m.DecoderBlocks, m.Horizon
	}
	return out
}

// BatchSize is the size of a batch for a number of people. Where it is left to
// the data, an epoch has about twenty steps, and a batch a power of two from 16
// to 128 sequences: on ml-latest-small, of 610 people, batches of 32 reach
// within thirty epochs what batches of 128 do not come near.
func (c Config) BatchSize(people int) int {
	if c.Batch.Size > 0 {
		return c.Batch.Size
	}
	size := 16
	for size < 128 && size < people/20 {
		size *= 2
	}
	return size
}
