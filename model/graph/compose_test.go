package graph

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tutti/model/seqrec"
)

// composedEntropy is the cross-entropy out of gorgonia's own operations.
func composedEntropy(g *Graph) (*gorgonia.Node, error) {
	logp := gorgonia.Must(gorgonia.LogSoftMax(g.Logits(), 1))
	sum := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(g.Targets(), logp))))
	return gorgonia.Neg(gorgonia.Must(gorgonia.Mul(sum, g.PerToken())))
}

// energy is the sum of the squares of a matrix.
func energy(n *gorgonia.Node) *gorgonia.Node {
	return gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.Square(n))))
}

const penaltyWeight = 0.25

func penalised(g *Graph) (*gorgonia.Node, error) {
	penalty := gorgonia.Must(gorgonia.Mul(energy(g.items()), gorgonia.NewConstant(float32(penaltyWeight))))
	return gorgonia.Add(g.NextItem(), penalty)
}

// quiet adds the mean square norm of what the encoder says.
func quiet(g *Graph) (*gorgonia.Node, error) {
	return gorgonia.Add(g.NextItem(), gorgonia.Must(gorgonia.Mul(energy(g.Hidden()), g.PerToken())))
}

func newEngine(t *testing.T, m *seqrec.Model, loss Loss) *Engine {
	t.Helper()
	e, err := New(m, loss)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func lossGrad(t *testing.T, e seqrec.Engine, params []float32, batch []seqrec.Sequence) (loss float64, grad []float32) {
	t.Helper()
	grad = make([]float32, len(params))
	loss, _, err := e.LossGrad(params, batch, grad)
	if err != nil {
		t.Fatal(err)
	}
	return loss, grad
}

// TestComposedEntropy: a loss out of built-in operations on logits and targets
// gives what the fused one gives, on batches that grow and shrink.
func TestComposedEntropy(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		fused := seqrec.NewEngine(m)
		composed := newEngine(t, m, composedEntropy)
		rng := rand.New(rand.NewPCG(11, 11))
		for i := range 8 {
			params := spread(m, uint64(i)).Values()
			batch := randomBatch(m.Config(), rng, 1+(i*3)%7, i%2 == 0)
			wantLoss, want := lossGrad(t, fused, params, batch)
			loss, grad := lossGrad(t, composed, params, batch)
			if !(math.Abs(loss-wantLoss) <= 1e-5*wantLoss) {
				t.Errorf("batch %d: loss %v, want %v", i, loss, wantLoss)
			}
			if far, where := difference(m.Layout(), grad, want); !(far <= 1e-5) {
				t.Errorf("batch %d: gradient of %s differs by %v", i, where, far)
			}
		}
	})
}

func TestPenalty(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		params := spread(m, 12)
		batch := randomBatch(m.Config(), rand.New(rand.NewPCG(12, 12)), 5, false)
		wantLoss, want := lossGrad(t, seqrec.NewEngine(m), params.Values(), batch)
		name := seqrec.TensorTable
		if m.Config().FeatureDim > 0 {
			name = seqrec.TensorProjection
		}
		_, offset, _ := m.Layout().Tensor(name)
		for i, w := range params.View(name) {
			wantLoss += penaltyWeight * float64(w) * float64(w)
			want[offset+i] += 2 * penaltyWeight * w
		}
		engine := newEngine(t, m, penalised)
		for range 3 { // nothing may add up over steps
			loss, grad := lossGrad(t, engine, params.Values(), batch)
			if !(math.Abs(loss-wantLoss) <= 1e-6*wantLoss) {
				t.Errorf("loss %v, want %v", loss, wantLoss)
			}
			if far, where := difference(m.Layout(), grad, want); !(far <= 1e-6) {
				t.Errorf("gradient of %s differs by %v", where, far)
			}
		}
	})
}

// TestWeighted: a factor before the fused cross-entropy reaches every gradient.
func TestWeighted(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		params := spread(m, 13).Values()
		batch := randomBatch(m.Config(), rand.New(rand.NewPCG(13, 13)), 5, true)
		wantLoss, want := lossGrad(t, seqrec.NewEngine(m), params, batch)
		for i := range want {
			want[i] *= 3
		}
		loss, grad := lossGrad(t, newEngine(t, m, func(g *Graph) (*gorgonia.Node, error) {
			return gorgonia.Mul(g.NextItem(), gorgonia.NewConstant(float32(3)))
		}), params, batch)
		if !(math.Abs(loss-3*wantLoss) <= 1e-6*loss) {
			t.Errorf("loss %v, want %v", loss, 3*wantLoss)
		}
		if far, where := difference(m.Layout(), grad, want); !(far <= 1e-6) {
			t.Errorf("gradient of %s differs by %v", where, far)
		}
	})
}

// TestHidden: a term on the encoder's output has the right slope, after a larger
// batch has left its values in the rows that no longer count.
func TestHidden(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		rng := rand.New(rand.NewPCG(14, 14))
		params, engine := spread(m, 14), newEngine(t, m, quiet)
		lossGrad(t, engine, params.Values(), randomBatch(m.Config(), rng, 9, false))
		batch := randomBatch(m.Config(), rng, 2, false)
		loss, grad := lossGrad(t, engine, params.Values(), batch)
		if fresh, same := lossGrad(t, newEngine(t, m, quiet), params.Values(), batch); !(math.Abs(fresh-loss) <= 1e-6*loss) {
			t.Errorf("loss %v, of a new engine %v", loss, fresh)
		} else if far, where := difference(m.Layout(), grad, same); !(far <= 1e-5) {
			t.Errorf("gradient of %s differs by %v from that of a new engine", where, far)
		}
		slopeIsNorm(t, engine, params, batch, grad)
	})
}

// brier is the squared distance of the softmax to the target (Brier 1950).
func brier(g *Graph) (*gorgonia.Node, error) {
	miss := gorgonia.Must(gorgonia.Sub(gorgonia.Must(gorgonia.SoftMax(g.Logits(), 1)), g.Targets()))
	counted := gorgonia.Must(gorgonia.BroadcastHadamardProd(gorgonia.Must(gorgonia.Square(miss)), g.Mask(), nil, []byte{1}))
	return gorgonia.Mul(gorgonia.Must(gorgonia.Sum(counted)), g.PerToken())
}

// TestOpinionsAlone: a mean over positions with a target is 0 for a batch that has none, whatever was before.
func TestOpinionsAlone(t *testing.T) {
	cfg := seqrec.Config{Items: 9, Dim: 4, Blocks: 1, Heads: 1, Hidden: 4, MaxLen: 6, RatingWeight: 1}
	m, err := seqrec.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	engine, params := newEngine(t, m, composedEntropy), spread(m, 3).Values()
	for _, target := range []int32{4, -1, 4} {
		rated := seqrec.Feedback{Item: 5, Rating: 3, Click: -1}
		batch := []seqrec.Sequence{{Items: []int32{1, 2}, Targets: []int32{target, target}, Feedback: []seqrec.Feedback{rated, rated}}}
		loss, grad := lossGrad(t, engine, params, batch)
		if zero := !slices.ContainsFunc(grad, func(x float32) bool { return x != 0 }); (loss == 0) != (target < 0) || zero != (target < 0) {
			t.Errorf("target %d: loss %v, no gradient %v", target, loss, zero)
		}
	}
}

// TestMask: rows without a target take no part in a loss that masks them.
func TestMask(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		rng := rand.New(rand.NewPCG(17, 17))
		params, engine := spread(m, 17), newEngine(t, m, brier)
		lossGrad(t, engine, params.Values(), randomBatch(m.Config(), rng, 6, false))
		batch := randomBatch(m.Config(), rng, 2, true)
		loss, grad := lossGrad(t, engine, params.Values(), batch)
		if loss < 0.5 || loss > 2 {
			t.Errorf("loss %v of a model that knows nothing, want about 1", loss)
		}
		slopeIsNorm(t, engine, params, batch, grad)
		// The same with more rows that do not count.
		for _, s := range batch {
			if s.Soft == nil {
				batch = append(batch, seqrec.Sequence{Items: []int32{1, 2, 3}, Targets: []int32{-1, -1, -1}})
			}
		}
		more, same := lossGrad(t, engine, params.Values(), batch)
		if !(math.Abs(more-loss) <= 1e-6*loss) {
			t.Errorf("loss %v with tokens that have no target, %v without", more, loss)
		}
		if far, where := difference(m.Layout(), same, grad); !(far <= 1e-5) {
			t.Errorf("gradient of %s differs by %v", where, far)
		}
	})
}

// TestUnused: a loss that leaves parameters out gives them a gradient of zero.
func TestUnused(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		engine := newEngine(t, m, func(g *Graph) (*gorgonia.Node, error) {
			return gorgonia.Mul(energy(g.Hidden()), g.PerToken())
		})
		params := spread(m, 15)
		grad := make([]float32, len(params.Values()))
		for i := range grad {
			grad[i] = float32(math.NaN())
		}
		batch := randomBatch(m.Config(), rand.New(rand.NewPCG(15, 15)), 3, false)
		if _, _, err := engine.LossGrad(params.Values(), batch, grad); err != nil {
			t.Fatal(err)
		}
		_, offset, _ := m.Layout().Tensor(seqrec.TensorItemBias)
		for i := range params.View(seqrec.TensorItemBias) {
			if grad[offset+i] != 0 {
				t.Fatalf("item bias %d has gradient %v", i, grad[offset+i])
			}
		}
		slopeIsNorm(t, engine, params, batch, grad)
	})
}

// compositions use the same nodes in several ways, in every order.
func compositions() map[string]Loss {
	entropy := func(g *Graph) *gorgonia.Node { return gorgonia.Must(composedEntropy(g)) }
	sum := func(terms ...*gorgonia.Node) (*gorgonia.Node, error) { return gorgonia.ReduceAdd(terms) }
	return map[string]Loss{
		"tasks and logits": func(g *Graph) (*gorgonia.Node, error) { return sum(g.Tasks(), entropy(g)) },
		"logits and tasks": func(g *Graph) (*gorgonia.Node, error) { return sum(entropy(g), g.Tasks()) },
		"all": func(g *Graph) (*gorgonia.Node, error) {
			small := gorgonia.Must(gorgonia.Mul(energy(g.Hidden()), gorgonia.NewConstant(float32(0.001))))
			return sum(entropy(g), small, g.Tasks(), energy(g.Param(seqrec.TensorItemBias)))
		},
		"next first":   func(g *Graph) (*gorgonia.Node, error) { return sum(g.NextItem(), g.Rating(), g.Click(), entropy(g)) },
		"ratings last": func(g *Graph) (*gorgonia.Node, error) { next := entropy(g); return sum(next, g.Rating()) },
		"twice":        func(g *Graph) (*gorgonia.Node, error) { return sum(g.Tasks(), g.Tasks(), g.NextItem()) },
		"clicks alone": func(g *Graph) (*gorgonia.Node, error) { return g.Click(), nil },
		"no slope": func(g *Graph) (*gorgonia.Node, error) {
			above := gorgonia.Must(gorgonia.Gt(g.Logits(), g.Targets(), true))
			return sum(g.Tasks(), gorgonia.Must(gorgonia.Sum(above)))
		},
	}
}

// TestCompositions: whoever else reads a node, its gradient is the slope.
func TestCompositions(t *testing.T) {
	configs := options()
	for _, kind := range []string{"heads", "heads features", "decoder hybrid heads"} {
		for name, loss := range compositions() {
			t.Run(kind+", "+name, func(t *testing.T) {
				cfg := configs[kind]
				cfg.Items, cfg.Blocks = 40, 1
				m := newModel(t, cfg)
				engine, params := newEngine(t, m, loss), spread(m, 18)
				rng := rand.New(rand.NewPCG(18, 18))
				lossGrad(t, engine, params.Values(), familyBatch(cfg, rng, 5))
				batch := familyBatch(cfg, rng, 3)
				_, grad := lossGrad(t, engine, params.Values(), batch)
				if name == "no slope" { // the steps that it adds have none
					_, want := lossGrad(t, seqrec.NewEngine(m), params.Values(), batch)
					if far, where := difference(m.Layout(), grad, want); !(far <= 1e-6) {
						t.Errorf("gradient of %s differs by %v", where, far)
					}
					return
				}
				slopeIsNorm(t, engine, params, batch, grad)
			})
		}
	}
}

// TestComposedFamily: a loss on the logits is the fused one for every
// architecture.
func TestComposedFamily(t *testing.T) {
	configs := options()
	for _, kind := range []string{"hybrid", "bidirectional", "decoder", "decoder features", "post-norm"} {
		t.Run(kind, func(t *testing.T) {
			m := newModel(t, configs[kind])
			fused, composed := seqrec.NewEngine(m), newEngine(t, m, composedEntropy)
			rng := rand.New(rand.NewPCG(19, 19))
			for i := range 4 {
				params, batch := spread(m, uint64(i)).Values(), familyBatch(m.Config(), rng, 1+(i*3)%7)
				wantLoss, want := lossGrad(t, fused, params, batch)
				loss, grad := lossGrad(t, composed, params, batch)
				if !(math.Abs(loss-wantLoss) <= 1e-5*wantLoss) {
					t.Errorf("batch %d: loss %v, want %v", i, loss, wantLoss)
				}
				if far, where := difference(m.Layout(), grad, want); !(far <= 1e-5) {
					t.Errorf("batch %d: gradient of %s differs by %v", i, where, far)
				}
			}
		})
	}
}

// TestOwnInput: a Loss may bring input nodes with values of its own.
func TestOwnInput(t *testing.T) {
	m := newModel(t, variants()["table"])
	weight := gorgonia.NewF32(0)
	engine := newEngine(t, m, func(g *Graph) (*gorgonia.Node, error) {
		w := gorgonia.NewScalar(g.Expr(), tensor.Float32, gorgonia.WithName("weight"), gorgonia.WithValue(weight))
		return gorgonia.Add(g.NextItem(), gorgonia.Must(gorgonia.Mul(w, energy(g.Param(seqrec.TensorPosition)))))
	})
	params := spread(m, 16)
	batch := randomBatch(m.Config(), rand.New(rand.NewPCG(16, 16)), 3, false)
	plain, _ := lossGrad(t, engine, params.Values(), batch)
	*weight = 2
	loss, _ := lossGrad(t, engine, params.Values(), batch)
	var square float64
	for _, v := range params.View(seqrec.TensorPosition) {
		square += float64(v) * float64(v)
	}
	if want := plain + 2*square; !(math.Abs(loss-want) <= 1e-5*want) {
		t.Errorf("loss %v, want %v", loss, want)
	}
}

func TestBadLoss(t *testing.T) {
	m := newModel(t, variants()["table"])
	errOwn := errors.New("own")
	for name, c := range map[string]struct {
		loss Loss
		want string
	}{
		"error":    {func(*Graph) (*gorgonia.Node, error) { return nil, errOwn }, "own"},
		"panic":    {func(*Graph) (*gorgonia.Node, error) { panic("own") }, "own"},
		"nothing":  {func(*Graph) (*gorgonia.Node, error) { return nil, nil }, "not a scalar"},
		"matrix":   {func(g *Graph) (*gorgonia.Node, error) { return g.Hidden(), nil }, "not a scalar"},
		"constant": {func(g *Graph) (*gorgonia.Node, error) { return g.PerToken(), nil }, "depends on no parameter"},
		"other": {func(*Graph) (*gorgonia.Node, error) {
			return gorgonia.NewScalar(gorgonia.NewGraph(), tensor.Float32), nil
		}, "of this graph"},
		"no tensor":  {func(g *Graph) (*gorgonia.Node, error) { return gorgonia.Sum(g.Param("none")) }, "nil pointer"},
		"two shapes": {func(g *Graph) (*gorgonia.Node, error) { return gorgonia.Add(g.Hidden(), g.Logits()) }, "shape"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(m, c.loss); err == nil || !strings.Contains(strings.ToLower(err.Error()), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := New(m, nil); err == nil {
		t.Error("no loss is taken")
	}
	if _, err := NewEngine(m); err != nil {
		t.Errorf("after the bad ones: %v", err)
	}
}
