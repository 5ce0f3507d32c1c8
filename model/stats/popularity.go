package stats

import (
	"cmp"
	"errors"
	"math"
	"slices"
)

// Popularity is what remains of the first release: each item's share. It is
// public, and exact: it is built of integers, so that every device and auditor
// that parses the same bytes computes with the same numbers.
type Popularity struct {
	weights []uint32  // relative to the most popular item
	shares  []float32 // weights over their sum
}

// NewPopularity removes the noise from the released sum of popularity vectors,
// one value for each item of the catalogue; sigma is the standard deviation of
// the noise on each. Where nothing remains above the noise, all items are
// equally popular.
func NewPopularity(sum []float32, sigma float64) (*Popularity, error) {
	if len(sum) == 0 {
		return nil, errors.New("stats: popularity of no item")
	}
	means, err := Denoise(sum, sigma)
	if err != nil {
		return nil, err
	}
	top := float64(slices.Max(means))
	weights := make([]uint32, len(means))
	for i, m := range means {
		weights[i] = 1
		if top > 0 {
			weights[i] = uint32(math.Round(float64(m) / top * math.MaxUint32))
		}
	}
	return popularityOf(weights), nil
}

// popularityOf needs at least one positive weight.
func popularityOf(weights []uint32) *Popularity {
	total := 0.0
	for _, w := range weights {
		total += float64(w)
	}
	p := &Popularity{weights: weights, shares: make([]float32, len(weights))}
	for i, w := range weights {
		p.shares[i] = float32(float64(w) / total)
	}
	return p
}

// Shares is each item's share of all popularity, at least 0, sum 1; the caller
// must not change it.
func (p *Popularity) Shares() []float32 { return p.shares }

// Catalogue is the number of items.
func (p *Popularity) Catalogue() int { return len(p.weights) }

// Scores writes every item's share into out; the history does not matter.
func (p *Popularity) Scores(_ []int32, out []float32) { copy(out, p.shares) }

// TopK lists the k most popular items, the most popular first; of equally
// popular items those with the lower index. It gives all items when there are
// fewer than k.
func (p *Popularity) TopK(k int) []int32 { return TopK(p.weights, k) }

// TopK lists the indices of the k greatest values, the greatest first, ties in
// the order of their index.
func TopK[T cmp.Ordered](values []T, k int) []int32 {
	order := make([]int32, len(values))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(values[b], values[a]) })
	return order[:max(0, min(k, len(order)))]
}
