package telemetry

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/differential-privacy/go/v3/dpagg"
	"github.com/google/differential-privacy/go/v3/noise"

	"tutti/privacy/ledger"
)

var enough = Scope{Round: 4, Times: 1, Contributors: 1000}

// lognormal are n values of median 1 and deviation .6 of the logarithm.
func lognormal(n int) []float64 {
	random := rand.New(rand.NewPCG(5, 8))
	out := make([]float64, n)
	for i := range out {
		out[i] = math.Exp(0.6 * random.NormFloat64())
	}
	return out
}

// TestQuantiles: the exact rank of what is told for rank p is near p. A count of the tree has Laplace noise of scale
// 4/epsilon = 4, the path to a leaf adds at most 64 of them of which the large ones count; over 200 statements of 2,000
// values a distance of .25 in rank is 500 devices, which 64 summands of deviation 5.7 (in all 45) exceed at 11
// deviations: a false rejection is below 1e-20.
func TestQuantiles(t *testing.T) {
	r, _ := open(t, nil)
	values := lognormal(2000)
	sorted := slices.Sorted(slices.Values(values))
	var off [2]float64
	for range 200 {
		s, err := r.Quantiles(enough, "seconds", values, Range{0, 20, 0.001}, []float64{0.5, 0.95}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range []float64{0.5, 0.95} {
			row := s.Rows[i]
			if row.Label != decimal(p) || row.Low != 0 || row.High != 20 {
				t.Fatalf("row %+v", row)
			}
			at, _ := slices.BinarySearch(sorted, row.Value)
			distance := math.Abs(float64(at)/2000 - p)
			off[i] += distance / 200
			if distance > 0.25 {
				t.Errorf("quantile %v is told as %v, which is of rank %v", p, row.Value, float64(at)/2000)
			}
		}
		if s.Rows[0].Value > s.Rows[1].Value {
			t.Errorf("the median %v is above the 95 %% quantile %v", s.Rows[0].Value, s.Rows[1].Value)
		}
	}
	t.Logf("mean distance in rank %.4f and %.4f", off[0], off[1])
}

// TestQuantileNoiseGrowsWithTimes: a device that may be in the data 1,000 times is hidden by 1,000 times the noise. Half
// the values are 0, half 10. For Times 1 the quantile of rank .25 is far from 0 only where noise of scale 4 moves a count
// by hundreds: below exp(-100). For Times 1,000 the noise of a count has scale 4,000 against counts of 1,000, which of
// the 16 nodes holds the quantile is mostly chance, and that it is one of the first two in all 40 statements has a
// probability below 2^-40.
func TestQuantileNoiseGrowsWithTimes(t *testing.T) {
	r, _ := open(t, nil)
	values := append(make([]float64, 1000), slices.Repeat([]float64{10}, 1000)...)
	wrong := map[int]int{}
	for _, times := range []int{1, 1000} {
		for range 40 {
			s, err := r.Quantiles(Scope{Times: times, Contributors: 2000}, "seconds", values, Range{0, 10, 0.001}, []float64{0.25}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if s.Rows[0].Value > 1 {
				wrong[times]++
			}
		}
	}
	if wrong[1] != 0 || wrong[1000] == 0 {
		t.Errorf("the quantile was far off %d of 40 times for one contribution, %d times for a thousand", wrong[1], wrong[1000])
	}
}

func TestQuantilesAreChargedFirst(t *testing.T) {
	r, m := open(t, big.NewRat(1, 100))
	values := lognormal(1500)
	tell := func() (Statement, error) {
		return r.Quantiles(Scope{Round: 4, Times: 1, Contributors: 10_000}, "seconds", values, Range{0, 20, 0.001}, []float64{0.5, 0.95}, 0.1)
	}
	s, err := tell()
	if err != nil {
		t.Fatal(err)
	}
	rec := m.Records[1].Body.(*ledger.Telemetry)
	if rec.Mechanism != "laplace" || rec.Delta != "0" || rec.Times != 1 || rec.Round != 4 || rec.Rho.Cmp(big.NewRat(1, 200)) != 0 {
		t.Errorf("record %+v", rec)
	}
	if len(rec.Rows) != 2 || rec.Rows[1].Label != "0.95" || rec.Rows[1].Value != decimal(s.Rows[1].Value) {
		t.Errorf("rows %+v", rec.Rows)
	}
	if _, err := tell(); err != nil {
		t.Fatal("the second statement fits exactly, and is charged like the first:", err)
	}
	s, err = tell()
	var v *ledger.Violation
	if !errors.As(err, &v) || v.Fault != ledger.FaultBudget || s.Rows != nil || m.Size() != 3 {
		t.Errorf("beyond the budget: %v, %v, %d records", s, err, m.Size())
	}
}

func TestQuantilesRefuse(t *testing.T) {
	r, m := open(t, nil)
	good, median := Range{0, 10, 0.001}, []float64{0.5}
	values := lognormal(1000)
	for name, c := range map[string]struct {
		scope   Scope
		in      Range
		ranks   []float64
		epsilon float64
	}{
		"times 0":          {Scope{Contributors: 1e4}, good, median, 1},
		"times overflow":   {Scope{Times: math.MaxInt64, Contributors: 1e4}, good, median, 1},
		"no ranks":         {enough, good, nil, 1},
		"many ranks":       {enough, good, make([]float64, 65), 1},
		"rank twice":       {enough, good, []float64{0.5, 0.5}, 1},
		"rank NaN":         {enough, good, []float64{math.NaN()}, 1},
		"rank above 1":     {enough, good, []float64{1.5}, 1},
		"range empty":      {enough, Range{5, 5, 1}, median, 1},
		"range infinite":   {enough, Range{0, math.Inf(1), 1}, median, 1},
		"range overflows":  {enough, Range{-1e308, 1e308, 1e300}, median, 1},
		"range NaN":        {enough, Range{0, math.NaN(), 1}, median, 1},
		"range too fine":   {enough, Range{0, 1e9, 1e-9}, median, 1},
		"no step":          {enough, Range{0, 10, 0}, median, 1},
		"epsilon 0":        {enough, good, median, 0},
		"epsilon tiny":     {enough, good, median, 1e-300},
		"epsilon NaN":      {enough, good, median, math.NaN()},
		"epsilon infinite": {enough, good, median, math.Inf(1)},
	} {
		if s, err := r.Quantiles(c.scope, "x", values, c.in, c.ranks, c.epsilon); !errors.Is(err, ErrInput) || errors.Is(err, ErrFewContributors) || s.Rows != nil {
			t.Errorf("%s: %v %v", name, s, err)
		}
	}
	for _, few := range []float64{0, 999.5, math.Inf(-1), math.NaN()} {
		_, err := r.Quantiles(Scope{Times: 1, Contributors: few}, "x", values, good, median, 1)
		if !errors.Is(err, ErrFewContributors) || !errors.Is(err, ErrInput) {
			t.Errorf("%v contributors: %v", few, err)
		}
	}
	if _, err := r.Quantiles(Scope{Times: 1, Contributors: 9_000}, "x", values, good, median, 0.1); !errors.Is(err, ErrFewContributors) {
		t.Errorf("9,000 contributors at epsilon .1: %v", err)
	}
	if m.Size() != 1 {
		t.Errorf("refused calls left %d records", m.Size()-1)
	}
}

// TestQuantilesOfBadValues: NaN is left out, infinities and outliers count as the ends, nothing at all gives a number of
// the range.
func TestQuantilesOfBadValues(t *testing.T) {
	r, _ := open(t, nil)
	values := []float64{math.Inf(1), math.Inf(-1), 1e300, -1e300, math.MaxFloat64}
	for len(values) < 4000 {
		values = append(values, 4, math.NaN())
	}
	in := Range{-3, 10, 0.001}
	s, err := r.Quantiles(enough, "seconds", values, in, []float64{0, 0.5, 1}, 10)
	if err != nil {
		t.Fatal(err)
	}
	// About 2,000 values of 4; a count has noise of scale .4, so another node at the .0075 share has probability exp(-37).
	if got := s.Rows[1].Value; math.Abs(got-4) > 0.1 {
		t.Errorf("median %v, want about 4", got)
	}
	for _, row := range s.Rows {
		if !(row.Value >= -3 && row.Value <= 10) {
			t.Errorf("row %+v", row)
		}
	}
	if s, err = r.Quantiles(enough, "seconds", nil, in, []float64{0.5}, 1); err != nil {
		t.Fatal(err)
	}
	if row := s.Rows[0]; !(row.Value >= -3 && row.Value <= 10) {
		t.Errorf("median of nothing: %+v", row)
	}
}

// TestValueJustBelowTheEnd: the library alone counts it at the other end, and in more nodes than its noise hides. At
// epsilon 10 the noise of a count of 2,000 has scale .4.
func TestValueJustBelowTheEnd(t *testing.T) {
	below := slices.Repeat([]float64{math.Nextafter(1, 0)}, 2000)
	bare, err := dpagg.NewBoundedQuantiles(&dpagg.BoundedQuantilesOptions{
		Epsilon: 10, Noise: noise.Laplace(), Lower: -1, Upper: 1, MaxPartitionsContributed: 1, MaxContributionsPerPartition: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range below {
		if err := bare.Add(v); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := bare.Result(0.5); err != nil || got > 0 {
		t.Errorf("the library finds %v, %v: it is mended, and the words about it are out of date", got, err)
	}
	r, _ := open(t, nil)
	s, err := r.Quantiles(enough, "x", below, Range{-1, 1, 0.0001}, []float64{0.5}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Rows[0].Value; got < 0.99 {
		t.Errorf("median %v, want about 1", got)
	}
}

// TestLibraryTraps: what the bounds of this package keep away from, as the library has it.
func TestLibraryTraps(t *testing.T) {
	if _, err := noise.Laplace().AddNoiseInt64(0, 1, 1, 1, 1e-6); err == nil {
		t.Error("Laplace noise with a delta")
	}
	if x, err := noise.Laplace().AddNoiseFloat64(math.NaN(), 1, 1, 1, 0); err != nil || !math.IsNaN(x) {
		t.Errorf("noise on NaN gives %v, %v", x, err)
	}
	// The largest sensitivity that check lets through: far below 2^63, where the sampler would not end.
	if _, err := noisy(maxCount, maxValue, minEpsilon, alpha); err != nil {
		t.Error("noise at the bounds:", err)
	}
	sum, err := dpagg.NewCount(&dpagg.CountOptions{Epsilon: 1, MaxPartitionsContributed: 1, Noise: noise.Laplace()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sum.Result(); err != nil {
		t.Fatal(err)
	}
	if _, err := sum.Result(); err == nil {
		t.Error("the library gives a result twice")
	}
	// Sums of the most and largest values that Mean takes stay far from where int64 would wrap.
	if largest := float64(maxValue) * (maxCount / maxTimes); largest > math.MaxInt64/2 {
		t.Errorf("a sum of %g would wrap", largest)
	}
}
