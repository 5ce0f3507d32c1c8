package registry

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tutti/privacy/plan"
)

func policy(t *testing.T, p Policy) Policy {
	t.Helper()
	p, err := p.Complete()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicy(t *testing.T) {
	if p := policy(t, Policy{}); p.Staged() || p.Start != 100 || !slices.Equal(p.Steps, []uint32{25, 100}) {
		t.Errorf("%+v", p)
	}
	p := policy(t, Policy{Start: 5})
	if !p.Staged() || p.next(5) != 25 || p.next(25) != 100 || p.next(60) != 100 || p.next(100) != 100 {
		t.Errorf("%+v", p)
	}
	for _, bad := range []Policy{
		{Start: 101}, {Steps: []uint32{50}}, {Steps: []uint32{50, 25, 100}}, {Steps: []uint32{50, 50, 100}}, {Steps: []uint32{0, 100}}, {Steps: []uint32{50, 101}},
		{FalseAlarm: 0.5}, {FalseAlarm: -1}, {FalseAlarm: math.NaN()}, {Tolerance: 1}, {Tolerance: -0.1}, {Tolerance: math.NaN()},
	} {
		if _, err := bad.Complete(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestDecide(t *testing.T) {
	p := policy(t, Policy{Start: 5})
	hit := func(x, e float64) []Measured { return []Measured{{"hit10", x, e}} }
	loss := func(x, e float64) []Measured { return []Measured{{"loss", x, e}} }
	for name, c := range map[string]struct {
		stable, canary []Measured
		want           Action
		says           string
	}{
		"as good":                  {hit(0.2, 0.01), hit(0.2, 0.01), Widen, "hit10 is 0.2000"},
		"better":                   {hit(0.2, 0.01), hit(0.3, 0.01), Widen, ""},
		"a little worse":           {hit(0.2, 0.01), hit(0.18, 0.01), Widen, ""},
		"much worse":               {hit(0.2, 0.01), hit(0.1, 0.01), Stop, "worse by 7.1 standard errors"},
		"noise may hide much":      {hit(0.2, 0.05), hit(0.2, 0.05), Hold, "it may be worse"},
		"worse, or noise":          {hit(0.2, 0.02), hit(0.12, 0.02), Hold, ""},
		"a much larger loss":       {append(hit(0.2, 0.01), loss(0.8, 0.02)...), append(hit(0.2, 0.01), loss(1.1, 0.02)...), Stop, "loss is 1.1000"},
		"a smaller loss":           {append(hit(0.2, 0.01), loss(1.1, 0.02)...), append(hit(0.2, 0.01), loss(0.8, 0.02)...), Widen, ""},
		"only losses, alike":       {loss(0.8, 0.01), loss(0.8, 0.01), Hold, "the hit rate was not measured"},
		"only losses, much larger": {loss(0.8, 0.01), loss(1.8, 0.01), Stop, ""},
		"nothing of one":           {nil, hit(0.2, 0.01), Hold, "nothing was measured"},
		"nothing in common":        {loss(0.8, 0.01), hit(0.2, 0.01), Hold, "nothing was measured"},
	} {
		d := p.Decide(c.stable, c.canary, 5)
		if d.Action != c.want || !strings.Contains(d.Why, c.says) || (d.Percent == 25) != (c.want == Widen) {
			t.Errorf("%s: %v to %d %%: %s", name, d.Action, d.Percent, d.Why)
		}
	}
}

func TestMeasure(t *testing.T) {
	figures := []plan.Figure{
		{Name: "evaluated", Value: 400, Low: 390, High: 410}, {Name: "hit10", Value: 0.2, Low: 0.16, High: 0.24}, {Name: "ndcg10", Value: 0.1},
		{Name: "trained", Value: 400}, {Name: "loss", Value: 0.9, Low: 0.9, High: 0.9},
	}
	got := Measure(figures)
	want := []Measured{{"hit10", 0.2, math.Hypot(0.04/1.96, math.Sqrt(0.2*0.8/400))}, {"loss", 0.9, math.Sqrt(0.9 * 1.1 / 400)}}
	for i, w := range want {
		if len(got) != 2 || got[i].Name != w.Name || got[i].Value != w.Value || math.Abs(got[i].Error/w.Error-1) > 0.01 {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
	edit := func(i int, f plan.Figure) []plan.Figure {
		out := slices.Clone(figures)
		out[i] = f
		return out
	}
	for name, f := range map[string][]plan.Figure{
		"drowned":      edit(1, plan.Figure{Name: "hit10", Value: 0.5, Low: 0, High: 1}),
		"no devices":   edit(0, plan.Figure{Name: "evaluated", Value: 0, Low: 0, High: 30}),
		"not counted":  edit(0, plan.Figure{Name: "other", Value: 400}),
		"not measured": edit(1, plan.Figure{Name: "other", Value: 400}),
	} {
		if got := Measure(f); len(got) != 1 || got[0].Name != "loss" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if m := Measure(edit(1, plan.Figure{Name: "hit10", Value: 0, Low: 0, High: 0})); m[0].Error < 0.001 {
		t.Errorf("a hit rate of 0 among 400 devices has an error of %g", m[0].Error)
	}
}

// round draws what a round of n devices measures of versions with these true values, with noise of the deviation on each
// sum, through the same figures as the server's.
func round(r *rand.Rand, n int, hit, loss, noise float64) []plan.Figure {
	m := plan.Metrics{Names: plan.MetricsBasic.Names()}
	sum := make([]float32, len(m.Names))
	for range n {
		f := plan.Unknown()
		f.Hit10, f.NDCG10, f.MRR, f.Norm, f.Clip = 0, 0, 0, 1, 1
		if r.Float64() < hit {
			f.Hit10 = 1
		}
		f.Loss = min(max(loss+0.2*r.NormFloat64(), 0), 2)
		for i, x := range m.Values(f) {
			sum[i] += x
		}
	}
	for i := range sum {
		sum[i] += float32(noise * r.NormFloat64())
	}
	return m.Figures(sum, n, noise)
}

// TestFalseAlarms: of 2,000 canaries that are as good as the stable version, 1 % at most are stopped: 20 or fewer are
// expected, and more than 39 with probability below 1e-4 (a Poisson variable of mean 20). Of canaries that have lost half
// of their hits nearly all are stopped. The seed is fixed, so the test fails always or never.
func TestFalseAlarms(t *testing.T) {
	p := policy(t, Policy{Start: 5, FalseAlarm: 0.01})
	r := rand.New(rand.NewPCG(1, 2))
	stopped, caught := 0, 0
	const n, noise = 500, 6
	for i := range 2000 {
		stable := Measure(round(r, n, 0.2, 0.9, noise))
		if p.Decide(stable, Measure(round(r, n, 0.2, 0.9, noise)), 5).Action == Stop {
			stopped++
		}
		if i < 200 && p.Decide(stable, Measure(round(r, n, 0.05, 0.9, noise)), 5).Action == Stop {
			caught++
		}
	}
	t.Logf("%d false alarms of 2000, %d of 200 bad versions stopped", stopped, caught)
	if stopped > 39 {
		t.Errorf("%d false alarms, 20 are expected at most", stopped)
	}
	if caught < 190 {
		t.Errorf("%d of 200 bad versions were stopped", caught)
	}
}
