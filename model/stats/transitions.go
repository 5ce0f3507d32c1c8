package stats

import (
	"fmt"
	"math"
	"slices"
)

const (
	// historyDecay is how fast older events lose their say in a score
	// (section 5.3).
	historyDecay = 0.8
	// historyReach is the age from which events have no say: .8^64 < 1e-6.
	historyReach = 64
	// ridge is added to the weight of a row, in contributions of one device: a
	// row that rests on less than that keeps little weight.
	ridge = 1
)

// Transitions is what remains of the second release: how often any two items of
// a block follow each other closely. It is public, symmetric, and exact in the
// same sense as Popularity.
type Transitions struct {
	block *Block
	roots []uint16  // by cell: the value is unit * root^2
	unit  float64   // a contribution of one device has L2 norm 1
	rows  []float32 // k x k; value over (sum of the row + ridge), diagonal 0
}

// NewTransitions removes the noise from the released sum of block vectors;
// sigma is the standard deviation of the noise on each cell.
func NewTransitions(block *Block, sum []float32, sigma float64) (*Transitions, error) {
	if len(sum) != block.Cells() {
		return nil, fmt.Errorf("stats: %d released cells, the block has %d", len(sum), block.Cells())
	}
	means, err := Denoise(sum, sigma)
	if err != nil {
		return nil, err
	}
	unit := float64(slices.Max(means)) / (math.MaxUint16 * math.MaxUint16)
	if unit == 0 {
		unit = 1
	}
	roots := make([]uint16, len(means))
	for i, m := range means {
		roots[i] = uint16(min(math.Round(math.Sqrt(float64(m)/unit)), math.MaxUint16))
	}
	return transitionsOf(block, roots, unit), nil
}

func transitionsOf(block *Block, roots []uint16, unit float64) *Transitions {
	k := block.K()
	t := &Transitions{block: block, roots: roots, unit: unit, rows: make([]float32, k*k)}
	sums := make([]float64, k)
	cell := 0
	for p := range k {
		for q := p + 1; q < k; q++ {
			v := t.value(cell)
			sums[p] += v
			sums[q] += v
			cell++
		}
	}
	cell = 0
	for p := range k {
		for q := p + 1; q < k; q++ {
			v := t.value(cell)
			t.rows[p*k+q] = float32(v / (sums[p] + ridge))
			t.rows[q*k+p] = float32(v / (sums[q] + ridge))
			cell++
		}
	}
	return t
}

func (t *Transitions) value(cell int) float64 {
	root := float64(t.roots[cell])
	return t.unit * root * root
}

// Block is the frame of the release.
func (t *Transitions) Block() *Block { return t.block }

// row lists, by position, how likely each item of the block is to stand near
// the item at position p.
func (t *Transitions) row(p int) []float32 {
	k := t.block.K()
	return t.rows[p*k : (p+1)*k]
}

// recent visits the latest events of a history that lie in the block, the
// newest first, with the say that their age leaves them. Events outside the
// block age the others all the same.
func (t *Transitions) recent(history []int32, visit func(position int, say float32)) {
	say := 1.0
	for age := 0; age < min(historyReach, len(history)); age++ {
		if p := t.block.Position(history[len(history)-1-age]); p >= 0 {
			visit(p, float32(say))
		}
		say *= historyDecay
	}
}

// Scores writes the score of every item: the sum over the history of .8^age
// times the row of the event, age 0 being the last event (section 5.3). Items
// outside the block score 0. len(out) must be the size of the catalogue.
func (t *Transitions) Scores(history []int32, out []float32) {
	clear(out)
	items := t.block.Items()
	t.recent(history, func(position int, say float32) {
		for q, v := range t.row(position) {
			out[items[q]] += say * v
		}
	})
}

// Explain names the item of the history that speaks loudest for an item, and
// its part of all that speaks for it, in (0, 1]; ok is false when nothing does.
func (t *Transitions) Explain(history []int32, item int32) (because int32, part float64, ok bool) {
	at := t.block.Position(item)
	if at < 0 {
		return 0, 0, false
	}
	total, best := 0.0, 0.0
	said := map[int]float64{}
	t.recent(history, func(position int, say float32) {
		v := float64(say) * float64(t.row(position)[at])
		total += v
		said[position] += v
		if said[position] > best {
			best, because, ok = said[position], t.block.Items()[position], true
		}
	})
	if !ok {
		return 0, 0, false
	}
	return because, best / total, true
}

// score is what Scores writes for one item.
func (t *Transitions) score(history []int32, item int32) float64 {
	at := t.block.Position(item)
	total := 0.0
	if at >= 0 {
		t.recent(history, func(position int, say float32) {
			total += float64(say) * float64(t.row(position)[at])
		})
	}
	return total
}
