package plan

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tutti/privacy/mechanism"
)

func value(t *testing.T, names []string, f Facts, name string) float32 {
	t.Helper()
	i := slices.Index(names, name)
	if i < 0 {
		t.Fatalf("%q is not in %v", name, names)
	}
	return (&Metrics{Names: names}).Values(f)[i]
}

// TestValues: what one device adds, by hand.
func TestValues(t *testing.T) {
	names := MetricsGroups.Names()
	good := Facts{Hit10: 1, NDCG10: 0.5, MRR: 0.25, Loss: 1.5, Norm: 2, Clip: 3, Events: 10, Popular: 0.5}
	edit := func(do func(*Facts)) Facts { f := good; do(&f); return f }
	for _, c := range []struct {
		what, name string
		f          Facts
		want       float32
	}{
		{"a hit", "hit10", good, 0.5}, {"NDCG", "ndcg10", good, 0}, {"the reciprocal rank", "mrr", good, -0.25}, {"counted", "evaluated", good, 0.5},
		{"no hit", "hit10", edit(func(f *Facts) { f.Hit10 = 0 }), -0.5},
		{"loss", "loss", good, 0.25}, {"a huge loss", "loss", edit(func(f *Facts) { f.Loss = 1e30 }), 0.5}, {"no loss at all", "loss", edit(func(f *Facts) { f.Loss = 0 }), -0.5},
		{"a NaN loss", "loss", edit(func(f *Facts) { f.Loss = math.NaN() }), 0}, {"its count", "trained", edit(func(f *Facts) { f.Loss = math.NaN() }), -0.5},
		{"an infinite loss", "loss", edit(func(f *Facts) { f.Loss = math.Inf(1) }), 0}, {"its count", "trained", edit(func(f *Facts) { f.Loss = math.Inf(-1) }), -0.5},
		{"quality with one NaN", "hit10", edit(func(f *Facts) { f.MRR = math.NaN() }), 0}, {"its count", "evaluated", edit(func(f *Facts) { f.MRR = math.Inf(1) }), -0.5},
		{"within the clip", "clip", good, 0.5}, {"on it", "clip", edit(func(f *Facts) { f.Norm = 3 }), 0.5}, {"above it", "clip", edit(func(f *Facts) { f.Norm = 3.1 }), -0.5},
		{"nothing learned", "clip", edit(func(f *Facts) { f.Norm = 0 }), 0}, {"a NaN norm", "clip", edit(func(f *Facts) { f.Norm = math.NaN() }), 0},
		{"short", "history.short.in", good, 0.5}, {"not medium", "history.medium.in", good, 0}, {"a hit of the short", "history.short.hit10", good, 0.5}, {"none of the long", "history.long.hit10", good, 0},
		{"medium", "history.medium.in", edit(func(f *Facts) { f.Events = 11 }), 0.5}, {"long", "history.long.in", edit(func(f *Facts) { f.Events = 51 }), 0.5},
		{"mainstream", "taste.mainstream.in", good, 0.5}, {"niche", "taste.niche.ndcg10", edit(func(f *Facts) { f.Popular, f.NDCG10 = 0.49, 1 }), 0.5},
		{"no taste known", "taste.niche.in", edit(func(f *Facts) { f.Popular = math.NaN() }), 0}, {"not evaluated", "history.short.in", edit(func(f *Facts) { f.Hit10 = math.NaN() }), 0},
	} {
		if got := value(t, names, c.f, c.name); got != c.want {
			t.Errorf("%s (%s): %v, want %v", c.what, c.name, got, c.want)
		}
	}
	for i, x := range (&Metrics{Names: names}).Values(Unknown()) {
		if want := map[string]float32{"evaluated": -0.5, "trained": -0.5}[names[i]]; x != want {
			t.Errorf("a device that knows nothing adds %v to %s", x, names[i])
		}
	}
}

// TestValuesBounded: whatever the facts are, no coordinate leaves [-1/2, 1/2] and the norm stays within the design's clip.
func TestValuesBounded(t *testing.T) {
	odd := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1, 2), rapid.Just(math.NaN()), rapid.Just(math.Inf(1)), rapid.Just(math.Inf(-1)))
	sets := map[MetricSet]float64{MetricsClip: 0.5, MetricsBasic: math.Sqrt(7) / 2, MetricsGroups: math.Sqrt(13) / 2}
	rapid.Check(t, func(t *rapid.T) {
		f := Facts{odd.Draw(t, "hit"), odd.Draw(t, "ndcg"), odd.Draw(t, "mrr"), odd.Draw(t, "loss"), odd.Draw(t, "norm"), odd.Draw(t, "clip"),
			rapid.IntRange(0, 100).Draw(t, "events"), odd.Draw(t, "popular")}
		for set, bound := range sets {
			square := 0.0
			for i, x := range (&Metrics{Names: set.Names()}).Values(f) {
				if !(x >= -0.5 && x <= 0.5) {
					t.Fatalf("%s of %+v is %v", set.Names()[i], f, x)
				}
				square += float64(x) * float64(x)
			}
			if math.Sqrt(square) > bound || longest(set.Names()) != bound {
				t.Fatalf("%s: norm %v, clip %v, want %v", set, math.Sqrt(square), longest(set.Names()), bound)
			}
		}
	})
}

// TestFigures: exact sums give exact means.
func TestFigures(t *testing.T) {
	m := &Metrics{Names: MetricsGroups.Names()}
	sum := make([]float32, len(m.Names))
	facts := []Facts{
		{Hit10: 1, NDCG10: 1, MRR: 1, Loss: 1, Norm: 1, Clip: 2, Events: 3, Popular: 1},
		{Hit10: 0, NDCG10: 0, MRR: 0.1, Loss: 0.5, Norm: 3, Clip: 2, Events: 30, Popular: 0.1},
		{Hit10: 1, NDCG10: 0.5, MRR: 0.4, Loss: math.NaN(), Norm: 1, Clip: 2, Events: 60, Popular: 0.9},
		Unknown(),
	}
	for _, f := range facts {
		for i, x := range m.Values(f) {
			sum[i] += x
		}
	}
	want := map[string]float64{"evaluated": 3, "hit10": 2. / 3, "ndcg10": 0.5, "mrr": 0.5, "trained": 2, "loss": 0.75, "clip": 0.625,
		"history.short.in": 1, "history.short.hit10": 1, "history.medium.hit10": 0, "history.long.ndcg10": 0.5,
		"taste.mainstream.in": 2, "taste.mainstream.ndcg10": 0.75, "taste.niche.hit10": 0}
	for _, f := range m.Figures(sum, len(facts), 0) {
		if x, asked := want[f.Name]; asked && (math.Abs(f.Value-x) > 1e-6 || math.Abs(f.Low-x) > 1e-6 || math.Abs(f.High-x) > 1e-6) {
			t.Errorf("%s: %+v, want %v", f.Name, f, x)
		}
	}
	for _, f := range m.Figures(sum, len(facts), 1e6) {
		if f.Name != "evaluated" && (f.Low != 0 || f.High < 1) {
			t.Errorf("noise drowns %s, and it claims to know %+v", f.Name, f)
		}
	}
}

// TestFigureCoverage: 2,000 noised sums; a 95 % interval misses the truth in 100 of them on average. More than 160, 6
// standard deviations, has a probability below 1e-8 per metric, and so does fewer than 40 for the metrics that no bound
// of their range cuts.
func TestFigureCoverage(t *testing.T) {
	m := &Metrics{Names: []string{"evaluated", "hit10", "clip", "history.short.in", "history.short.ndcg10"}}
	exact := []float32{300 - 250, -0.1 * 300, 50, 100, 0.1 * 200} // of 500 devices: 300 evaluated, 40 % hits, 60 % within the clip, 200 short, NDCG .6
	truth := []float64{300, 0.4, 0.6, 200, 0.6}
	const noise, runs = 15, 2000
	random := rand.New(rand.NewPCG(3, 4))
	missed := make([]int, len(truth))
	for range runs {
		sum := slices.Clone(exact)
		for i := range sum {
			sum[i] += float32(noise * random.NormFloat64())
		}
		for i, f := range m.Figures(sum, 500, noise) {
			if truth[i] < f.Low || truth[i] > f.High {
				missed[i]++
			}
		}
	}
	for i, n := range missed {
		if n > 160 || n < 40 {
			t.Errorf("%s: %d of %d intervals miss", m.Names[i], n, runs)
		}
	}
}

func TestDesignMetrics(t *testing.T) {
	main := design(t, nil)
	m, err := DesignMetrics(MetricsBasic.Names(), main, main.Rho(), [32]byte{1})
	if err != nil || m.Mechanism.PaddedDim != 8 || !m.Mechanism.Unmetered || !m.Mechanism.Noise || m.Mechanism.Rho().Cmp(main.Rho()) > 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	for name, names := range map[string][]string{
		"no metrics": nil, "one that nobody knows": {"clip", "heartbeat"}, "a mean without its count": {"hit10"}, "one twice": {"clip", "clip"},
		"too many": slices.Repeat([]string{"clip"}, MaxMetrics+1),
	} {
		if _, err := DesignMetrics(names, main, main.Rho(), [32]byte{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := DesignMetrics([]string{"heartbeat"}, main, nil, [32]byte{}); !errors.Is(err, ErrPlan) {
		t.Errorf("an unknown metric: %v", err)
	}
	var rule *mechanism.RuleError
	tiny := new(big.Rat).Mul(main.Rho(), big.NewRat(1, 1_000_000_000))
	if _, err := DesignMetrics([]string{"clip"}, main, tiny, [32]byte{}); !errors.As(err, &rule) {
		t.Errorf("noise that no sum carries: %v", err)
	}
	if MetricsOff.Names() != nil || MetricSet("all").Names() != nil {
		t.Error("names of no set")
	}
	if !(&Metrics{Names: MetricsBasic.Names()}).Asks() || (&Metrics{Names: MetricsClip.Names()}).Asks() || (*Metrics)(nil).Asks() {
		t.Error("who holds back an event")
	}
}
