package accounting

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// The minimum against a fine scan of the formula, which it may not exceed.
func TestEpsilonFromRhoIsTheInfimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rho := math.Exp(rapid.Float64Range(-16, 7).Draw(t, "log rho"))
		delta := math.Exp(-rapid.Float64Range(0.01, 60).Draw(t, "-log delta"))
		got, err := EpsilonFromRho(new(big.Rat).SetFloat64(rho), delta)
		if err != nil {
			t.Fatal(err)
		}
		for x := -20.0; x < 25; x += 0.01 {
			a := 1 + math.Exp(x)
			eps := rho*a + math.Log1p(-1/a) - math.Log(delta*a)/(a-1)
			if got > max(0, eps)*(1+1e-9)+1e-12 {
				t.Fatalf("rho %g delta %g: epsilon %g, but order %g gives %g", rho, delta, got, a, eps)
			}
		}
		simple, err := SimpleEpsilonFromRho(new(big.Rat).SetFloat64(rho), delta)
		if err != nil || got > simple {
			t.Fatalf("epsilon %g is above the simple bound %g, %v", got, simple, err)
		}
		// and never below what the Gaussian of that rho really leaks
		if exact, err := GaussianEpsilon(math.Sqrt(2*rho), delta); err != nil || got < exact*(1-1e-9)-1e-12 {
			t.Fatalf("epsilon %g is below the exact Gaussian's %g, %v", got, exact, err)
		}
	})
}

func TestRhoForEpsilonIsTheInverseRoundedDown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		eps := math.Exp(rapid.Float64Range(-6, 4).Draw(t, "log eps"))
		delta := math.Exp(-rapid.Float64Range(1, 50).Draw(t, "-log delta"))
		rho, err := RhoForEpsilon(eps, delta)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := EpsilonFromRho(rho, delta); err != nil || got > eps {
			t.Fatalf("rho %v costs %g > %g, %v", rho, got, eps, err)
		}
		f, _ := rho.Float64()
		if got := epsilonFromRho(f*(1+3e-8), delta); got <= eps {
			t.Fatalf("rho %v is not the largest: 1+3e-8 of it costs %g <= %g", rho, got, eps)
		}
		if rho.Denom().BitLen() > 100 {
			t.Fatalf("rho %v is unwieldy", rho)
		}
	})
	for _, bad := range [][2]float64{{0, 1e-6}, {-1, 1e-6}, {math.NaN(), 1e-6}, {1, 0}, {1, 1}, {math.Inf(1), 1e-6}} {
		if rho, err := RhoForEpsilon(bad[0], bad[1]); !errors.Is(err, ErrRange) {
			t.Errorf("eps %g delta %g: rho %v, %v", bad[0], bad[1], rho, err)
		}
	}
}

func TestEpsilonIsMonotone(t *testing.T) {
	last := -1.0
	for _, rho := range []*big.Rat{new(big.Rat), big.NewRat(1, 1e12), big.NewRat(1, 1000), big.NewRat(1, 2), big.NewRat(9, 1), big.NewRat(1e6, 1)} {
		eps, err := EpsilonFromRho(rho, 1e-6)
		if err != nil || eps < last {
			t.Fatalf("rho %v: epsilon %g after %g, %v", rho, eps, last, err)
		}
		last = eps
	}
	for _, bad := range []*big.Rat{nil, big.NewRat(-1, 2)} {
		if _, err := EpsilonFromRho(bad, 1e-6); !errors.Is(err, ErrRange) {
			t.Errorf("rho %v: %v", bad, err)
		}
		if _, err := SimpleEpsilonFromRho(bad, 1e-6); !errors.Is(err, ErrRange) {
			t.Errorf("rho %v: %v", bad, err)
		}
	}
}

// The study's table: mu at delta 1e-5 and what exact Gaussian noise of that
// mu costs under the distributed claim's conversion (binding rule 2).
func TestBothColumnsOfTheClaim(t *testing.T) {
	for _, test := range []struct{ eps, mu, distributed float64 }{
		{1, .2681, 1.09}, {2, .5016, 2.17}, {4, .9249, 4.32}, {8, 1.666, 8.60},
	} {
		mu, err := MuForEpsilon(test.eps, CentralDelta)
		if err != nil || math.Abs(mu-test.mu) > 5e-4 {
			t.Errorf("mu(%g) = %g, %v; want %g", test.eps, mu, err, test.mu)
		}
		rho := new(big.Rat).SetFloat64(mu * mu / 2)
		claim, err := NewClaim(rho, CentralDelta)
		if err != nil || math.Abs(claim.Epsilon-test.distributed) > 6e-3 {
			t.Errorf("eps %g: distributed claim %.4f, %v; want %g", test.eps, claim.Epsilon, err, test.distributed)
		}
		if math.Abs(claim.CentralEpsilon-test.eps) > 1e-9 || math.Abs(claim.Mu-mu) > 1e-12 || claim.Rho.Cmp(rho) != 0 {
			t.Errorf("eps %g: claim %+v", test.eps, claim)
		}
	}
	if claim, err := NewClaim(new(big.Rat), 1e-6); err != nil || claim.Epsilon != 0 || claim.Mu != 0 || claim.CentralEpsilon != 0 {
		t.Errorf("nothing spent costs %+v, %v", claim, err)
	}
	if _, err := NewClaim(nil, 1e-6); !errors.Is(err, ErrRange) {
		t.Errorf("a claim without a rho: %v", err)
	}
	for n, want := range map[int]float64{0: 1e-6, 6040: 1e-6, 100000: 1e-6, 1000000: 1e-7} {
		if got := ClaimDelta(n); !relative(got, want, 1e-12) {
			t.Errorf("delta for %d devices is %g, want %g", n, got, want)
		}
	}
}

func TestGaussianInverses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mu := math.Exp(rapid.Float64Range(-5, 3).Draw(t, "log mu"))
		delta := math.Exp(-rapid.Float64Range(1, 60).Draw(t, "-log delta"))
		eps, err := GaussianEpsilon(mu, delta)
		if err != nil {
			t.Fatal(err)
		}
		back, err := GaussianDelta(mu, eps)
		if err != nil || back > delta || eps > 0 && !relative(back, delta, 1e-6) {
			t.Fatalf("delta(eps(%g)) = %g, %v", delta, back, err)
		}
		if eps < 1e-3 {
			return
		}
		if again, err := MuForEpsilon(eps, delta); err != nil || !relative(again, mu, 1e-6) {
			t.Fatalf("mu(eps(%g)) = %g, %v", mu, again, err)
		}
	})
	for _, try := range []func() (float64, error){
		func() (float64, error) { return GaussianDelta(0, 1) },
		func() (float64, error) { return GaussianDelta(1, -1) },
		func() (float64, error) { return GaussianDelta(math.NaN(), 1) },
		func() (float64, error) { return GaussianEpsilon(1, 0) },
		func() (float64, error) { return GaussianEpsilon(-1, 1e-6) },
		func() (float64, error) { return MuForEpsilon(-1, 1e-6) },
		func() (float64, error) { return MuForEpsilon(1, 2) },
		func() (float64, error) { return MaxTPR(1, 0) },
		func() (float64, error) { return MaxTPR(0, 0.1) },
		func() (float64, error) {
			return DiscreteGaussianEpsilon(DiscreteGaussian{Sigma: 1e6, Sensitivity: 1}, 1e-6)
		},
		func() (float64, error) { return DiscreteGaussianEpsilon(DiscreteGaussian{Sigma: 1, Sensitivity: 1}, 0) },
	} {
		if f, err := try(); !errors.Is(err, ErrRange) {
			t.Errorf("got %g, %v", f, err)
		}
	}
}

// log Phi against its defining relation and its neighbours where the method
// changes, and the quantile as its inverse.
func TestLogPhi(t *testing.T) {
	for _, edge := range []float64{-1, -30} {
		below, above := logPhi(math.Nextafter(edge, -100)), logPhi(math.Nextafter(edge, 100))
		if !relative(below, above, 1e-12) {
			t.Errorf("log Phi jumps at %g: %.15g, %.15g", edge, below, above)
		}
	}
	for _, x := range []float64{-38, -10, -1.5, 0, 0.3, 4} {
		sum := math.Exp(logPhi(x)) + math.Exp(logPhi(-x))
		if math.Abs(sum-1) > 1e-15 {
			t.Errorf("Phi(%g) + Phi(-%g) = %.17g", x, x, sum)
		}
	}
	for _, p := range []float64{1e-300, 1e-12, 1e-3, 0.1, 0.5, 0.9} {
		if got := math.Exp(logPhi(quantile(p))); !relative(got, p, 1e-11) {
			t.Errorf("Phi(quantile(%g)) = %g", p, got)
		}
	}
	if tpr, err := MaxTPR(1, 0.05); err != nil || math.Abs(tpr-0.2595) > 1e-4 { // Phi(-1.6449 + 1)
		t.Errorf("TPR %g, %v", tpr, err)
	}
}

// The exact epsilon lies below that of zCDP and above what a single output
// tells, where e^epsilon is no float64 as well.
func TestDiscreteGaussianEpsilonOfHardlyAnyNoise(t *testing.T) {
	for _, e := range []DiscreteGaussian{{1, 20}, {1, 45}, {1, 100}, {3, 200}} {
		got, err := DiscreteGaussianEpsilon(e, 1e-6)
		most, errRho := EpsilonByRho(e, 1e-6)
		least := float64(e.Sensitivity*e.Sensitivity) / (2 * e.Sigma * e.Sigma) // the loss at the mean, of mass 1/2
		if err := errors.Join(err, errRho); err != nil || got < least || got > most {
			t.Errorf("%+v: epsilon %g is not between %g and %g, %v", e, got, least, most, err)
		}
	}
}

func TestCurveConversions(t *testing.T) {
	curve, err := RDP(Gaussian{Z: 1}, DefaultOrders())
	if err != nil {
		t.Fatal(err)
	}
	eps, _, err := curve.Epsilon(1e-6)
	if err != nil {
		t.Fatal(err)
	}
	// the two conversions are two bounds, each valid: within a tenth
	if delta := curve.Delta(eps); delta > 1e-6*1.0001 || delta < 1e-7 {
		t.Errorf("delta(eps(1e-6)) = %g", delta)
	}
	for _, eps := range []float64{-1, math.NaN()} {
		if delta := curve.Delta(eps); delta != 1 {
			t.Errorf("delta(%g) = %g", eps, delta)
		}
	}
	if eps, _, err := curve.Epsilon(0); err != nil || !math.IsInf(eps, 1) {
		t.Errorf("epsilon at delta 0 is %g, %v", eps, err)
	}
	if _, _, err := curve.Epsilon(1); !errors.Is(err, ErrRange) {
		t.Errorf("delta 1: %v", err)
	}
	if n := len(DefaultOrders()); n != 156 {
		t.Errorf("%d default orders, want 156", n)
	}
}
