// Package telemetry makes differentially private statements about what the server sees of devices: how many took part,
// why others did not, how long uploads took (means, and quantiles where devices suffice). Nothing of the kind leaves the operator in a report without it.
//
// The noise is Laplace noise of github.com/google/differential-privacy, so every statement is pure epsilon-DP (delta 0)
// towards a change of one device's rows, in the add-or-remove sense; it costs epsilon^2/2 in zCDP (Bun and Steinke,
// arXiv 1605.02065, Proposition 1.4) and is charged like every other release. Every call needs the ledger and appends
// its record before the value is handed out: what could not be logged and charged is not said.
//
// Sums are sums of integers: the sensitivity of a float64 sum is larger than it looks (Casacuberta, Shoemate, Vadhan,
// Wagaman, arXiv 2207.10635). What only devices know (loss, quality) never comes here; it travels through the secure
// sum with noise of its own.
package telemetry

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/google/differential-privacy/go/v3/noise"

	"tutti/privacy/accounting"
	"tutti/privacy/ledger"
)

// Ledger is where a statement is recorded and charged. Append returns when the record is durable, and an error when it
// may not stand there, for example because the budget would be exceeded.
type Ledger interface {
	Append(body ledger.Body) error
}

// ErrInput is behind every refusal of arguments; nothing was drawn, charged or logged then.
var ErrInput = errors.New("telemetry")

// Bounds that keep the library's integer noise far from overflow, where it would never return.
const (
	minEpsilon = 1e-4
	maxEpsilon = 10
	maxTimes   = 1 << 20
	maxCount   = 1 << 40
	maxValue   = 1 << 40 // of a mean, in units of its step
	alpha      = 0.05    // of the intervals
)

// Scope says what a statement covers.
type Scope struct {
	Round        uint64  // last round covered
	Times        int     // how often one device may be in the data: 1 for one round, R for R rounds
	Contributors float64 // how many devices are in the data, as told before or public: for Quantiles; never the exact number
}

// Bucket is one cell of a histogram.
type Bucket struct {
	Label string
	Count int // exact; stays here
}

// Row is one published number.
type Row struct {
	Label     string
	Value     float64 // noised
	Low, High float64 // 95 % interval around the exact number, from the noise alone; of a quantile the ends of its range
}

// Statement is what may leave the operator.
type Statement struct {
	Metric  string
	Epsilon float64
	Rows    []Row
	Event   accounting.Event // what it cost; the ledger has charged it
}

// Reporter makes statements about one task.
type Reporter struct {
	task string
	log  Ledger
}

// New returns a Reporter that charges log for the task.
func New(log Ledger, task string) (*Reporter, error) {
	if log == nil || task == "" {
		return nil, fmt.Errorf("%w: a statement needs a ledger and a task", ErrInput)
	}
	return &Reporter{task, log}, nil
}

// Count states how many devices (or uploads: at most Times of each device) something happened to.
func (r *Reporter) Count(scope Scope, metric string, count int, epsilon float64) (Statement, error) {
	return r.Histogram(scope, metric, []Bucket{{metric, count}}, epsilon)
}

// Histogram states how often each of a closed list of things happened. Give all labels of the list, zeros too: which
// labels exist must not depend on the data. A device is in one bucket per time, so the buckets share one epsilon
// (parallel composition).
func (r *Reporter) Histogram(scope Scope, metric string, buckets []Bucket, epsilon float64) (Statement, error) {
	if err := check(scope, metric, epsilon); err != nil {
		return Statement{}, err
	}
	if len(buckets) == 0 {
		return Statement{}, fmt.Errorf("%w: %s has no buckets", ErrInput, metric)
	}
	for i, b := range buckets {
		if b.Count < 0 || int64(b.Count) > maxCount {
			return Statement{}, fmt.Errorf("%w: a count of %s out of range", ErrInput, metric)
		}
		if slices.ContainsFunc(buckets[:i], func(x Bucket) bool { return x.Label == b.Label }) {
			return Statement{}, fmt.Errorf("%w: %s has the label %q twice", ErrInput, metric, b.Label)
		}
	}
	rows := make([]Row, len(buckets))
	for i, b := range buckets {
		n, err := noisy(int64(b.Count), int64(scope.Times), epsilon, alpha)
		if err != nil {
			return Statement{}, err
		}
		rows[i] = Row{b.Label, n.value, n.low, n.high}
	}
	return r.record(scope, metric, rows, epsilon)
}

// Range says between which values a mean is taken and how finely. Values outside are moved to the nearer end, those
// that are not numbers are left out.
type Range struct {
	Low, High float64
	Step      float64 // values are rounded to multiples of it
}

// half is the number of steps from the middle of the range to its ends, small enough that no sum of n values overflows.
func (in Range) half(scope Scope, metric string, n int) (float64, error) {
	half := math.Ceil((in.High - in.Low) / 2 / in.Step)
	if !(in.Step > 0) || !(in.Low < in.High) || !(half <= maxValue/float64(scope.Times)) || math.IsInf(in.Low, 0) || n > maxCount/maxTimes {
		return 0, fmt.Errorf("%w: %s has no usable range", ErrInput, metric)
	}
	return half, nil
}

// Mean states the mean of values, at most Times of each device: half of epsilon goes to the sum of the distances from
// the middle of the range, half to the count (Li, Lyu, Su, Yang, "Differential Privacy: From Theory to Practice",
// algorithm 2.3).
func (r *Reporter) Mean(scope Scope, metric string, values []float64, in Range, epsilon float64) (Statement, error) {
	if err := check(scope, metric, epsilon); err != nil {
		return Statement{}, err
	}
	half, err := in.half(scope, metric, len(values))
	if err != nil {
		return Statement{}, err
	}
	middle := in.Low + (in.High-in.Low)/2
	var sum, count int64
	for _, v := range values {
		if v == v {
			sum += int64(math.Round((min(max(v, in.Low), in.High) - middle) / in.Step))
			count++
		}
	}
	s, err := noisy(sum, int64(half)*int64(scope.Times), epsilon/2, alpha/2)
	if err != nil {
		return Statement{}, err
	}
	n, err := noisy(count, int64(scope.Times), epsilon/2, alpha/2)
	if err != nil {
		return Statement{}, err
	}
	n.value, n.low, n.high = max(1, n.value), max(1, n.low), max(1, n.high)
	mean := func(sum, count float64) float64 { return min(max(middle+sum*in.Step/count, in.Low), in.High) }
	ends := []float64{mean(s.low, n.low), mean(s.low, n.high), mean(s.high, n.low), mean(s.high, n.high)}
	rows := []Row{{metric, mean(s.value, n.value), slices.Min(ends), slices.Max(ends)}}
	return r.record(scope, metric, rows, epsilon)
}

func check(scope Scope, metric string, epsilon float64) error {
	switch {
	case !(epsilon >= minEpsilon && epsilon <= maxEpsilon):
		return fmt.Errorf("%w: epsilon %g of %s is outside [%g, %g]", ErrInput, epsilon, metric, float64(minEpsilon), float64(maxEpsilon))
	case scope.Times < 1 || scope.Times > maxTimes:
		return fmt.Errorf("%w: %s may hold a device %d times", ErrInput, metric, scope.Times)
	case metric == "":
		return fmt.Errorf("%w: a statement needs a name", ErrInput)
	}
	return nil
}

type number struct{ value, low, high float64 }

// noisy adds Laplace noise of scale sensitivity/epsilon to x and gives the 1-alpha interval.
func noisy(x, sensitivity int64, epsilon, alpha float64) (number, error) {
	laplace := noise.Laplace()
	v, err := laplace.AddNoiseInt64(x, 1, sensitivity, epsilon, 0)
	if err != nil {
		return number{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	ci, err := laplace.ComputeConfidenceIntervalInt64(v, 1, sensitivity, epsilon, 0, alpha)
	if err != nil {
		return number{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return number{float64(v), ci.LowerBound, ci.UpperBound}, nil
}

// record charges and logs the statement; only then is it returned.
func (r *Reporter) record(scope Scope, metric string, rows []Row, epsilon float64) (Statement, error) {
	event := accounting.PureDP{Epsilon: epsilon}
	rho, err := accounting.Rho(event)
	if err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	body := &ledger.Telemetry{
		Task: r.task, Round: scope.Round, Times: uint64(scope.Times), Metric: metric, Mechanism: "laplace",
		Epsilon: decimal(epsilon), Delta: "0", Rho: rho,
	}
	for _, row := range rows {
		body.Rows = append(body.Rows, ledger.Row{Label: row.Label, Value: decimal(row.Value), Low: decimal(row.Low), High: decimal(row.High)})
	}
	if err := r.log.Append(body); err != nil {
		return Statement{}, fmt.Errorf("telemetry %s is not published: %w", metric, err)
	}
	return Statement{metric, epsilon, rows, event}, nil
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
