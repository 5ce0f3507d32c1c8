package seqrec_test

import (
	"testing"

	"tutti/model/seqrec"
)

// Every kind of model learns a rule that it can see: item i is followed by i+1.
// What it was not told it cannot know; what it ranks first after three items of a
// cycle is the fourth.
func TestEveryKindLearns(t *testing.T) {
	base := seqrec.Config{Items: 12, Dim: 16, Blocks: 1, Heads: 2, Hidden: 16, MaxLen: 8}
	for name, change := range map[string]func(*seqrec.Config){
		"dropout":         func(c *seqrec.Config) { c.Dropout = 0.1 },
		"post-norm":       func(c *seqrec.Config) { c.Norm = seqrec.PostNorm },
		"rotary":          func(c *seqrec.Config) { c.Positions = seqrec.RotaryPositions },
		"ReLU":            func(c *seqrec.Config) { c.Activation = seqrec.ReLU },
		"SwiGLU":          func(c *seqrec.Config) { c.Activation = seqrec.SwiGLU },
		"hybrid":          func(c *seqrec.Config) { c.FeatureDim, c.Hybrid = 3, true },
		"sampled softmax": func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.SampledSoftmax, Negatives: 4} },
		"gBCE":            func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.GBCE, Negatives: 4, Calibration: 0.75} },
		"BPR":             func(c *seqrec.Config) { c.Loss = seqrec.Loss{Kind: seqrec.BPR, Negatives: 4} },
		"bidirectional":   func(c *seqrec.Config) { c.Arch = seqrec.Bidirectional },
		"encoder-decoder": func(c *seqrec.Config) { c.Arch, c.DecoderBlocks, c.Horizon = seqrec.EncoderDecoder, 1, 8 },
		"all of it": func(c *seqrec.Config) {
			c.Norm, c.Positions, c.Activation = seqrec.PostNorm, seqrec.RotaryPositions, seqrec.SwiGLU
			c.FeatureDim, c.Dropout, c.TimeBuckets, c.UserDim = 3, 0.05, 4, 2
			c.Hybrid = true
		},
	} {
		cfg := base
		change(&cfg)
		m := mustModel(t, cfg, draws(40, cfg.Items*cfg.FeatureDim))
		if wrong := learnCycle(t, m); wrong > 1 {
			t.Errorf("%s: %d of %d are wrong after training", name, wrong, cfg.Items)
		}
	}
}

// learnCycle trains on cycles and counts the items whose successor is not ranked
// first.
func learnCycle(t *testing.T, m *seqrec.Model) (wrong int) {
	cfg := m.Config()
	var histories [][]int32
	for start := range cfg.Items {
		var h []int32
		for i := range 15 {
			h = append(h, int32((start+i)%cfg.Items))
		}
		histories = append(histories, h)
	}
	source := seqrec.Crops(histories, cfg.MaxLen, 8, 0.5, 1)
	if cfg.Arch == seqrec.Bidirectional {
		masking := seqrec.DefaultMasking(cfg)
		masking.LastOnly = 0.5
		source = seqrec.Cloze(histories, masking, 8, 1)
	}
	if cfg.Arch == seqrec.EncoderDecoder {
		source = seqrec.Continuations(histories, cfg.MaxLen, cfg.Horizon, 8, 1)
	}
	adam, err := optimAdam()
	if err != nil {
		t.Fatal(err)
	}
	params, engine := m.Init(1), seqrec.NewEngine(m)
	grad := make([]float32, m.Layout().Size())
	for step := range 300 {
		batch, err := source(step)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := engine.LossGrad(params.Values(), batch, grad); err != nil {
			t.Fatal(err)
		}
		adam.Step(params.Values(), grad, 0.01)
	}
	s := mustScorer(t, m, params)
	for i := range int32(cfg.Items) {
		v := int32(cfg.Items)
		top, err := s.Rank([]int32{(i + v - 2) % v, (i + v - 1) % v, i}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if top[0].Item != (i+1)%v {
			wrong++
		}
	}
	return wrong
}
