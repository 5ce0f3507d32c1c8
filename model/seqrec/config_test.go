package seqrec_test

import (
	"encoding"
	"math"
	"strings"
	"testing"

	"tutti/model/seqrec"
)

func TestNewRefusesOptionsThatDoNotFit(t *testing.T) {
	sampled := seqrec.Loss{Kind: seqrec.SampledSoftmax, Negatives: 4}
	for _, c := range []struct {
		change func(*seqrec.Config)
		says   string
	}{
		{func(c *seqrec.Config) { c.Arch = 3 }, `Arch is unknown(3), want one of ["causal"`},
		{func(c *seqrec.Config) { c.Norm = 2 }, "Norm"},
		{func(c *seqrec.Config) { c.Positions = 2 }, "Positions"},
		{func(c *seqrec.Config) { c.Activation = 3 }, "Activation"},
		{func(c *seqrec.Config) { c.Positions, c.Heads = seqrec.RotaryPositions, 4 }, "1 wide"},
		{func(c *seqrec.Config) { c.Arch, c.MaxLen = seqrec.Bidirectional, 1 }, "beside MASK"},
		{func(c *seqrec.Config) { c.Hybrid = true }, "FeatureDim is 0"},
		{func(c *seqrec.Config) { c.TimeBuckets = 1 }, "TimeBuckets"},
		{func(c *seqrec.Config) { c.TimeBuckets = seqrec.MaxTimeBuckets + 1 }, "TimeBuckets"},
		{func(c *seqrec.Config) { c.UserDim = -1 }, "UserDim"},
		{func(c *seqrec.Config) { c.DecoderBlocks = 1 }, "the architecture is causal"},
		{func(c *seqrec.Config) { c.Arch, c.Horizon = seqrec.Bidirectional, 1 }, "the architecture is bidirectional"},
		{func(c *seqrec.Config) { c.Arch, c.Horizon = seqrec.EncoderDecoder, 1 }, "DecoderBlocks is 0"},
		{func(c *seqrec.Config) { c.Arch, c.DecoderBlocks = seqrec.EncoderDecoder, 1 }, "Horizon is 0"},
		{func(c *seqrec.Config) { c.Dropout = 1 }, "Dropout"},
		{func(c *seqrec.Config) { c.Dropout = math.NaN() }, "Dropout"},
		{func(c *seqrec.Config) { c.Dropout = 1 - 1e-9 }, "Dropout"}, // 1 as a float32
		{func(c *seqrec.Config) { c.Loss.Kind = 4 }, "Loss"},
		{func(c *seqrec.Config) { c.Loss.Negatives = 5 }, "compares with every item"},
		{func(c *seqrec.Config) { c.Loss.Kind = seqrec.BPR }, "0 Negatives"},
		{func(c *seqrec.Config) { c.Loss = sampled; c.Loss.Negatives = c.Items }, "want 1 to 10"},
		{func(c *seqrec.Config) { c.Loss = sampled; c.Loss.Calibration = 0.5 }, "Calibration"},
		{func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.GBCE, Negatives: 1, Calibration: 2} }, "Calibration"},
		{func(c *seqrec.Config) { c.RatingWeight = -1 }, "RatingWeight"},
		{func(c *seqrec.Config) { c.RatingWeight = 1e39 }, "RatingWeight"}, // no float32 is as large
		{func(c *seqrec.Config) { c.ClickWeight = 1e-60 }, "ClickWeight"},  // nor as small
		{func(c *seqrec.Config) { c.ClickWeight = math.NaN() }, "want 0 or"},
		{func(c *seqrec.Config) { c.ClickWeight = math.Inf(1) }, "ClickWeight"},
	} {
		cfg := small
		c.change(&cfg)
		if _, err := seqrec.New(cfg, nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: error %v, want one that says %q", cfg, err, c.says)
		}
	}
}

// A model keeps its features, whatever happens to those it was given.
func TestModelKeepsItsFeatures(t *testing.T) {
	cfg := small
	cfg.FeatureDim = 2
	given := draws(1, cfg.Items*cfg.FeatureDim)
	m := mustModel(t, cfg, given)
	clear(given)
	if m.Features()[0] == 0 {
		t.Error("the features are those of the caller")
	}
}

func TestWithFrequencyRefusesBadCounts(t *testing.T) {
	m := mustModel(t, small, nil)
	for _, counts := range [][]int{make([]int, 10), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1}} {
		if _, err := m.WithFrequency(counts); err == nil {
			t.Errorf("counts %v are taken", counts)
		}
	}
}

// What is written can be read again; what is unknown is refused both ways.
func TestNames(t *testing.T) {
	type named interface {
		encoding.TextMarshaler
		String() string
	}
	var arch seqrec.Arch
	var norm seqrec.Norm
	var positions seqrec.Positions
	var activation seqrec.Activation
	var kind seqrec.LossKind
	for _, c := range []struct {
		values []named
		read   encoding.TextUnmarshaler
		got    func() named
	}{
		{[]named{seqrec.Causal, seqrec.Bidirectional, seqrec.EncoderDecoder}, &arch, func() named { return arch }},
		{[]named{seqrec.PreNorm, seqrec.PostNorm}, &norm, func() named { return norm }},
		{[]named{seqrec.LearnedPositions, seqrec.RotaryPositions}, &positions, func() named { return positions }},
		{[]named{seqrec.GELU, seqrec.ReLU, seqrec.SwiGLU}, &activation, func() named { return activation }},
		{[]named{seqrec.FullSoftmax, seqrec.SampledSoftmax, seqrec.GBCE, seqrec.BPR}, &kind, func() named { return kind }},
	} {
		for _, v := range c.values {
			text, err := v.MarshalText()
			if err != nil || string(text) != v.String() {
				t.Errorf("%v is written as %q (%v)", v, text, err)
			}
			if err := c.read.UnmarshalText(text); err != nil || c.got() != v {
				t.Errorf("%q is read as %v (%v)", text, c.got(), err)
			}
		}
		if err := c.read.UnmarshalText([]byte("other")); err == nil {
			t.Errorf("%T reads anything", c.read)
		}
	}
	if _, err := seqrec.Arch(9).MarshalText(); err == nil {
		t.Error("an unknown architecture is written")
	}
}

// Weights that were saved before a model had options fit one without options.
func TestLayoutStays(t *testing.T) {
	featured := seqrec.DefaultConfig(500)
	featured.FeatureDim = 3
	for want, m := range map[string]*seqrec.Model{
		"e6c16e75bbcd3dcc1e11c46245b420d91d249ae635465e1787a1330805dde17b": mustModel(t, seqrec.DefaultConfig(500), nil),
		"d4ec5be77f6f2f9088eb3ae0ad29a3f666ea4ea3795d745eab87d2289d834736": mustModel(t, featured, make([]float32, 1500)),
	} {
		if got := m.Layout().Digest().String(); got != want {
			t.Errorf("the layout's digest is %s, want %s", got, want)
		}
	}
}
