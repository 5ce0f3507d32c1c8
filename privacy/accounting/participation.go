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
	// most[i][j] is the largest sum over the first i rounds with at most j of them, j <= min(k, i); with k out of play one
	// column that knows no limit.
	most [][]*big.Rat
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
	e.rounds, e.costs = append(e.rounds, round), append(e.costs, cost)
	e.most = append(e.most, e.row(len(e.rounds)))
	return nil
}

// Set changes the cost of a round that was added: what was abandoned costs nothing.
func (e *Exposure) Set(round uint64, cost *big.Rat) error {
	at, found := slices.BinarySearch(e.rounds, round)
	if !found || cost != nil && cost.Sign() < 0 {
		return fmt.Errorf("accounting: no round %d, or a cost below zero", round)
	}
	e.costs[at] = orZero(cost)
	for i := at + 1; i < len(e.most); i++ {
		e.most[i] = e.row(i)
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
	e.rounds, e.costs, e.most = e.rounds[:n], e.costs[:n], e.most[:n+1]
	return worst
}

// row is most[i]: the i-th round is left out, or follows on the best choice that ends b rounds before it.
func (e *Exposure) row(i int) []*big.Rat {
	before, cost := e.most[i-1], e.costs[i-1]
	reach := uint64(0)
	if r := e.rounds[i-1]; r >= e.b {
		reach = r - e.b + 1 // rounds below it are far enough
	}
	far, _ := slices.BinarySearch(e.rounds[:i-1], reach)
	if e.k == 0 {
		return []*big.Rat{larger(before[0], new(big.Rat).Add(cost, e.most[far][0]))}
	}
	width := int(min(e.k, uint64(i)))
	row := make([]*big.Rat, width+1)
	row[0] = before[0]
	for j := 1; j <= width; j++ {
		with := new(big.Rat).Add(cost, at(e.most[far], j-1))
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
