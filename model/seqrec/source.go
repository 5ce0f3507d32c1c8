package seqrec

import "math/rand/v2"

// Crops returns a source for FitSource: every batch is drawn without
// replacement from the histories, reshuffled each epoch; with probability
// random a long history gives a random window of maxLen predictions, else its
// last one. The same seed gives the same batches. Histories of fewer than two
// items are left out; if none is left, the source returns ErrNothingToLearn.
func Crops(histories [][]int32, maxLen, batch int, random float64, seed uint64) Source {
	var usable [][]int32
	for _, h := range histories {
		if len(h) >= 2 {
			usable = append(usable, h)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 0x63726f7073)) // "crops"
	next := shuffled(len(usable), rng)
	out := make([]Sequence, min(batch, len(usable)))
	return func(step int) ([]Sequence, error) {
		if len(out) == 0 {
			return nil, ErrNothingToLearn
		}
		for i := range out {
			h := usable[next()]
			if spare := len(h) - maxLen - 1; spare > 0 && rng.Float64() < random {
				h = h[:len(h)-rng.IntN(spare+1)]
			}
			out[i] = FromHistory(h, maxLen)
			out[i].Seed = seedAt(seed, step, i)
		}
		return out, nil
	}
}

// shuffled walks 0..n-1 in a new random order again and again.
func shuffled(n int, rng *rand.Rand) func() int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	at := n
	return func() int {
		if at == n {
			rng.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
			at = 0
		}
		at++
		return order[at-1]
	}
}
