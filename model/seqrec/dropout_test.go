package seqrec_test

import (
	"errors"
	"math"
	"reflect"
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
	if want := o.loss(batch); err != nil || !(math.Abs(plain-want) <= 1e-6*want) {
		t.Errorf("measured loss %v (%v), want %v", plain, err, want)
	}
	o.dropping = true
	loss, _, err := engine.LossGrad(params.Values(), batch, grad)
	if want := o.loss(batch); err != nil || !(math.Abs(loss-want) <= 1e-6*want) || loss == plain {
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

// Nothing is dropped but in training: a model with dropout measures, ranks and
// writes as one without, to the bit.
func TestOnlyTrainingDrops(t *testing.T) {
	history := []int32{1, 2, 3}
	masked := tinyCausal(9)
	masked.Arch = seqrec.Bidirectional
	for _, cfg := range []seqrec.Config{tinyCausal(9), masked, tinyDecoder(9)} {
		var losses []float64
		var scores [][]float32
		var lists [][]seqrec.List
		for _, dropout := range []float64{0, 0.5} {
			cfg.Dropout = dropout
			m := mustModel(t, cfg, nil)
			params := lively(t, m)
			batch := cfg.Sequences(seqrec.History{Items: []int32{5, 6, 7, 8, 0, 1}}, 3)
			engine := seqrec.NewEngine(m)
			trained, _, err := engine.LossGrad(params.Values(), batch, make([]float32, m.Layout().Size()))
			loss, _, err2 := engine.LossGrad(params.Values(), batch, nil)
			if err := errors.Join(err, err2); err != nil || (loss == trained) != (dropout == 0) {
				t.Errorf("%v: loss %v, in training %v with a dropout of %v (%v)", cfg.Arch, loss, trained, dropout, err)
			}
			losses, scores = append(losses, loss), append(scores, scoresOf(t, mustScorer(t, m, params), seqrec.Query{Items: history}))
			if cfg.Arch != seqrec.Bidirectional {
				lists = append(lists, generate(t, mustGenerator(t, m, params), history, seqrec.GenerateOptions{Length: 3, Beams: 2}))
			}
		}
		if losses[0] != losses[1] || !slices.Equal(scores[0], scores[1]) || lists != nil && !reflect.DeepEqual(lists[0], lists[1]) {
			t.Errorf("%v: dropout changes losses %v, scores %v or lists %v", cfg.Arch, losses, scores, lists)
		}
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
