package metric

import (
	"cmp"
	"slices"
)

// Group is the result of the cases that share a label.
type Group struct {
	Label string
	Result
}

// By breaks a result down: label names the group of case i, "" leaves the case
// out. Groups come in the order of their labels.
func (r Result) By(label func(i int) string) []Group {
	members := map[string][]int{}
	for i := range r.Ranks {
		if name := label(i); name != "" {
			members[name] = append(members[name], i)
		}
	}
	groups := make([]Group, 0, len(members))
	for name, cases := range members {
		groups = append(groups, Group{Label: name, Result: r.pick(cases)})
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a.Label, b.Label) })
	return groups
}

// pick is the result of some of the cases.
func (r Result) pick(cases []int) Result {
	part := Result{K: r.K, Ranks: pickFrom(r.Ranks, cases), Lists: pickFrom(r.Lists, cases)}
	for m := range r.values {
		part.values[m] = pickFrom(r.values[m], cases)
	}
	part.means()
	return part
}

func pickFrom[T any](all []T, which []int) []T {
	if all == nil {
		return nil
	}
	some := make([]T, len(which))
	for i, w := range which {
		some[i] = all[w]
	}
	return some
}

// GroupFigures is one row of a breakdown.
type GroupFigures struct {
	Label   string
	Cases   int
	Figures []Figure // as of Result.Figures
}

// Gap is the distance between the best and the worst served group in one
// measure. The interval is of that distance between these two groups; with more
// than two groups the choice of the extremes makes the gap of equal groups
// positive, so an interval above 0 is no proof by itself.
type Gap struct {
	Name        string // of the measure
	Best, Worst string // labels; Best has the larger value (for log loss: the smaller)
	Difference  float64
	Relative    float64 // Difference over the larger of the two values; 0 when that is 0
	Interval            // of Difference
}

// Breakdown is By with all figures and the gaps between the groups. Groups of
// fewer than least cases are shown but take no part in the gaps.
func (r Result) Breakdown(label func(i int) string, least, draws int, seed uint64) ([]GroupFigures, []Gap) {
	groups := r.By(label)
	rows := make([]GroupFigures, len(groups))
	for i, g := range groups {
		rows[i] = GroupFigures{Label: g.Label, Cases: len(g.Ranks), Figures: g.Figures(draws, seed)}
	}
	groups = slices.DeleteFunc(groups, func(g Group) bool { return len(g.Ranks) < least })
	if len(groups) < 2 {
		return rows, nil
	}
	var gaps []Gap
	for m := range Measure(measures) {
		if len(r.values[m]) > 0 {
			gaps = append(gaps, gapOf(groups, m, draws, seed))
		}
	}
	return rows, gaps
}

func gapOf(groups []Group, m Measure, draws int, seed uint64) Gap {
	best, worst := groups[0], groups[0]
	for _, g := range groups[1:] {
		if g.Mean(m) > best.Mean(m) {
			best = g
		}
		if g.Mean(m) < worst.Mean(m) {
			worst = g
		}
	}
	if best.Label == worst.Label { // all equal
		worst = groups[1]
	}
	gap := Gap{Name: m.String(), Best: best.Label, Worst: worst.Label, Difference: best.Mean(m) - worst.Mean(m)}
	if high := best.Mean(m); high > 0 {
		gap.Relative = gap.Difference / high
	}
	gap.Interval = differenceInterval(best.values[m], worst.values[m], draws, seed)
	if m == LogLoss {
		gap.Best, gap.Worst = gap.Worst, gap.Best
	}
	return gap
}

// differenceInterval is of mean(a)-mean(b), resampling the two apart.
func differenceInterval(a, b []float64, draws int, seed uint64) Interval {
	if draws < 1 {
		return Interval{}
	}
	differences := make([]float64, draws)
	for side, values := range [][]float64{a, b} {
		sign := float64(1 - 2*side)
		next := 0
		resample(len(values), draws, seed+uint64(side), func(sample []int) {
			sum := 0.0
			for _, i := range sample {
				sum += values[i]
			}
			differences[next] += sign * sum / float64(len(values))
			next++
		})
	}
	return percentiles(differences)
}
