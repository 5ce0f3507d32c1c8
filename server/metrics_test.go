package server

import (
	"bytes"
	"context"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/privacy/report"
)

// factsOf is what the test's device i knows: of each four one hits, half lie within the clip, and every fifth does not
// know its loss.
func factsOf(i int) plan.Facts {
	f := plan.Facts{Hit10: 0, NDCG10: 0, MRR: 0.05, Loss: 0.5, Norm: 1, Clip: 2, Events: 5, Popular: 0.7}
	if i%4 == 0 {
		f.Hit10, f.NDCG10, f.MRR = 1, 0.5, 0.25
	}
	if i%2 == 1 {
		f.Norm, f.Events = 3, 20
	}
	if i%5 == 0 {
		f.Loss = math.NaN()
	}
	return f
}

// know is what device i knows in this world.
func (w *world) know(i int) plan.Facts {
	if w.facts != nil {
		return w.facts(i)
	}
	return factsOf(i)
}

func (w *world) withMetrics(spec RoundSpec) RoundSpec {
	w.t.Helper()
	var rho *big.Rat
	if w.noisy {
		rho = big.NewRat(1, 8)
	}
	var err error
	spec.Metrics, err = plan.DesignMetrics(plan.MetricsGroups.Names(), spec.Mechanism, rho, [32]byte{7})
	w.must(err)
	return spec
}

func (w *world) lastRound() *ledger.Round {
	w.t.Helper()
	var last *ledger.Round
	w.must(w.server.Ledger().Records(context.Background(), 0, func(r ledger.Record) error {
		if b, ok := r.Body.(*ledger.Round); ok {
			last = b
		}
		return nil
	}))
	return last
}

// TestMetricsWithoutNoise: three groups of four devices; the figures are those of all twelve, and they stand in the log.
func TestMetricsWithoutNoise(t *testing.T) {
	w := splitWorld(t, 3, 45, false)
	r := w.start(w.withMetrics(w.spec(12, 4, 20)))
	next := 0
	for _, members := range w.byGroup(w.spare, 3) {
		if len(members) < 4 {
			t.Skipf("the lot made a group of %d devices, which happens in one of 2^9 runs", len(members))
		}
		bring(t, members[:4], []int{next, next + 1, next + 2, next + 3})
		next += 4
	}
	w.server.CloseCollection()
	if r.wait(t); r.err != nil {
		t.Fatal(r.err)
	}
	w.holds(r.result, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	want := map[string]float64{"evaluated": 12, "hit10": 0.25, "ndcg10": 0.125, "mrr": 0.1, "trained": 9, "loss": 0.5, "clip": 0.5,
		"history.short.in": 6, "history.short.hit10": 0.5, "history.medium.in": 6, "history.medium.hit10": 0, "taste.mainstream.in": 12}
	for _, f := range r.result.Metrics {
		if x, asked := want[f.Name]; asked && (math.Abs(f.Value-x) > 1e-3 || f.High-f.Low > 0.01) {
			t.Errorf("%s is %+v, want %v", f.Name, f, x)
		}
	}
	w.publish(r.result)
	rows := w.lastRound().Metrics
	if len(rows) != len(r.result.Plan.Metrics.Names) {
		t.Fatalf("%d rows in the log", len(rows))
	}
	for i, row := range rows {
		if x, err := strconv.ParseFloat(row.Value, 64); err != nil || row.Label != r.result.Plan.Metrics.Names[i] || math.Abs(x-r.result.Metrics[i].Value) > 1e-4 {
			t.Errorf("row %d is %+v", i, row)
		}
	}
}

// TestMetricsAreCharged: they cost what their own numbers say, on top of the round, and the report of it verifies.
func TestMetricsAreCharged(t *testing.T) {
	w := newWorldOf(t, 5, func(w *world) { w.noisy = true })
	spec := w.withMetrics(w.spec(6, 4, 20))
	r := w.start(spec)
	w.together(6)
	if r.wait(t); r.err != nil {
		t.Fatal(r.err)
	}
	w.publish(r.result)
	want := new(big.Rat).Add(spec.Mechanism.Rho(), spec.Metrics.Mechanism.Rho())
	if spent := w.server.Ledger().Totals().Spent; spent.Cmp(want) != 0 || r.result.Rho.Cmp(want) != 0 || r.result.Plan.Rho().Cmp(want) != 0 {
		t.Errorf("the round cost %v, want %v", spent, want)
	}
	if z := r.result.Sum.Meter.ZScore; math.Abs(z) > 5 { // 6e-7
		t.Errorf("the meter of the main vector reads %v", z)
	}
	var records []ledger.Record
	w.must(w.server.Ledger().Records(context.Background(), 0, func(r ledger.Record) error { records = append(records, r); return nil }))
	checkpoint, err := w.server.Ledger().Checkpoint()
	w.must(err)
	built, err := report.Build(report.Input{Task: "test", Records: records, Checkpoint: checkpoint, Setting: report.Setting{Devices: 16, SelfEnrolled: true}})
	w.must(err)
	signed, err := report.Sign(w.keys.Operator, built)
	w.must(err)
	var lines bytes.Buffer
	w.must(w.server.Ledger().Export(context.Background(), &lines))
	if got := report.Verify(signed, lines.Bytes(), report.Options{Operator: w.server.Operator()}); got.Overall != report.Verified {
		t.Errorf("the report is %v: %v %+v", got.Overall, got.Reason, got.Steps)
	}
	if built.Accounting.Rho != want.String() || !strings.Contains(lines.String(), `"hit10"`) {
		t.Errorf("the report counts rho %s", built.Accounting.Rho)
	}
}

// TestMetricsSurviveDeath: the server dies between the opened sum and its publication; the figures are the same again.
func TestMetricsSurviveDeath(t *testing.T) {
	w := newWorldOf(t, 5, func(w *world) { w.noisy = true })
	r := w.start(w.withMetrics(w.spec(6, 4, 20)))
	w.together(6)
	if r.wait(t); r.err != nil {
		t.Fatal(r.err)
	}
	w.stop()
	w.open()
	again := w.resume()
	if again.wait(t); again.err != nil {
		t.Fatal(again.err)
	}
	if !slices.Equal(r.result.Metrics, again.result.Metrics) || len(again.result.Metrics) == 0 {
		t.Errorf("before: %+v, after: %+v", r.result.Metrics, again.result.Metrics)
	}
	if w.lastRound() != nil {
		t.Error("figures stand in the log before they are published")
	}
}

// TestDecodeRefuses: a sum of another length, or numbers that no honest devices add up to, in either vector.
func TestDecodeRefuses(t *testing.T) {
	w := newWorldOf(t, 5, func(w *world) { w.noisy = true })
	spec := w.withMetrics(w.spec(6, 4, 20))
	p := plan.Plan{Mechanism: spec.Mechanism, Metrics: spec.Metrics}
	sum := make([]int64, p.Dim())
	if _, err := decode(p, sum, 5, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := decode(p, sum[:len(sum)-1], 5, 0); err == nil {
		t.Error("a short sum is decoded")
	}
	if _, err := decode(p, append(slices.Clone(sum), 0), 5, 0); err == nil {
		t.Error("a long sum is decoded")
	}
	for what, at := range map[string]int{"main": 0, "metrics": spec.Mechanism.PaddedDim} {
		for _, x := range []int64{math.MaxInt64, math.MinInt64, 5*spec.Metrics.Mechanism.InputBound + 5*spec.Mechanism.InputBound} {
			bad := slices.Clone(sum)
			bad[at] = x
			if _, err := decode(p, bad, 5, 0); err == nil {
				t.Errorf("%s vector: %d is decoded", what, x)
			}
		}
	}
}
