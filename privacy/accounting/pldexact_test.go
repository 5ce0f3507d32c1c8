package accounting

import (
	"math"
	"testing"
)

// The best composition of k releases of epsilon-DP (Kairouz, Oh, Viswanath,
// arXiv 1311.0776, Theorem 3.3) is what the distribution of randomised
// response composes to.
func TestPureCompositionIsOptimal(t *testing.T) {
	t.Parallel()
	const k, one, delta0 = 20, 0.3, 1e-7
	exact := func(eps, delta0 float64) float64 {
		sum := 0.0
		for i := 0; i <= k; i++ {
			gain := math.Exp(float64(k-i)*one) - math.Exp(eps+float64(i)*one)
			sum += math.Exp(logChoose(k, i)) * max(0, gain) / math.Pow(1+math.Exp(one), k)
		}
		keep := math.Pow(1-delta0, k)
		return 1 - keep*(1-sum)
	}
	for _, delta0 := range []float64{0, delta0} {
		pld, err := NewPLD(SelfComposed{EpsilonDelta{one, delta0}, k})
		if err != nil {
			t.Fatal(err)
		}
		for _, eps := range []float64{0, 0.6, 1.8, 3, 4.2} {
			got, err := pld.Delta(eps)
			if want := exact(eps, delta0); err != nil || !relative(got, want, 1e-6) {
				t.Errorf("epsilon %g, delta %g each: %.9g, want %.9g, %v", eps, delta0, got, want, err)
			}
		}
	}
}

// Two releases of sampled integer noise by enumeration of all outcomes, in
// both directions.
func TestSampledIntegersByEnumeration(t *testing.T) {
	const q, sigma = 0.3, 1.5
	for name, test := range map[string]struct {
		event   Event
		density func(x int) float64
		shift   int
	}{
		"gaussian": {DiscreteGaussian{sigma, 2}, func(x int) float64 { return math.Exp(-float64(x*x) / (2 * sigma * sigma)) }, 2},
		"laplace":  {DiscreteLaplace{1 / sigma, 1}, func(x int) float64 { return math.Exp(-math.Abs(float64(x)) / sigma) }, 1},
	} {
		const edge = 60
		var with, without []float64
		sum := 0.0
		for x := -edge; x <= edge; x++ {
			sum += test.density(x)
		}
		for x := -edge; x <= edge+test.shift; x++ {
			without = append(without, test.density(x)/sum)
			with = append(with, (1-q)*test.density(x)/sum+q*test.density(x-test.shift)/sum)
		}
		pld, err := NewPLD(SelfComposed{PoissonSampled{q, test.event}, 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, eps := range []float64{0, 0.1, 0.5, 1} {
			remove, add := 0.0, 0.0
			for i := range with {
				for j := range with {
					p, o := with[i]*with[j], without[i]*without[j]
					remove += max(0, p-math.Exp(eps)*o)
					add += max(0, o-math.Exp(eps)*p)
				}
			}
			for direction, pair := range map[string][2]float64{"remove": {pld.remove.delta(eps), remove}, "add": {pld.add.delta(eps), add}} {
				if got, want := pair[0], pair[1]; got < want*(1-1e-9) || got > want*(1+1e-4)+1e-9 {
					t.Errorf("%s, %s, epsilon %g: delta %.9g, by enumeration %.9g", name, direction, eps, got, want)
				}
			}
		}
	}
}

// Ten releases of integer noise by convolution of its probabilities: the
// loss of ten outputs depends on their sum alone.
func TestIntegersByConvolution(t *testing.T) {
	const sigma, n, edge = 5.0, 10, 60
	one, total := make([]float64, 2*edge+1), 0.0
	for i := range one {
		one[i] = math.Exp(-float64((i-edge)*(i-edge)) / (2 * sigma * sigma))
		total += one[i]
	}
	sum := []float64{1}
	for range n {
		next := make([]float64, len(sum)+2*edge)
		for i, p := range sum {
			for j, o := range one {
				next[i+j] += p * o / total
			}
		}
		sum = next
	}
	pld, err := NewPLD(SelfComposed{DiscreteGaussian{sigma, 1}, n})
	if err != nil {
		t.Fatal(err)
	}
	for _, eps := range []float64{0, 0.5, 1, 2.9206, 4} {
		want := 0.0
		for i, p := range sum { // the record adds n to the sum i - n edge
			loss := (2*float64(i-n*edge+n) - n) / (2 * sigma * sigma)
			want += p * max(0, -math.Expm1(eps-loss))
		}
		if got, err := pld.Delta(eps); err != nil || got < want || got > want*(1+1e-4)+2e-14 {
			t.Errorf("epsilon %g: delta %.12g, exactly %.12g, %v", eps, got, want, err)
		}
	}
}

// What lies beyond the grid is infinite loss, of one release too.
func TestTailsAreInfiniteLoss(t *testing.T) {
	for _, z := range []float64{0.5, 1, 20} {
		pld, err := NewPLD(Gaussian{z})
		if err != nil {
			t.Fatal(err)
		}
		eps := 9.5/z + 1/(2*z*z) // 9 deviations and a half
		want, err := GaussianDelta(1/z, eps)
		if err != nil || want == 0 {
			t.Fatalf("delta(%g) = %g, %v", eps, want, err)
		}
		if got, err := pld.Delta(eps); err != nil || got < want {
			t.Errorf("z %g: delta(%g) is %g, exactly %g, %v", z, eps, got, want, err)
		}
	}
	both, err := discretise(mixture{0.25, randomisedResponse(1, 0.1), randomisedResponse(2, 0.02)}, 0.5)
	if err != nil || !relative(both.infinity, 0.25*0.1+0.75*0.02, 1e-12) {
		t.Errorf("a mixture is certain with probability %g, %v", both.infinity, err)
	}
}

// A truncated sample is a mixture of two known pairs in each direction.
func TestTruncatedIsAMixtureInBothDirections(t *testing.T) {
	e := TruncatedPoisson{0.3, 20, 7, 1}
	cut, kept := e.split()
	if cut < 0.1 || cut > 0.9 {
		t.Fatalf("a cut of probability %g shows nothing", cut)
	}
	var pld [3]*PLD
	for i, part := range []Event{e, PoissonReplaced{kept, e.Z / 2}, PoissonSampled{e.Q, Gaussian{e.Z}}} {
		var err error
		if pld[i], err = NewPLD(part); err != nil {
			t.Fatal(err)
		}
	}
	for _, eps := range []float64{0, 0.1, 0.3, 1} {
		for direction, of := range map[string]func(*PLD) *losses{
			"remove": func(p *PLD) *losses { return p.remove }, "add": func(p *PLD) *losses { return p.add },
		} {
			want := cut*of(pld[1]).delta(eps) + (1-cut)*of(pld[2]).delta(eps)
			if got := of(pld[0]).delta(eps); !relative(got, want, 1e-6) {
				t.Errorf("%s, epsilon %g: delta %.9g, want %.9g", direction, eps, got, want)
			}
		}
	}
}
