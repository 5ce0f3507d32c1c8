package plan

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMeasurementDefault: what auto decides, and how well the share of hits is known then.
func TestMeasurementDefault(t *testing.T) {
	for _, c := range []struct {
		goal   int
		set    MetricSet
		points int
		width  float64 // by the formula, 1.96 z C sqrt(n/(n_min-t_c))/sqrt(n), times 1.077 for the count's noise
	}{{100, MetricsOff, 0, 0}, {400, MetricsOff, 0, 0}, {610, MetricsOff, 0, 0}, {1000, MetricsBasic, 4, 0.0293}, {6040, MetricsBasic, 4, 0.0049}} {
		s := split(t, Wish{Goal: c.goal, Epsilon: 8, Items: 3000, Dim: 4000, Model: ModelForce, Metrics: MetricsAuto})
		m := s.Measure
		if m.Set != c.set || m.Points != c.points || c.points > 0 && (m.Width > c.width*1.05 || m.Width < c.width*0.9) {
			t.Errorf("goal %d: %+v", c.goal, m)
		}
		if text := strings.Join(s.Sentences, " "); strings.Contains(text, "not measured") != (c.points == 0) || strings.Contains(text, "+-") != (c.points > 0) {
			t.Errorf("goal %d: %s", c.goal, text)
		}
	}
	if m := split(t, Wish{Goal: 610, Epsilon: 8, Items: 3000, Dim: 4000, Model: ModelForce, Metrics: MetricsBasic}).Measure; m.Points != 4 || m.Width < 0.045 || m.Width > 0.05 {
		t.Errorf("610 devices: %+v", m)
	}
	groups := split(t, Wish{Goal: 100, Epsilon: 8, Items: 3000, Dim: 4000, Model: ModelForce, Rounds: 2, Metrics: MetricsGroups})
	if groups.Measure.Points != 2 || groups.Measure.Set != MetricsGroups {
		t.Errorf("asked for is asked for: %+v", groups.Measure)
	}
	if none := split(t, Wish{Goal: 1000, Epsilon: 8, Items: 3000, Metrics: MetricsBasic}); none.Measure.Total().Sign() != 0 {
		t.Errorf("metrics without model rounds: %+v", none.Measure)
	}
}

// TestMeasurementRounds: what the rounds ask adds up to what was planned, and every design that it leads to exists.
func TestMeasurementRounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := Wish{
			Goal: rapid.IntRange(20, 1<<16).Draw(rt, "goal"), Epsilon: rapid.Float64Range(1, 10).Draw(rt, "epsilon"), Items: 3000, Dim: 4000,
			Rounds: rapid.IntRange(1, 80).Draw(rt, "rounds"), Model: ModelForce, AdaptiveClip: rapid.Bool().Draw(rt, "adaptive"),
			Metrics: rapid.SampledFrom([]MetricSet{"", MetricsAuto, MetricsBasic, MetricsGroups}).Draw(rt, "metrics"),
		}
		s, err := PlanSplit(w)
		if err != nil {
			if w.AdaptiveClip && (w.Metrics == "" || w.Metrics == MetricsAuto) || s.Goal == 0 && strings.Contains(err.Error(), "exceed") {
				return // noise that no sum carries: it says so
			}
			rt.Fatal(err)
		}
		total, points, bits := new(big.Rat), 0, 0
		for r := range s.Rounds + 3 {
			names, rho := s.Measure.Of(r)
			if len(names) == 0 {
				continue
			}
			if r >= s.Rounds {
				rt.Fatalf("round %d of %d asks", r, s.Rounds)
			}
			total.Add(total, rho)
			if len(names) > 1 {
				points++
			} else {
				bits++
			}
			if _, err := s.design(names, rho); err != nil {
				rt.Fatalf("round %d: %v", r, err)
			}
		}
		if points != s.Measure.Points || bits != s.Measure.Bits || total.Cmp(s.Measure.Total()) != 0 {
			rt.Fatalf("%d rounds measure and %d ask the bit, for %v: %+v", points, bits, total, s.Measure)
		}
		if w.AdaptiveClip && points+bits == 0 {
			rt.Fatalf("nothing tells the next clip: %+v", s.Measure)
		}
	})
}
