package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// The baselines of this file see the histories in the clear. They are what a
// private model is compared with.

// CountPopularity is the popularity baseline: how many histories hold each
// item. Indices outside [0, items) are ignored.
func CountPopularity(histories [][]int32, items int) []float32 {
	counts := make([]float32, items)
	last := make([]int, items) // the last history that counted, plus one
	for u, h := range histories {
		for _, i := range h {
			if i >= 0 && int(i) < items && last[i] != u+1 {
				last[i] = u + 1
				counts[i]++
			}
		}
	}
	return counts
}

// ItemItem is the windowed item-item baseline over the whole catalogue: which
// items stand shortly after which.
type ItemItem struct {
	start   []int // row i is [start[i], start[i+1])
	columns []int32
	values  []float32
}

// Backward weights: how much a pair counts from its later to its earlier item,
// next to 1 from the earlier to the later.
const (
	ForwardOnly = 0    // the study has NDCG@10 .1469, HR@10 .2508 on ml-1m (section 4.3)
	Symmetric   = 0.35 // "sym-ish": .1415, .2455; the study does not give its weight
)

// transition says that to came after from within the window.
type transition struct {
	from, to int32
	weight   float32
}

// NewItemItem counts the transitions of every history within the window, the
// contribution of each history scaled to L2 norm 1, then adds backward times
// the transpose and divides each row by (its sum + 1). Events outside
// [0, items) count for nothing.
func NewItemItem(histories [][]int32, items int, w Window, backward float64) (*ItemItem, error) {
	if err := w.Check(); err != nil {
		return nil, err
	}
	if items < 1 || !(backward >= 0 && backward <= 1) {
		return nil, fmt.Errorf("stats: item-item over %d items with backward weight %v", items, backward)
	}
	var all []transition
	weights := w.weights()
	for _, h := range histories {
		first := len(all)
		all = transitionsIn(h, items, weights, all)
		if hasRepeats(h) {
			all = all[:first+merge(all[first:])]
		}
		scaleToOne(all[first:])
	}
	return rowsOf(all, items, float32(backward)), nil
}

// transitionsIn appends the transitions of one history.
func transitionsIn(history []int32, items int, weights []float64, all []transition) []transition {
	for i, from := range history {
		for d := 1; d <= len(weights) && i+d < len(history); d++ {
			to := history[i+d]
			if from != to && min(from, to) >= 0 && int(max(from, to)) < items {
				all = append(all, transition{from, to, float32(weights[d-1])})
			}
		}
	}
	return all
}

func hasRepeats(history []int32) bool {
	sorted := slices.Sorted(slices.Values(history))
	return len(slices.Compact(sorted)) < len(history)
}

// merge adds up equal transitions of one history; it returns how many are left.
func merge(own []transition) int {
	slices.SortFunc(own, func(a, b transition) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.weight, b.weight))
	})
	kept := own[:0]
	for _, t := range own {
		if n := len(kept); n > 0 && kept[n-1].from == t.from && kept[n-1].to == t.to {
			kept[n-1].weight += t.weight
			continue
		}
		kept = append(kept, t)
	}
	return len(kept)
}

// scaleToOne scales the transitions of one history to L2 norm 1.
func scaleToOne(own []transition) {
	square := 0.0
	for _, t := range own {
		square += float64(t.weight) * float64(t.weight)
	}
	for i := range own {
		own[i].weight = float32(float64(own[i].weight) / math.Sqrt(square))
	}
}

// entry is one transition of a row.
type entry struct {
	to     int32
	weight float32
}

// byRow groups transitions, and backward times their transpose, by row: row i
// is entries[start[i]:start[i+1]].
func byRow(all []transition, items int, backward float32) (entries []entry, start []int) {
	start = make([]int, items+1)
	for _, t := range all {
		start[t.from+1]++
		if backward > 0 {
			start[t.to+1]++
		}
	}
	for i := range items {
		start[i+1] += start[i]
	}
	entries = make([]entry, start[items])
	next := slices.Clone(start)
	for _, t := range all {
		entries[next[t.from]] = entry{t.to, t.weight}
		next[t.from]++
		if backward > 0 {
			entries[next[t.to]] = entry{t.from, t.weight * backward}
			next[t.to]++
		}
	}
	return entries, start
}

// rowsOf adds up equal entries of a row and normalises it.
func rowsOf(all []transition, items int, backward float32) *ItemItem {
	entries, start := byRow(all, items, backward)
	m := &ItemItem{start: make([]int, items+1)}
	dense := make([]float64, items)
	var touched []int32
	for i := range items {
		sum := 0.0
		touched = touched[:0]
		for _, e := range entries[start[i]:start[i+1]] {
			if dense[e.to] == 0 {
				touched = append(touched, e.to)
			}
			dense[e.to] += float64(e.weight)
			sum += float64(e.weight)
		}
		for _, to := range touched {
			m.columns = append(m.columns, to)
			m.values = append(m.values, float32(dense[to]/(sum+ridge)))
			dense[to] = 0
		}
		m.start[i+1] = len(m.columns)
	}
	return m
}

// Scores writes the score of every item: the sum over the history of .8^age
// times the row of the event, age 0 being the last event. len(out) must be the
// size of the catalogue.
func (m *ItemItem) Scores(history []int32, out []float32) {
	clear(out)
	say := 1.0
	for age := 0; age < min(historyReach, len(history)); age++ {
		i := history[len(history)-1-age]
		if i >= 0 && int(i) < len(m.start)-1 {
			for c := m.start[i]; c < m.start[i+1]; c++ {
				out[m.columns[c]] += float32(say) * m.values[c]
			}
		}
		say *= historyDecay
	}
}
