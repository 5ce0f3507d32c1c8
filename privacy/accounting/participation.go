package accounting

import (
	"fmt"
	"math/big"
	"slices"
)

// MaxParticipations is the largest k that Exposure distinguishes from no limit; a larger one counts as none, which never
// gives less than the truth.
const MaxParticipations = 1024

// Exposure is the most that one device can lose to the rounds of a task when it is in at most k of them, and in no two of
// which the second is less than b rounds after the first: the largest sum of costs over such a choice of rounds. zCDP adds
// up, so this is the cost of the device's own composition; with k and b out of play it is the sum of all.
//
// It is exact. Adding a round costs O(min(k, rounds)).
type Exposure struct {
	k, b   uint64
	rounds []uint64
	costs  []*big.Rat
	// most[i-first][j] is the largest sum over the first i rounds with at most j of them, j <= min(k, i); with k out of play
	// one column that knows no limit. Only the rows that the next round can follow on are kept, b and two more, so that a
	// task of many rounds costs little memory.
	most  [][]*big.Rat
	first int
}

// NewExposure is that of no rounds; k or b of 0 do not limit.
func NewExposure(k, b uint64) *Exposure {
	if k > MaxParticipations {
		k = 0
	}
	return &Exposure{k: k, b: max(b, 1), most: [][]*big.Rat{{new(big.Rat)}}}
}

// Add appends a round of a number above all before; nil costs nothing.
func (e *Exposure) Add(round uint64, cost *big.Rat) error {
	if n := len(e.rounds); n > 0 && round <= e.rounds[n-1] {
		return fmt.Errorf("accounting: round %d after round %d", round, e.rounds[n-1])
	}
	if cost = orZero(cost); cost.Sign() < 0 {
		return fmt.Errorf("accounting: round %d costs %s", round, cost.RatString())
	}
	if n := len(e.costs); n > 0 && e.costs[n-1].Cmp(cost) == 0 {
		cost = e.costs[n-1]
	}
	e.rounds, e.costs = append(e.rounds, round), append(e.costs, cost)
	e.grow(len(e.rounds))
	return nil
}

// grow makes row i, the next one, and lets those go that no later round follows on: rounds grow, so that fewer than b of
// them are too near.
func (e *Exposure) grow(i int) {
	e.most = append(e.most, e.row(i))
	if n := uint64(len(e.most)); e.b < n && n > e.b+2 {
		drop := int(n - e.b - 2)
		e.most, e.first = slices.Delete(e.most, 0, drop), e.first+drop
	}
}

// sum is most[i] of the whole table.
func (e *Exposure) sum(i int) []*big.Rat { return e.most[i-e.first] }

// Set changes the cost of a round that was added: what was abandoned costs nothing.
func (e *Exposure) Set(round uint64, cost *big.Rat) error {
	at, found := slices.BinarySearch(e.rounds, round)
	if !found || cost != nil && cost.Sign() < 0 {
		return fmt.Errorf("accounting: no round %d, or a cost below zero", round)
	}
	e.costs[at] = orZero(cost)
	from := at + 1
	if from-int(min(e.b, uint64(from))) < e.first { // what the row follows on is not kept: begin anew
		e.most, e.first, from = [][]*big.Rat{{new(big.Rat)}}, 0, 1
	}
	e.most = e.most[:from-e.first]
	for i := from; i <= len(e.rounds); i++ {
		e.grow(i)
	}
	return nil
}

// Worst is the most that one device can lose to the rounds so far.
func (e *Exposure) Worst() *big.Rat {
	last := e.most[len(e.most)-1]
	return new(big.Rat).Set(last[len(last)-1])
}

// With is Worst as it would be with one more round, newer than those that are there; one that Add refuses counts in full.
func (e *Exposure) With(round uint64, cost *big.Rat) *big.Rat {
	if e.Add(round, cost) != nil {
		worst := e.Worst()
		if cost != nil && cost.Sign() > 0 {
			worst.Add(worst, cost)
		}
		return worst
	}
	worst, n := e.Worst(), len(e.rounds)-1
	e.rounds, e.costs, e.most = e.rounds[:n], e.costs[:n], e.most[:len(e.most)-1]
	return worst
}

// row is most[i]: the i-th round is left out, or follows on the best choice that ends b rounds before it.
func (e *Exposure) row(i int) []*big.Rat {
	before, cost := e.sum(i-1), e.costs[i-1]
	reach := uint64(0)
	if r := e.rounds[i-1]; r >= e.b {
		reach = r - e.b + 1 // rounds below it are far enough
	}
	far, _ := slices.BinarySearch(e.rounds[:i-1], reach)
	if e.k == 0 {
		return []*big.Rat{larger(before[0], new(big.Rat).Add(cost, e.sum(far)[0]))}
	}
	width := int(min(e.k, uint64(i)))
	row := make([]*big.Rat, width+1)
	row[0] = before[0]
	for j := 1; j <= width; j++ {
		with := new(big.Rat).Add(cost, at(e.sum(far), j-1))
		row[j] = larger(at(before, j), with)
	}
	return row
}

// at is the entry for at most j rounds: more than there are change nothing.
func at(row []*big.Rat, j int) *big.Rat { return row[min(j, len(row)-1)] }

func larger(x, y *big.Rat) *big.Rat {
	if x.Cmp(y) >= 0 {
		return x
	}
	return y
}

// WorstParticipation is the Exposure of consecutive rounds, costs by their order.
func WorstParticipation(costs []*big.Rat, k, b uint64) *big.Rat {
	e := NewExposure(k, b)
	for i, c := range costs {
		if err := e.Add(uint64(i), c); err != nil {
			panic(err) // costs below zero are a mistake of the caller's
		}
	}
	return e.Worst()
}
