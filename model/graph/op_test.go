package graph

import (
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tutti/model/seqrec"
)

// TestNodes counts what a step runs: one input per tensor, and per layer the
// operation and its gradient.
func TestNodes(t *testing.T) {
	for name, cfg := range variants() {
		m := newModel(t, cfg)
		engine := newEngine(t, m, Tasks)
		inputs := len(m.Layout().Tensors())
		// Per block two norms, four linear maps, attention and activation, and two
		// residual connections, whose gradient is that of the sum.
		blocks := cfg.Blocks * (8*2 + 2)
		// Embedding, last norm and loss; the one that starts the gradients; the result.
		rest := 3*2 + 2
		if cfg.FeatureDim > 0 {
			rest += 2 // the map into feature space
		}
		if want := inputs + blocks + rest; engine.graph.nodes != want {
			t.Errorf("%s: %d nodes, want %d", name, engine.graph.nodes, want)
		}
	}
}

// TestDistinct: operations that do the same to the same, and parameters of the
// same shape, stay different nodes.
func TestDistinct(t *testing.T) {
	m := newModel(t, options()["dropout"])
	engine := newEngine(t, m, func(g *Graph) (*gorgonia.Node, error) {
		of := stack{tokens, offsetsOf, seqrec.BlockSite}
		if one, two := g.dropout(g.hidden, of, 1), g.dropout(g.hidden, of, 1); one == two || one.Hashcode() == two.Hashcode() {
			t.Error("two dropouts of one node are the same")
		}
		gain, bias := g.Param(seqrec.TensorFinalGain), g.Param(seqrec.TensorFinalBias)
		one, two := g.norm(g.Hidden(), gain, bias), g.norm(g.Hidden(), gain, bias)

		if one == two || one.Hashcode() == two.Hashcode() {
			t.Error("two norms of one node are the same")
		}
		seen := map[*gorgonia.Node]bool{}
		hashes := map[uint32]bool{}
		for _, spec := range m.Layout().Tensors() {
			seen[g.Param(spec.Name)], hashes[g.Param(spec.Name).Hashcode()] = true, true
		}
		if n := len(m.Layout().Tensors()); len(seen) != n || len(hashes) != n {
			t.Errorf("%d nodes with %d hashes for %d tensors", len(seen), len(hashes), n)
		}
		return gorgonia.Sum(gorgonia.Must(gorgonia.Add(one, two)))
	})
	batch := randomBatch(m.Config(), rand.New(rand.NewPCG(21, 21)), 2, false)
	lossGrad(t, engine, m.Init(1).Values(), batch)
}

// lookalike claims to be the same operation as every other of its kind.
type lookalike struct{ *layerOp }

func (lookalike) WriteHash(h hash.Hash) { fmt.Fprint(h, "lookalike") }
func (lookalike) Hashcode() uint32      { return 1 }

func TestCollisionIsAnError(t *testing.T) {
	m := newModel(t, variants()["table"])
	_, err := New(m, func(g *Graph) (*gorgonia.Node, error) {
		twin := func() *gorgonia.Node {
			op := &layerOp{layer: &faulty{fails: new(string)}, y: bufferOf(g.Hidden()).like()}
			op.base = g.newBase("twin", g.Hidden().Shape(), gorgonia.Nodes{g.Hidden()})
			return g.apply(&lookalike{op}, g.Hidden())
		}
		return gorgonia.Sum(gorgonia.Must(gorgonia.Add(twin(), twin())))
	})
	if !errors.Is(err, errCollision) {
		t.Errorf("error %v, want %v", err, errCollision)
	}
}

// faulty passes its input on, or fails as told.
type faulty struct{ fails *string }

var errFaulty = errors.New("told to fail")

func (l *faulty) forward(y []float32, in [][]float32) error {
	switch copy(y, in[0]); *l.fails {
	case "forward panics":
		_ = y[len(y)]
	case "forward":
		return errFaulty
	}
	return nil
}

func (l *faulty) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	switch copy(grads[0], dy); *l.fails {
	case "backward panics":
		panic(errFaulty)
	case "backward":
		return errFaulty
	}
	return nil
}

// TestFailingOperation: whatever happens inside an operation is an error of the
// call, and the next call works.
func TestFailingOperation(t *testing.T) {
	m := newModel(t, variants()["table"])
	fails := ""
	engine := newEngine(t, m, func(g *Graph) (*gorgonia.Node, error) {
		n := g.layer("faulty", &faulty{&fails}, bufferOf(g.Hidden()).like(), g.Hidden())
		bufferOf(n).reachable = true
		return gorgonia.Sum(n)
	})
	params := m.Init(1).Values()
	batch := randomBatch(m.Config(), rand.New(rand.NewPCG(22, 22)), 3, false)
	want, _ := lossGrad(t, engine, params, batch)
	for _, fails = range []string{"forward", "forward panics", "backward", "backward panics"} {
		_, _, err := engine.LossGrad(params, batch, make([]float32, len(params)))
		if err == nil || !strings.Contains(err.Error(), "faulty") {
			t.Fatalf("%s: error %v", fails, err)
		}
		if !strings.Contains(fails, "panics") && !errors.Is(err, errFaulty) {
			t.Errorf("%s: error %v does not wrap the operation's", fails, err)
		}
	}
	fails = ""
	if loss, _ := lossGrad(t, engine, params, batch); loss != want {
		t.Errorf("loss %v after the failures, %v before", loss, want)
	}
}

// TestReadValues: what an operation is given by gorgonia's own is checked.
func TestReadValues(t *testing.T) {
	matrix := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float32{1, 2, 3, 4, 5, 6}))
	if err := matrix.T(); err != nil {
		t.Fatal(err)
	}
	got, err := floats(matrix)
	if want := "[1 4 2 5 3 6]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("transposed: %v, want %v, %v", got, want, err)
	}
	for _, v := range []gorgonia.Value{gorgonia.NewF64(1), tensor.New(tensor.WithShape(2), tensor.Of(tensor.Float64))} {
		if _, err := floats(v); err == nil {
			t.Errorf("%T of %v is taken", v, v.Dtype())
		}
	}
}
