package telemetry

import (
	"fmt"
	"math"
	"slices"

	"github.com/google/differential-privacy/go/v3/dpagg"
	"github.com/google/differential-privacy/go/v3/noise"
)

// MinContributors is how many devices quantiles are told of at least, at epsilon 1 or more; below, the noise grows with
// 1/epsilon, and as many more devices are wanted. Mean relative errors of the median and of the 95 % quantile of a
// lognormal of deviation .6 in [0, 20], 100 repetitions:
//
//	devices  epsilon  median   95 %
//	    100       .5    .98    5.2
//	  1,000       .1    .22    4.8
//	  1,000       .5    .025    .80
//	  1,000        1    .014    .073
//	 10,000       .1    .015    .10
const MinContributors = 1000

// maxRanks is how many quantiles one statement may hold.
const maxRanks = 64

// ErrFewContributors is behind the refusal to tell quantiles of fewer than MinContributors / min(1, epsilon) devices: the
// noise would be larger than what it hides. It matches ErrInput too.
var ErrFewContributors = fmt.Errorf("%w: too few contributors for quantiles", ErrInput)

// Quantiles states quantiles of values, at most Times of each device: of a noised tree of counts of the library, so all
// ranks (in [0, 1], the ends moved to .005 and .995) share one epsilon. Values outside the range are moved to the nearer
// end, those that are not numbers are left out. The rows bear their ranks; the tree gives no interval around a quantile,
// so Low and High are the ends of the range, between which it lies with certainty.
//
// Whether there are devices enough is decided by scope.Contributors alone. A statement that stood in the report or did
// not by the exact number of values would tell whether one device is among them, so take a noised count or a number from
// the signed plan. Uploads divided by Times are at most the number of devices that made them.
func (r *Reporter) Quantiles(scope Scope, metric string, values []float64, in Range, ranks []float64, epsilon float64) (Statement, error) {
	if err := checkQuantiles(scope, metric, ranks, epsilon); err != nil {
		return Statement{}, err
	}
	half, err := in.half(scope, metric, len(values))
	if err != nil {
		return Statement{}, err
	}
	tree, err := newTree(2*half, scope.Times, epsilon)
	if err != nil {
		return Statement{}, err
	}
	for _, v := range values {
		if math.IsNaN(v) {
			continue
		}
		if err := tree.Add(math.Round((min(max(v, in.Low), in.High) - in.Low) / in.Step)); err != nil {
			return Statement{}, fmt.Errorf("%w: %w", ErrInput, err)
		}
	}
	rows := make([]Row, len(ranks))
	for i, rank := range ranks {
		steps, err := tree.Result(rank)
		if err != nil {
			return Statement{}, fmt.Errorf("%w: %w", ErrInput, err)
		}
		rows[i] = Row{decimal(rank), min(max(in.Low+math.Round(steps)*in.Step, in.Low), in.High), in.Low, in.High}
	}
	return r.record(scope, metric, rows, epsilon)
}

func checkQuantiles(scope Scope, metric string, ranks []float64, epsilon float64) error {
	if err := check(scope, metric, epsilon); err != nil {
		return err
	}
	if least := MinContributors / min(1, epsilon); !(scope.Contributors >= least) {
		return fmt.Errorf("%w: %s has about %.0f devices, and below %.0f a quantile at epsilon %g is mostly noise", ErrFewContributors, metric, scope.Contributors, least, epsilon)
	}
	if len(ranks) == 0 || len(ranks) > maxRanks {
		return fmt.Errorf("%w: %d quantiles of %s", ErrInput, len(ranks), metric)
	}
	for i, rank := range ranks {
		if !(rank >= 0 && rank <= 1) || slices.Contains(ranks[:i], rank) {
			return fmt.Errorf("%w: %s has no quantile of rank %g, or it twice", ErrInput, metric, rank)
		}
	}
	return nil
}

// newTree is the library's tree over whole numbers of steps. Its leaves are found in floating point: a value just below
// the upper bound of a range such as [-1, 1] is counted in a leaf beyond the last, and in six nodes instead of the four
// that its noise is sized for. Whole steps from 0 keep clear of that: the last below the bound is a 2^41st away from it.
func newTree(steps float64, times int, epsilon float64) (*dpagg.BoundedQuantiles, error) {
	if !(steps >= 1 && steps <= 2*maxValue) {
		return nil, fmt.Errorf("%w: a range of %g steps", ErrInput, steps)
	}
	tree, err := dpagg.NewBoundedQuantiles(&dpagg.BoundedQuantilesOptions{
		Epsilon: epsilon, Noise: noise.Laplace(), Lower: 0, Upper: steps,
		MaxPartitionsContributed: 1, MaxContributionsPerPartition: int64(times),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return tree, nil
}
