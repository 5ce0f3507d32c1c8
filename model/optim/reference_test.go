package optim_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"tutti/model/optim"
)

// reference.json holds what PyTorch computes in float64 for the same weights and
// gradients; testdata/reference.py writes it.
type reference struct {
	Torch      string
	Optimisers []struct {
		Rule      optim.Rule
		Constants optim.Config
		After     [][]float64 // weights after each step
	}
	Cosine, Exponential, Stairs, WarmUp []float64 // rates
}

func readReference(t *testing.T) (r reference) {
	b, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Optimisers) == 0 {
		t.Fatal("no cases")
	}
	return r
}

// draws repeats the generator of reference.py.
func draws(seed uint32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		seed = seed*1664525 + 1013904223
		out[i] = float32(seed>>16)/65536 - 0.5
	}
	return out
}

func referenceGradient(step int) []float32 {
	g := draws(uint32(1000+step), 5)
	g[0] *= 1000
	g[1] *= 1e-3
	if step%3 != 0 {
		g[4] = 0
	}
	return g
}

// filled puts the constants of a case over the rule's defaults.
func filled(t *testing.T, rule optim.Rule, given optim.Config) optim.Config {
	c, err := optim.Defaults(rule)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct{ to, from *float64 }{
		{&c.Momentum, &given.Momentum}, {&c.Beta1, &given.Beta1}, {&c.Beta2, &given.Beta2},
		{&c.Epsilon, &given.Epsilon}, {&c.WeightDecay, &given.WeightDecay},
	} {
		if *f.from != 0 {
			*f.to = *f.from
		}
	}
	c.Nesterov = given.Nesterov
	return c
}

// Every step equals PyTorch's to 5e-7 of the weight: rounding of float32 over 20
// steps.
func TestOptimisersEqualPyTorch(t *testing.T) {
	const limit = 5e-7
	for _, c := range readReference(t).Optimisers {
		cfg := filled(t, c.Rule, c.Constants)
		opt, err := optim.NewOptimizer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		w, worst := draws(7, 5), 0.0
		for step, want := range c.After {
			if step == 9 { // one that is made anew goes on as if nothing had happened
				again, err := optim.NewOptimizer(cfg)
				if err != nil || again.Restore(carried(t, opt.State())) != nil {
					t.Fatalf("%+v: no restart (%v)", cfg, err)
				}
				opt = again
			}
			grad := referenceGradient(step)
			opt.Step(w, grad, 0.1/float64(1+step))
			if !slices.Equal(grad, referenceGradient(step)) {
				t.Fatalf("%+v changed its gradient", cfg)
			}
			for i := range w {
				off := math.Abs(float64(w[i])-want[i]) / math.Max(1, math.Abs(want[i]))
				worst = math.Max(worst, off)
				if !(off <= limit) {
					t.Fatalf("%+v, step %d: w[%d] = %v, PyTorch %v", cfg, step, i, w[i], want[i])
				}
			}
		}
		t.Logf("%s %+v: largest error %.1e", c.Rule, c.Constants, worst)
	}
}

// carried sends a state through its bytes.
func carried(t *testing.T, s optim.State) optim.State {
	b, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	out, err := optim.ParseState(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSchedulesEqualPyTorch(t *testing.T) {
	r := readReference(t)
	for name, c := range map[string]struct {
		schedule optim.Schedule
		want     []float64
	}{
		"cosine":      {optim.Cosine(0.3, 0.01, 20), r.Cosine},
		"exponential": {optim.Exponential(0.3, 0.8), r.Exponential},
		"stairs":      {optim.Stairs(0.3, 0.5, 4), r.Stairs},
		"warm-up":     {optim.WarmUp(8, optim.Constant(0.3)), r.WarmUp},
	} {
		if len(c.want) != 20 {
			t.Fatalf("%s: %d rates", name, len(c.want))
		}
		for step, want := range c.want {
			if got := c.schedule(step); !(math.Abs(got-want) <= 1e-14) {
				t.Errorf("%s: rate %v at step %d, PyTorch %v", name, got, step, want)
			}
		}
	}
}
