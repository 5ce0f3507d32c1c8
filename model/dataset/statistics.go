package dataset

import (
	"math"
	"slices"

	"tutti/model/metric"
)

// Shape is what Statistics measures.
type Shape struct {
	Users, Items, Events int

	// Gini is the inequality of popularity: the Gini coefficient of the number
	// of events of each item of the catalogue; 0 when all are equally popular.
	Gini float64
	// MeanLength and MedianLength are of the number of events of a user.
	MeanLength, MedianLength float64
	// RepeatRate is the share of events whose item the same user met before.
	RepeatRate float64
	// TransitionEntropy is H(next | previous) / H(next) over all pairs of
	// neighbours in the histories, both entropies of the observed frequencies
	// (plug-in): 1 when the previous item says nothing about the next, 0 when it
	// decides it. Sparse data lower it, so compare data sets of like size.
	TransitionEntropy float64
}

// Statistics measures the shape of a data set.
func Statistics(d *Dataset) Shape {
	s := Shape{Users: len(d.Users), Items: d.Catalogue.Len(), Events: d.Events()}
	if s.Users == 0 || s.Events == 0 {
		return s
	}
	counts := make([]int, s.Items)
	lengths := make([]int, s.Users)
	repeats := 0
	for u := range d.Users {
		lengths[u] = len(d.Users[u].History)
		seen := make(map[int32]bool, lengths[u])
		for _, i := range d.Users[u].History {
			counts[i]++
			if seen[i] {
				repeats++
			}
			seen[i] = true
		}
	}
	slices.Sort(lengths)
	s.Gini = metric.GiniOf(counts, s.Items)
	s.MeanLength = float64(s.Events) / float64(s.Users)
	s.MedianLength = float64(lengths[(s.Users-1)/2]+lengths[s.Users/2]) / 2
	s.RepeatRate = float64(repeats) / float64(s.Events)
	s.TransitionEntropy = transitionEntropy(d)
	return s
}

// transitionEntropy uses H(next | previous) = H(previous, next) - H(previous).
func transitionEntropy(d *Dataset) float64 {
	var pairs []uint64
	from := make([]int, d.Catalogue.Len())
	to := make([]int, d.Catalogue.Len())
	for u := range d.Users {
		h := d.Users[u].History
		for i := 1; i < len(h); i++ {
			pairs = append(pairs, uint64(uint32(h[i-1]))<<32|uint64(uint32(h[i])))
			from[h[i-1]]++
			to[h[i]]++
		}
	}
	slices.Sort(pairs)
	var joint []int
	for i, p := range pairs {
		if i == 0 || p != pairs[i-1] {
			joint = append(joint, 0)
		}
		joint[len(joint)-1]++
	}
	next := entropy(to)
	if next == 0 {
		return 0
	}
	return (entropy(joint) - entropy(from)) / next
}

// entropy of observed frequencies, in bits.
func entropy(counts []int) float64 {
	total, sum := 0.0, 0.0
	for _, c := range counts {
		if c > 0 {
			total += float64(c)
			sum += float64(c) * math.Log2(float64(c))
		}
	}
	if total == 0 {
		return 0
	}
	return math.Log2(total) - sum/total
}
