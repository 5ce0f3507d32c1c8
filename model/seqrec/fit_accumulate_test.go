package seqrec_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

// Four batches of uneven sequences, accumulated, move the weights as the one
// batch of all of them does.
func TestAccumulationIsTheLargeBatch(t *testing.T) {
	m := cycleModels(t)["table"]
	data := cycle(12, 16, 8)
	for i := range data {
		n := 1 + i%8
		data[i].Items, data[i].Targets = data[i].Items[:n], data[i].Targets[:n]
	}
	cfg := seqrec.FitConfig{Steps: 10, LearningRate: 0.1, Optimizer: "sgd", Momentum: 0.9, Seed: 3}
	run := func(batch, accumulate int) (model.Params, seqrec.FitStats) {
		c := cfg
		c.Batch, c.Accumulate = batch, accumulate
		p, stats, err := seqrec.Fit(context.Background(), seqrec.NewEngine(m), m.Init(1), data, c)
		if err != nil {
			t.Fatal(err)
		}
		return p, stats
	}
	want, wantStats := run(8, 1)
	got, stats := run(2, 4)
	if stats.Tokens != wantStats.Tokens || !(math.Abs(stats.Loss-wantStats.Loss) <= 1e-6) {
		t.Errorf("%+v, want %+v", stats, wantStats)
	}
	start := m.Init(1).Values()
	worst, moved := 0.0, 0.0
	for i, w := range want.Values() {
		worst = math.Max(worst, math.Abs(float64(w)-float64(got.Values()[i])))
		moved = math.Max(moved, math.Abs(float64(w)-float64(start[i])))
	}
	if worst > 1e-6 || moved < 0.05 {
		t.Errorf("weights moved by %g and differ by %g", moved, worst)
	}
}

// Some of a step's batches may have nothing to learn from, not all of them.
func TestAccumulationOverEmptyBatches(t *testing.T) {
	m := cycleModels(t)["table"]
	full, empty := cycle(12, 2, 4), []seqrec.Sequence{{Items: []int32{1}, Targets: []int32{seqrec.NoTarget}}}
	source := func(batches ...[]seqrec.Sequence) seqrec.Source {
		return func(step int) ([]seqrec.Sequence, error) { return batches[step], nil }
	}
	cfg := seqrec.FitConfig{Steps: 1, LearningRate: 0.1, Optimizer: "sgd"}
	alone := mustFitter(t, m, source(full), cfg)
	mustStep(t, alone, 1)
	cfg.Accumulate = 2
	both := mustFitter(t, m, source(empty, full), cfg)
	mustStep(t, both, 1)
	want, got := alone.State().Params().Values(), both.State().Params().Values()
	for i := range want {
		if !(math.Abs(float64(want[i]-got[i])) <= 1e-7) {
			t.Fatalf("weight %d: %v, want %v", i, got[i], want[i])
		}
	}
	if err := mustFitter(t, m, source(empty, empty), cfg).Step(); !errors.Is(err, seqrec.ErrNothingToLearn) {
		t.Errorf("two empty batches: %v", err)
	}
}

// Batches that have ratings alone are learnt from, however many make a step.
func TestAccumulationOfRatings(t *testing.T) {
	cfg := small
	cfg.RatingWeight = 0.5
	m := mustModel(t, cfg, nil)
	rated := func(item int32, rating float32) seqrec.Sequence {
		return seqrec.Sequence{
			Items: []int32{item}, Targets: []int32{seqrec.NoTarget},
			Feedback: []seqrec.Feedback{{Item: item + 1, Rating: rating, Click: -1}},
		}
	}
	both := []seqrec.Sequence{rated(1, 3), rated(4, 1)}
	source := func(size int) seqrec.Source {
		return func(step int) ([]seqrec.Sequence, error) { return both[step*size : (step+1)*size], nil }
	}
	fit := seqrec.FitConfig{Steps: 1, LearningRate: 0.1, Optimizer: "sgd"}
	one := mustFitter(t, m, source(2), fit)
	mustStep(t, one, 1)
	fit.Accumulate = 2
	two := mustFitter(t, m, source(1), fit)
	mustStep(t, two, 1)
	moved := false
	for i, want := range one.State().Params().Values() {
		got := two.State().Params().Values()[i]
		if !(math.Abs(float64(want-got)) <= 1e-6) {
			t.Fatalf("weight %d: %v, want %v", i, got, want)
		}
		moved = moved || want != m.Init(1).Values()[i]
	}
	if _, stats, err := two.Result(); !moved || err != nil || stats.Tokens != 0 || !(stats.Loss > 0) {
		t.Errorf("moved: %v, %+v, %v", moved, stats, err)
	}
}
