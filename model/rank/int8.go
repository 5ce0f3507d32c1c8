package rank

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"tutti/model/kernel"
)

// Int8 holds the item vectors in one byte a number, with a scale for each item,
// and finds exactly what its Index finds.
//
// A vector e becomes s*c with integers c in -127..127, a query q becomes t*x in
// the same way. Then
//
//	|q.e - t*s*(x.c)| <= |tx|*|e - sc| + |q - tx|*|e|
//
// by Cauchy and Schwarz, and what cannot reach the k-th best score even with
// this much added is out. The rest, a few dozen items, are scored exactly.
type Int8 struct {
	x     *Index
	codes []int8    // items x dim, in the order of ids
	scale []float32 // of each row
	bias  []float32 // of each row, or nil
	ids   []int32   // the item of each row
	parts []part
}

// part is a block of rows and what bounds them.
type part struct {
	first, rows int
	norm        float64 // largest |e|
	error       float64 // largest |e - sc|
	bias        float64 // largest b
}

// coded is a query as an Int8 needs it.
type coded struct {
	codes []int8
	scale float64
	norm  float64 // |tx|, rounded up
	error float64 // |q - tx|, rounded up
}

// NewInt8 quantises the vectors of an index, which it goes on using. Rows are
// kept by falling norm, so that a block of short vectors is passed over where
// its longest could not matter.
func NewInt8(x *Index) (*Int8, error) {
	if x == nil {
		return nil, fmt.Errorf("rank: no index to quantise")
	}
	norms := make([]float64, x.items)
	for i := range norms {
		norms[i] = norm(x.row(i))
	}
	var starts []int
	for first := 0; first < x.items; first += blockRows {
		starts = append(starts, first)
	}
	return quantise(x, byNorm(norms), starts), nil
}

// byNorm lists the items, the longest vectors first.
func byNorm(norms []float64) []int32 {
	order := make([]int32, len(norms))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(norms[b], norms[a]), cmp.Compare(a, b))
	})
	return order
}

// quantise lays the items out in the given order, in parts that begin at starts.
func quantise(x *Index, order []int32, starts []int) *Int8 {
	z := &Int8{x: x, codes: make([]int8, x.items*x.dim), scale: make([]float32, x.items), ids: order}
	if x.bias != nil {
		z.bias = make([]float32, x.items)
	}
	for p, first := range starts {
		end := x.items
		if p+1 < len(starts) {
			end = starts[p+1]
		}
		limits := part{first: first, rows: end - first, bias: math.Inf(-1)}
		for r := first; r < end; r++ {
			row := x.row(int(order[r]))
			s, missing := encode(z.codes[r*x.dim:(r+1)*x.dim], row)
			z.scale[r] = s
			limits.norm = max(limits.norm, norm(row))
			limits.error = max(limits.error, missing)
			b := float32(0)
			if x.bias != nil {
				b = x.bias[order[r]]
				z.bias[r] = b
			}
			limits.bias = max(limits.bias, float64(b))
		}
		z.parts = append(z.parts, limits)
	}
	return z
}

// encode writes round(v/s) into codes, for the scale s that takes the largest
// number to 127, and returns s and |v - s*codes|, rounded up.
func encode(codes []int8, v []float32) (scale float32, missing float64) {
	largest := float32(0)
	for _, a := range v {
		largest = max(largest, float32(math.Abs(float64(a))))
	}
	scale = largest / 127
	if scale == 0 {
		clear(codes)
		return 0, norm(v)
	}
	s := float64(scale)
	for j, a := range v {
		c := math.RoundToEven(float64(a) / s)
		c = min(127, max(-127, c)) // the scale of a tiny vector is coarse
		codes[j] = int8(c)
		d := float64(a) - s*c
		missing += d * d
	}
	return scale, math.Sqrt(missing) * (1 + 1e-9)
}

// Items is the size of the catalogue.
func (z *Int8) Items() int { return z.x.items }

// Top is described at Searcher; the result is the same as that of the Index.
func (z *Int8) Top(query []float32, k int, exclude func(item int32) bool) ([]Ranked, error) {
	return one(z, query, k, exclude)
}

// Batch is Top for several queries; see Index.Batch.
func (z *Int8) Batch(queries []float32, k int, exclude func(query int, item int32) bool) ([][]Ranked, error) {
	return search(z, queries, k, exclude)
}

// Bytes is the memory of the quantised vectors, their scales and numbers,
// without the vectors of the index, which only the candidates are read from.
func (z *Int8) Bytes() int {
	return len(z.codes) + 4*len(z.scale) + 4*len(z.bias) + 4*len(z.ids) + 40*len(z.parts)
}

func (z *Int8) index() *Index { return z.x }

func (z *Int8) blocks() int { return len(z.parts) }

func (z *Int8) prepare(q *question) {
	c := coded{codes: make([]int8, len(q.vector))}
	scale, missing := encode(c.codes, q.vector)
	c.scale, c.error = float64(scale), missing
	sum := 0.0
	for _, v := range c.codes {
		sum += float64(v) * float64(v)
	}
	c.norm = c.scale * math.Sqrt(sum) * (1 + 1e-9)
	q.coded = c
}

// scan is described at scanner.
func (z *Int8) scan(block int, questions []question, _ []float32, w *worker) {
	p := &z.parts[block]
	for i := range questions {
		z.scanPart(p, &questions[i], &w.lists[i], w)
	}
}

func (z *Int8) scanPart(p *part, q *question, list *best, w *worker) {
	if q.norm*p.norm*(1+1e-9)+p.bias < q.floor.needed() {
		return
	}
	dim := z.x.dim
	w.dots = kernel.Grow(w.dots, p.rows)
	kernel.MatVecInt8(w.dots, z.codes[p.first*dim:(p.first+p.rows)*dim], dim, q.coded.codes)
	// What quantisation hides, and the roundings of the few float64 operations
	// below.
	slack := q.coded.norm*p.error + q.coded.error*p.norm
	slack += 1e-9*slack + 1e-11*(q.coded.norm*(p.norm+p.error)+math.Abs(p.bias)+z.x.maxBias)
	least := q.floor.needed() - slack
	scale := z.scale[p.first : p.first+p.rows]
	var bias []float32
	if z.bias != nil {
		bias = z.bias[p.first : p.first+p.rows]
	}
	for r, dot := range w.dots {
		s := q.coded.scale * float64(scale[r]) * float64(dot)
		if bias != nil {
			s += float64(bias[r])
		}
		if s >= least && q.take(z.exact(q, p.first+r), list) {
			least = q.floor.needed() - slack
		}
	}
}

// exact scores the item of a row.
func (z *Int8) exact(q *question, row int) Ranked {
	item := z.ids[row]
	if z.x.vectors != nil {
		return Ranked{item, z.x.score(q.vector, item)}
	}
	sum := 0.0
	for j, c := range z.codes[row*z.x.dim : (row+1)*z.x.dim] {
		sum += float64(q.vector[j]) * float64(c) // exact products, as in Index.score
	}
	// float64() keeps the compiler from fusing: the result is the same everywhere.
	sum = float64(sum * float64(z.scale[row]))
	if z.bias != nil {
		sum += float64(z.bias[row])
	}
	return Ranked{item, float32(sum)}
}
