package accounting

import (
	"errors"
	"math"
	"math/big"
	"testing"
)

// everyKind builds each kind of release with more or less noise.
var everyKind = map[string]func(noise float64) Event{
	"zcdp":                  func(s float64) Event { return ZCDP{new(big.Rat).SetFloat64(1 / (s * s))} },
	"gaussian":              func(s float64) Event { return Gaussian{s} },
	"laplace":               func(s float64) Event { return Laplace{s} },
	"pure_dp":               func(s float64) Event { return PureDP{1 / s} },
	"epsilon_delta":         func(s float64) Event { return EpsilonDelta{1 / s, 1e-8} },
	"discrete_gaussian":     func(s float64) Event { return DiscreteGaussian{3 * s, 2} },
	"discrete_laplace":      func(s float64) Event { return DiscreteLaplace{1 / s, 2} },
	"discrete_gaussian_sum": func(s float64) Event { return sumOf(s) },
	"skellam_sum":           func(s float64) Event { return SkellamSum(sumOf(s)) },
	"tree_single_epoch":     func(s float64) Event { return TreeSingleEpoch{s, 100} },
	"toeplitz_mf":           func(s float64) Event { return ToeplitzMF{SqrtToeplitz(20), 20, 2, 10, s} },
	"blt_mf": func(s float64) Event {
		return BLTMF{BLT{[]float64{0.9, 0.4}, []float64{0.2, 0.3}}, 20, 2, 10, s}
	},
	"poisson gaussian":           func(s float64) Event { return PoissonSampled{0.05, Gaussian{s}} },
	"poisson laplace":            func(s float64) Event { return PoissonSampled{0.05, Laplace{s}} },
	"poisson discrete gaussian":  func(s float64) Event { return PoissonSampled{0.05, DiscreteGaussian{3 * s, 2}} },
	"poisson discrete laplace":   func(s float64) Event { return PoissonSampled{0.05, DiscreteLaplace{1 / s, 2}} },
	"poisson sum":                func(s float64) Event { return PoissonSampled{0.05, sumOf(s)} },
	"poisson composed":           func(s float64) Event { return PoissonSampled{0.05, SelfComposed{Gaussian{s}, 2}} },
	"poisson_replaced_gaussian":  func(s float64) Event { return PoissonReplaced{0.05, s} },
	"truncated_poisson_gaussian": func(s float64) Event { return TruncatedPoisson{0.05, 1000, 60, s} },
	"sampled_wor":                func(s float64) Event { return SampledWithoutReplacement{1000, 50, Gaussian{s}} },
	"composed":                   func(s float64) Event { return Composed{[]Event{Gaussian{s}, Laplace{2 * s}}} },
}

func sumOf(noise float64) DiscreteGaussianSum {
	variance := new(big.Rat).SetFloat64(noise * noise * 1e4)
	return DiscreteGaussianSum{L2: big.NewRat(1000, 1), Sigma2: variance, Shares: 100, Dim: 4096}
}

var accountants = map[string]Accountant{"rho": EpsilonByRho, "rdp": EpsilonByRDP, "pld": EpsilonByPLD}

// refusals says which kinds each accountant refuses; all others it accepts.
var refusals = map[string][]string{
	"rho": {"epsilon_delta", "skellam_sum", "poisson gaussian", "poisson laplace", "poisson discrete gaussian", "poisson discrete laplace",
		"poisson sum", "poisson composed", "poisson_replaced_gaussian", "truncated_poisson_gaussian", "sampled_wor"},
	"rdp": {"poisson_replaced_gaussian", "truncated_poisson_gaussian"},
	"pld": {"zcdp", "discrete_gaussian_sum", "skellam_sum", "poisson sum", "poisson composed", "sampled_wor"},
}

// For every kind of event and every accountant: it refuses those that it has
// no theorem for with the typed error; for the others, n times itself is the
// composition of n of it, in any order and nesting, more noise never costs
// more, and more releases never cost less.
func TestEveryKindByEveryAccountant(t *testing.T) {
	const delta, n = 1e-6, 3
	other := Composed{[]Event{Gaussian{10}, Laplace{18}}}
	for name, account := range accountants {
		refused := map[string]bool{}
		for _, kind := range refusals[name] {
			refused[kind] = true
		}
		for kind, build := range everyKind {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				e := build(8)
				eps := func(e Event) float64 {
					got, err := account(e, delta)
					if err != nil {
						t.Error(err)
					}
					return got
				}
				if refused[kind] {
					for _, e := range []Event{e, SelfComposed{e, n}, Composed{[]Event{Gaussian{5}, e}}} {
						if got, err := account(e, delta); !errors.Is(err, ErrEvent) {
							t.Errorf("epsilon %g, %v", got, err)
						}
					}
					return
				}
				self := eps(SelfComposed{e, n})
				if composed := eps(Composed{[]Event{e, e, e}}); !relative(self, composed, 1e-9) {
					t.Errorf("itself %d times is %.12g, composed %.12g", n, self, composed)
				}
				if nested := eps(Composed{[]Event{SelfComposed{e, 2}, Composed{[]Event{e}}, SelfComposed{e, 0}}}); !relative(self, nested, 1e-9) {
					t.Errorf("%.12g, nested %.12g", self, nested)
				}
				before, after := eps(Composed{[]Event{e, other}}), eps(Composed{[]Event{other, e}})
				if !relative(before, after, 1e-9) {
					t.Errorf("%.12g before another, %.12g after", before, after)
				}
				one := eps(e)
				if louder := eps(build(12)); louder > one*(1+1e-9) {
					t.Errorf("%.12g, with more noise %.12g", one, louder)
				}
				if self < one {
					t.Errorf("once %.12g, thrice %.12g", one, self)
				}
			})
		}
	}
}

// The transform against the closed form, without merging Gaussians: never
// below it, and near it.
func TestConvolutionAgainstGaussian(t *testing.T) {
	const z, n = 100, 10_000
	pair, _ := gaussianPairs(1, z)
	one, err := discretise(pair, defaultStep)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := compose([]kind{{one, nil, n}}, defaultStep)
	if err != nil {
		t.Fatal(err)
	}
	const charged = 2*tailMass + n*roundingMass
	for _, delta := range []float64{0.1, 1e-3, 1e-5, 1e-8, 1e-10} {
		want, err := GaussianEpsilon(1, delta)
		if err != nil {
			t.Fatal(err)
		}
		most, err := GaussianEpsilon(1, delta-charged)
		if err != nil {
			t.Fatal(err)
		}
		if got := sum.epsilon(delta); got < want || got > most+3e-3 {
			t.Errorf("delta %g: epsilon %.9g, exactly %.9g", delta, got, want)
		}
		if got := sum.delta(want); got < delta || got > delta*1.02+charged {
			t.Errorf("epsilon %g: delta %.9g, exactly %g", want, got, delta)
		}
	}
	if got := sum.epsilon(1e-13); !math.IsInf(got, 1) {
		t.Errorf("a delta below what rounding can tell: epsilon %g", got)
	}
}

// What rounding takes from either end of a distribution, seen where the sums
// fall below zero, stays below half of what is charged for it.
func TestRoundingIsCharged(t *testing.T) {
	t.Parallel()
	for _, e := range []SelfComposed{
		{PoissonSampled{1e-4, Gaussian{0.6}}, 10_000},
		{PoissonSampled{1e-3, Gaussian{1}}, 100_000},
		{PoissonSampled{1e-3, Gaussian{1}}, 1000},
		{PoissonSampled{1e-4, Gaussian{2}}, 10},
	} {
		pld, err := NewPLD(e)
		if err != nil {
			t.Fatal(err)
		}
		charged := 2*tailMass + float64(e.Count)*roundingMass
		for _, d := range []*losses{pld.remove, pld.add} {
			up, down, least := 0.0, 0.0, 0.0
			for i := range d.mass {
				up, down = up+d.mass[i], down+d.mass[len(d.mass)-1-i]
				least = min(least, up, down)
			}
			if -least > charged/2 {
				t.Errorf("%+v: an end sums to %g, %g is charged", e, least, charged)
			}
		}
	}
}

func TestPLDTradeOff(t *testing.T) {
	pld, err := NewPLD(SelfComposed{Gaussian{3}, 9})
	if err != nil {
		t.Fatal(err)
	}
	for _, fpr := range []float64{1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9} {
		want, err := MaxTPR(1, fpr)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pld.MaxTPR(fpr); err != nil || got < want-1e-12 || got > want+1e-4 {
			t.Errorf("false-positive rate %g: true-positive rate %.6f, exactly %.6f, %v", fpr, got, want, err)
		}
	}
	// a sampled record: the better of the best tests in both directions
	const q = 0.3
	sampled, err := NewPLD(PoissonSampled{q, Gaussian{1}})
	if err != nil {
		t.Fatal(err)
	}
	phi := func(x float64) float64 { return math.Exp(logPhi(x)) }
	mixed := func(x float64) float64 { return (1-q)*phi(x) + q*phi(x-1) }
	for _, fpr := range []float64{1e-3, 0.02, 0.2, 0.6} {
		x := bisect(-10, 10, func(x float64) bool { return mixed(x) >= fpr })
		want := max(1-mixed(-quantile(fpr)), phi(x))
		if got, err := sampled.MaxTPR(fpr); err != nil || got < want-1e-12 || got > want+1e-4 {
			t.Errorf("sampled, false-positive rate %g: true-positive rate %.6f, exactly %.6f, %v", fpr, got, want, err)
		}
	}
	certain, err := NewPLD(EpsilonDelta{0.5, 0.1})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := certain.MaxTPR(0.01); err != nil || !relative(got, math.Exp(0.5)*0.01+0.1, 1e-3) {
		t.Errorf("(0.5, 0.1)-DP: true-positive rate %g, %v", got, err)
	}
	for _, fpr := range []float64{0, 1, math.NaN()} {
		if _, err := pld.MaxTPR(fpr); !errors.Is(err, ErrRange) {
			t.Errorf("a false-positive rate of %g: %v", fpr, err)
		}
	}
}

// A distribution of any composition stays within its memory: the grid grows,
// or the composition is refused.
func TestPLDIsBounded(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]Event{
		"hardly any noise":   Gaussian{0.01},
		"a million rounds":   SelfComposed{PoissonSampled{1e-4, Gaussian{0.8}}, 1_000_000},
		"tiny losses":        SelfComposed{PoissonSampled{1e-7, Gaussian{5}}, 1000},
		"wide laplace":       SelfComposed{Laplace{0.01}, 50},
		"a huge composition": SelfComposed{PoissonSampled{0.5, Gaussian{1}}, 1 << 29},
		"wide integers":      DiscreteGaussian{1e6, 1},
	} {
		pld, err := NewPLD(e)
		if err != nil {
			if !errors.Is(err, ErrRange) {
				t.Errorf("%s: an untyped refusal: %v", name, err)
			}
			continue
		}
		if points := len(pld.remove.mass); points > maxPoints {
			t.Errorf("%s: %d points", name, points)
		}
		byRDP, err := EpsilonByRDP(e, 1e-5)
		if err != nil {
			t.Fatal(err)
		}
		if eps, err := pld.Epsilon(1e-5); err != nil || eps > byRDP*1.05 {
			t.Errorf("%s: step %g, epsilon %g, by RDP %g, %v", name, pld.Step(), eps, byRDP, err)
		}
	}
	twice := SelfComposed{SelfComposed{Laplace{1}, 1 << 30}, 1 << 30}
	if _, err := NewPLD(twice); !errors.Is(err, ErrEvent) {
		t.Errorf("2^60 releases: %v", err)
	}
	many := make([]Event, maxKinds+1)
	for i := range many {
		many[i] = Laplace{float64(i + 10)}
	}
	if _, err := NewPLD(Composed{many}); !errors.Is(err, ErrEvent) {
		t.Errorf("%d kinds: %v", len(many), err)
	}
}

// A cut that hardly ever happens costs hardly anything, down to
// probabilities that are no normal float64.
func TestRareCutsCostNothing(t *testing.T) {
	t.Parallel()
	want, err := EpsilonByPLD(SelfComposed{PoissonSampled{0.01, Gaussian{2}}, 100}, 1e-6)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range []int{1500, 2300, 2400} {
		e := TruncatedPoisson{0.01, 100_000, batch, 2}
		if got, err := EpsilonByPLD(SelfComposed{e, 100}, 1e-6); err != nil || !relative(got, want, 1e-6) {
			t.Errorf("at most %d records: epsilon %g, uncut %g, %v", batch, got, want, err)
		}
	}
}

func TestPLDArguments(t *testing.T) {
	pld, err := NewPLD(Composed{})
	if err != nil {
		t.Fatal(err)
	}
	if eps, err := pld.Epsilon(1e-9); err != nil || eps != 0 {
		t.Errorf("nothing costs %g, %v", eps, err)
	}
	if eps, err := pld.Epsilon(0); err != nil || !math.IsInf(eps, 1) {
		t.Errorf("delta 0: %g, %v", eps, err)
	}
	for _, delta := range []float64{-1, 1, math.NaN()} {
		if _, err := pld.Epsilon(delta); !errors.Is(err, ErrRange) {
			t.Errorf("a delta of %g: %v", delta, err)
		}
	}
	for _, eps := range []float64{-1, math.NaN(), math.Inf(1)} {
		if _, err := pld.Delta(eps); !errors.Is(err, ErrRange) {
			t.Errorf("an epsilon of %g: %v", eps, err)
		}
	}
	if _, err := NewPLD(nil); !errors.Is(err, ErrEvent) {
		t.Errorf("no event: %v", err)
	}
}
