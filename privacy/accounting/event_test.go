package accounting

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// leafKinds draw one release each. The first rhoKinds of them have a rho,
// the first rdpKinds a Renyi curve.
var leafKinds = []func(t *rapid.T) Event{
	func(t *rapid.T) Event {
		return ZCDP{Rho: big.NewRat(rapid.Int64Range(0, 1e6).Draw(t, "num"), rapid.Int64Range(1, 1e6).Draw(t, "den"))}
	},
	func(t *rapid.T) Event { return Gaussian{Z: positive(t)} },
	func(t *rapid.T) Event { return Laplace{B: positive(t)} },
	func(t *rapid.T) Event {
		return PureDP{Epsilon: rapid.SampledFrom([]float64{0, 0.01, 0.5, 3}).Draw(t, "epsilon")}
	},
	func(t *rapid.T) Event {
		return DiscreteGaussian{Sigma: positive(t), Sensitivity: rapid.IntRange(0, 9).Draw(t, "sensitivity")}
	},
	func(t *rapid.T) Event {
		return DiscreteLaplace{A: positive(t), Sensitivity: rapid.IntRange(0, 9).Draw(t, "sensitivity")}
	},
	func(t *rapid.T) Event {
		return TreeSingleEpoch{Z: positive(t), Steps: rapid.IntRange(1, 4096).Draw(t, "steps")}
	},
	func(t *rapid.T) Event { return anySum(t) },
	func(t *rapid.T) Event {
		return ToeplitzMF{SqrtToeplitz(rapid.IntRange(1, 9).Draw(t, "bands")), 20, 2, 10, positive(t)}
	},
	func(t *rapid.T) Event {
		return BLTMF{BLT{[]float64{0.9, rapid.Float64Range(0, 1).Draw(t, "theta")}, []float64{0.2, 0.3}}, 20, 2, 10, positive(t)}
	},
	// no rho from here on
	func(t *rapid.T) Event { return SkellamSum(anySum(t)) },
	func(t *rapid.T) Event {
		return PoissonSampled{rapid.Float64Range(0, 1).Draw(t, "q"), sampleable[rapid.IntRange(0, len(sampleable)-1).Draw(t, "inner")](positive(t))}
	},
	func(t *rapid.T) Event {
		return SampledWithoutReplacement{1000, rapid.IntRange(0, 1000).Draw(t, "b"), Gaussian{positive(t)}}
	},
	// no Renyi curve from here on
	func(t *rapid.T) Event { return EpsilonDelta{rapid.Float64Range(0.01, 3).Draw(t, "epsilon"), 1e-9} },
	func(t *rapid.T) Event { return PoissonReplaced{rapid.Float64Range(0, 1).Draw(t, "q"), positive(t)} },
	func(t *rapid.T) Event {
		return TruncatedPoisson{rapid.Float64Range(0, 1).Draw(t, "q"), 1000, rapid.IntRange(1, 1000).Draw(t, "b"), positive(t)}
	},
}

const (
	rhoKinds = 10
	rdpKinds = 13
)

func positive(t *rapid.T) float64 { return rapid.Float64Range(0.1, 50).Draw(t, "noise") }

func anySum(t *rapid.T) DiscreteGaussianSum {
	variance := big.NewRat(rapid.Int64Range(16, 1e6).Draw(t, "sigma2"), 7)
	return DiscreteGaussianSum{L2: big.NewRat(8194, 1), Sigma2: variance.Add(variance, big.NewRat(49, 3)),
		Shares: rapid.IntRange(1, 500).Draw(t, "shares"), Dim: 36864}
}

// sampleable are the mechanisms that both accountants take a sample of.
var sampleable = []func(noise float64) Event{
	func(noise float64) Event { return Gaussian{noise} },
	func(noise float64) Event { return Laplace{noise} },
	func(noise float64) Event { return DiscreteGaussian{noise, 2} },
	func(noise float64) Event { return DiscreteLaplace{noise, 2} },
}

func anyLeaf(t *rapid.T, kinds int) Event {
	return leafKinds[rapid.IntRange(0, kinds-1).Draw(t, "kind")](t)
}

// anyEvent draws a tree, of at most the given depth, of the first kinds.
func anyEvent(t *rapid.T, depth, kinds int) Event {
	shape := rapid.IntRange(0, 3).Draw(t, "shape")
	switch {
	case depth > 0 && shape == 0:
		return SelfComposed{Event: anyEvent(t, depth-1, kinds), Count: rapid.IntRange(0, 20).Draw(t, "count")}
	case depth > 0 && shape == 1:
		parts := make([]Event, rapid.IntRange(0, 4).Draw(t, "parts"))
		for i := range parts {
			parts[i] = anyEvent(t, depth-1, kinds)
		}
		return Composed{Events: parts}
	}
	return anyLeaf(t, kinds)
}

func mustRho(t interface{ Fatal(...any) }, e Event) *big.Rat {
	rho, err := Rho(e)
	if err != nil {
		t.Fatal(err)
	}
	return rho
}

// Google's dp_accounting 0.6.0 loses the count of two self-composed events;
// ours is a property: Self(e, n) == Composed([e] * n), in every notion.
func TestSelfComposedIsComposed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t, 2, rdpKinds)
		n := rapid.IntRange(0, 9).Draw(t, "n")
		parts := make([]Event, n)
		for i := range parts {
			parts[i] = e
		}
		self, composed := SelfComposed{Event: e, Count: n}, Composed{Events: parts}
		rhoA, errA := Rho(self)
		rhoB, errB := Rho(composed)
		if n > 0 && (errA == nil) != (errB == nil) || errA == nil && errB == nil && rhoA.Cmp(rhoB) != 0 {
			t.Fatalf("rho %v, %v and %v, %v", rhoA, errA, rhoB, errB)
		}
		orders := []float64{1.5, 4, 64}
		a, err := RDP(self, orders)
		if err != nil {
			t.Fatal(err)
		}
		b, err := RDP(composed, orders)
		if err != nil {
			t.Fatal(err)
		}
		for i := range orders {
			if !relative(a.Values[i], b.Values[i], 1e-12) {
				t.Fatalf("order %g: %g and %g", orders[i], a.Values[i], b.Values[i])
			}
		}
		pa, errA := PureEpsilon(self)
		pb, errB := PureEpsilon(composed)
		if n > 0 && (errA == nil) != (errB == nil) || errA == nil && errB == nil && !relative(pa, pb, 1e-12) {
			t.Fatalf("pure epsilon %g, %v and %g, %v", pa, errA, pb, errB)
		}
	})
}

// More releases never cost less, and a Renyi curve is never above rho a.
func TestCompositionIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, more := anyEvent(t, 2, rhoKinds), anyEvent(t, 1, rhoKinds)
		both := Composed{Events: []Event{e, more}}
		if mustRho(t, both).Cmp(mustRho(t, e)) < 0 {
			t.Fatal("rho fell by composition")
		}
		one, err := RDP(e, []float64{2, 8})
		if err != nil {
			t.Fatal(err)
		}
		two, err := RDP(both, []float64{2, 8})
		if err != nil {
			t.Fatal(err)
		}
		rho, _ := mustRho(t, e).Float64()
		for i, a := range one.Orders {
			if two.Values[i] < one.Values[i] {
				t.Fatal("a Renyi divergence fell by composition")
			}
			if one.Values[i] > rho*a*(1+1e-12)+1e-15 {
				t.Fatalf("%v: %g at order %g is above rho a = %g", e, one.Values[i], a, rho*a)
			}
		}
	})
}

func TestRhoIsExact(t *testing.T) {
	for _, test := range []struct {
		event Event
		want  string
	}{
		{Gaussian{Z: 0.65}, "200/169"}, // 1/(2 * (13/20)^2)
		{SelfComposed{Event: Gaussian{Z: 0.1}, Count: 3}, "150/1"},
		{Laplace{B: 10}, "1/200"},
		{PureDP{Epsilon: 0.5}, "1/8"},
		{DiscreteGaussian{Sigma: 10, Sensitivity: 3}, "9/200"},
		{TreeSingleEpoch{Z: 1, Steps: 2047}, "11/2"},
		{TreeSingleEpoch{Z: 1, Steps: 2048}, "6/1"},
		{DiscreteGaussianSum{L2: big.NewRat(8194, 1), Sigma2: big.NewRat(671416360, 7), Shares: 50, Dim: 36864}, "7/1000"},
		{Composed{}, "0/1"},
	} {
		if got := FormatRho(mustRho(t, test.event)); got != test.want {
			t.Errorf("%#v: rho %s, want %s", test.event, got, test.want)
		}
	}
}

func TestEventsOutOfRangeAreRefused(t *testing.T) {
	nan, huge := math.NaN(), new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), 1100))
	for _, e := range []Event{
		nil,
		ZCDP{},
		ZCDP{Rho: big.NewRat(-1, 2)},
		Gaussian{}, Gaussian{Z: -1}, Gaussian{Z: nan}, Gaussian{Z: math.Inf(1)},
		Laplace{}, Laplace{B: nan},
		PureDP{Epsilon: -1}, PureDP{Epsilon: nan},
		DiscreteGaussian{Sigma: 0, Sensitivity: 1}, DiscreteGaussian{Sigma: 1, Sensitivity: -1},
		TreeSingleEpoch{Z: 1}, TreeSingleEpoch{Steps: 4},
		DiscreteGaussianSum{},
		DiscreteGaussianSum{L2: big.NewRat(1, 1), Sigma2: big.NewRat(16, 1), Dim: 1},
		DiscreteGaussianSum{L2: huge, Sigma2: huge, Shares: 1, Dim: 1}, // no ratio of float64
		DiscreteGaussianSum{L2: new(big.Rat), Sigma2: new(big.Rat).Inv(huge), Shares: 1, Dim: 1},
		SelfComposed{Count: 1}, SelfComposed{Event: Gaussian{Z: 1}, Count: -1},
		Composed{Events: []Event{Gaussian{Z: 1}, nil}},
	} {
		if rho, err := Rho(e); !errors.Is(err, ErrEvent) {
			t.Errorf("%#v: rho %v, %v", e, rho, err)
		}
		if _, err := RDP(e, []float64{2}); !errors.Is(err, ErrEvent) {
			t.Errorf("%#v: a Renyi curve, %v", e, err)
		}
		if raw, err := EncodeEvent(e); !errors.Is(err, ErrEvent) { // no rho would be read as none lost
			t.Errorf("%#v is written as %s, %v", e, raw, err)
		}
	}
	for _, order := range []float64{1, 0.5, nan, math.Inf(1)} {
		if _, err := RDP(Gaussian{Z: 1}, []float64{order}); !errors.Is(err, ErrRange) {
			t.Errorf("order %g: %v", order, err)
		}
	}
}

func TestNotionsRefuseForeignEvents(t *testing.T) {
	if _, err := PureEpsilon(Composed{Events: []Event{PureDP{Epsilon: 1}, Gaussian{Z: 1}}}); !errors.Is(err, ErrEvent) {
		t.Errorf("a Gaussian has a pure epsilon: %v", err)
	}
	if eps, err := PureEpsilon(Composed{Events: []Event{PureDP{Epsilon: 1}, Laplace{B: 2}, PureDP{}}}); err != nil || eps != 1.5 {
		t.Errorf("pure epsilon %g, %v; want 1.5", eps, err)
	}
	for _, e := range []Event{Laplace{B: 1}, SelfComposed{Event: ZCDP{Rho: big.NewRat(1, 1)}, Count: 2}} {
		if _, err := Mu(e); !errors.Is(err, ErrEvent) {
			t.Errorf("%#v has a mu: %v", e, err)
		}
	}
	mu, err := Mu(Composed{Events: []Event{Gaussian{Z: 0.5}, Gaussian{Z: 2}}})
	if err != nil || !relative(mu, math.Sqrt(4.25), 1e-15) {
		t.Errorf("mu %g, %v", mu, err)
	}
}

func TestEventJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anyEvent(t, 3, len(leafKinds))
		b, err := EncodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeEvent(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		was, errWas := Rho(e)
		is, errIs := Rho(got)
		if (errWas == nil) != (errIs == nil) || errIs == nil && was.Cmp(is) != 0 {
			t.Fatalf("%s: rho %v, %v became %v, %v", b, was, errWas, is, errIs)
		}
		again, err := EncodeEvent(got)
		if err != nil || string(again) != string(b) {
			t.Fatalf("%s became %s, %v", b, again, err)
		}
	})
	if _, err := EncodeEvent(SelfComposed{}); !errors.Is(err, ErrEvent) {
		t.Errorf("an event without its part is written: %v", err)
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	var unknown *UnknownEventError
	if _, err := DecodeEvent([]byte(`{"type":"composed","events":[{"type":"exponential_mechanism","epsilon":0.5}]}`)); !errors.As(err, &unknown) ||
		unknown.Type != "exponential_mechanism" || !errors.Is(err, ErrEvent) {
		t.Errorf("an unknown event inside a composition: %v", err)
	}
	deep := strings.Repeat(`{"type":"self_composed","count":1,"event":`, 17) + `{"type":"gaussian","noise_multiplier":1}` + strings.Repeat("}", 17)
	for name, text := range map[string]string{
		"empty":              ``,
		"not an object":      `[]`,
		"no type":            `{}`,
		"two values":         `{"type":"gaussian","noise_multiplier":1} {}`,
		"no multiplier":      `{"type":"gaussian"}`,
		"null multiplier":    `{"type":"gaussian","noise_multiplier":null}`,
		"zero multiplier":    `{"type":"gaussian","noise_multiplier":0}`,
		"unknown field":      `{"type":"gaussian","noise_multiplier":1,"q":0.1}`,
		"foreign field":      `{"type":"gaussian","noise_multiplier":1,"rho":"1/2"}`,
		"half a group":       `{"type":"discrete_gaussian","sigma":1}`,
		"negative rho":       `{"type":"zcdp","rho":"-1/2"}`,
		"rho over zero":      `{"type":"zcdp","rho":"1/0"}`,
		"rho too large":      `{"type":"zcdp","rho":"1e1000000000"}`,
		"rho a word":         `{"type":"zcdp","rho":"half"}`,
		"negative count":     `{"type":"self_composed","count":-1,"event":{"type":"gaussian","noise_multiplier":1}}`,
		"huge count":         `{"type":"self_composed","count":1073741825,"event":{"type":"gaussian","noise_multiplier":1}}`,
		"too deep":           deep,
		"q above one":        `{"type":"poisson_sampled","q":1.5,"event":{"type":"gaussian","noise_multiplier":1}}`,
		"sample of a sample": `{"type":"poisson_sampled","q":0.5,"event":{"type":"poisson_sampled","q":0.5,"event":{"type":"gaussian","noise_multiplier":1}}}`,
		"sample too large":   `{"type":"sampled_wor","n":10,"b":11,"event":{"type":"gaussian","noise_multiplier":1}}`,
		"delta of one":       `{"type":"epsilon_delta","epsilon":1,"delta":1}`,
		"rising matrix":      `{"type":"toeplitz_mf","coefficients":[1,1.1],"n":5,"min_sep":5,"max_part":1,"noise_multiplier":1}`,
		"theta above one":    `{"type":"blt_mf","theta":[1.1],"omega":[0.1],"n":5,"min_sep":5,"max_part":1,"noise_multiplier":1}`,
		"type in capitals":   `{"Type":"gaussian","noise_multiplier":1}`,
		"too long":           `"` + strings.Repeat("x", maxEventBytes) + `"`,
	} {
		if e, err := DecodeEvent([]byte(text)); !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	e, err := DecodeEvent([]byte(`{"type":"zcdp","rho":0.25}`))
	if err != nil || !reflect.DeepEqual(e, ZCDP{Rho: big.NewRat(1, 4)}) {
		t.Errorf("a rho as a number: %v, %v", e, err)
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add([]byte(`{"type":"composed","events":[{"type":"zcdp","rho":"1/3"},{"type":"laplace","noise_multiplier":2}]}`))
	f.Add([]byte(`{"type":"self_composed","count":9,"event":{"type":"tree_single_epoch","noise_multiplier":7,"steps":100}}`))
	f.Add([]byte(`{"type":"discrete_gaussian_sum","l2":"8194/1","sigma2":"1001/7","shares":50,"dim":36864}`))
	for _, build := range everyKind {
		if raw, err := EncodeEvent(build(2)); err == nil {
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEvent(b)
		if err != nil {
			return
		}
		if rho, err := Rho(e); err == nil && rho.Sign() < 0 {
			t.Fatalf("%s: rho %v", b, rho)
		}
		again, err := EncodeEvent(e)
		if err != nil || !json.Valid(again) {
			t.Fatalf("%s: %s, %v", b, again, err)
		}
		read, err := DecodeEvent(again)
		if err != nil {
			t.Fatalf("%s is not read back: %v", again, err)
		}
		if twice, err := EncodeEvent(read); err != nil || string(twice) != string(again) {
			t.Fatalf("%s became %s, %v", again, twice, err)
		}
		for a := range 3 { // an accountant answers or refuses with the typed error
			value, err := e.rdp(1.5 + float64(a))
			if err != nil && !errors.Is(err, ErrEvent) || err == nil && !(value >= 0) {
				t.Fatalf("%s: divergence %g, %v", b, value, err)
			}
		}
	})
}

func TestParseRho(t *testing.T) {
	for text, want := range map[string]string{
		"7/1000": "7/1000", "14/2000": "7/1000", "0/1": "0/1", "0.25": "1/4", "1e-3": "1/1000", "2E2": "200/1", "3": "3/1", "0": "0/1",
	} {
		if r, err := ParseRho(text); err != nil || FormatRho(r) != want {
			t.Errorf("%q: %v, %v", text, r, err)
		}
	}
	for _, text := range []string{
		"", "-1", "+1", "1/-2", "1/0", "010/1", "0x10", "1_000", "01", ".5", "5.", "1e", "1e401", "1e-99999999999", "1.2/3",
		"1/2/3", "inf", "NaN", " 1", strings.Repeat("9", maxRho+1),
	} {
		if r, err := ParseRho(text); !errors.Is(err, ErrRange) {
			t.Errorf("%.20q is read as %v, %v", text, r, err)
		}
	}
	if FormatRho(nil) != "0/1" {
		t.Error("nil is not zero")
	}
}
