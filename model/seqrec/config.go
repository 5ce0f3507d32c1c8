package seqrec

import (
	"fmt"
	"slices"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/layer"
)

// Config is the open description of a recommender; New checks it. The zero
// values of everything after FeatureDim are the study's recommender: a causal,
// pre-norm Transformer with learned positions, GELU and the full softmax.
type Config struct {
	Items      int // V: items in the catalogue, 2 to MaxItems
	Dim        int // d: width of the model, 1 to MaxDim, a multiple of Heads
	Blocks     int // Transformer blocks, 1 to MaxBlocks; of the encoder, where there is a decoder
	Heads      int // attention heads, at least 1
	Hidden     int // h: width of the feed-forward layer, 1 to MaxDim
	MaxLen     int // L: longest input sequence, 1 to MaxSequence; Bidirectional: at least 2
	FeatureDim int // f: public features per item, 1 to MaxDim; 0: a learned table

	Hybrid     bool       // with features: also a learned row per item, added to the projected features
	Arch       Arch       // Causal, Bidirectional or EncoderDecoder
	Norm       Norm       // PreNorm or PostNorm
	Positions  Positions  // LearnedPositions or RotaryPositions; rotary wants Dim/Heads to be even
	Activation Activation // GELU, ReLU or SwiGLU
	// TimeBuckets is how many learned vectors stand for time gaps, 2 to
	// MaxTimeBuckets; 0: times are not read. See TimeBucket.
	TimeBuckets int
	UserDim     int // u: numbers that describe a user, projected and added to every input, 1 to MaxDim; 0: none

	DecoderBlocks int // EncoderDecoder only: blocks of the decoder, 1 to MaxBlocks
	Horizon       int // EncoderDecoder only: longest continuation, 1 to MaxSequence

	// Dropout is the part of the values that training drops, in [0, 1) as a
	// float32, at the sites of GPT-2: the embedded input, the attention probabilities, what
	// attention adds to the stream, and what the feed-forward layer adds.
	Dropout float64
	Loss    Loss // how the prediction of items is judged

	// RatingWeight and ClickWeight weigh the squared error of ratings and the
	// logistic loss of clicks against the loss of the items, which has weight 1;
	// 0: no such head; else positive and finite as a float32.
	RatingWeight, ClickWeight float64
}

// Loss is how the prediction of items is judged.
type Loss struct {
	Kind LossKind
	// Negatives is how many items are drawn to compare with: per batch for
	// SampledSoftmax, per position for GBCE and BPR; 1 to Items-1. FullSoftmax
	// compares with all of them and wants 0.
	Negatives int
	// Calibration is t of GBCE, in [0, 1]: 0 is plain binary cross-entropy, 1
	// undoes the overconfidence that comes from few negatives. 0 for the others.
	Calibration float64
}

// Limits of a Config.
const (
	MaxItems       = 1 << 24
	MaxDim         = 1 << 12
	MaxBlocks      = 64
	MaxSequence    = 1 << 12
	MaxTimeBuckets = 65 // one for "unknown", one for each length of a gap in bits, 0 to 63
)

// DefaultConfig is the study's recommender for a catalogue: d = 64, two blocks,
// two heads, feed-forward as wide as the model, sequences of 64, learned table.
func DefaultConfig(items int) Config {
	return Config{Items: items, Dim: 64, Blocks: 2, Heads: 2, Hidden: 64, MaxLen: 64}
}

// Model is a checked recommender: the shape of its weights, and the public
// features where it has them. It holds no weights and is immutable.
type Model struct {
	cfg      Config
	features []float32 // V x f, or nil
	proposal *layer.Proposal
	layout   model.Layout
}

// New checks cfg. features is the row-major Items x FeatureDim matrix of frozen
// public item vectors, which New copies; nil if FeatureDim is 0.
func New(cfg Config, features []float32) (*Model, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("recommender: %w", err)
	}
	if len(features) != cfg.Items*cfg.FeatureDim {
		return nil, fmt.Errorf("recommender: %d feature values for %d items of %d", len(features), cfg.Items, cfg.FeatureDim)
	}
	if !kernel.Finite(features) {
		return nil, fmt.Errorf("recommender: a feature is not finite")
	}
	layout, err := model.NewLayout(cfg.tensors()...)
	if err != nil {
		return nil, fmt.Errorf("recommender: %w", err)
	}
	return &Model{cfg: cfg, features: slices.Clone(features), proposal: layer.UniformProposal(cfg.Items), layout: layout}, nil
}

// WithFrequency returns the same model whose sampled losses draw an item in
// proportion to one more than its count; without it they draw all alike. counts
// has one number per item, none negative.
func (m *Model) WithFrequency(counts []int) (*Model, error) {
	if len(counts) != m.cfg.Items {
		return nil, fmt.Errorf("recommender: %d counts for %d items", len(counts), m.cfg.Items)
	}
	weights := make([]uint64, len(counts))
	for i, n := range counts {
		if n < 0 {
			return nil, fmt.Errorf("recommender: item %d was counted %d times", i, n)
		}
		weights[i] = uint64(n) + 1
	}
	proposal, err := layer.NewProposal(weights)
	if err != nil {
		return nil, fmt.Errorf("recommender: %w", err)
	}
	other := *m
	other.proposal = proposal
	return &other, nil
}

// Config returns what New was given.
func (m *Model) Config() Config { return m.cfg }

// Features is the public V x f matrix, nil without one. Do not change it.
func (m *Model) Features() []float32 { return m.features }

// Proposal is what the sampled losses draw negatives from.
func (m *Model) Proposal() *layer.Proposal { return m.proposal }

// Layout names the weights.
func (m *Model) Layout() model.Layout { return m.layout }
