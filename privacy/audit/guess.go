package audit

import (
	"cmp"
	"slices"
)

// fractions of the canaries that one-run auditing guesses, in per mille: the
// fixed grid over which the best bound is taken, each at alpha divided by
// the length of the grid (Bonferroni).
var fractions = [...]int{20, 50, 100, 200, 500}

// guessed applies the grid: for each r the r/2 canaries of the highest
// scores are guessed to be in, the r/2 of the lowest to be out. Ties go by
// position, which knows nothing of the coins.
func guessed(scores []float64, coins []bool) []Guesses {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	right := 0
	all := make([]Guesses, 0, len(fractions))
	half := 0
	for _, f := range fractions {
		for ; half < len(scores)*f/2000; half++ {
			if coins[order[half]] {
				right++
			}
			if !coins[order[len(order)-1-half]] {
				right++
			}
		}
		all = append(all, Guesses{Canaries: len(scores), Guessed: 2 * half, Correct: right})
	}
	return all
}

// perfect is what guessed would return if every guess were right.
func perfect(m int) []Guesses {
	all := make([]Guesses, 0, len(fractions))
	for _, f := range fractions {
		r := m * f / 2000 * 2
		all = append(all, Guesses{Canaries: m, Guessed: r, Correct: r})
	}
	return all
}

// expected is what guessed would return on average against Gaussian noise
// with means mu standard deviations apart.
func expected(m int, mu float64) []Guesses {
	all := perfect(m)
	for i, g := range all {
		share := float64(g.Guessed) / float64(2*m) // of all canaries, at either end
		threshold := bisect(-50, 50+mu, func(x float64) bool { return (normalCDF(-x)+normalCDF(mu-x))/2 <= share })
		right := 0.0
		if share > 0 {
			right = normalCDF(mu-threshold) / 2 / share
		}
		all[i].Correct = min(g.Guessed, int(right*float64(g.Guessed)))
	}
	return all
}

// best returns the largest of the bounds at alpha/len(all) each, and the
// guesses that gave it.
func best(all []Guesses, alpha float64, bound func(Guesses, float64) (float64, error)) (float64, Guesses, error) {
	most, from := 0.0, all[0]
	for _, g := range all {
		v, err := bound(g, alpha/float64(len(all)))
		if err != nil {
			return 0, g, err
		}
		if v > most {
			most, from = v, g
		}
	}
	return most, from, nil
}

// split sorts scores by their coins.
func split(scores []float64, coins []bool) (in, out []float64) {
	for i, v := range scores {
		if coins[i] {
			in = append(in, v)
		} else {
			out = append(out, v)
		}
	}
	return in, out
}
