package seqrec_test

import (
	"testing"

	"tutti/model/seqrec"
)

// BenchmarkFamily is one training step on 32 sequences of 50, by what is changed
// of the default recommender. It counts the tokens that are read.
func BenchmarkFamily(b *testing.B) {
	for _, v := range []struct {
		name   string
		change func(*seqrec.Config)
	}{
		{"default", func(c *seqrec.Config) {}},
		{"dropout", func(c *seqrec.Config) { c.Dropout = 0.2 }},
		{"post-norm", func(c *seqrec.Config) { c.Norm = seqrec.PostNorm }},
		{"rotary", func(c *seqrec.Config) { c.Positions = seqrec.RotaryPositions }},
		{"swiglu", func(c *seqrec.Config) { c.Activation = seqrec.SwiGLU }},
		{"hybrid", func(c *seqrec.Config) { c.FeatureDim, c.Hybrid = 32, true }},
		{"sampled-256", func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.SampledSoftmax, Negatives: 256} }},
		{"gbce-16", func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.GBCE, Negatives: 16, Calibration: 0.75} }},
		{"bpr-1", func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.BPR, Negatives: 1} }},
		{"bidirectional", func(c *seqrec.Config) { c.Arch = seqrec.Bidirectional }},
	} {
		b.Run(v.name, func(b *testing.B) {
			cfg := seqrec.DefaultConfig(3706)
			cfg.MaxLen = 50
			v.change(&cfg)
			m := mustModel(b, cfg, draws(1, cfg.Items*cfg.FeatureDim))
			params, grad := m.Init(1).Values(), make([]float32, m.Layout().Size())
			batch := randomBatch(2, 32, 50, cfg.Items)
			if cfg.Arch == seqrec.Bidirectional {
				for i, s := range batch {
					batch[i] = cfg.Sequences(seqrec.History{Items: s.Items}, uint64(i))[1]
				}
			}
			engine := seqrec.NewEngine(m)
			for b.Loop() {
				if _, _, err := engine.LossGrad(params, batch, grad); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(32*50*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
