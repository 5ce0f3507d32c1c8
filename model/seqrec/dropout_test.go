package seqrec_test

import (
	"math"
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
