package seqrec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"tutti/model"
	"tutti/model/kernel"
)

// Config is the open description of a recommender; New checks it.
type Config struct {
	Items      int // V: items in the catalogue, 2 to MaxItems
	Dim        int // d: width of the model, 1 to MaxDim, a multiple of Heads
	Blocks     int // Transformer blocks, 1 to MaxBlocks
	Heads      int // attention heads, at least 1
	Hidden     int // width of the feed-forward layer, 1 to MaxDim
	MaxLen     int // L: longest input sequence, 1 to MaxSequence
	FeatureDim int // f: public features per item, 1 to MaxDim; 0: a learned table
}

// Limits of a Config.
const (
	MaxItems    = 1 << 24
	MaxDim      = 1 << 12
	MaxBlocks   = 64
	MaxSequence = 1 << 12
)

// DefaultConfig is the study's recommender for a catalogue: d = 64, two blocks,
// two heads, feed-forward as wide as the model, sequences of 64, learned table.
func DefaultConfig(items int) Config {
	return Config{Items: items, Dim: 64, Blocks: 2, Heads: 2, Hidden: 64, MaxLen: 64}
}

func (c Config) check() error {
	for _, f := range []struct {
		name         string
		value, limit int
	}{
		{"Items", c.Items, MaxItems}, {"Dim", c.Dim, MaxDim}, {"Blocks", c.Blocks, MaxBlocks},
		{"Heads", c.Heads, MaxDim}, {"Hidden", c.Hidden, MaxDim}, {"MaxLen", c.MaxLen, MaxSequence},
	} {
		if f.value < 1 || f.value > f.limit {
			return fmt.Errorf("%s is %d, want 1 to %d", f.name, f.value, f.limit)
		}
	}
	if c.Items < 2 {
		return fmt.Errorf("Items is 1: nothing to choose from")
	}
	if c.Dim%c.Heads != 0 {
		return fmt.Errorf("width Dim %d is not a multiple of Heads %d", c.Dim, c.Heads)
	}
	if c.FeatureDim < 0 || c.FeatureDim > MaxDim {
		return fmt.Errorf("FeatureDim is %d, want 0 to %d", c.FeatureDim, MaxDim)
	}
	return nil
}

// Names of the tensors that are not part of a block.
const (
	TensorTable      = "item.table"      // V x d; without features
	TensorProjection = "item.projection" // f x d; with features
	TensorItemBias   = "item.bias"       // V without features, f with
	TensorPosition   = "position"        // L x d
	TensorFinalGain  = "final.gain"      // d
	TensorFinalBias  = "final.bias"      // d
)

// Names of the tensors of a block; BlockTensor puts the number in front.
const (
	TensorNorm1Gain = "norm1.gain" // d
	TensorNorm1Bias = "norm1.bias" // d
	TensorQKV       = "qkv.weight" // d x 3d: queries, keys, values side by side
	TensorQKVBias   = "qkv.bias"   // 3d
	TensorOut       = "out.weight" // d x d
	TensorOutBias   = "out.bias"   // d
	TensorNorm2Gain = "norm2.gain" // d
	TensorNorm2Bias = "norm2.bias" // d
	TensorUp        = "up.weight"  // d x h
	TensorUpBias    = "up.bias"    // h
	TensorDown      = "down.weight"
	TensorDownBias  = "down.bias" // d
)

// BlockTensor is the name of a tensor of block b, counted from 0.
func BlockTensor(b int, name string) string { return "block" + strconv.Itoa(b) + "." + name }

// Model is a checked recommender: the shape of its weights, and the public
// features where it has them. It holds no weights and is immutable.
type Model struct {
	cfg      Config
	features []float32 // V x f, or nil
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
	return &Model{cfg: cfg, features: slices.Clone(features), layout: layout}, nil
}

func (c Config) tensors() []model.TensorSpec {
	d, h := c.Dim, c.Hidden
	var specs []model.TensorSpec
	add := func(name string, shape ...int) {
		specs = append(specs, model.TensorSpec{Name: name, Shape: shape})
	}
	if c.FeatureDim == 0 {
		add(TensorTable, c.Items, d)
		add(TensorItemBias, c.Items)
	} else {
		add(TensorProjection, c.FeatureDim, d)
		add(TensorItemBias, c.FeatureDim)
	}
	add(TensorPosition, c.MaxLen, d)
	for b := range c.Blocks {
		in := func(name string, shape ...int) { add(BlockTensor(b, name), shape...) }
		in(TensorNorm1Gain, d)
		in(TensorNorm1Bias, d)
		in(TensorQKV, d, 3*d)
		in(TensorQKVBias, 3*d)
		in(TensorOut, d, d)
		in(TensorOutBias, d)
		in(TensorNorm2Gain, d)
		in(TensorNorm2Bias, d)
		in(TensorUp, d, h)
		in(TensorUpBias, h)
		in(TensorDown, h, d)
		in(TensorDownBias, d)
	}
	add(TensorFinalGain, d)
	add(TensorFinalBias, d)
	return specs
}

// Config returns what New was given.
func (m *Model) Config() Config { return m.cfg }

// Features is the public V x f matrix, nil without one. Do not change it.
func (m *Model) Features() []float32 { return m.features }

// Layout names the weights.
func (m *Model) Layout() model.Layout { return m.layout }

// initialStd is the spread of initial weights and of initial item vectors
// (GPT-2's value); maps that add to the residual stream get it divided by
// sqrt(2 Blocks).
const initialStd = 0.02

// Init returns initial weights: the same for the same seed, everywhere.
func (m *Model) Init(seed uint64) model.Params {
	p := model.NewParams(m.layout)
	rng := rand.New(rand.NewPCG(seed, 0x7475747469)) // "tutti"
	normal := func(name string, std float64) {
		for i, values := 0, p.View(name); i < len(values); i++ {
			values[i] = float32(std * bell(rng))
		}
	}
	ones := func(name string) {
		for i, values := 0, p.View(name); i < len(values); i++ {
			values[i] = 1
		}
	}
	normal(TensorTable, initialStd)
	normal(TensorProjection, m.projectionStd())
	normal(TensorPosition, initialStd)
	residual := initialStd / math.Sqrt(2*float64(m.cfg.Blocks))
	for b := range m.cfg.Blocks {
		ones(BlockTensor(b, TensorNorm1Gain))
		normal(BlockTensor(b, TensorQKV), initialStd)
		normal(BlockTensor(b, TensorOut), residual)
		ones(BlockTensor(b, TensorNorm2Gain))
		normal(BlockTensor(b, TensorUp), initialStd)
		normal(BlockTensor(b, TensorDown), residual)
	}
	ones(TensorFinalGain)
	return p
}

// bell is close to a standard normal: the sum of four 16-bit uniforms. Unlike a
// real one it is exact integers and a single rounding, so that every machine
// draws the same.
func bell(rng *rand.Rand) float64 {
	bits := rng.Uint64()
	sum := bits&0xffff + bits>>16&0xffff + bits>>32&0xffff + bits>>48
	return float64(int64(sum)-2*0xffff) * (1.7320508075688772 / 65536) // variance 4/12
}

// projectionStd makes the entries of the projected item vectors, F*W, spread by
// initialStd whatever the scale of the features.
func (m *Model) projectionStd() float64 {
	var energy float64
	for _, x := range m.features {
		energy += float64(float64(x) * float64(x)) // rounded, never fused
	}
	if energy == 0 {
		return initialStd
	}
	return initialStd / math.Sqrt(energy/float64(m.cfg.Items))
}
