package rank

import (
	"fmt"
	"math"
	"sync"

	"tutti/model/kernel"
)

// maxDim is the longest vector: no sum of int8 products leaves an int32.
const maxDim = kernel.MaxInt8

// limit bounds the norm of item vectors and queries and the size of biases, so
// that no score leaves float32.
const limit = 1e18

// Index scores every item with float32 arithmetic and the candidates among them
// exactly.
type Index struct {
	dim, items int
	vectors    []float32 // items x dim
	bias       []float32 // items, or nil
	maxNorm    float64   // of a vector
	maxBias    float64   // absolute
	spare      sync.Pool // of *worker
}

// NewIndex makes an index over item vectors, row after row of dim numbers, and
// a bias for each item (nil: none). The slices are shared: they must not change
// while the index is in use. Numbers that are not finite, and vectors or biases
// beyond 1e18, are refused.
func NewIndex(vectors, bias []float32, dim int) (*Index, error) {
	if dim < 1 || dim > maxDim || len(vectors) == 0 || len(vectors)%dim != 0 {
		return nil, fmt.Errorf("rank: %d numbers are no rows of %d", len(vectors), dim)
	}
	x := &Index{dim: dim, items: len(vectors) / dim, vectors: vectors, bias: bias}
	if int64(x.items) > math.MaxInt32 {
		return nil, fmt.Errorf("rank: %d items are too many", x.items)
	}
	if bias != nil && len(bias) != x.items {
		return nil, fmt.Errorf("rank: %d biases for %d items", len(bias), x.items)
	}
	for i := range x.items {
		n := norm(x.row(i))
		if !(n <= limit) {
			return nil, fmt.Errorf("rank: the vector of item %d is not finite or too large", i)
		}
		x.maxNorm = max(x.maxNorm, n)
	}
	if err := x.checkBias(); err != nil {
		return nil, err
	}
	x.spare.New = func() any { return &worker{} }
	return x, nil
}

// checkBias finds the largest bias.
func (x *Index) checkBias() error {
	for i, b := range x.bias {
		a := math.Abs(float64(b))
		if !(a <= limit) {
			return fmt.Errorf("rank: the bias of item %d is not finite or too large", i)
		}
		x.maxBias = max(x.maxBias, a)
	}
	return nil
}

// Items is the size of the catalogue.
func (x *Index) Items() int { return x.items }

// Dim is the length of a vector.
func (x *Index) Dim() int { return x.dim }

func (x *Index) row(item int) []float32 { return x.vectors[item*x.dim : (item+1)*x.dim] }

// Score is the score of one item, as defined in the package's comment. The
// caller has checked the query.
func (x *Index) score(query []float32, item int32) float32 {
	row := x.row(int(item))
	// Four sums, added in a fixed order. A product of two float32 is exact in
	// float64: whether the compiler fuses multiplication and addition does not
	// change the result.
	var s0, s1, s2, s3 float64
	q := query[:len(row)]
	j := 0
	for ; j+4 <= len(row); j += 4 {
		s0 += float64(q[j]) * float64(row[j])
		s1 += float64(q[j+1]) * float64(row[j+1])
		s2 += float64(q[j+2]) * float64(row[j+2])
		s3 += float64(q[j+3]) * float64(row[j+3])
	}
	for ; j < len(row); j++ {
		s0 += float64(q[j]) * float64(row[j])
	}
	sum := (s0 + s1) + (s2 + s3)
	if x.bias != nil {
		sum += float64(x.bias[item])
	}
	return float32(sum)
}

// Top is described at Searcher.
func (x *Index) Top(query []float32, k int, exclude func(item int32) bool) ([]Ranked, error) {
	return one(x, query, k, exclude)
}

// Batch is Top for several queries, row after row: each block of the catalogue
// is read once for all of them. exclude is told the number of the query.
func (x *Index) Batch(queries []float32, k int, exclude func(query int, item int32) bool) ([][]Ranked, error) {
	return search(x, queries, k, exclude)
}

// blockRows items are scored at once: their vectors fit the nearest caches.
const blockRows = 512

func (x *Index) index() *Index { return x }

func (x *Index) blocks() int { return (x.items + blockRows - 1) / blockRows }

func (x *Index) prepare(*question) {}

// slack bounds what float32 arithmetic, in any order of summation and fused or
// not, can take from or add to the score of an item: dim+2 roundings relative
// to |q|.|e| + |b| (Higham, "Accuracy and Stability of Numerical Algorithms",
// 2002, section 3.1), and as many underflows.
func (x *Index) slack(q *question) float64 {
	const unit = 0x1p-24
	n := float64(x.dim + 3)
	return n/(1-n*unit)*unit*(q.norm*x.maxNorm+x.maxBias) + n*0x1p-149
}

// scan is described at scanner.
func (x *Index) scan(block int, questions []question, columns []float32, w *worker) {
	first := block * blockRows
	rows := min(blockRows, x.items-first)
	vectors := x.vectors[first*x.dim : (first+rows)*x.dim]
	m := len(questions)
	w.scores = kernel.Grow(w.scores, rows*m)
	scores := w.scores
	if m == 1 {
		x.biases(scores, first)
		kernel.MatVec(scores, vectors, x.dim, questions[0].vector)
	} else {
		w.flat = kernel.Grow(w.flat, rows*m)
		kernel.Gemm(rows, m, x.dim, vectors, x.dim, 1, columns, m, w.flat, m, false)
		kernel.Transpose(scores, rows, w.flat, m, rows, m)
		if x.bias != nil {
			kernel.AddRows(scores, x.bias[first:first+rows], m)
		}
	}
	for i := range questions {
		x.offer(first, scores[i*rows:(i+1)*rows], &questions[i], &w.lists[i])
	}
}

// biases writes those of the items from first on.
func (x *Index) biases(scores []float32, first int) {
	if x.bias == nil {
		clear(scores)
		return
	}
	copy(scores, x.bias[first:])
}

// offer takes the items from first on that may belong to the best.
func (x *Index) offer(first int, scores []float32, q *question, list *best) {
	slack := x.slack(q)
	least := below(q.floor.needed() - slack)
	for i, s := range scores {
		if s < least {
			continue
		}
		item := int32(first + i)
		if q.take(Ranked{item, x.score(q.vector, item)}, list) {
			least = below(q.floor.needed() - slack)
		}
	}
}

// below is the largest float32 that is not above v.
func below(v float64) float32 {
	f := float32(v)
	if float64(f) > v {
		return math.Nextafter32(f, float32(math.Inf(-1)))
	}
	return f
}

func norm(v []float32) float64 {
	sum := 0.0
	for _, a := range v {
		sum += float64(a) * float64(a)
	}
	return math.Sqrt(sum) * (1 + 1e-9) // never too small
}
