// Package stats is the recommender that needs no gradient: private item
// statistics. Every device sends one bounded vector for each of two releases:
// the popularity of items, which chooses the top-k, and a block of windowed
// transitions among them. What the server gets to see is the noised sum; this
// package removes the noise as far as that is possible, scores items from what
// remains and explains the scores. The package adds no noise itself.
//
// Everything that follows a release is post-processing and costs no privacy.
// Section numbers in comments are those of the project's model study.
package stats

import "math"

// safe keeps float32 rounding from lifting a norm above 1.
const safe = 1 - 1e-6

// PopularityVector is a device's first contribution: 1/sqrt(n) for each of the
// n distinct items of the history, 0 elsewhere; length items, L2 norm at most 1
// (0 for an empty history). Indices outside [0, items) are ignored.
func PopularityVector(history []int32, items int) []float32 {
	vector := make([]float32, items)
	distinct := 0
	for _, i := range history {
		if i >= 0 && int(i) < items && vector[i] == 0 {
			vector[i] = 1
			distinct++
		}
	}
	if distinct == 0 {
		return vector
	}
	weight := float32(safe / math.Sqrt(float64(distinct)))
	for i := range vector {
		vector[i] *= weight
	}
	return vector
}
