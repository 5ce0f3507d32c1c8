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
	if len(usable) == 0 || batch < 1 {
		return func(int) ([]Sequence, error) { return nil, ErrNothingToLearn }
	}
	walk := newOrder(len(usable), seed)
	out := make([]Sequence, min(batch, len(usable)))
	return func(step int) ([]Sequence, error) {
		for i := range out {
			position := step*len(out) + i
			h, drawn := usable[walk.at(position)], seedAt(seed, 0, position)
			rng := rand.New(rand.NewPCG(drawn, 0x63726f7073)) // "crops"
			if spare := len(h) - maxLen - 1; spare > 0 && rng.Float64() < random {
				h = h[:len(h)-rng.IntN(spare+1)]
			}
			out[i] = FromHistory(h, maxLen)
			out[i].Seed = drawn
		}
		return out, nil
	}
}
