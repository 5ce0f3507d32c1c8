package layer

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
)

// Proposal is the distribution q over the catalogue that negatives are drawn
// from: uniform, or proportional to whole weights. It is immutable, and draws are
// integer arithmetic: the same seed gives the same items on every machine.
type Proposal struct {
	items      int
	cumulative []uint64  // cumulative[i] = weights up to and with i; nil: uniform
	logWeight  []float64 // nil: uniform
}

// Negatives are what a Proposal drew; a Draw reuses their memory.
type Negatives struct {
	IDs      []int32
	LogCount []float32 // log of the number of times each id was expected
}

// UniformProposal gives every one of the items the same chance. items lies in
// [1, 2^31).
func UniformProposal(items int) *Proposal { return &Proposal{items: items} }

// NewProposal makes q_i proportional to weights[i]. Every weight is at least 1,
// so that every item can be drawn, and their sum is below 2^63.
func NewProposal(weights []uint64) (*Proposal, error) {
	if len(weights) == 0 || len(weights) > math.MaxInt32 {
		return nil, fmt.Errorf("proposal: %d weights", len(weights))
	}
	cumulative, logWeight := make([]uint64, len(weights)), make([]float64, len(weights))
	sum := uint64(0)
	for i, w := range weights {
		if w < 1 {
			return nil, fmt.Errorf("proposal: the weight of item %d is 0: it could never be drawn", i)
		}
		if w >= 1<<63-sum {
			return nil, errors.New("proposal: the weights sum to 2^63 or more")
		}
		sum += w
		cumulative[i], logWeight[i] = sum, math.Log(float64(w))
	}
	return &Proposal{items: len(weights), cumulative: cumulative, logWeight: logWeight}, nil
}

// Items is the size of the catalogue.
func (p *Proposal) Items() int { return p.items }

// weight is item i's, of total in all.
func (p *Proposal) weight(i int32) (w, total uint64) {
	if p.cumulative == nil {
		return 1, uint64(p.items)
	}
	w = p.cumulative[i]
	if i > 0 {
		w -= p.cumulative[i-1]
	}
	return w, p.cumulative[p.items-1]
}

// Draw overwrites n with m negatives for all tokens of a call: with replacement,
// or, if uniform, without (the same expected counts, less variance). From m =
// Items on it is every item once, with the log count 0, which makes a sampled
// softmax the full one.
func (p *Proposal) Draw(n *Negatives, m int, seed uint64) {
	n.IDs, n.LogCount = n.IDs[:0], n.LogCount[:0]
	if m >= p.items {
		for i := range p.items {
			n.IDs, n.LogCount = append(n.IDs, int32(i)), append(n.LogCount, 0)
		}
		return
	}
	rng := generator(seed)
	if p.cumulative == nil {
		n.IDs = distinct(n.IDs, rng, m, p.items)
	} else {
		for range m {
			n.IDs = append(n.IDs, p.one(rng))
		}
	}
	_, total := p.weight(0)
	each := math.Log(float64(m) / float64(total))
	for _, id := range n.IDs {
		n.LogCount = append(n.LogCount, p.logCount(each, id))
	}
}

// AppendEach appends, for every target in turn, m negatives of its own, drawn
// with replacement from the other items: what a call with Each wants. Tokens
// without a target (negative) get m zeros. The catalogue has at least 2 items.
func (p *Proposal) AppendEach(n *Negatives, targets []int32, m int, seed uint64) {
	rng := generator(seed)
	n.IDs = slices.Grow(n.IDs, m*len(targets))
	n.LogCount = slices.Grow(n.LogCount, m*len(targets))
	for _, target := range targets {
		if target < 0 {
			for range m {
				n.IDs, n.LogCount = append(n.IDs, 0), append(n.LogCount, 0)
			}
			continue
		}
		own, total := p.weight(target)
		each := math.Log(float64(m) / float64(total-own))
		for range m {
			id := p.other(rng, target)
			n.IDs, n.LogCount = append(n.IDs, id), append(n.LogCount, p.logCount(each, id))
		}
	}
}

func generator(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0x6e656761746976)) // "negativ"
}

// logCount is item id's, each being that of a weight of 1.
func (p *Proposal) logCount(each float64, id int32) float32 {
	if p.logWeight == nil {
		return float32(each)
	}
	return float32(each + p.logWeight[id])
}

// one draws an item from q.
func (p *Proposal) one(rng *rand.Rand) int32 {
	if p.cumulative == nil {
		return int32(rng.Uint64N(uint64(p.items)))
	}
	return p.at(rng.Uint64N(p.cumulative[p.items-1]))
}

// at is the item whose share of the weights holds the point r.
func (p *Proposal) at(r uint64) int32 {
	return int32(sort.Search(p.items, func(i int) bool { return p.cumulative[i] > r }))
}

// other draws from q without target: the point is drawn from the weights of the
// others, and those behind the target move up by its weight.
func (p *Proposal) other(rng *rand.Rand, target int32) int32 {
	own, total := p.weight(target)
	r := rng.Uint64N(total - own)
	if p.cumulative == nil {
		if r >= uint64(target) {
			r++
		}
		return int32(r)
	}
	if r >= p.cumulative[target]-own {
		r += own
	}
	return p.at(r)
}

// distinct appends m different items of [0, v), m < v, each set equally likely
// (Floyd's algorithm, Bentley & Floyd 1987).
func distinct(ids []int32, rng *rand.Rand, m, v int) []int32 {
	seen := make(map[int32]struct{}, m)
	for top := v - m; top < v; top++ {
		id := int32(rng.Uint64N(uint64(top) + 1))
		if _, twice := seen[id]; twice {
			id = int32(top)
		}
		seen[id] = struct{}{}
		ids = append(ids, id)
	}
	return ids
}
