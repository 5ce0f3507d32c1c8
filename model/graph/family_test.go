package graph

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tutti/model/seqrec"
)

// options are one model of each kind that seqrec.Config describes, and some with
// many options at once.
func options() map[string]seqrec.Config {
	out := map[string]seqrec.Config{}
	add := func(name string, change func(c *seqrec.Config)) {
		c := variants()["table"]
		change(&c)
		out[name] = c
	}
	features := func(c *seqrec.Config) { c.FeatureDim = 12 }
	hybrid := func(c *seqrec.Config) { c.FeatureDim, c.Hybrid = 12, true }
	heads := func(c *seqrec.Config) { c.RatingWeight, c.ClickWeight = 0.3, 1.7 }
	decoder := func(c *seqrec.Config) { c.Arch, c.DecoderBlocks, c.Horizon = seqrec.EncoderDecoder, 2, 9 }
	all := func(changes ...func(c *seqrec.Config)) func(c *seqrec.Config) {
		return func(c *seqrec.Config) {
			for _, change := range changes {
				change(c)
			}
		}
	}
	rich := func(c *seqrec.Config) {
		c.TimeBuckets, c.UserDim, c.Dropout, c.Activation = 12, 5, 0.2, seqrec.SwiGLU
		c.Positions, c.Norm = seqrec.RotaryPositions, seqrec.PostNorm
	}
	add("table", func(*seqrec.Config) {})
	add("features", features)
	add("hybrid", hybrid)
	add("bidirectional", func(c *seqrec.Config) { c.Arch = seqrec.Bidirectional })
	add("bidirectional features", all(features, func(c *seqrec.Config) { c.Arch = seqrec.Bidirectional }))
	add("decoder", decoder)
	add("decoder features", all(decoder, features))
	add("decoder hybrid heads", all(decoder, hybrid, heads))
	add("post-norm", func(c *seqrec.Config) { c.Norm = seqrec.PostNorm })
	add("rotary", func(c *seqrec.Config) { c.Positions = seqrec.RotaryPositions })
	add("decoder rotary", all(decoder, func(c *seqrec.Config) { c.Positions = seqrec.RotaryPositions }))
	add("relu", func(c *seqrec.Config) { c.Activation = seqrec.ReLU })
	add("swiglu", func(c *seqrec.Config) { c.Activation = seqrec.SwiGLU })
	add("times", func(c *seqrec.Config) { c.TimeBuckets = 12 })
	add("users", func(c *seqrec.Config) { c.UserDim = 5 })
	add("dropout", func(c *seqrec.Config) { c.Dropout = 0.3 })
	add("decoder dropout", all(decoder, func(c *seqrec.Config) { c.Dropout = 0.3 }))
	add("sampled", func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.SampledSoftmax, Negatives: 30} })
	add("sampled features", all(features, func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.SampledSoftmax, Negatives: 30} }))
	add("gbce", func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.GBCE, Negatives: 7, Calibration: 0.7} })
	add("bpr", func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.BPR, Negatives: 7} })
	add("ratings", func(c *seqrec.Config) { c.RatingWeight = 0.5 })
	add("clicks", func(c *seqrec.Config) { c.ClickWeight = 2 })
	add("heads", heads)
	add("heads features", all(heads, features))
	add("rich", all(rich, heads, hybrid))
	add("rich bidirectional", all(rich, heads, features, func(c *seqrec.Config) { c.Arch = seqrec.Bidirectional }))
	add("rich decoder", all(rich, heads, decoder, func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.GBCE, Negatives: 7} }))
	add("rich decoder pre-norm", all(rich, heads, decoder, hybrid, func(c *seqrec.Config) { c.Norm = seqrec.PreNorm }))
	return out
}

// familyBatch draws sequences as a model of any kind reads them.
func familyBatch(cfg seqrec.Config, rng *rand.Rand, sequences int) []seqrec.Sequence {
	soft := cfg.Loss.Kind == seqrec.FullSoftmax && cfg.Arch != seqrec.Bidirectional
	out := randomBatch(cfg, rng, sequences, soft && rng.IntN(2) == 0)
	for i := range out {
		s := &out[i]
		s.Seed = rng.Uint64()
		positions := len(s.Items)
		switch cfg.Arch {
		case seqrec.Bidirectional:
			hide(cfg, s, rng)
		case seqrec.EncoderDecoder:
			positions = 1 + rng.IntN(cfg.Horizon)
			s.Targets = nil
			for range positions {
				s.Next = append(s.Next, int32(rng.IntN(cfg.Items)))
			}
			if s.Soft != nil {
				s.Soft = softRows(cfg.Items, positions, rng)
			}
		}
		addContext(cfg, s, rng)
		if i%3 != 0 {
			s.Feedback = feedback(cfg, positions, rng)
		}
	}
	return out
}

// hide makes a target of every third item.
func hide(cfg seqrec.Config, s *seqrec.Sequence, rng *rand.Rand) {
	for p := range s.Items {
		if s.Targets[p] = seqrec.NoTarget; p%3 == 0 {
			s.Targets[p], s.Items[p] = int32(rng.IntN(cfg.Items)), int32(cfg.Items)
		}
	}
}

func addContext(cfg seqrec.Config, s *seqrec.Sequence, rng *rand.Rand) {
	if rng.IntN(4) > 0 {
		now := int64(1_700_000_000)
		for range s.Items {
			now += rng.Int64N(1 << rng.IntN(20))
			s.Times = append(s.Times, now)
		}
	}
	if cfg.UserDim > 0 && rng.IntN(4) > 0 {
		for range cfg.UserDim {
			s.User = append(s.User, float32(rng.NormFloat64()))
		}
	}
}

func feedback(cfg seqrec.Config, n int, rng *rand.Rand) (out []seqrec.Feedback) {
	for range n {
		f := seqrec.NoFeedback()
		if f.Item = int32(rng.IntN(cfg.Items)); rng.IntN(2) == 0 {
			f.Rating = float32(rng.IntN(5))
		}
		f.Click = int8(rng.IntN(3) - 1)
		out = append(out, f)
	}
	return out
}

// TestFamily: in loss and gradient the graph is the fused engine to the bit, for
// every option.
func TestFamily(t *testing.T) {
	for name, cfg := range options() {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, cfg)
			if cfg.Loss.Kind == seqrec.SampledSoftmax {
				m = frequent(t, m)
			}
			fused, engine := seqrec.NewEngine(m), newEngine(t, m, Tasks)
			size := m.Layout().Size()
			got, want := make([]float32, size), make([]float32, size)
			rng := rand.New(rand.NewPCG(31, 31))
			for i := range 10 { // batches grow beyond the first capacity and shrink again
				params := spread(m, uint64(i)).Values()
				batch := familyBatch(cfg, rng, 1+rng.IntN(1+i))
				for j := range got {
					got[j] = float32(math.NaN()) // every value must be overwritten
				}
				for _, pair := range [][2][]float32{{want, got}, {nil, nil}} {
					wantLoss, wantTokens, err := fused.LossGrad(params, batch, pair[0])
					if err != nil {
						t.Fatal(err)
					}
					loss, tokens, err := engine.LossGrad(params, batch, pair[1])
					if err != nil || tokens != wantTokens || loss != wantLoss {
						t.Fatalf("batch %d: loss %v over %d, want %v over %d (%v)", i, loss, tokens, wantLoss, wantTokens, err)
					}
				}
				if !slices.Equal(got, want) {
					far, where := difference(m.Layout(), got, want)
					t.Fatalf("batch %d: gradient of %s differs by %v", i, where, far)
				}
			}
		})
	}
}

// frequent draws negatives by how often items occur.
func frequent(t *testing.T, m *seqrec.Model) *seqrec.Model {
	t.Helper()
	counts := make([]int, m.Config().Items)
	for i := range counts {
		counts[i] = 1000 / (i + 1)
	}
	m, err := m.WithFrequency(counts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
