package rank

import (
	"fmt"
	"math"
)

// Diversify chooses k of the candidates one after another: each time the one
// with the largest
//
//	relevance * r - (1 - relevance) * s
//
// where r is its score, stretched to 0..1 over the candidates, and s its
// similarity to the most similar item chosen so far (maximal marginal
// relevance: Carbonell and Goldstein, "The Use of MMR", SIGIR 1998). A relevance
// of 1 keeps the order of the scores, 0 looks at similarity only after the
// first. Candidates come best first, a few times k of them; the result keeps
// their scores and is in the order of choice.
func Diversify(candidates []Ranked, k int, relevance float64, similarity func(a, b int32) float64) ([]Ranked, error) {
	if !(relevance >= 0 && relevance <= 1) {
		return nil, fmt.Errorf("rank: a relevance of %v is not between 0 and 1", relevance)
	}
	if len(candidates) == 0 || k <= 0 {
		return nil, nil
	}
	low, high := candidates[0].Score, candidates[0].Score
	for _, c := range candidates {
		low, high = min(low, c.Score), max(high, c.Score)
	}
	scale := float64(high) - float64(low)
	if scale == 0 {
		scale = 1
	}
	nearest := make([]float64, len(candidates)) // similarity to what is chosen
	for i := range nearest {
		nearest[i] = math.Inf(-1)
	}
	taken := make([]bool, len(candidates))
	var chosen []Ranked
	for len(chosen) < min(k, len(candidates)) {
		best, most := -1, math.Inf(-1)
		for i, c := range candidates {
			value := relevance * (float64(c.Score) - float64(low)) / scale
			if len(chosen) > 0 {
				value -= (1 - relevance) * nearest[i]
			} else {
				value = float64(c.Score)
			}
			if !taken[i] && (best < 0 || value > most) {
				best, most = i, value
			}
		}
		taken[best] = true
		chosen = append(chosen, candidates[best])
		for i, c := range candidates {
			if !taken[i] {
				nearest[i] = max(nearest[i], similarity(c.Item, candidates[best].Item))
			}
		}
	}
	return chosen, nil
}
