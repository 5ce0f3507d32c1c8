package optim

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// around makes group means near truth, each off by at most 1 in every coordinate.
func around(r *rand.Rand, truth []float32, groups int) []Group {
	out := make([]Group, groups)
	for k := range out {
		out[k] = Group{Name: string(rune('a' + k)), Devices: 10, Mean: make([]float32, len(truth))}
		for i, v := range truth {
			out[k].Mean[i] = v + 2*r.Float32() - 1
		}
	}
	return out
}

func spoil(g []Group, with float32) {
	for k := range g {
		for i := range g[k].Mean {
			g[k].Mean[i] = with
		}
	}
}

func farthest(x, truth []float32) float64 {
	most := 0.0
	for i := range x {
		most = math.Max(most, math.Abs(float64(x[i])-float64(truth[i])))
	}
	return most
}

// TestBreakdown: up to their breakdown point the rules stay within what honest groups say; one group more moves them
// anywhere. The mean breaks with one.
func TestBreakdown(t *testing.T) {
	rules := []struct {
		name    string
		combine func([]Group) ([]float32, error)
		holds   func(groups int) int
	}{
		{"mean", Mean, func(int) int { return 0 }},
		{"median", Median, func(g int) int { return (g - 1) / 2 }},
		{"trimmed 0.2", func(g []Group) ([]float32, error) { return TrimmedMean(g, 0.2) }, func(g int) int { return g / 5 }},
		{"trimmed 0.4", func(g []Group) ([]float32, error) { return TrimmedMean(g, 0.4) }, func(g int) int { return 2 * g / 5 }},
		{"trimmed 0", func(g []Group) ([]float32, error) { return TrimmedMean(g, 0) }, func(int) int { return 0 }},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, rule := range rules {
		for groups := 3; groups <= 20; groups++ {
			truth := make([]float32, 5)
			for i := range truth {
				truth[i] = 100 * (r.Float32() - 0.5)
			}
			for bad := 0; bad <= rule.holds(groups)+1 && bad <= groups; bad++ {
				g := around(r, truth, groups)
				spoil(g[:bad], 1e30)
				got, err := rule.combine(g)
				if err != nil {
					t.Fatal(err)
				}
				if off := farthest(got, truth); (off <= 1.0001) != (bad <= rule.holds(groups)) {
					t.Errorf("%s of %d groups, %d of them bad: off by %g", rule.name, groups, bad, off)
				}
			}
		}
	}
}

// TestCombine holds each rule's values.
func TestCombine(t *testing.T) {
	g := []Group{{"a", 1, []float32{1, 5}}, {"b", 3, []float32{2, -1}}, {"c", 4, []float32{9, 0}}, {"d", 2, []float32{4, 2}}}
	before := g[0].Mean[0]
	for name, c := range map[string]struct {
		combine func([]Group) ([]float32, error)
		want    []float32
	}{
		"mean":         {Mean, []float32{(1 + 6 + 36 + 8) / 10.0, (5 - 3 + 0 + 4) / 10.0}},
		"median":       {Median, []float32{3, 1}},
		"median of 3":  {func(g []Group) ([]float32, error) { return Median(g[:3]) }, []float32{2, 0}},
		"trimmed 0.25": {func(g []Group) ([]float32, error) { return TrimmedMean(g, 0.25) }, []float32{3, 1}},
		"trimmed 0.24": {func(g []Group) ([]float32, error) { return TrimmedMean(g, 0.24) }, []float32{4, 1.5}},
	} {
		got, err := c.combine(g)
		if err != nil || farthest(got, c.want) > 1e-6 {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
	if g[0].Mean[0] != before {
		t.Error("combining changed a group")
	}
}

func TestCombineRefuses(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for name, g := range map[string][]Group{
		"nothing": nil, "two lengths": {{"a", 1, []float32{1}}, {"b", 1, []float32{1, 2}}}, "nobody": {{"a", 0, []float32{1}}},
		"NaN": {{"a", 1, []float32{1}}, {"b", 1, []float32{nan}}}, "infinite": {{"a", 1, []float32{inf}}},
	} {
		trimmed := func(g []Group) ([]float32, error) { return TrimmedMean(g, 0.1) }
		for k, combine := range []func([]Group) ([]float32, error){Mean, Median, trimmed} {
			if _, err := combine(g); !errors.Is(err, ErrGroups) {
				t.Errorf("%s, rule %d: %v", name, k, err)
			}
		}
	}
	for _, beta := range []float64{-0.1, 0.5, 1, math.NaN()} {
		if _, err := TrimmedMean([]Group{{"a", 1, []float32{1}}}, beta); !errors.Is(err, ErrGroups) {
			t.Errorf("beta %v: %v", beta, err)
		}
	}
}

// TestShortEnough: a boosted group is named, honest ones stay.
func TestShortEnough(t *testing.T) {
	g := []Group{{"honest", 5, []float32{0.6, 0.8}}, {"boosted", 5, []float32{6, 8}}, {"broken", 5, []float32{float32(math.NaN()), 0}}}
	kept, out := ShortEnough(g, func(Group) float64 { return HonestNorm(1, 0, 2, 1e-6) })
	if len(kept) != 1 || kept[0].Name != "honest" || len(out) != 2 || out[0].Name != "boosted" || out[0].Norm != 10 || out[1].Name != "broken" {
		t.Errorf("kept %v, left out %v", kept, out)
	}
}

// TestHonestNorm: with noise, 2,000 honest means of the full clip stay below the bound of miss 2^-40 (false alarm
// 2^-29), and exceed that of miss 1/10 in fewer than a tenth of the cases (by more than 5 standard deviations of the
// count: false alarm 1e-6), so that the bound is one, and in some, so that it is no idle one.
func TestHonestNorm(t *testing.T) {
	const dim, sigma, runs = 60, 0.05, 2000
	r := rand.New(rand.NewPCG(3, 4))
	strict, loose, over := HonestNorm(1, sigma, dim, 0x1p-40), HonestNorm(1, sigma, dim, 0.1), 0
	for range runs {
		square := 0.0
		for i := range dim {
			v := sigma * r.NormFloat64()
			if i == 0 {
				v++
			}
			square += v * v
		}
		if norm := math.Sqrt(square); norm > strict {
			t.Fatalf("an honest mean of norm %g, bound %g", norm, strict)
		} else if norm > loose {
			over++
		}
	}
	if over == 0 || over > runs/10+67 {
		t.Errorf("%d of %d above the bound of miss 0.1", over, runs)
	}
}

// TestMedianEfficiency: of 101 Gaussian values the median's variance is about pi/2 times the mean's. The ratio of the
// variances of 4,000 medians and means is within 10 % of 1.56 except with probability below 1e-3.
func TestMedianEfficiency(t *testing.T) {
	const groups, runs = 101, 4000
	r := rand.New(rand.NewPCG(5, 6))
	g := make([]Group, groups)
	for k := range g {
		g[k] = Group{Devices: 1, Mean: make([]float32, runs)}
		for i := range g[k].Mean {
			g[k].Mean[i] = float32(r.NormFloat64())
		}
	}
	square := func(x []float32, _ error) (sum float64) {
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		return sum
	}
	if ratio := square(Median(g)) / square(Mean(g)); ratio < 1.40 || ratio > 1.72 {
		t.Errorf("the median's variance is %.3f times the mean's", ratio)
	}
}
