package seqrec

import (
	"fmt"
	"math/rand/v2"
)

// Crops returns a source for FitSource: every batch is drawn without
// replacement from the histories, reshuffled each epoch; with probability
// random a long history gives a random window of maxLen predictions, else its
// last one. The same seed gives the same batches. Histories of fewer than two
// items are left out; if none is left, the source returns ErrNothingToLearn.
func Crops(histories [][]int32, maxLen, batch int, random float64, seed uint64) Source {
	return CropHistories(Histories(histories), maxLen, batch, random, seed)
}

// CropHistories is Crops of all that is known of the users. A history whose parts
// are not of one length makes the source return an error.
func CropHistories(histories []History, maxLen, batch int, random float64, seed uint64) Source {
	return drawHistories(histories, batch, seed, func(h History, own uint64) Sequence {
		rng := rand.New(rand.NewPCG(own, 0x63726f7073)) // "crops"
		if spare := len(h.Items) - maxLen - 1; spare > 0 && rng.Float64() < random {
			h = h.part(0, len(h.Items)-rng.IntN(spare+1))
		}
		return h.Predictions(maxLen)
	})
}

// drawHistories makes batches of what cut makes of a history and the seed of its
// sequence.
func drawHistories(histories []History, batch int, seed uint64, cut func(h History, own uint64) Sequence) Source {
	var usable []History
	for i, h := range histories {
		if err := h.check(); err != nil {
			err = fmt.Errorf("history %d: %w", i, err)
			return func(int) ([]Sequence, error) { return nil, err }
		}
		if len(h.Items) >= 2 {
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
			own := seedAt(seed, 0, position)
			out[i] = cut(usable[walk.at(position)], own)
			out[i].Seed = own
		}
		return out, nil
	}
}
