package metric

import (
	"math/rand/v2"
	"slices"
)

// Interval is a two-sided confidence interval, of a mean where nothing else is
// said.
type Interval struct{ Low, High float64 }

// Bootstrap is the 95 % percentile interval of the mean of values over draws
// resamples with replacement (Efron and Tibshirani, "An Introduction to the
// Bootstrap", 1993, section 13.3). The same seed gives the same interval.
func Bootstrap(values []float64, draws int, seed uint64) Interval {
	return bootstrapMeans([][]float64{values}, draws, seed)[0]
}

// BootstrapOf is Bootstrap for any figure of n cases: statistic computes it for
// a sample of case numbers, some of which come twice and others not at all. The
// sample is reused from call to call.
func BootstrapOf(n, draws int, seed uint64, statistic func(sample []int) float64) Interval {
	if n < 1 || draws < 1 {
		return Interval{}
	}
	values := make([]float64, 0, draws)
	resample(n, draws, seed, func(sample []int) { values = append(values, statistic(sample)) })
	return percentiles(values)
}

// bootstrapMeans gives the mean of each column, all of one length, the interval
// that Bootstrap gives it, from one set of resamples.
func bootstrapMeans(columns [][]float64, draws int, seed uint64) []Interval {
	intervals := make([]Interval, len(columns))
	if len(columns) == 0 || len(columns[0]) == 0 || draws < 1 {
		return intervals
	}
	n := len(columns[0])
	means := make([][]float64, len(columns))
	resample(n, draws, seed, func(sample []int) {
		for c, values := range columns {
			sum := 0.0
			for _, i := range sample {
				sum += values[i]
			}
			means[c] = append(means[c], sum/float64(n))
		}
	})
	for c := range means {
		intervals[c] = percentiles(means[c])
	}
	return intervals
}

// resample draws n of n with replacement, draws times.
func resample(n, draws int, seed uint64, use func(sample []int)) {
	random := rand.New(rand.NewPCG(seed, 0x626f6f7473747261))
	sample := make([]int, n)
	for range draws {
		for i := range sample {
			sample[i] = random.IntN(n)
		}
		use(sample)
	}
}

// percentiles sorts values and cuts 2.5 % off at both ends.
func percentiles(values []float64) Interval {
	slices.Sort(values)
	tail := int(0.025 * float64(len(values)))
	return Interval{Low: values[tail], High: values[len(values)-1-tail]}
}
