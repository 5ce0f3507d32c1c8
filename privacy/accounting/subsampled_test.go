package accounting

import (
	"errors"
	"math"
	"testing"
)

// divergenceByQuadrature is the Renyi divergence of the sampled Gaussian by
// the trapezoid rule, in the direction that is the larger.
func divergenceByQuadrature(q, sigma, a float64) float64 {
	const step = 0.01
	sum := 0.0
	for x := -30 * sigma; x <= 30*sigma+a; x += step {
		ratio := sampledLoss(q, (2*x-1)/(2*sigma*sigma))
		sum += math.Expm1(a*ratio) * math.Exp(-x*x/(2*sigma*sigma)) // of what exceeds 1
	}
	return math.Log1p(sum*step/(sigma*math.Sqrt(2*math.Pi))) / (a - 1)
}

func TestSampledGaussianAgainstQuadrature(t *testing.T) {
	for _, test := range []struct{ q, sigma float64 }{{0.1, 1}, {0.01, 0.8}, {0.5, 3}, {0.9, 2}, {1e-6, 0.5}} {
		for _, a := range []float64{1.1, 1.5, 2, 2.5, 3, 4.7, 6.5, 8, 10.9, 16, 31.5} {
			want := divergenceByQuadrature(test.q, test.sigma, a)
			got, err := PoissonSampled{test.q, Gaussian{test.sigma}}.rdp(a)
			// exact at integers; between them a bound, not above the next one
			most := divergenceByQuadrature(test.q, test.sigma, math.Ceil(a))
			if err != nil || got < want*(1-1e-9)-5e-15 || got > most*(1+1e-9)+1e-9 {
				t.Errorf("q %g, sigma %g, order %g: %.12g, by quadrature %.12g, %v", test.q, test.sigma, a, got, want, err)
			}
		}
	}
}

// The bound for any mechanism is never below the exact curve of one, and no
// sample costs more than the whole.
func TestSampledBounds(t *testing.T) {
	for _, q := range []float64{0, 1e-4, 0.01, 0.3, 1} {
		for _, a := range []float64{1.3, 2, 3.5, 12, 64, 1024, 5000.5} {
			gaussian := Gaussian{1.7}
			exact, err := PoissonSampled{q, gaussian}.rdp(a)
			if err != nil {
				t.Fatal(err)
			}
			general, err := PoissonSampled{q, SelfComposed{gaussian, 1}}.rdp(a)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := gaussian.rdp(a)
			if err != nil {
				t.Fatal(err)
			}
			if general < exact*(1-1e-6) || general > whole || q == 0 && general != 0 || q == 1 && exact != whole {
				t.Errorf("q %g, order %g: exact %.9g, for any mechanism %.9g, unsampled %.9g", q, a, exact, general, whole)
			}
			without, err := SampledWithoutReplacement{1_000_000, int(q * 1e6), Gaussian{2 * gaussian.Z}}.rdp(a)
			if err != nil || without > whole || q == 1 && without != whole || q == 0 && without != 0 {
				t.Errorf("q %g, order %g: without replacement %.9g, whole %.9g, %v", q, a, without, whole, err)
			}
		}
	}
}

// All other records at -1: whoever is drawn in the place of the record in
// question moves the sum by 2 from 1, by 1 from 0. No zeroed or replaced
// record may cost more than the curve.
func TestWithoutReplacementCoversItsWorstNeighbours(t *testing.T) {
	const population, sample = 100, 1
	const q = float64(sample) / population
	for _, z := range []float64{0.8, 1, 2, 4} {
		density := func(x, mean float64) float64 { return math.Exp(-(x - mean) * (x - mean) / (2 * z * z)) }
		for _, a := range []float64{1.5, 2, 3, 8, 12} {
			got, err := SampledWithoutReplacement{population, sample, Gaussian{z}}.rdp(a)
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range []float64{0, -1} {
				const step = 0.01
				one, two := 0.0, 0.0
				for x := -12 * z; x <= 12*z+2*a; x += step {
					p := q*density(x, 1) + (1-q)*density(x, -1)
					o := q*density(x, other) + (1-q)*density(x, -1)
					if p > 0 && o > 0 {
						one += math.Exp(a*math.Log(p) + (1-a)*math.Log(o))
						two += math.Exp(a*math.Log(o) + (1-a)*math.Log(p))
					}
				}
				truth := math.Log(max(one, two)*step/(z*math.Sqrt(2*math.Pi))) / (a - 1)
				if got < truth*(1-1e-9) {
					t.Errorf("z %g, order %g, the record at %g: %.6g, by quadrature %.6g", z, a, other, got, truth)
				}
			}
		}
	}
}

// E (e^(x/z - 1/(2z^2)) - 1)^4 = e^(6/z^2) - 4 e^(3/z^2) + 6 e^(1/z^2) - 3.
func TestLognormalMoments(t *testing.T) {
	for _, z := range []float64{0.3, 1, 2, 5} {
		u := 1 / (z * z)
		if got, want := lognormalMoment(z, 2), math.Log(math.Expm1(u)); !relative(got, want, 1e-10) {
			t.Errorf("z %g: second moment %.12g, want %.12g", z, got, want)
		}
		fourth := math.Log(math.Exp(6*u) - 4*math.Exp(3*u) + 6*math.Exp(u) - 3)
		if got := lognormalMoment(z, 4); !relative(got, fourth, 1e-9) {
			t.Errorf("z %g: fourth moment %.12g, want %.12g", z, got, fourth)
		}
	}
}

// A loss distribution is never above what the Renyi curve gives.
func TestLossesAgainstRenyi(t *testing.T) {
	t.Parallel()
	for _, e := range []Event{
		SelfComposed{PoissonSampled{0.02, Gaussian{1.3}}, 300},
		SelfComposed{PoissonSampled{0.1, Laplace{3}}, 40},
		SelfComposed{PoissonSampled{0.1, DiscreteGaussian{6, 3}}, 40},
		Composed{[]Event{TreeSingleEpoch{9, 63}, SelfComposed{DiscreteLaplace{0.1, 1}, 10}, PoissonSampled{0.2, Gaussian{2}}}},
	} {
		for _, delta := range []float64{1e-5, 1e-8} {
			renyi, err := EpsilonByRDP(e, delta)
			if err != nil {
				t.Fatal(err)
			}
			if losses, err := EpsilonByPLD(e, delta); err != nil || losses > renyi || losses < renyi/4 {
				t.Errorf("%v at %g: %.6g by losses, %.6g by Renyi, %v", e, delta, losses, renyi, err)
			}
		}
	}
}

func TestSampledEventsRefuse(t *testing.T) {
	nan := math.NaN()
	for _, e := range []Event{
		PoissonSampled{}, PoissonSampled{0.1, nil}, PoissonSampled{-0.1, Gaussian{1}}, PoissonSampled{nan, Gaussian{1}},
		PoissonSampled{0.1, Gaussian{}},
		PoissonSampled{0.1, PoissonSampled{0.1, Gaussian{1}}},
		PoissonSampled{0.1, TreeSingleEpoch{1, 4}},
		PoissonSampled{0.1, SelfComposed{BLTMF{BLT{}, 1, 1, 1, 1}, 1}},
		PoissonSampled{0.1, Composed{[]Event{Gaussian{1}}}},
		PoissonSampled{0.1, EpsilonDelta{1, 1e-6}},
		SampledWithoutReplacement{}, SampledWithoutReplacement{10, 11, Gaussian{1}}, SampledWithoutReplacement{10, 5, Laplace{1}},
		SampledWithoutReplacement{10, -1, Gaussian{1}},
		PoissonReplaced{2, 1}, PoissonReplaced{0.5, 0}, TruncatedPoisson{0.5, 10, 11, 1}, TruncatedPoisson{0.5, 0, 0, 1},
		EpsilonDelta{-1, 0.1}, EpsilonDelta{1, 1}, EpsilonDelta{1, nan},
		DiscreteLaplace{0, 1}, DiscreteLaplace{1, -1}, SkellamSum{},
		BLTMF{BLT{[]float64{0.5}, nil}, 10, 1, 1, 1}, BLTMF{BLT{}, 10, 1, 1, nan}, BLTMF{BLT{}, 0, 1, 1, 1},
		ToeplitzMF{[]float64{1, 0.5, 0.6}, 3, 1, 1, 1}, ToeplitzMF{[]float64{1, -0.5}, 3, 1, 1, 1}, ToeplitzMF{nil, 3, 1, 1, 1},
		ToeplitzMF{[]float64{1}, 3, 4, 1, 1}, ToeplitzMF{[]float64{1}, 3, 1, 0, 1},
	} {
		for name, account := range accountants {
			if eps, err := account(e, 1e-6); !errors.Is(err, ErrEvent) {
				t.Errorf("%s: %#v: epsilon %g, %v", name, e, eps, err)
			}
		}
		if raw, err := EncodeEvent(e); err == nil {
			if read, err := DecodeEvent(raw); !errors.Is(err, ErrEvent) {
				t.Errorf("%s is read as %#v, %v", raw, read, err)
			}
		}
	}
}

func TestReplaceOne(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ e, want Event }{
		{Gaussian{2}, Gaussian{1}},
		{SelfComposed{Laplace{2}, 3}, SelfComposed{Laplace{1}, 3}},
		{DiscreteGaussian{5, 2}, DiscreteGaussian{5, 4}},
		{DiscreteLaplace{0.5, 2}, DiscreteLaplace{0.5, 4}},
		{TreeSingleEpoch{8, 100}, TreeSingleEpoch{4, 100}},
		{BLTMF{BLT{}, 4, 1, 1, 3}, Gaussian{1.5}},
		{ToeplitzMF{[]float64{1}, 4, 1, 1, 3}, Gaussian{1.5}},
		{PoissonSampled{0.1, Gaussian{2}}, PoissonReplaced{0.1, 2}},
	} {
		got, err := ReplaceOne(Composed{[]Event{test.e}})
		if err != nil {
			t.Fatal(err)
		}
		a, errA := EpsilonByPLD(got, 1e-6)
		b, errB := EpsilonByPLD(test.want, 1e-6)
		if err := errors.Join(errA, errB); err != nil || a != b {
			t.Errorf("%#v: %g, want %g, %v", test.e, a, b, err)
		}
	}
	same := SampledWithoutReplacement{10, 5, Gaussian{2}}
	if got, err := ReplaceOne(same); err != nil || got != same {
		t.Errorf("a sample without replacement becomes %#v, %v", got, err)
	}
	for _, e := range []Event{nil, PureDP{1}, PoissonSampled{0.1, Laplace{1}}, Composed{[]Event{sumOf(1)}}, TruncatedPoisson{0.5, 10, 5, 1}} {
		if got, err := ReplaceOne(e); !errors.Is(err, ErrEvent) {
			t.Errorf("%#v becomes %#v, %v", e, got, err)
		}
	}
}

// P[Bin(n, q) > k] by summation.
func TestBinomialAbove(t *testing.T) {
	for _, n := range []int{1, 7, 130, 1000} {
		for _, q := range []float64{0, 1e-3, 0.1, 0.7, 1} {
			for _, k := range []int{0, n / 10, n / 2, n - 1, n} {
				want := 0.0
				for i := k + 1; i <= n; i++ {
					if q == 1 {
						want = 1
					} else if q > 0 {
						want += math.Exp(logChoose(float64(n), i) + float64(i)*math.Log(q) + float64(n-i)*math.Log1p(-q))
					}
				}
				if got := binomialAbove(n, q, k); math.Abs(got-want) > 1e-9*want+1e-300 {
					t.Errorf("n %d, q %g, k %d: %.15g, want %.15g", n, q, k, got, want)
				}
			}
		}
	}
}
