package seqrec

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"tutti/model/kernel"
	"tutti/model/rank"
)

// speaker is what beam search asks: the logits of all items after each of some
// lists, which it keeps by number.
type speaker interface {
	// logits are those that follow list slot; they stay until the next call.
	logits(slot int) []float32
	// grow makes list i of the lists parents[i], continued by items[i], for all
	// i. Lists that are no parent are gone.
	grow(parents []int, items []int32)
}

// candidate is a list of the search, or one that could be made of it by one more
// item.
type candidate struct {
	parent  int // index among the lists before
	item    int32
	logProb float64 // of the item
	total   float64 // of the list
}

// search is beam search (Lowerre 1976): of all lists that are one item longer
// than those that were kept it keeps the options.Beams most probable. It starts
// from the empty list, slot 0.
func search(from speaker, options GenerateOptions, allowed rules) ([]List, error) {
	lists := []List{{}}
	for step := range options.Length {
		next, err := continuations(from, lists, options.Beams, allowed)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", step, err)
		}
		if len(next) == 0 {
			break // by the shape of the rules all lists end at the same length
		}
		grown := make([]List, len(next))
		parents, items := make([]int, len(next)), make([]int32, len(next))
		for i, c := range next {
			before := lists[c.parent]
			grown[i] = List{
				Items:    append(slices.Clone(before.Items), c.item),
				LogProbs: append(slices.Clone(before.LogProbs), c.logProb),
				LogProb:  c.total,
			}
			parents[i], items[i] = c.parent, c.item
		}
		lists = grown
		if step+1 < options.Length {
			from.grow(parents, items)
		}
	}
	if len(lists[0].Items) == 0 {
		return nil, nil
	}
	return lists, nil
}

// continuations are the n most probable lists that are one item longer, best
// first.
func continuations(from speaker, lists []List, n int, allowed rules) ([]candidate, error) {
	var all []candidate
	for parent, list := range lists {
		logits := from.logits(parent)
		if !kernel.Finite(logits) {
			return nil, errScores
		}
		normaliser := logSumExp(logits)
		for _, r := range rank.Top(logits, n, allowed.forbids(list.Items)) {
			p := float64(r.Score) - normaliser
			all = append(all, candidate{parent: parent, item: r.Item, logProb: p, total: list.LogProb + p})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.parent, b.parent), cmp.Compare(a.item, b.item))
	})
	return all[:min(n, len(all))], nil
}

// logSumExp is log(sum(exp(x))).
func logSumExp(x []float32) float64 {
	top := kernel.Max(x)
	sum := 0.0
	var part [256]float32
	for len(x) > 0 {
		n := min(len(x), len(part))
		sum += float64(kernel.ExpShifted(part[:n], x[:n], top))
		x = x[n:]
	}
	return float64(top) + math.Log(sum)
}
