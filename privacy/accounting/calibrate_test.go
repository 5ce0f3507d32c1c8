package accounting

import (
	"errors"
	"math"
	"math/big"
	"testing"
)

func TestLeastNoiseOfOneGaussian(t *testing.T) {
	t.Parallel()
	build := func(z float64) Event { return Gaussian{z} }
	for _, eps := range []float64{0.05, 1, 8, 40} {
		const delta = 1e-6
		rho, err := RhoForEpsilon(eps, delta)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := rho.Float64()
		mu, err := MuForEpsilon(eps, delta)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{"rho": 1 / math.Sqrt(2*r), "pld": 1 / mu} {
			got, err := LeastNoise(eps, delta, build, accountants[name])
			if err != nil || !relative(got, want, 1e-4) || name == "rho" && !relative(got, want, 1e-6) {
				t.Errorf("%s: epsilon %g needs %.9g, want %.9g, %v", name, eps, got, want, err)
			}
			if reached, err := accountants[name](build(got), delta); err != nil || reached > eps {
				t.Errorf("%s: %g gives epsilon %g > %g, %v", name, got, reached, eps, err)
			}
		}
	}
}

func TestLeastNoiseRefuses(t *testing.T) {
	build := func(z float64) Event { return Gaussian{z} }
	constant := func(float64) Event { return Gaussian{1} }
	for name, try := range map[string]func() (float64, error){
		"epsilon 0":       func() (float64, error) { return LeastNoise(0, 1e-6, build, EpsilonByRho) },
		"epsilon NaN":     func() (float64, error) { return LeastNoise(math.NaN(), 1e-6, build, EpsilonByRho) },
		"delta 0":         func() (float64, error) { return LeastNoise(1, 0, build, EpsilonByRho) },
		"never enough":    func() (float64, error) { return LeastNoise(0.1, 1e-6, constant, EpsilonByRho) },
		"always enough":   func() (float64, error) { return LeastNoise(100, 1e-6, constant, EpsilonByRho) },
		"refused by rho":  func() (float64, error) { return LeastNoise(1, 1e-6, everyKind["skellam_sum"], EpsilonByRho) },
		"refused by PLD":  func() (float64, error) { return LeastNoise(1, 1e-6, everyKind["zcdp"], EpsilonByPLD) },
		"refused by both": func() (float64, error) { return LeastNoise(1, 1e-6, func(float64) Event { return nil }, EpsilonByRDP) },
	} {
		if z, err := try(); !errors.Is(err, ErrRange) && !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %g, %v", name, z, err)
		}
	}
}

func TestDeltaFromRhoIsTheInverse(t *testing.T) {
	for _, rho := range []*big.Rat{big.NewRat(1, 1000), big.NewRat(1, 20), big.NewRat(1, 1), big.NewRat(30, 1)} {
		for _, delta := range []float64{1e-3, 1e-6, 1e-12} {
			eps, err := EpsilonFromRho(rho, delta)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := DeltaFromRho(rho, eps); err != nil || !relative(got, delta, 1e-6) {
				t.Errorf("rho %v, epsilon %g: delta %.9g, want %g, %v", rho, eps, got, delta, err)
			}
		}
	}
}

// A Gaussian is zCDP: no test against it does better than the bound for
// zCDP, which is not vacuous.
func TestTradeOffOfRho(t *testing.T) {
	for _, mu := range []float64{0.1, 0.5, 1, 2} {
		rho := new(big.Rat).SetFloat64(mu * mu / 2)
		last := 0.0
		for _, fpr := range []float64{1e-4, 1e-3, 0.01, 0.1, 0.5} {
			exact, err := MaxTPR(mu, fpr)
			if err != nil {
				t.Fatal(err)
			}
			got, err := MaxTPRFromRho(rho, fpr)
			if err != nil || got < exact || got > 1 || got > exact*3+0.2 || got < last {
				t.Errorf("mu %g, false-positive rate %g: bound %.4f, Gaussian %.4f, %v", mu, fpr, got, exact, err)
			}
			last = got
		}
	}
	if got, err := MaxTPRFromRho(new(big.Rat), 0.25); err != nil || got != 0.25 {
		t.Errorf("no release: %g, %v", got, err)
	}
	if _, err := MaxTPRFromRho(big.NewRat(1, 1), 0); !errors.Is(err, ErrRange) {
		t.Errorf("a false-positive rate of 0: %v", err)
	}
}

func TestSplitClip(t *testing.T) {
	const z, sigmaB = 0.8, 5
	update, err := SplitClip(z, sigmaB)
	if err != nil {
		t.Fatal(err)
	}
	mu, err := Mu(Composed{[]Event{Gaussian{update}, Gaussian{2 * sigmaB}}})
	if err != nil || !relative(mu, 1/z, 1e-12) {
		t.Errorf("the pair has mu %g, want %g, %v", mu, 1/z, err)
	}
	if z, err := SplitClip(10, 5); !errors.Is(err, ErrRange) {
		t.Errorf("an indicator that costs all: %g, %v", z, err)
	}
}

// Delta of two Gaussians by the trapezoid rule, and by symmetry.
func TestTwoGaussians(t *testing.T) {
	t.Parallel()
	for _, p := range []TwoGaussians{{0, 1, 1, 1}, {0, 1, 1, 2}, {0, 2, 1, 1}, {3, 1, 3, 1.5}, {0, 0.01, 0.02, 0.011}, {0, 1, 0, 1}} {
		for _, eps := range []float64{0, 0.2, 1, 3} {
			got, err := p.Delta(eps)
			if err != nil {
				t.Fatal(err)
			}
			if want := p.byQuadrature(eps); math.Abs(got-want) > 1e-6 {
				t.Errorf("%v at %g: %.9g, by quadrature %.9g", p, eps, got, want)
			}
			if turned, err := (TwoGaussians{p.Mean1, p.SD1, p.Mean0, p.SD0}).Delta(eps); err != nil || math.Abs(turned-got) > 1e-12 {
				t.Errorf("%v at %g: %g, turned round %g, %v", p, eps, got, turned, err)
			}
		}
	}
	for _, p := range []TwoGaussians{{}, {0, 1, math.NaN(), 1}, {0, -1, 0, 1}} {
		if eps, err := p.Epsilon(1e-5); !errors.Is(err, ErrEvent) {
			t.Errorf("%v: %g, %v", p, eps, err)
		}
	}
}

func (p TwoGaussians) byQuadrature(eps float64) float64 {
	low := min(p.Mean0, p.Mean1) - 10*max(p.SD0, p.SD1)
	high := max(p.Mean0, p.Mean1) + 10*max(p.SD0, p.SD1)
	const points = 200_000
	step := (high - low) / points
	one, other := 0.0, 0.0
	for i := range points {
		x := low + (float64(i)+0.5)*step
		u, v := (x-p.Mean0)/p.SD0, (x-p.Mean1)/p.SD1
		a, b := math.Exp(-u*u/2)/p.SD0, math.Exp(-v*v/2)/p.SD1
		one += max(0, a-math.Exp(eps)*b)
		other += max(0, b-math.Exp(eps)*a)
	}
	return max(one, other) * step / math.Sqrt(2*math.Pi)
}

func BenchmarkRDP10000(b *testing.B) {
	e := SelfComposed{PoissonSampled{0.01, Gaussian{1}}, 10_000}
	for b.Loop() {
		if _, err := EpsilonByRDP(e, 1e-6); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPLD10000(b *testing.B) {
	e := SelfComposed{PoissonSampled{0.01, Gaussian{1}}, 10_000}
	for b.Loop() {
		if _, err := EpsilonByPLD(e, 1e-6); err != nil {
			b.Fatal(err)
		}
	}
}
