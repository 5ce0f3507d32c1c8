package metric

import (
	"math"
	"slices"
)

// ItemFacts is what a Result needs to know of the items to look beyond
// accuracy.
type ItemFacts struct {
	Items int // size of the catalogue
	// Counts is how often each item was met in the training data; nil leaves
	// novelty out.
	Counts []int
	// Similarity of two items, 1 for equal ones; nil leaves diversity out. It is
	// called from one goroutine. See Cosine and Jaccard.
	Similarity func(a, b int32) float64
}

// Figures beyond accuracy.
const (
	CoverageName  = "coverage"  // share of the catalogue that is in any list
	GiniName      = "Gini"      // of the number of lists each item is in: 0 all equal, 1 all lists are the same
	NoveltyName   = "novelty"   // bits, see Novelty
	DiversityName = "diversity" // see Diversity
)

// Beyond measures the lists: coverage and Gini over the catalogue, novelty and
// diversity as means over the cases (those with lists long enough).
//
// Coverage and Gini are not means: a resample of the cases meets fewer items
// than the cases themselves. Their intervals are the value and 1.96 bootstrap
// standard errors to both sides, within 0..1 (Efron and Tibshirani 1993, section
// 12.3). They hold for as many lists as there are: more lists cover more.
func (r Result) Beyond(facts ItemFacts, draws int, seed uint64) []Figure {
	n := len(r.Lists)
	shown := expose(r.Lists)
	figures := []Figure{
		{Name: CoverageName, Value: coverage(shown.count(nil), facts.Items), Cases: n},
		{Name: GiniName, Value: GiniOf(shown.count(nil), facts.Items), Cases: n},
	}
	if n > 0 && draws > 0 {
		var covered, unequal []float64
		resample(n, draws, seed, func(sample []int) {
			counts := shown.count(sample)
			covered = append(covered, coverage(counts, facts.Items))
			unequal = append(unequal, GiniOf(counts, facts.Items))
		})
		figures[0].Interval = around(figures[0].Value, covered)
		figures[1].Interval = around(figures[1].Value, unequal)
	}
	add := func(name string, values []float64) {
		figures = append(figures, Figure{Name: name, Value: mean(values), Interval: Bootstrap(values, draws, seed), Cases: len(values)})
	}
	if facts.Counts != nil {
		add(NoveltyName, Novelty(r.Lists, facts.Counts))
	}
	if facts.Similarity != nil {
		add(DiversityName, Diversity(r.Lists, facts.Similarity))
	}
	return figures
}

// around is value -+ 1.96 standard deviations of draws, within 0..1.
func around(value float64, draws []float64) Interval {
	middle, square := mean(draws), 0.0
	for _, d := range draws {
		square += (d - middle) * (d - middle)
	}
	wide := 0.0
	if len(draws) > 1 {
		wide = 1.96 * math.Sqrt(square/float64(len(draws)-1))
	}
	return Interval{Low: max(0, value-wide), High: min(1, value+wide)}
}

// exposed is lists of items by small numbers: what is in no list has none.
type exposed struct {
	lists  [][]int32
	counts []int // of each number, scratch
	items  []int32
}

func expose(lists [][]int32) *exposed {
	e := &exposed{}
	number := map[int32]int32{}
	for _, list := range lists {
		own := make([]int32, len(list))
		for i, item := range list {
			n, known := number[item]
			if !known {
				n = int32(len(e.items))
				number[item] = n
				e.items = append(e.items, item)
			}
			own[i] = n
		}
		e.lists = append(e.lists, own)
	}
	e.counts = make([]int, len(e.items))
	return e
}

// count counts the lists that each number is in; the slice is reused. A nil
// sample means every list once.
func (e *exposed) count(sample []int) []int {
	clear(e.counts)
	if sample == nil {
		for _, list := range e.lists {
			for _, n := range list {
				e.counts[n]++
			}
		}
		return e.counts
	}
	for _, i := range sample {
		for _, n := range e.lists[i] {
			e.counts[n]++
		}
	}
	return e.counts
}

func coverage(counts []int, items int) float64 {
	covered := 0
	for _, n := range counts {
		if n > 0 {
			covered++
		}
	}
	return ratio(covered, items)
}

// GiniOf is the Gini coefficient of the counts, none of them negative, of a
// population of n; members without a count have 0. With ascending x_1..x_n it is
// sum (2i - n - 1) x_i / (n sum x_i).
func GiniOf(counts []int, n int) float64 {
	sorted := slices.Sorted(slices.Values(counts))
	sum, weighted := 0.0, 0.0
	for i, c := range sorted {
		place := n - len(sorted) + i // zero-based, after those without a count
		sum += float64(c)
		weighted += float64(2*place+1-n) * float64(c)
	}
	if sum == 0 {
		return 0
	}
	return weighted / (float64(n) * sum)
}

// Novelty is, for each list that is not empty, the mean self-information of its
// items in bits: -log2 of the item's share of all events (after Zhou et al., "Solving
// the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010, who
// take its share of the users).
// An item that nobody met counts as if met once.
func Novelty(lists [][]int32, counts []int) []float64 {
	total := 0.0
	for _, c := range counts {
		total += float64(c)
	}
	var values []float64
	for _, list := range lists {
		sum := 0.0
		for _, item := range list {
			sum += math.Log2(max(total, 1) / float64(max(counts[item], 1)))
		}
		if len(list) > 0 {
			values = append(values, sum/float64(len(list)))
		}
	}
	return values
}

// Diversity is, for each list of two items or more, the mean of 1 - similarity
// over all pairs (intra-list diversity: Smyth and McClave, "Similarity vs.
// Diversity", ICCBR 2001).
func Diversity(lists [][]int32, similarity func(a, b int32) float64) []float64 {
	var values []float64
	for _, list := range lists {
		sum, pairs := 0.0, 0.0
		for i, a := range list {
			for _, b := range list[:i] {
				sum += 1 - similarity(a, b)
				pairs++
			}
		}
		if pairs > 0 {
			values = append(values, sum/pairs)
		}
	}
	return values
}

// Cosine is the similarity of rows of dim numbers; 0 where a row is zero.
func Cosine(rows []float32, dim int) func(a, b int32) float64 {
	return func(a, b int32) float64 {
		x, y := rows[int(a)*dim:int(a+1)*dim], rows[int(b)*dim:int(b+1)*dim]
		var xy, xx, yy float64
		for j := range x {
			xy += float64(x[j]) * float64(y[j])
			xx += float64(x[j]) * float64(x[j])
			yy += float64(y[j]) * float64(y[j])
		}
		if xx == 0 || yy == 0 {
			return 0
		}
		return xy / math.Sqrt(xx*yy)
	}
}

// Jaccard is the similarity of sets of labels, such as genres: the share of the
// labels of both that the two have in common; 0 where both have none.
func Jaccard(labels [][]string) func(a, b int32) float64 {
	return func(a, b int32) float64 {
		common := 0
		for _, l := range labels[a] {
			if slices.Contains(labels[b], l) {
				common++
			}
		}
		if all := len(labels[a]) + len(labels[b]) - common; all > 0 {
			return float64(common) / float64(all)
		}
		return 0
	}
}

// Share is how a group of items fares.
type Share struct {
	Label     string
	Items     int     // of the group
	Catalogue float64 // the group's share of the items
	Exposure  float64 // the group's share of the places in the lists
}

// Exposure tells which groups of items the lists show: label names the group of
// an item, "" leaves it out of all counts. Ordered by label.
func (r Result) Exposure(items int, label func(item int32) string) []Share {
	groups := map[string]*Share{}
	seen := make([]int, items)
	for _, list := range r.Lists {
		for _, item := range list {
			seen[item]++
		}
	}
	var all, places float64
	for item := range int32(items) {
		name := label(item)
		if name == "" {
			continue
		}
		if groups[name] == nil {
			groups[name] = &Share{Label: name}
		}
		groups[name].Items++
		groups[name].Exposure += float64(seen[item])
		all++
		places += float64(seen[item])
	}
	shares := make([]Share, 0, len(groups))
	for _, s := range groups {
		s.Catalogue = float64(s.Items) / all
		s.Exposure /= max(places, 1)
		shares = append(shares, *s)
	}
	slices.SortFunc(shares, func(a, b Share) int {
		if a.Label < b.Label {
			return -1
		}
		return 1
	})
	return shares
}
