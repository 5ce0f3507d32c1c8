package seqrec_test

import (
	"math"
	"slices"
	"testing"

	"tutti/model/seqrec"
)

// seeded is mixedBatch with a seed for every sequence.
func seeded(v int) []seqrec.Sequence {
	batch := mixedBatch(v)
	for i := range batch {
		batch[i].Seed = uint64(1000 + i)
	}
	return batch
}

func droppingModel(t *testing.T) *seqrec.Model {
	cfg := small
	cfg.Dropout = 0.4
	return mustModel(t, cfg, nil)
}

// Training drops what the oracle drops, at four sites of every block; measuring
// drops nothing.
func TestDropoutAgainstOracle(t *testing.T) {
	m := droppingModel(t)
	params, batch := lively(t, m), seeded(small.Items)
	o := newOracle(m, params)
	engine := seqrec.NewEngine(m)
	grad := make([]float32, m.Layout().Size())
	plain, _, err := engine.LossGrad(params.Values(), batch, nil)
	if want := o.loss(batch); err != nil || math.Abs(plain-want) > 1e-6*want {
		t.Errorf("measured loss %v (%v), want %v", plain, err, want)
	}
	o.dropping = true
	loss, _, err := engine.LossGrad(params.Values(), batch, grad)
	if want := o.loss(batch); err != nil || math.Abs(loss-want) > 1e-6*want || loss == plain {
		t.Errorf("training loss %v (%v), want %v; measured %v", loss, err, want, plain)
	}
	compareGradient(t, "dropout", m, grad, o, func() float64 { return o.loss(batch) })
}

func TestSeedDecidesWhatIsDropped(t *testing.T) {
	m := droppingModel(t)
	params, batch := lively(t, m).Values(), seeded(small.Items)
	engine := seqrec.NewEngine(m)
	grad := make([]float32, len(params))
	losses := map[float64]bool{}
	for _, seed := range []uint64{1, 2, 1} {
		batch[0].Seed = seed
		loss, _, err := engine.LossGrad(params, batch, grad)
		if err != nil {
			t.Fatal(err)
		}
		losses[loss] = true
	}
	if len(losses) != 2 {
		t.Errorf("two seeds give %d losses", len(losses))
	}
}

// listener hears with which seeds it is asked.
type listener struct {
	seqrec.Engine
	seeds []uint64
}

func (l *listener) LossGrad(params []float32, batch []seqrec.Sequence, grad []float32) (float64, int, error) {
	for _, s := range batch {
		l.seeds = append(l.seeds, s.Seed)
	}
	return l.Engine.LossGrad(params, batch, grad)
}

// A device drops other values in every step and for every sequence, and the same
// ones when it trains again; what it was given stays as it is.
func TestTrainSeedsEveryStep(t *testing.T) {
	m := droppingModel(t)
	batch := mixedBatch(small.Items) // without seeds
	var runs [2]*listener
	var updates [2][]float32
	for i := range runs {
		runs[i] = &listener{Engine: seqrec.NewEngine(m)}
		update, _, err := seqrec.Train(runs[i], m.Init(1), batch, seqrec.TrainConfig{Steps: 3, LearningRate: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		updates[i] = update.Values()
	}
	seen := map[uint64]bool{}
	for _, seed := range runs[0].seeds {
		seen[seed] = true
	}
	if len(seen) != 3*len(batch) {
		t.Errorf("%d seeds in 3 steps over %d sequences", len(seen), len(batch))
	}
	if !slices.Equal(runs[0].seeds, runs[1].seeds) || !slices.Equal(updates[0], updates[1]) {
		t.Error("training again drops something else")
	}
	if batch[0].Seed != 0 {
		t.Error("Train changes the sequences of its caller")
	}
}
