package plan

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tutti/aggregation"
	"tutti/privacy/accounting"
)

func split(t testing.TB, w Wish) Split {
	t.Helper()
	s, err := PlanSplit(w)
	if err != nil {
		t.Fatalf("%+v: %v", w, err)
	}
	return s
}

func TestCohort(t *testing.T) {
	for _, c := range []struct{ goal, nMin, nMax, colluders int }{
		{100, 70, 130, 7}, {6040, 4228, 7852, 393}, {10, 7, 13, 1}, {400, 280, 520, 26}, {1, 1, 2, 1},
	} {
		if a, b, d := Cohort(c.goal); a != c.nMin || b != c.nMax || d != c.colluders {
			t.Errorf("goal %d: n_min %d, n_max %d, t_c %d, want %+v", c.goal, a, b, d, c)
		}
	}
}

func TestDefaultDelta(t *testing.T) {
	for n, want := range map[int]string{1: "1e-06", 100_000: "1e-06", 100_001: "9e-07", 250_000: "4e-07", 1_000_000: "1e-07", 1 << 20: "9e-08"} {
		got := DefaultDelta(n)
		if got != want || !deltaFits(got, n) {
			t.Errorf("%d devices: %s, want %s", n, got, want)
		}
		if x := mustFloat(got); x > accounting.ClaimDelta(n) {
			t.Errorf("%d devices: %g is above the rule's %g", n, x, accounting.ClaimDelta(n))
		}
	}
}

// TestBlockTable holds the study's table of N*mu and k, and what lies around it.
func TestBlockTable(t *testing.T) {
	for _, c := range []struct {
		strength float64
		k        int
	}{{0, 16}, {-1, 16}, {math.NaN(), 16}, {50, 16}, {330, 84}, {500, 128}, {1_600, 256}, {3_000, 512}, {5_600, 750}, {10_000, 1_000}, {30_000, 2_000}, {100_000, 4_096}, {1e9, 4_096}} {
		if got := BlockSize(c.strength); got != c.k {
			t.Errorf("strength %v: k = %d, want %d", c.strength, got, c.k)
		}
	}
}

// TestStudy: 6,040 devices and the study's network. Under its own accounting epsilon 8 gave mu 1.666 and N*mu 10,060,
// where model rounds helped, epsilon 2 gave 3,030, where they hurt. The claim told here is more careful, so the same
// epsilon is worth less, and the advice must not be more daring.
func TestStudy(t *testing.T) {
	for _, c := range []struct {
		epsilon  float64
		advice   Advice
		strength float64 // by a second program: rho by a grid over the order, then 6040 sqrt(2 rho (4228-393)/6040)
		k        int
	}{
		{8, AdviceAll, 6_982, 751}, {4, AdviceStatistics, 3_796, 581}, {2, AdviceStatistics, 2_021, 315}, {1, AdviceStatistics, 1_062, 190}, {0.2, AdvicePopularity, 234, 0},
	} {
		s := split(t, Wish{Goal: 6040, Epsilon: c.epsilon, Items: 3706, Dim: studyDim})
		if s.Advice != c.advice || math.Abs(s.Strength/c.strength-1) > 0.001 || s.Block-c.k > 1 || c.k-s.Block > 1 {
			t.Errorf("epsilon %g: %s, strength %.0f, k %d, want %+v", c.epsilon, s.Advice, s.Strength, s.Block, c)
		}
		x, _ := s.Rho.Float64()
		if eff := math.Sqrt(2*x) * math.Sqrt(float64(4228-393)/6040); math.Abs(s.Effective/eff-1) > 1e-12 {
			t.Errorf("effective mu %g, by hand %g", s.Effective, eff)
		}
	}
}

func TestSplitShares(t *testing.T) {
	all := split(t, Wish{Goal: 100_000, Epsilon: 8, Items: 5000, Dim: studyDim})
	part := func(x *big.Rat) float64 {
		f, _ := new(big.Rat).Quo(x, all.Rho).Float64()
		return f
	}
	if part(all.Telemetry) != 0.02 || part(all.Popularity) != 0.0225 || part(all.Transitions) != 0.6511 || part(all.Model) != 0.3064 || all.Rounds != manyRounds || all.Advice != AdviceAll {
		t.Errorf("shares %.4f %.4f %.4f %.4f, %d rounds, %s", part(all.Telemetry), part(all.Popularity), part(all.Transitions), part(all.Model), all.Rounds, all.Advice)
	}
	few := split(t, Wish{Goal: 6040, Epsilon: 8, Items: 3706, Dim: studyDim})
	if few.Rounds != fewRounds {
		t.Errorf("just above the threshold: %d rounds", few.Rounds)
	}
	stats := split(t, Wish{Goal: 6040, Epsilon: 2, Items: 3706, Dim: studyDim})
	if stats.Model.Sign() != 0 || stats.Rounds != 0 || stats.Round.Sign() != 0 {
		t.Errorf("model rounds against the advice: %d", stats.Rounds)
	}
	forced := split(t, Wish{Goal: 300, Epsilon: 8, Items: 500, Dim: 4000, Rounds: 10, Model: ModelForce})
	if forced.Advice != AdviceStatistics || forced.Rounds != 10 || forced.Model.Sign() == 0 || !strings.Contains(strings.Join(forced.Sentences, " "), "against this advice") {
		t.Errorf("forced: %+v", forced)
	}
	if off := split(t, Wish{Goal: 100_000, Epsilon: 8, Items: 5000, Dim: 4000, Model: ModelOff}); off.Rounds != 0 || off.Model.Sign() != 0 {
		t.Errorf("off: %d rounds", off.Rounds)
	}
	small := split(t, Wish{Goal: 100, Epsilon: 1, Items: 500, Dim: 4000})
	if small.Advice != AdvicePopularity || small.Transitions.Sign() != 0 || small.Block != 0 || small.Popularity.Cmp(new(big.Rat).Mul(small.Rho, big.NewRat(98, 100))) != 0 {
		t.Errorf("100 devices at epsilon 1: %+v", small)
	}
	if none := split(t, Wish{Goal: 6040, Epsilon: 8, Items: 300}); none.Advice != AdviceNoTrainable || none.Rounds != 0 || none.Block != 300 {
		t.Errorf("nothing to train: %+v", none)
	}
}

// TestSplitProperties: shares are exact and non-negative, the claim stays within epsilon, and more devices or more
// epsilon never make less of anything that they should make more of.
func TestSplitProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := Wish{
			Goal: rapid.IntRange(3, 1<<17).Draw(rt, "goal"), Epsilon: rapid.Float64Range(0.1, 20).Draw(rt, "epsilon"),
			Items: rapid.IntRange(1, 20000).Draw(rt, "items"), Dim: rapid.IntRange(0, 400_000).Draw(rt, "dim"),
			Rounds: rapid.IntRange(0, 100).Draw(rt, "rounds"), Model: Choice(rapid.IntRange(0, 2).Draw(rt, "choice")),
			Metrics: rapid.SampledFrom([]MetricSet{"", MetricsOff, MetricsAuto}).Draw(rt, "metrics"),
		}
		s, err := PlanSplit(w)
		if err != nil {
			rt.Fatal(err)
		}
		sum := new(big.Rat).Add(s.Telemetry, s.Popularity)
		sum.Add(sum, s.Transitions)
		sum.Add(sum, new(big.Rat).Mul(s.Round, big.NewRat(int64(s.Rounds), 1)))
		sum.Add(sum, s.Measure.Total())
		if sum.Cmp(s.Rho) != 0 {
			rt.Fatalf("shares add up to %v of %v", sum, s.Rho)
		}
		for _, x := range []*big.Rat{s.Telemetry, s.Popularity, s.Transitions, s.Model, s.Round} {
			if x.Sign() < 0 {
				rt.Fatalf("a negative share: %+v", s)
			}
		}
		if eps, err := accounting.EpsilonFromRho(s.Rho, mustFloat(s.Delta)); err != nil || eps > w.Epsilon {
			rt.Fatalf("epsilon %g of %g, %v", eps, w.Epsilon, err)
		}
		if !deltaFits(s.Delta, s.NMax) || s.Block > w.Items || len(s.Sentences) < 3 {
			rt.Fatalf("%+v", s)
		}
		more := w
		if rapid.Bool().Draw(rt, "more devices") {
			more.Goal *= 2
		} else {
			more.Epsilon *= 2
		}
		m, err := PlanSplit(more)
		if err != nil {
			rt.Fatal(err)
		}
		if m.Strength <= s.Strength || m.Advice == AdvicePopularity && s.Advice != AdvicePopularity || m.Advice == AdviceStatistics && s.Advice == AdviceAll {
			rt.Fatalf("more made less: %+v then %+v", s, m)
		}
		if m.Rounds == s.Rounds && m.Block < s.Block {
			rt.Fatalf("the block shrank: %d to %d", s.Block, m.Block)
		}
	})
}

func TestSplitRefuses(t *testing.T) {
	good := Wish{Goal: 1000, Epsilon: 8, Items: 100, Dim: 10}
	for name, change := range map[string]func(*Wish){
		"no devices":       func(w *Wish) { w.Goal = 0 },
		"two devices":      func(w *Wish) { w.Goal = 2 },
		"too many":         func(w *Wish) { w.Goal = 1<<20 + 1 },
		"epsilon 0":        func(w *Wish) { w.Epsilon = 0 },
		"epsilon NaN":      func(w *Wish) { w.Epsilon = math.NaN() },
		"epsilon infinite": func(w *Wish) { w.Epsilon = math.Inf(1) },
		"no items":         func(w *Wish) { w.Items = 0 },
		"negative dim":     func(w *Wish) { w.Dim = -1 },
		"delta too large":  func(w *Wish) { w.Delta = "1e-05" },
		"adaptive stream":  func(w *Wish) { w.Trust, w.AdaptiveClip = TrustCentralMF, true },
		"no such metrics":  func(w *Wish) { w.Metrics, w.Model = "all", ModelForce },
		"delta no decimal": func(w *Wish) { w.Delta = "small" },
	} {
		w := good
		change(&w)
		if _, err := PlanSplit(w); !errors.Is(err, ErrSplit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPopularityShare: scarce tasks spend more of their budget on choosing the block, and the share never jumps.
func TestPopularityShare(t *testing.T) {
	for _, c := range []struct {
		strength float64
		share    int64
	}{{0, 2000}, {800, 2000}, {5_600, 225}, {1e6, 225}} {
		if got := popularityShare(c.strength); got != c.share {
			t.Errorf("strength %v: %d, want %d", c.strength, got, c.share)
		}
	}
	last := popularityShare(800)
	for s := 810.0; s < 5_700; s += 10 {
		next := popularityShare(s)
		if next > last || last-next > 30 {
			t.Fatalf("strength %v: from %d to %d", s, last, next)
		}
		last = next
	}
}

// TestColluders: t_c is 5 % of n_max, and more where more corrupt devices are enrolled than that, as rule 1 counts them.
func TestColluders(t *testing.T) {
	const every = aggregation.EveryDevice
	lot := func(asked, population uint32) uint64 { return aggregation.ThresholdFor(asked, population) }
	for _, c := range []struct {
		name             string
		nMax, population int
		threshold        uint64
		groups, want     int
	}{
		{"population unknown", 793, 0, every, 1, 40},
		{"everybody asked, as in the demo", 793, 610, every, 1, 40},
		{"as many as n_max", 793, 793, every, 1, 40},
		{"twice the goal enrolled, no lot", 130, 200, every, 1, 10},
		{"half of them by lot", 130, 200, lot(100, 200), 1, 10}, // 2^-10 that all ten come is far from 2^-40
		{"1,300 of a million by lot", 1300, 1_000_000, lot(1300, 1_000_000), 1, 129},
		{"10 groups of 10,000", 1200, 10_000, every, 10, 106},
	} {
		if got := Colluders(c.nMax, c.population, CorruptShare, c.threshold, c.groups); got != c.want {
			t.Errorf("%s: t_c %d, want %d", c.name, got, c.want)
		}
	}
}

// TestSplitPopulation: what rule 1 costs. Where no more are enrolled than a sum takes it costs nothing.
func TestSplitPopulation(t *testing.T) {
	w := Wish{Goal: 610, Epsilon: 8, Items: 500, Dim: 4000}
	alone := split(t, w)
	w.Population = 610
	if same := split(t, w); same.Colluders != alone.Colluders || same.Effective != alone.Effective {
		t.Errorf("610 enrolled of 610 wanted: t_c %d, was %d", same.Colluders, alone.Colluders)
	}
	w.Population = 1220
	twice := split(t, w)
	if cost := alone.Effective / twice.Effective; twice.Colluders != 61 || math.Abs(cost-math.Sqrt(float64(427-40)/(427-61))) > 1e-12 {
		t.Errorf("twice as many enrolled: t_c %d, noise times %.4f", twice.Colluders, cost)
	}
	w.Population = 10_000 // 500 corrupt ones: without a lot they could be all of the smallest sum
	if _, err := PlanSplit(w); !errors.Is(err, ErrSplit) {
		t.Errorf("10,000 enrolled and no lot: %v", err)
	}
	w.Threshold = aggregation.ThresholdFor(793, 10_000)
	if lot := split(t, w); lot.Colluders <= 40 || lot.NMin-lot.Colluders < 300 {
		t.Errorf("10,000 enrolled with a lot: t_c %d of %d", lot.Colluders, lot.NMin)
	}
	w.Population = 100
	if _, err := PlanSplit(w); !errors.Is(err, ErrSplit) {
		t.Errorf("100 enrolled for a goal of 610: %v", err)
	}
}

// TestSplitGroups: the mean's noise grows by about the square root of the number of groups.
func TestSplitGroups(t *testing.T) {
	one := split(t, Wish{Goal: 10_000, Epsilon: 8, Items: 500, Dim: 4000})
	ten := split(t, Wish{Goal: 10_000, Epsilon: 8, Items: 500, Dim: 4000, Groups: 10, Population: 10_000})
	if cost := one.Effective / ten.Effective; ten.Groups != 10 || cost < math.Sqrt(10) || cost > 1.25*math.Sqrt(10) || math.Abs(ten.groupCost(10_000)-cost) > 1e-9 {
		t.Errorf("10 groups of %d to %d, t_c %d: noise times %.3f", ten.NMin, ten.NMax, ten.Colluders, cost)
	}
	if !strings.Contains(strings.Join(ten.Sentences, " "), "Each of 10 groups") {
		t.Errorf("nothing said about the groups: %q", ten.Sentences)
	}
}
