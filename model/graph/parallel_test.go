package graph

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorgonia.org/gorgonia"

	"tutti/model/seqrec"
)

// wide is a batch that is worth splitting.
func wide(cfg seqrec.Config, seed uint64) []seqrec.Sequence {
	return familyBatch(cfg, rand.New(rand.NewPCG(seed, 41)), 80)
}

// TestNewParallel: two graphs on the halves of a batch give what two fused
// engines give, to the bit, and nearly what one graph gives on all of it.
func TestNewParallel(t *testing.T) {
	configs := options()
	for _, kind := range []string{"table", "features", "heads", "sampled", "gbce", "dropout", "rich", "rich decoder"} {
		t.Run(kind, func(t *testing.T) {
			m := newModel(t, configs[kind])
			graphs, err := NewParallel(m, Tasks, 2)
			if err != nil {
				t.Fatal(err)
			}
			fused, one := seqrec.NewParallelEngine(m, 2), newEngine(t, m, Tasks)
			for i := range uint64(3) {
				params, batch := spread(m, i).Values(), wide(m.Config(), i)
				loss, grad := lossGrad(t, graphs, params, batch)
				wantLoss, want := lossGrad(t, fused, params, batch)
				if loss != wantLoss || !slices.Equal(grad, want) {
					far, where := difference(m.Layout(), grad, want)
					t.Errorf("loss %v, want %v; gradient of %s differs by %v", loss, wantLoss, where, far)
				}
				wholeLoss, whole := lossGrad(t, one, params, batch)
				if far, where := difference(m.Layout(), grad, whole); !(far <= 1e-5) || !(math.Abs(loss-wholeLoss) <= 1e-6*loss) {
					t.Errorf("loss %v, in one piece %v; gradient of %s differs by %v", loss, wholeLoss, where, far)
				}
				if slices.Equal(grad, whole) {
					t.Error("the batch was not split")
				}
			}
		})
	}
}

// TestNewParallelComposed: so does a loss of the caller's own, a mean and a
// penalty, also where a half of the batch has nothing to learn.
func TestNewParallelComposed(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		loss := func(g *Graph) (*gorgonia.Node, error) {
			entropy, err := penalised(g)
			if err != nil {
				return nil, err
			}
			return gorgonia.Add(entropy, gorgonia.Must(composedEntropy(g)))
		}
		graphs, err := NewParallel(m, loss, 2)
		if err != nil {
			t.Fatal(err)
		}
		one, params := newEngine(t, m, loss), spread(m, 3).Values()
		batch := wide(m.Config(), 3)
		silent := slices.Clone(batch)
		for i := range silent[:60] {
			silent[i].Soft, silent[i].Targets = nil, slices.Repeat([]int32{seqrec.NoTarget}, len(silent[i].Items))
		}
		for _, batch := range [][]seqrec.Sequence{batch, silent} {
			want, whole := lossGrad(t, one, params, batch)
			got, grad := lossGrad(t, graphs, params, batch)
			if far, where := difference(m.Layout(), grad, whole); !(far <= 1e-5) || !(math.Abs(got-want) <= 1e-5*want) {
				t.Errorf("loss %v, in one piece %v; gradient of %s differs by %v", got, want, where, far)
			}
			if only, _, err := graphs.LossGrad(params, batch, nil); err != nil || !(math.Abs(only-got) <= 1e-6*got) {
				t.Errorf("loss alone %v, want %v (%v)", only, got, err)
			}
		}
	})
}

func TestNewParallelRefuses(t *testing.T) {
	m := newModel(t, variants()["table"])
	graphs, err := NewParallel(m, Tasks, 2)
	if err != nil {
		t.Fatal(err)
	}
	params, batch := m.Init(1).Values(), wide(m.Config(), 4)
	batch[70].Items = []int32{-1}
	_, _, err = graphs.LossGrad(params, batch, nil)
	if err == nil || !strings.Contains(err.Error(), "sequence 70") {
		t.Errorf("error %v, want one about sequence 70", err)
	}
	if _, err := NewParallel(m, nil, 2); err == nil {
		t.Error("no loss is taken")
	}
}

// TestAtOnce builds and runs eight graphs at once; they grow on the way. Run it
// with -race.
func TestAtOnce(t *testing.T) {
	configs := options()
	var wait sync.WaitGroup
	for i, kind := range []string{"table", "features", "hybrid", "rich", "rich decoder", "rich bidirectional", "sampled", "table"} {
		m := newModel(t, configs[kind])
		wait.Go(func() {
			engine, err := NewEngine(m)
			if err != nil {
				t.Error(err)
				return
			}
			rng := rand.New(rand.NewPCG(uint64(i), 23))
			params, fused := spread(m, uint64(i)).Values(), seqrec.NewEngine(m)
			got, want := make([]float32, len(params)), make([]float32, len(params))
			for step := range 6 {
				batch := familyBatch(m.Config(), rng, 1+step)
				_, _, errGot := engine.LossGrad(params, batch, got)
				_, _, errWant := fused.LossGrad(params, batch, want)
				if errGot != nil || errWant != nil {
					t.Error(errGot, errWant)
					return
				}
				if far, where := difference(m.Layout(), got, want); far > 0 {
					t.Errorf("graph %d, step %d: gradient of %s differs by %v", i, step, where, far)
				}
			}
		})
	}
	wait.Wait()
}
