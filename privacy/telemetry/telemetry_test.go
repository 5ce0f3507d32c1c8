package telemetry

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"tutti/privacy/accounting"
	"tutti/privacy/ledger"
)

// memory is a ledger of one open task.
type memory struct{ ledger.Log }

func (m *memory) Append(b ledger.Body) error {
	_, err := m.Log.Append(b, 0)
	return err
}

func open(t testing.TB, budget *big.Rat) (*Reporter, *memory) {
	t.Helper()
	m := new(memory)
	if err := m.Append(&ledger.Task{Task: "films", Operator: make([]byte, 32), Budget: budget}); err != nil {
		t.Fatal(err)
	}
	r, err := New(m, "films")
	if err != nil {
		t.Fatal(err)
	}
	return r, m
}

// TestCoverage: the exact numbers lie in their 95 % intervals. With 2,000 draws each, the number of misses is
// Binomial(2000, <= .05), mean at most 100, deviation 9.7; more than 150 has a probability below 1e-6 per metric
// (normal tail at 5.1 deviations, doubled for skew), so a false rejection of this test is below 1e-5. The library's
// intervals are exact up to rounding, so fewer than 50 misses of the counts, at the same distance below, fail too.
func TestCoverage(t *testing.T) {
	r, _ := open(t, nil)
	values := make([]float64, 500)
	var exact float64
	for i := range values {
		values[i] = 2 + float64(i%10)
		exact += values[i] / float64(len(values))
	}
	misses := map[string]int{}
	for range 2000 {
		h, err := r.Histogram(Scope{Round: 3, Times: 3}, "outcome", []Bucket{{"counted", 1234}, {"late", 0}}, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		m, err := r.Mean(Scope{Times: 1}, "seconds", values, Range{0, 20, 0.001}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []float64{1234, 0} {
			if row := h.Rows[i]; want < row.Low || want > row.High {
				misses[row.Label]++
			}
		}
		if row := m.Rows[0]; exact < row.Low || exact > row.High {
			misses["seconds"]++
		}
	}
	for _, label := range []string{"counted", "late", "seconds"} {
		if n := misses[label]; n > 150 || label != "seconds" && n < 50 {
			t.Errorf("%s lay outside its interval %d times in 2000", label, n)
		}
	}
}

// TestNoiseScale: the mean distance of a Laplace sample from its centre is Times/epsilon. Its standard error over
// n = 4,000 samples is scale/sqrt(n) (the distance is exponential); 6 standard errors have a false-rejection
// probability below 1e-8.
func TestNoiseScale(t *testing.T) {
	r, _ := open(t, nil)
	const n = 4000
	for _, times := range []int{1, 5} {
		var sum float64
		for range n {
			s, err := r.Count(Scope{Times: times}, "devices", 10_000, 0.1)
			if err != nil {
				t.Fatal(err)
			}
			sum += math.Abs(s.Rows[0].Value - 10_000)
		}
		scale := float64(times) / 0.1
		if got := sum / n; math.Abs(got-scale) > 6*scale/math.Sqrt(n) {
			t.Errorf("mean distance %.2f for %d times, want about %.2f", got, times, scale)
		}
	}
}

func TestRecordedAndChargedFirst(t *testing.T) {
	r, m := open(t, big.NewRat(1, 100))
	s, err := r.Count(Scope{Round: 7, Times: 1}, "devices", 300, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	if s.Event != (accounting.PureDP{Epsilon: 0.1}) {
		t.Errorf("event %v", s.Event)
	}
	rec := m.Records[1].Body.(*ledger.Telemetry)
	if rec.Epsilon != "0.1" || rec.Delta != "0" || rec.Mechanism != "laplace" || rec.Round != 7 || rec.Rows[0].Value != decimal(s.Rows[0].Value) {
		t.Errorf("record %+v", rec)
	}
	if rec.Rho.Cmp(big.NewRat(1, 200)) != 0 {
		t.Errorf("rho %v, want 1/200", rec.Rho)
	}
	if _, err = r.Count(Scope{Round: 7, Times: 1}, "devices", 300, 0.1); err != nil {
		t.Fatal("the second statement fits exactly:", err)
	}
	s, err = r.Count(Scope{Round: 7, Times: 1}, "devices", 300, 0.1)
	var v *ledger.Violation
	if !errors.As(err, &v) || v.Fault != ledger.FaultBudget || s.Rows != nil || m.Size() != 3 {
		t.Errorf("beyond the budget: %v, %v, %d records", s, err, m.Size())
	}
}

func TestRefuses(t *testing.T) {
	r, m := open(t, nil)
	one := Scope{Times: 1}
	good := Range{0, 10, 0.001}
	for name, call := range map[string]func() error{
		"epsilon 0":        func() error { _, err := r.Count(one, "x", 1, 0); return err },
		"epsilon negative": func() error { _, err := r.Count(one, "x", 1, -1); return err },
		"epsilon NaN":      func() error { _, err := r.Mean(one, "x", nil, good, math.NaN()); return err },
		"epsilon infinite": func() error { _, err := r.Mean(one, "x", nil, good, math.Inf(1)); return err },
		"no scope":         func() error { _, err := r.Count(Scope{}, "x", 1, 1); return err },
		"negative count":   func() error { _, err := r.Count(one, "x", -1, 1); return err },
		"huge count":       func() error { _, err := r.Count(one, "x", math.MaxInt64, 1); return err },
		"no name":          func() error { _, err := r.Count(one, "", 1, 1); return err },
		"no buckets":       func() error { _, err := r.Histogram(one, "x", nil, 1); return err },
		"label twice":      func() error { _, err := r.Histogram(one, "x", []Bucket{{"a", 1}, {"a", 2}}, 1); return err },
		"empty range":      func() error { _, err := r.Mean(one, "x", nil, Range{5, 5, 1}, 1); return err },
		"no step":          func() error { _, err := r.Mean(one, "x", nil, Range{0, 5, 0}, 1); return err },
		"range infinite":   func() error { _, err := r.Mean(one, "x", nil, Range{math.Inf(-1), 5, 1}, 1); return err },
		"range NaN":        func() error { _, err := r.Mean(one, "x", nil, Range{math.NaN(), 5, 1}, 1); return err },
		"range too fine":   func() error { _, err := r.Mean(one, "x", nil, Range{0, 1e9, 1e-9}, 1); return err },
	} {
		if err := call(); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m.Size() != 1 {
		t.Errorf("refused calls left %d records", m.Size()-1)
	}
	if _, err := New(nil, "films"); err == nil {
		t.Error("a reporter without a ledger")
	}
}

// TestMeanOfBadValues: NaN is left out, infinities and outliers count as the ends of the range, nothing at all gives a
// number in the range.
func TestMeanOfBadValues(t *testing.T) {
	r, _ := open(t, nil)
	values := []float64{math.NaN(), math.Inf(1), 1e300, math.Inf(-1), -5}
	for len(values) < 2000 {
		values = append(values, 4, math.NaN())
	}
	s, err := r.Mean(Scope{Times: 1}, "seconds", values, Range{0, 10, 0.001}, 10)
	if err != nil {
		t.Fatal(err)
	}
	// 998 values near 4 and two at each end; the noise of the sum is 1 at epsilon 5: an error above .1 has
	// probability below exp(-49).
	if got := s.Rows[0].Value; math.Abs(got-4) > 0.1 {
		t.Errorf("mean %v, want about 4", got)
	}
	if s, err = r.Mean(Scope{Times: 1}, "seconds", nil, Range{3, 10, 0.5}, 0.01); err != nil {
		t.Fatal(err)
	}
	if row := s.Rows[0]; !(row.Value >= 3 && row.Value <= 10 && row.Low >= 3 && row.High <= 10) {
		t.Errorf("mean of nothing: %+v", row)
	}
}
