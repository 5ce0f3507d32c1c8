package seqrec_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

// cycle is behaviour with a rule to learn: item i is followed by i+1 mod v.
func cycle(v, sequences, length int) []seqrec.Sequence {
	rng := rand.New(rand.NewPCG(20, 20))
	var out []seqrec.Sequence
	for range sequences {
		start := rng.IntN(v)
		h := make([]int32, length+1)
		for i := range h {
			h[i] = int32((start + i) % v)
		}
		out = append(out, seqrec.FromHistory(h, length))
	}
	return out
}

func cycleModels(t *testing.T) map[string]*seqrec.Model {
	const v = 12
	cfg := seqrec.Config{Items: v, Dim: 16, Blocks: 1, Heads: 2, Hidden: 16, MaxLen: 8}
	featured := cfg
	featured.FeatureDim = v
	oneHot := make([]float32, v*v)
	for i := range v {
		oneHot[i*v+i] = 1
	}
	return map[string]*seqrec.Model{"table": mustModel(t, cfg, nil), "features": mustModel(t, featured, oneHot)}
}

func TestFitLearnsAndRepeats(t *testing.T) {
	for name, m := range cycleModels(t) {
		data := cycle(12, 20, 8)
		cfg := seqrec.FitConfig{Steps: 150, Batch: 8, LearningRate: 0.02, WarmUp: 10, Seed: 5}
		var last int
		cfg.Progress = func(step int, loss float64) { last = step }
		fitted, stats, err := seqrec.Fit(context.Background(), seqrec.NewEngine(m), m.Init(1), data, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if stats.Loss > 0.1 { // of log 12 = 2.5 at the start
			t.Errorf("%s: loss %v after training", name, stats.Loss)
		}
		if stats.Tokens != 150*8*8 || last != 150 {
			t.Errorf("%s: %d tokens, last step %d", name, stats.Tokens, last)
		}
		again, _, err := seqrec.Fit(context.Background(), seqrec.NewEngine(m), m.Init(1), data, cfg)
		if err != nil || again.Digest() != fitted.Digest() {
			t.Errorf("%s: the second run differs (%v)", name, err)
		}
		scorer, err := seqrec.NewScorer(m, fitted)
		if err != nil {
			t.Fatal(err)
		}
		best, err := scorer.Rank([]int32{4, 5, 6}, 1, nil)
		if err != nil || best[0].Item != 7 {
			t.Errorf("%s: after 4, 5, 6 comes %v (%v), want 7", name, best, err)
		}
	}
}

// Distillation: soft targets alone must teach the same rule.
func TestFitOnSoftTargets(t *testing.T) {
	m := cycleModels(t)["table"]
	data := cycle(12, 20, 8)
	for i, s := range data {
		soft := make([]float32, len(s.Items)*12)
		for p, target := range s.Targets {
			for v := range 12 {
				soft[p*12+v] = 0.2 / 11
			}
			soft[p*12+int(target)] = 0.8
		}
		data[i] = seqrec.Sequence{Items: s.Items, Soft: soft}
	}
	_, stats, err := seqrec.Fit(context.Background(), seqrec.NewEngine(m), m.Init(1), data,
		seqrec.FitConfig{Steps: 150, Batch: 8, LearningRate: 0.02, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	entropy := -0.8*math.Log(0.8) - 0.2*math.Log(0.2/11) // no model gets below
	if stats.Loss < entropy-1e-3 || stats.Loss > entropy+0.05 {
		t.Errorf("loss %v, want just above the teacher's entropy %v", stats.Loss, entropy)
	}
}

func TestFitStopsWhenCancelled(t *testing.T) {
	m := cycleModels(t)["table"]
	ctx, cancel := context.WithCancel(context.Background())
	steps := 0
	_, _, err := seqrec.Fit(ctx, seqrec.NewEngine(m), m.Init(1), cycle(12, 2, 4), seqrec.FitConfig{
		Steps: 100, Batch: 1, LearningRate: 0.01,
		Progress: func(step int, _ float64) {
			if steps = step; step == 3 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || steps != 3 {
		t.Errorf("stopped after %d steps with %v", steps, err)
	}
}

func TestTrain(t *testing.T) {
	for name, m := range cycleModels(t) {
		for _, optimizer := range []string{"", "sgd", "adam", "adamw"} {
			global := m.Init(1)
			before := global.Digest()
			cfg := seqrec.TrainConfig{Steps: 4, LearningRate: 0.01, Optimizer: optimizer}
			data := cycle(12, 3, 8)
			engine := seqrec.NewEngine(m)
			update, stats, err := seqrec.Train(engine, global, data, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if global.Digest() != before {
				t.Fatalf("%s: training changed the global weights", name)
			}
			if stats.Tokens != 24 || stats.Steps != 4 || !(math.Abs(stats.Loss-math.Log(12)) <= 0.2) {
				t.Errorf("%s %s: %+v", name, optimizer, stats)
			}
			local := global.Clone()
			for i, d := range update.Values() {
				local.Values()[i] += d
			}
			loss, _, err := engine.LossGrad(local.Values(), data, nil)
			if err != nil || loss >= stats.Loss {
				t.Errorf("%s %s: loss %v after training (%v), %v before", name, optimizer, loss, err, stats.Loss)
			}
		}
	}
}

// One step of SGD is the gradient itself.
func TestTrainOneStepIsTheGradient(t *testing.T) {
	m := cycleModels(t)["table"]
	global, data := m.Init(1), cycle(12, 2, 8)
	engine := seqrec.NewEngine(m)
	grad := make([]float32, m.Layout().Size())
	if _, _, err := engine.LossGrad(global.Values(), data, grad); err != nil {
		t.Fatal(err)
	}
	update, _, err := seqrec.Train(engine, global, data, seqrec.TrainConfig{Steps: 1, LearningRate: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range update.Values() {
		// The update is a difference of weights near 1: rounded to 2^-24.
		if !(math.Abs(float64(d)+0.5*float64(grad[i])) <= 2e-7) {
			t.Fatalf("update[%d] = %v, gradient %v", i, d, grad[i])
		}
	}
}

func TestTrainRefuses(t *testing.T) {
	m := cycleModels(t)["table"]
	good := seqrec.TrainConfig{Steps: 1, LearningRate: 0.1}
	data := cycle(12, 1, 4)
	with := func(change func(*seqrec.TrainConfig)) seqrec.TrainConfig {
		c := good
		change(&c)
		return c
	}
	poisoned := m.Init(1)
	poisoned.View(seqrec.TensorFinalGain)[0] = float32(math.NaN())
	huge := m.Init(1)
	for i, values := 0, huge.View(seqrec.TensorTable); i < len(values); i++ {
		values[i] *= 1e30
	}
	for name, c := range map[string]struct {
		params model.Params
		data   []seqrec.Sequence
		cfg    seqrec.TrainConfig
		want   error // nil: any
	}{
		"no steps":       {m.Init(1), data, with(func(c *seqrec.TrainConfig) { c.Steps = 0 }), nil},
		"too many steps": {m.Init(1), data, with(func(c *seqrec.TrainConfig) { c.Steps = seqrec.MaxLocalSteps + 1 }), nil},
		"rate 0":         {m.Init(1), data, with(func(c *seqrec.TrainConfig) { c.LearningRate = 0 }), nil},
		"rate NaN":       {m.Init(1), data, with(func(c *seqrec.TrainConfig) { c.LearningRate = math.NaN() }), nil},
		"optimiser":      {m.Init(1), data, with(func(c *seqrec.TrainConfig) { c.Optimizer = "magic" }), nil},
		"other layout":   {mustModel(t, small, nil).Init(1), data, good, nil},
		"one item":       {m.Init(1), []seqrec.Sequence{{Items: []int32{1}, Targets: []int32{-1}}}, good, seqrec.ErrNothingToLearn},
		"nothing":        {m.Init(1), nil, good, seqrec.ErrNothingToLearn},
		"NaN weights":    {poisoned, data, good, seqrec.ErrDiverged},
		"huge weights":   {huge, data, with(func(c *seqrec.TrainConfig) { c.Steps = 3; c.LearningRate = 1e30 }), seqrec.ErrDiverged},
		"last step":      {m.Init(1), data, with(func(c *seqrec.TrainConfig) { c.LearningRate = math.MaxFloat64 }), seqrec.ErrDiverged},
	} {
		update, _, err := seqrec.Train(seqrec.NewEngine(m), c.params, c.data, c.cfg)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
		if update.Len() != 0 {
			t.Errorf("%s: an update came out", name)
		}
	}
}

func TestFitRefuses(t *testing.T) {
	m := cycleModels(t)["table"]
	data := cycle(12, 1, 4)
	for name, c := range map[string]struct {
		data []seqrec.Sequence
		cfg  seqrec.FitConfig
	}{
		"no data":      {nil, seqrec.FitConfig{Steps: 1, Batch: 1, LearningRate: 0.1}},
		"no batch":     {data, seqrec.FitConfig{Steps: 1, LearningRate: 0.1}},
		"no steps":     {data, seqrec.FitConfig{Batch: 1, LearningRate: 0.1}},
		"rate":         {data, seqrec.FitConfig{Steps: 1, Batch: 1, LearningRate: -1}},
		"warm-up":      {data, seqrec.FitConfig{Steps: 1, Batch: 1, LearningRate: 1, WarmUp: -1}},
		"weight decay": {data, seqrec.FitConfig{Steps: 1, Batch: 1, LearningRate: 1, WeightDecay: math.NaN()}},
		"diverges":     {data, seqrec.FitConfig{Steps: 2, Batch: 1, LearningRate: 1e38, Schedule: "constant"}},
	} {
		if _, _, err := seqrec.Fit(context.Background(), seqrec.NewEngine(m), m.Init(1), c.data, c.cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// sick is an engine that says something that is not finite.
type sick struct {
	seqrec.Engine
	loss, slope float64
}

func (s sick) LossGrad(params []float32, batch []seqrec.Sequence, grad []float32) (float64, int, error) {
	loss, tokens, err := s.Engine.LossGrad(params, batch, grad)
	grad[len(grad)-1] += float32(s.slope)
	return loss + s.loss, tokens, err
}

// A loss or a slope that is not finite ends training at once: it is no step.
func TestTrainingStopsWhereItDiverges(t *testing.T) {
	m := cycleModels(t)["table"]
	source := seqrec.Batches(cycle(12, 2, 4), 2, 1)
	nan, inf := math.NaN(), math.Inf(1)
	for name, s := range map[string]sick{"loss nan": {loss: nan}, "loss inf": {loss: -inf}, "slope nan": {slope: nan}, "slope inf": {slope: inf}} {
		s.Engine = seqrec.NewEngine(m)
		f, err := seqrec.NewFitter(s, m.Init(1), source, seqrec.FitConfig{Steps: 2, LearningRate: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Step(); !errors.Is(err, seqrec.ErrDiverged) || f.Steps() != 0 {
			t.Errorf("%s: %v after %d steps", name, err, f.Steps())
		}
		if _, _, err := seqrec.Train(s, m.Init(1), cycle(12, 2, 4), seqrec.TrainConfig{Steps: 1, LearningRate: 0.1}); !errors.Is(err, seqrec.ErrDiverged) {
			t.Errorf("%s on a device: %v", name, err)
		}
	}
}
