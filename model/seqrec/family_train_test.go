package seqrec_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"tutti/model/seqrec"
)

// eachDropping visits a model of every kind, with dropout.
func eachDropping(t *testing.T, visit func(t *testing.T, c familyCase, m *seqrec.Model, params []float32)) {
	for _, c := range family(t) {
		t.Run(c.Name, func(t *testing.T) {
			m, params := c.model(t, 0.3)
			visit(t, c, m, params.Values())
		})
	}
}

// Along the gradient the training loss rises by the gradient's square, whatever
// is dropped and drawn.
func TestGradientIsASlope(t *testing.T) {
	eachDropping(t, func(t *testing.T, c familyCase, m *seqrec.Model, params []float32) {
		engine, batch := seqrec.NewEngine(m), c.batch()
		grad, ignored := make([]float32, len(params)), make([]float32, len(params))
		if _, _, err := engine.LossGrad(params, batch, grad); err != nil {
			t.Fatal(err)
		}
		square := 0.0
		for _, g := range grad {
			square += float64(g) * float64(g)
		}
		step := 1e-3 / math.Sqrt(square)
		at := func(sign float64) float64 {
			moved := slices.Clone(params)
			for i, g := range grad {
				moved[i] += float32(sign * step * float64(g))
			}
			loss, _, err := engine.LossGrad(moved, batch, ignored)
			if err != nil {
				t.Fatal(err)
			}
			return loss
		}
		if got := (at(1) - at(-1)) / (2 * step * square); !(math.Abs(got-1) < 2e-3) {
			t.Errorf("along the gradient the loss rises %v times as fast as it says", got)
		}
	})
}

// What is dropped or drawn for a sequence does not depend on the batch it is in,
// nor on who works on it. (Negatives that a batch shares are those of its first
// sequence: together they are not what each gives alone.)
func TestBatchingChangesNothing(t *testing.T) {
	eachDropping(t, func(t *testing.T, c familyCase, m *seqrec.Model, params []float32) {
		if c.Kind == seqrec.SampledSoftmax || c.Rating+c.Click > 0 {
			t.Skip("what the sequences share is not the sum of its parts")
		}
		engine, batch := seqrec.NewEngine(m), c.batch()
		together, single := make([]float32, len(params)), make([]float32, len(params))
		_, tokens, err := engine.LossGrad(params, batch, together)
		if err != nil {
			t.Fatal(err)
		}
		sum := make([]float64, len(params))
		for i := range batch {
			_, n, err := engine.LossGrad(params, batch[i:i+1], single)
			if err != nil {
				t.Fatal(err)
			}
			for j, g := range single {
				sum[j] += float64(g) * float64(n) / float64(tokens)
			}
		}
		if e := relativeError(together, sum); !(e < 1e-5) {
			t.Errorf("one by one the gradient differs by %g of its largest value", e)
		}
	})
}

func TestWorkersChangeNothing(t *testing.T) {
	eachDropping(t, func(t *testing.T, c familyCase, m *seqrec.Model, params []float32) {
		var batch []seqrec.Sequence
		for i := range 70 { // of 12 tokens: far above where splitting starts
			for _, s := range c.batch() {
				s.Seed += uint64(i) * 100
				batch = append(batch, s)
			}
		}
		want := make([]float32, len(params))
		loss, tokens, err := seqrec.NewEngine(m).LossGrad(params, batch, want)
		if err != nil {
			t.Fatal(err)
		}
		wide := wide(want)
		for _, workers := range []int{1, 2, 3, 7} {
			engine := seqrec.NewParallelEngine(m, workers)
			grad, again := make([]float32, len(want)), make([]float32, len(want))
			l, n, err := engine.LossGrad(params, batch, grad)
			if err != nil || n != tokens || !(math.Abs(l-loss) < 1e-6*loss) {
				t.Fatalf("%d workers: loss %v over %d tokens (%v), want %v over %d", workers, l, n, err, loss, tokens)
			}
			if e := relativeError(grad, wide); !(e < 1e-5) || workers == 1 && e != 0 {
				t.Errorf("%d workers: the gradient differs by %g of its largest value", workers, e)
			}
			if _, _, err := engine.LossGrad(params, batch, again); err != nil || !slices.Equal(grad, again) {
				t.Errorf("%d workers: the second run differs (%v)", workers, err)
			}
		}
	})
}

func TestFamilyInitIsUsable(t *testing.T) {
	for _, c := range family(t) {
		m, _ := c.model(t, 0.1)
		params := m.Init(1)
		for _, spec := range m.Layout().Tensors() {
			zero := !slices.ContainsFunc(params.View(spec.Name), func(x float32) bool { return x != 0 })
			bias := spec.Name[len(spec.Name)-4:] == "bias"
			if zero != bias {
				t.Errorf("%s: %s starts at zero: %v", c.Name, spec.Name, zero)
			}
		}
		loss, _, err := seqrec.NewEngine(m).LossGrad(params.Values(), c.batch(), nil)
		if err != nil || math.IsNaN(loss) {
			t.Errorf("%s: loss %v (%v)", c.Name, loss, err)
		}
	}
}

func ExampleConfig() {
	cfg := seqrec.DefaultConfig(100)
	cfg.Arch, cfg.Positions, cfg.Activation = seqrec.Bidirectional, seqrec.RotaryPositions, seqrec.SwiGLU
	m, err := seqrec.New(cfg, nil)
	fmt.Println(m.Config().Arch, m.Config().Activation, err)
	cfg.Heads = 64
	_, err = seqrec.New(cfg, nil)
	fmt.Println(err)
	// Output:
	// bidirectional swiglu <nil>
	// recommender: rotary positions turn pairs, but a head is 1 wide
}
