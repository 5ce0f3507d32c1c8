package rank

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"tutti/model/kernel"
)

// ClusterOptions of NewClusters. The zero value suits catalogues from about
// 100,000 items on.
type ClusterOptions struct {
	Lists  int    // clusters; 0 means the square root of the number of items
	Probes int    // lists that a search looks into; 0 means a 32nd of them, at least 24
	Rounds int    // of k-means; 0 means 8
	Seed   uint64 // of the sample and the first centres
}

// Clusters keeps the items in lists of neighbours (k-means over vectors and
// biases) and looks only into the lists that promise most: an inverted
// file (Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor
// Search", 2011, section 4), with the int8 rows and exact scores of Int8 inside
// the lists. It may miss items; the scores of those it finds are exact.
type Clusters struct {
	z       *Int8     // one part for each list
	centres []float32 // lists x dim
	bias    []float32 // mean bias of each list
	reach   []float32 // how far the best of a list lies above its centre, for a query of length 1
	probes  int
	spare   sync.Pool // of *[]float32: scores of the centres
}

// NewClusters groups the items of an index. The result depends on the options
// and the index only.
func NewClusters(x *Index, options ClusterOptions) (*Clusters, error) {
	if x == nil {
		return nil, errors.New("rank: no index to cluster")
	}
	o := options
	if o.Lists == 0 {
		o.Lists = max(1, int(math.Sqrt(float64(x.items))))
	}
	if o.Probes == 0 {
		o.Probes = min(o.Lists, max(24, o.Lists/32))
	}
	if o.Rounds == 0 {
		o.Rounds = 8
	}
	if o.Lists < 1 || o.Lists > x.items || o.Probes < 1 || o.Probes > o.Lists || o.Rounds < 1 {
		return nil, fmt.Errorf("rank: %d lists of %d items, %d probes, %d rounds", o.Lists, x.items, o.Probes, o.Rounds)
	}
	centres := x.means(o)
	order, starts := group(x.nearest(centres, nil), o.Lists)
	c := &Clusters{z: quantise(x, order, starts), probes: o.Probes}
	c.settle()
	c.spare.New = func() any { s := make([]float32, len(c.bias)); return &s }
	return c, nil
}

// means runs k-means (Lloyd 1982) over a sample of the items. Distances are
// between vectors with their bias as one more number.
func (x *Index) means(o ClusterOptions) [][]float32 {
	r := rand.New(rand.NewPCG(o.Seed, 0x636c7573746572))
	const perList = 64
	sample := r.Perm(x.items)
	sample = sample[:min(len(sample), perList*o.Lists)]
	centres, lifted := make([][]float32, o.Lists), make([]float32, x.dim+1)
	for i := range centres {
		centres[i] = x.lift(make([]float32, x.dim+1), sample[i])
	}
	for range o.Rounds {
		list := x.nearest(centres, sample)
		sums, counts := make([]float64, o.Lists*(x.dim+1)), make([]int, o.Lists)
		for s, item := range sample {
			counts[list[s]]++
			sum := sums[int(list[s])*(x.dim+1):]
			for j, v := range x.lift(lifted, item) {
				sum[j] += float64(v)
			}
		}
		for i := range centres {
			if counts[i] == 0 { // nobody is near: begin elsewhere
				x.lift(centres[i], sample[r.IntN(len(sample))])
				continue
			}
			for j := range centres[i] {
				centres[i][j] = float32(sums[i*(x.dim+1)+j] / float64(counts[i]))
			}
		}
	}
	return centres
}

// lift writes the vector with the bias behind it.
func (x *Index) lift(v []float32, item int) []float32 {
	copy(v, x.row(item))
	v[x.dim] = 0
	if x.bias != nil {
		v[x.dim] = x.bias[item]
	}
	return v
}

// nearest is the number of the nearest centre of each item of the sample, of
// all items where that is nil: the largest 2 v.c - |c|^2.
func (x *Index) nearest(centres [][]float32, sample []int) []int32 {
	n, m, wide := x.items, len(centres), x.dim+1
	if sample != nil {
		n = len(sample)
	}
	columns, half := make([]float32, wide*m), make([]float32, m)
	for i, c := range centres {
		half[i] = kernel.Dot(c, c) / 2
		for j, v := range c {
			columns[j*m+i] = v
		}
	}
	list := make([]int32, n)
	const rows = 128
	forBlocks(n, rows, func() func(first, end int) {
		block, scores := make([]float32, rows*wide), make([]float32, rows*m)
		return func(first, end int) {
			for i := first; i < end; i++ {
				item := i
				if sample != nil {
					item = sample[i]
				}
				x.lift(block[(i-first)*wide:(i-first+1)*wide], item)
			}
			kernel.Gemm(end-first, m, wide, block, wide, 1, columns, m, scores, m, false)
			for i := first; i < end; i++ {
				best, most := 0, float32(math.Inf(-1))
				for j, s := range scores[(i-first)*m : (i-first+1)*m] {
					if s -= half[j]; s > most {
						best, most = j, s
					}
				}
				list[i] = int32(best)
			}
		}
	})
	return list
}

// forBlocks runs 0..n in blocks on all cores; each goroutine asks for its own
// function.
func forBlocks(n, rows int, worker func() func(first, end int)) {
	var done sync.WaitGroup
	team := min(runtime.GOMAXPROCS(0), (n+rows-1)/rows)
	for w := range team {
		done.Go(func() {
			run := worker()
			for first := w * rows; first < n; first += team * rows {
				run(first, min(first+rows, n))
			}
		})
	}
	done.Wait()
}

// group orders the items by list, and inside it by number; lists without items
// vanish.
func group(list []int32, lists int) (order []int32, starts []int) {
	sizes := make([]int, lists+1)
	for _, l := range list {
		sizes[l+1]++
	}
	for l := range lists {
		if sizes[l+1] > 0 {
			starts = append(starts, sizes[l])
		}
		sizes[l+1] += sizes[l]
	}
	order = make([]int32, len(list))
	for item, l := range list {
		order[sizes[l]] = int32(item)
		sizes[l]++
	}
	return order, starts
}

// settle makes the centres those of the items that the lists hold in the end.
func (c *Clusters) settle() {
	x := c.z.x
	lists := len(c.z.parts)
	c.centres, c.bias, c.reach = make([]float32, lists*x.dim), make([]float32, lists), make([]float32, lists)
	c.probes = min(c.probes, lists)
	sum, lifted := make([]float64, x.dim+1), make([]float32, x.dim+1)
	for l, p := range c.z.parts {
		clear(sum)
		for _, item := range c.z.ids[p.first : p.first+p.rows] {
			for j, v := range x.lift(lifted, int(item)) {
				sum[j] += float64(v) / float64(p.rows)
			}
		}
		for j := range x.dim {
			c.centres[l*x.dim+j] = float32(sum[j])
		}
		c.bias[l] = float32(sum[x.dim])
		c.reach[l] = reach(x, c.z.ids[p.first:p.first+p.rows], sum)
	}
}

// reach guesses how far the best item of a list scores above the centre, for a
// query of length 1: the deviation of the items from the centre in one
// direction, times sqrt(2 ln n), about the largest of n normal numbers.
func reach(x *Index, items []int32, centre []float64) float32 {
	square, lifted := 0.0, make([]float32, x.dim+1)
	for _, item := range items {
		for j, v := range x.lift(lifted, int(item)) {
			square += (float64(v) - centre[j]) * (float64(v) - centre[j])
		}
	}
	n := float64(len(items))
	return float32(math.Sqrt(square / n / float64(x.dim) * 2 * math.Log(n)))
}

// Items is the size of the catalogue.
func (c *Clusters) Items() int { return c.z.x.items }

// Lists is the number of lists.
func (c *Clusters) Lists() int { return len(c.z.parts) }

// Top is described at Searcher; it may miss items.
func (c *Clusters) Top(query []float32, k int, exclude func(item int32) bool) ([]Ranked, error) {
	return c.Probe(query, k, c.probes, exclude)
}

// Probe is Top with a number of lists to look into: the more, the better and
// the slower; all of them give the exact answer.
func (c *Clusters) Probe(query []float32, k, probes int, exclude func(item int32) bool) ([]Ranked, error) {
	x := c.z.x
	if len(query) != x.dim || probes < 1 {
		return nil, fmt.Errorf("rank: a query of %d numbers for vectors of %d, %d probes", len(query), x.dim, probes)
	}
	var each func(int, int32) bool
	if exclude != nil {
		each = func(_ int, item int32) bool { return exclude(item) }
	}
	questions, err := ask(c.z, query, k, each)
	if err != nil || k <= 0 {
		return nil, err
	}
	w := x.spare.Get().(*worker)
	w.start(questions)
	for _, l := range c.likely(&questions[0], min(probes, len(c.z.parts))) {
		c.z.scanPart(&c.z.parts[l.Item], &questions[0], &w.lists[0], w)
	}
	return gather(&x.spare, questions, []*worker{w})[0], nil
}

// likely are the lists that promise the best items, best first.
func (c *Clusters) likely(q *question, probes int) []Ranked {
	scores := c.spare.Get().(*[]float32)
	defer c.spare.Put(scores)
	copy(*scores, c.bias)
	kernel.MatVec(*scores, c.centres, len(q.vector), q.vector)
	kernel.Axpy(*scores, float32(q.norm), c.reach)
	return Top(*scores, probes, nil)
}
