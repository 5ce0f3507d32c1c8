package optim_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tutti/model/optim"
)

func normal(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func near(t *testing.T, name string, got []float32, want []float64) {
	t.Helper()
	for i, w := range want {
		if !(math.Abs(float64(got[i])-w) <= 2e-5*math.Max(1, math.Abs(w))) {
			t.Fatalf("%s[%d] = %v, want %v", name, i, got[i], w)
		}
	}
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// localOracles are the update rules as their papers print them, in float64, for
// step t = 1, 2, ...; a and b are what the rule remembers.
var localOracles = map[string]func(w, a, b *float64, g, rate float64, t int){
	"sgd": func(w, _, _ *float64, g, rate float64, _ int) { *w -= rate * g },
	"adam": func(w, m, v *float64, g, rate float64, t int) {
		*m = 0.9**m + 0.1*g
		*v = 0.999**v + 0.001*g*g
		*w -= rate * (*m / (1 - math.Pow(0.9, float64(t)))) / (math.Sqrt(*v/(1-math.Pow(0.999, float64(t)))) + 1e-8)
	},
	"adamw": func(w, m, v *float64, g, rate float64, t int) {
		decay := rate * 0.01 * *w
		*m = 0.9**m + 0.1*g
		*v = 0.999**v + 0.001*g*g
		*w -= decay + rate*(*m/(1-math.Pow(0.9, float64(t))))/(math.Sqrt(*v/(1-math.Pow(0.999, float64(t))))+1e-8)
	},
}

func TestLocalOptimisers(t *testing.T) {
	for name, oracle := range localOracles {
		rng := rand.New(rand.NewPCG(1, 1))
		opt, err := optim.New(name)
		if err != nil {
			t.Fatal(err)
		}
		w := normal(rng, 7)
		w64, a, b := wide(w), make([]float64, 7), make([]float64, 7)
		for step := 1; step <= 40; step++ {
			g, rate := normal(rng, 7), 0.1/float64(step)
			opt.Step(w, g, rate)
			for i := range w64 {
				oracle(&w64[i], &a[i], &b[i], float64(g[i]), rate, step)
			}
		}
		near(t, name, w, w64)
	}
	if _, err := optim.New("magic"); err == nil {
		t.Error("an unknown optimiser was made")
	}
}

func TestMomentum(t *testing.T) {
	opt, err := optim.NewOptimizer(optim.Config{Rule: optim.SGD, Momentum: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	w := []float32{0}
	for range 3 { // velocities 1, 1.5, 1.75
		opt.Step(w, []float32{1}, 0.1)
	}
	near(t, "w", w, []float64{-0.425})
}

// serverOracles are the server's rules in float64; mean points downhill.
var serverOracles = map[optim.Rule]func(w, a, b *float64, mean float64, t int){
	optim.FedAvg: func(w, _, _ *float64, mean float64, _ int) { *w += 0.5 * mean },
	optim.FedSGD: func(w, v, _ *float64, mean float64, _ int) {
		*v = 0.9**v + mean
		*w += 0.5 * *v
	},
	optim.FedAdam: func(w, m, v *float64, mean float64, t int) {
		if t == 1 {
			*v = 1e-6
		}
		*m = 0.9**m + 0.1*mean
		*v = 0.99**v + 0.01*mean*mean
		*w += 0.5 * *m / (math.Sqrt(*v) + 1e-3)
	},
	optim.FedYogi: func(w, m, v *float64, mean float64, t int) {
		if t == 1 {
			*v = 1e-6
		}
		*m = 0.9**m + 0.1*mean
		if *v > mean*mean {
			*v -= 0.01 * mean * mean
		} else {
			*v += 0.01 * mean * mean
		}
		*w += 0.5 * *m / (math.Sqrt(*v) + 1e-3)
	},
	optim.FedAdagrad: func(w, _, v *float64, mean float64, t int) {
		if t == 1 {
			*v = 1e-6
		}
		*v += mean * mean
		*w += 0.5 * mean / (math.Sqrt(*v) + 1e-3)
	},
}

func TestServer(t *testing.T) {
	for rule, oracle := range serverOracles {
		rng := rand.New(rand.NewPCG(2, 2))
		cfg := optim.ServerConfig{Rule: rule, LearningRate: 0.5, Momentum: 0.9}
		server, err := optim.NewServer(cfg, 5)
		if err != nil {
			t.Fatal(err)
		}
		w := normal(rng, 5)
		w64, a, b := wide(w), make([]float64, 5), make([]float64, 5)
		for round := 1; round <= 30; round++ {
			mean := normal(rng, 5)
			if round == 10 { // a server that restarts goes on as if nothing had happened
				restarted, err := optim.NewServer(cfg, 5)
				if err != nil || restarted.Restore(carried(t, server.State())) != nil {
					t.Fatalf("%s: no restart (%v)", rule, err)
				}
				server = restarted
			}
			if err := server.Step(w, mean); err != nil {
				t.Fatal(err)
			}
			for i := range w64 {
				oracle(&w64[i], &a[i], &b[i], float64(mean[i]), round)
			}
		}
		near(t, string(rule), w, w64)
		if server.State().Steps != 30 {
			t.Errorf("%s: %d steps", rule, server.State().Steps)
		}
	}
}

func TestServerRefusesMeans(t *testing.T) {
	for rule := range serverOracles {
		server, err := optim.NewServer(optim.ServerConfig{Rule: rule, LearningRate: 1}, 3)
		if err != nil {
			t.Fatal(err)
		}
		w := []float32{1, 2, 3}
		before := server.State()
		for _, mean := range [][]float32{{1, 2}, nil, {1, float32(math.NaN()), 2}, {1, 2, float32(math.Inf(-1))}} {
			if err := server.Step(w, mean); !errors.Is(err, optim.ErrMean) {
				t.Errorf("%s: mean %v: %v, want ErrMean", rule, mean, err)
			}
		}
		after := server.State()
		if !slices.Equal(w, []float32{1, 2, 3}) || after.Steps != 0 || !slices.Equal(before.First, after.First) {
			t.Errorf("%s: a refused mean changed weights %v or state %+v", rule, w, after)
		}
	}
}

func TestStateIsACopy(t *testing.T) {
	server, err := optim.NewServer(optim.ServerConfig{Rule: optim.FedSGD, LearningRate: 1, Momentum: 0.5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	server.State().First[0] = 100
	w := []float32{0}
	if err := server.Step(w, []float32{1}); err != nil || w[0] != 1 {
		t.Errorf("weights %v (%v), want 1", w, err)
	}
}

func TestServerConfigRefused(t *testing.T) {
	for _, c := range []optim.ServerConfig{
		{},
		{Rule: "magic", LearningRate: 1},
		{Rule: optim.FedAvg},
		{Rule: optim.FedAvg, LearningRate: math.NaN()},
		{Rule: optim.FedAvg, LearningRate: math.Inf(1)},
		{Rule: optim.FedSGD, LearningRate: 1, Momentum: 1},
		{Rule: optim.FedAdam, LearningRate: 1, Beta1: 0.9, Beta2: 1},
		{Rule: optim.FedAdam, LearningRate: 1, Tau: -1},
		{Rule: optim.FedYogi, LearningRate: 1, Beta1: 1, Beta2: 0.9},
		{Rule: optim.FedAdagrad, LearningRate: 1, Beta2: 0.9},
		{Rule: optim.SGD, LearningRate: 1},
	} {
		if _, err := optim.NewServer(c, 3); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	if _, err := optim.NewServer(optim.ServerConfig{Rule: optim.FedAvg, LearningRate: 1}, 0); err == nil {
		t.Error("a server for no weights was made")
	}
	server, err := optim.NewServer(optim.ServerConfig{Rule: optim.FedAdam, LearningRate: 1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []optim.State{
		{Rule: optim.FedSGD, First: make([]float32, 2)},
		{Rule: optim.FedAdam, First: make([]float32, 3), Second: make([]float32, 3)},
		{Rule: optim.FedAdam, First: make([]float32, 2), Second: make([]float32, 1)},
		{Rule: optim.FedAdam, First: make([]float32, 2), Second: []float32{0, float32(math.NaN())}},
		{Rule: optim.FedAdam, First: make([]float32, 2), Second: []float32{0, -1}},
	} {
		if err := server.Restore(s); err == nil {
			t.Errorf("state %+v was accepted", s)
		}
	}
}

func TestSchedules(t *testing.T) {
	for name, c := range map[string]struct {
		schedule optim.Schedule
		want     map[int]float64
	}{
		"constant": {optim.Constant(0.3), map[int]float64{0: 0.3, 1000: 0.3}},
		"cosine":   {optim.Cosine(1, 0.2, 100), map[int]float64{0: 1, 50: 0.6, 100: 0.2, 500: 0.2}},
		"warm-up":  {optim.WarmUp(4, optim.Constant(1)), map[int]float64{0: 0.25, 1: 0.5, 3: 1, 4: 1}},
		"none":     {optim.WarmUp(0, optim.Constant(1)), map[int]float64{0: 1}},
	} {
		for step, want := range c.want {
			if got := c.schedule(step); !(math.Abs(got-want) <= 1e-12) {
				t.Errorf("%s: rate %v at step %d, want %v", name, got, step, want)
			}
		}
	}
}

func TestAverage(t *testing.T) {
	a, err := optim.NewAverage(0.75)
	if err != nil {
		t.Fatal(err)
	}
	out := []float32{9}
	if a.Read(out) || out[0] != 9 {
		t.Error("an average of nothing was read")
	}
	a.Add([]float32{4})
	if !a.Read(out) || out[0] != 4 {
		t.Errorf("average of one iterate %v, want the iterate", out)
	}
	a.Add([]float32{8}) // (.75*.25*4 + .25*8) / (1-.75^2)
	a.Read(out)
	near(t, "average", out, []float64{2.75 / 0.4375})
	for _, decay := range []float64{-0.1, 1, math.NaN()} {
		if _, err := optim.NewAverage(decay); err == nil {
			t.Errorf("decay %v was accepted", decay)
		}
	}
}

func Example() {
	server, err := optim.NewServer(optim.ServerConfig{Rule: optim.FedSGD, LearningRate: 1, Momentum: 0.5}, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	weights := []float32{0, 0}
	for range 2 {
		if err := server.Step(weights, []float32{1, -1}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(weights)
	// Output: [2.5 -2.5]
}
