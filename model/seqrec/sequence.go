package seqrec

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// NoTarget marks a position that takes no part in the loss.
const NoTarget int32 = -1

// Sequence is one run of items to learn from: after reading Items[0..i] the
// model should predict Targets[i], or the distribution Soft[i*V:(i+1)*V].
type Sequence struct {
	Items   []int32 // inputs, oldest first, each in [0, V); 1 to MaxLen of them
	Targets []int32 // as many; an item or NoTarget. Ignored where Soft is set
	// Soft, if not nil, holds one probability distribution over the V items per
	// position, row-major: finite, not negative, summing to 1 within 1e-3. A row
	// of zeros takes no part in the loss.
	Soft []float32
}

// ErrNothingToLearn says that no position of a batch has a target: a device
// with fewer than two items skips the round.
var ErrNothingToLearn = errors.New("no position has a target")

// FromHistory makes the sequence that predicts every item of a history from
// the ones before it, over the last maxLen predictions. A history of fewer than
// two items gives an empty sequence. The slices are parts of history.
func FromHistory(history []int32, maxLen int) Sequence {
	if len(history) > maxLen+1 {
		history = history[len(history)-maxLen-1:]
	}
	if len(history) < 2 || maxLen < 1 {
		return Sequence{}
	}
	return Sequence{Items: history[:len(history)-1], Targets: history[1:]}
}

// Windows cuts a history of any length into sequences of at most maxLen, newest
// first, so that every item but the first is the target of exactly one.
func Windows(history []int32, maxLen int) []Sequence {
	var out []Sequence
	for maxLen > 0 && len(history) >= 2 {
		s := FromHistory(history, maxLen)
		out = append(out, s)
		history = history[:len(history)-len(s.Items)]
	}
	return out
}

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
	return func(int) ([]Sequence, error) {
		if len(out) == 0 {
			return nil, ErrNothingToLearn
		}
		for i := range out {
			h := usable[next()]
			if spare := len(h) - maxLen - 1; spare > 0 && rng.Float64() < random {
				h = h[:len(h)-rng.IntN(spare+1)]
			}
			out[i] = FromHistory(h, maxLen)
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

// check refuses a sequence that does not fit the model; it does not look into
// Soft, whose rows the loss checks as it reads them.
func (s Sequence) check(cfg Config) error {
	n := len(s.Items)
	if n == 0 || n > cfg.MaxLen {
		return fmt.Errorf("%d items, want 1 to %d", n, cfg.MaxLen)
	}
	if err := checkItems(s.Items, cfg.Items); err != nil {
		return err
	}
	if s.Soft != nil {
		if len(s.Soft) != n*cfg.Items {
			return fmt.Errorf("%d soft values for %d positions of %d items", len(s.Soft), n, cfg.Items)
		}
		return nil
	}
	if len(s.Targets) != n {
		return fmt.Errorf("%d targets for %d items", len(s.Targets), n)
	}
	for i, t := range s.Targets {
		if t != NoTarget && (t < 0 || int(t) >= cfg.Items) {
			return fmt.Errorf("target %d is %d, outside the catalogue of %d", i, t, cfg.Items)
		}
	}
	return nil
}

func checkItems(items []int32, v int) error {
	for i, id := range items {
		if id < 0 || int(id) >= v {
			return fmt.Errorf("item %d is %d, outside the catalogue of %d", i, id, v)
		}
	}
	return nil
}
