package seqrec_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tutti/model/seqrec"
)

func mustModel(tb testing.TB, cfg seqrec.Config, features []float32) *seqrec.Model {
	tb.Helper()
	m, err := seqrec.New(cfg, features)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// randomHistory has n items of a catalogue of v.
func randomHistory(rng *rand.Rand, n, v int) []int32 {
	h := make([]int32, n)
	for i := range h {
		h[i] = int32(rng.IntN(v))
	}
	return h
}

func randomBatch(seed uint64, sequences, length, v int) []seqrec.Sequence {
	rng := rand.New(rand.NewPCG(seed, 0))
	var batch []seqrec.Sequence
	for range sequences {
		batch = append(batch, seqrec.FromHistory(randomHistory(rng, length+1, v), length))
	}
	return batch
}

func BenchmarkLossGrad(b *testing.B) {
	for _, c := range []struct{ items, sequences, length int }{
		{3706, 1, 50}, {4000, 1, 50}, {4000, 1, 200}, {4000, 32, 50},
	} {
		b.Run(fmt.Sprintf("V=%d/%dx%d", c.items, c.sequences, c.length), func(b *testing.B) {
			cfg := seqrec.DefaultConfig(c.items)
			cfg.MaxLen = c.length
			m := mustModel(b, cfg, nil)
			params := m.Init(1)
			grad := make([]float32, params.Layout().Size())
			engine := seqrec.NewEngine(m)
			batch := randomBatch(2, c.sequences, c.length, c.items)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := engine.LossGrad(params.Values(), batch, grad); err != nil {
					b.Fatal(err)
				}
			}
			tokens := float64(c.sequences*c.length) * float64(b.N)
			b.ReportMetric(tokens/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// BenchmarkDevice is one device's round: five steps from the global weights.
func BenchmarkDevice(b *testing.B) {
	for _, f := range []int{0, 32} {
		b.Run(fmt.Sprintf("f=%d", f), func(b *testing.B) {
			cfg := seqrec.DefaultConfig(3706)
			cfg.MaxLen, cfg.FeatureDim = 50, f
			features := make([]float32, cfg.Items*f)
			for i := range features {
				features[i] = float32(i%7) - 3
			}
			m := mustModel(b, cfg, features)
			params, engine := m.Init(1), seqrec.NewEngine(m)
			batch := randomBatch(3, 1, 50, cfg.Items)
			for b.Loop() {
				_, _, err := seqrec.Train(engine, params, batch, seqrec.TrainConfig{Steps: 5, LearningRate: 0.1})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRank(b *testing.B) {
	for _, length := range []int{1, 50} {
		b.Run(fmt.Sprintf("V=3706/L=%d", length), func(b *testing.B) {
			m := mustModel(b, seqrec.DefaultConfig(3706), nil)
			scorer, err := seqrec.NewScorer(m, m.Init(1))
			if err != nil {
				b.Fatal(err)
			}
			history := randomHistory(rand.New(rand.NewPCG(4, 0)), length, 3706)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := scorer.Rank(history, 10, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
