package seqrec

import (
	"fmt"
	"math/rand/v2"
)

// Masking is which items a Bidirectional model is asked for in training (Sun et
// al. 2019, BERT4Rec, section 3.6): they are hidden behind MASK, and the model
// fills them in. Ranking asks for the last one only; so some of the sequences
// hide just that: half of these end with the history, half anywhere in it, since
// a short history will be asked for too.
type Masking struct {
	Items    int     // V: its id is MASK's
	MaxLen   int     // longest window, at least 2
	Rate     float64 // part of the items that is hidden, in (0, 1]; at least one is
	LastOnly float64 // part of the sequences that hide their last item only, in [0, 1]
}

// DefaultMasking hides a fifth of the items, and in a tenth of the sequences the
// last one alone.
func DefaultMasking(cfg Config) Masking {
	return Masking{Items: cfg.Items, MaxLen: cfg.MaxLen, Rate: 0.2, LastOnly: 0.1}
}

// Check refuses what is out of range.
func (m Masking) Check() error {
	switch {
	case m.Items < 2 || m.MaxLen < 2:
		return fmt.Errorf("masking: %d items in windows of %d", m.Items, m.MaxLen)
	case !(m.Rate > 0 && m.Rate <= 1):
		return fmt.Errorf("masking: a part of %v is hidden", m.Rate)
	case !(m.LastOnly >= 0 && m.LastOnly <= 1):
		return fmt.Errorf("masking: a part of %v hides the last item only", m.LastOnly)
	}
	return nil
}

// Cloze returns a source for FitSource that trains a Bidirectional model: every
// batch is drawn without replacement from the histories, reshuffled each epoch,
// and a window of each, which is anywhere in a long history, is masked. The same
// seed gives the same batches. Histories of fewer than two items are left out; if
// none is left, or m does not pass its check, the source returns an error.
func Cloze(histories [][]int32, m Masking, batch int, seed uint64) Source {
	return ClozeHistories(Histories(histories), m, batch, seed)
}

// ClozeHistories is Cloze of all that is known of the users.
func ClozeHistories(histories []History, m Masking, batch int, seed uint64) Source {
	if err := m.Check(); err != nil {
		return func(int) ([]Sequence, error) { return nil, err }
	}
	return drawHistories(histories, batch, seed, m.draw)
}

// draw hides items of one window of a history.
func (m Masking) draw(h History, seed uint64) Sequence {
	rng := rand.New(rand.NewPCG(seed, 0x636c6f7a65)) // "cloze"
	n := len(h.Items)
	if rng.Float64() < m.LastOnly {
		if rng.Uint64()&1 == 0 {
			n = 2 + rng.IntN(n-1)
		}
		h = h.part(max(0, n-m.MaxLen), n)
		return h.masked(int32(m.Items), func(i int) bool { return i == len(h.Items)-1 })
	}
	end := n
	if spare := n - m.MaxLen; spare > 0 {
		end -= rng.IntN(spare + 1)
	}
	return m.hide(h.part(max(0, end-m.MaxLen), end), rng)
}

// hide hides Rate of the items of a window, or one.
func (m Masking) hide(h History, rng *rand.Rand) Sequence {
	hidden := make([]bool, len(h.Items))
	none := true
	for i := range hidden {
		hidden[i] = rng.Float64() < m.Rate
		none = none && !hidden[i]
	}
	if none {
		hidden[rng.IntN(len(hidden))] = true
	}
	return h.masked(int32(m.Items), func(i int) bool { return hidden[i] })
}
