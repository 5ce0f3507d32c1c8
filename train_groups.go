package main

import (
	"cmp"
	"fmt"
	"slices"

	"tutti/model/metric"
	"tutti/model/run"
)

// leastInGap is how many people a group must have to take part in a gap.
const leastInGap = 10

// grouping puts cases into groups; order is that of the labels, where it is not the alphabet's.
type grouping struct {
	name  string
	label func(c metric.Case) string
	order []string
}

// popularityBins are ranges of how many people had an item.
var popularityBins = bins{1, 10, 50, 200}

// groupsOfCases are by length of history, popularity of what came next, and what is known of the people.
func (m *material) groupsOfCases() []grouping {
	counts, lengths := m.counts(), bins{10, 20, 50, 100, 200}
	all := []grouping{
		{"length of the history", func(c metric.Case) string { return lengths.of(len(c.History)) }, lengths.labels()},
		{"popularity of what came next (people who had it)", func(c metric.Case) string { return popularityBins.of(counts[c.Target]) }, popularityBins.labels()},
	}
	for _, name := range groupings {
		all = append(all, grouping{name, func(c metric.Case) string { return m.data.Users[c.User].Group(name) }, nil})
	}
	return all
}

// breakdowns tell for whom the model works, and how far the groups are apart.
func (m *material) breakdowns(cases []metric.Case, result metric.Result) []run.Breakdown {
	var out []run.Breakdown
	for _, by := range m.groupsOfCases() {
		groups, gaps := result.Breakdown(func(i int) string { return by.label(cases[i]) }, leastInGap, bootstrapDraws, 1)
		if len(groups) < 2 {
			continue
		}
		if by.order != nil {
			slices.SortFunc(groups, func(x, y metric.GroupFigures) int {
				return cmp.Compare(slices.Index(by.order, x.Label), slices.Index(by.order, y.Label))
			})
		}
		breakdown := run.Breakdown{Name: by.name}
		for _, g := range groups {
			row := run.Group{Label: g.Label, Users: g.Cases}
			for _, f := range g.Figures {
				switch f.Name {
				case ndcgName:
					row.NDCG = valueOf(f)
				case hrName:
					row.HR = valueOf(f)
				}
			}
			breakdown.Rows = append(breakdown.Rows, row)
		}
		for _, g := range gaps {
			if g.Name == metric.NDCGAtK.String() {
				breakdown.Gap = &run.Gap{Best: g.Best, Worst: g.Worst, Least: leastInGap, NDCG: run.Value{Value: g.Difference, Low: g.Low, High: g.High}}
			}
		}
		out = append(out, breakdown)
	}
	return out
}

// exposure tells what the lists show, beside what there is and what people had, by popularity.
func (m *material) exposure(result metric.Result) []run.Exposure {
	counts := m.counts()
	had, all := map[string]int{}, 0
	for _, n := range counts {
		had[popularityBins.of(n)] += n
		all += n
	}
	var out []run.Exposure
	for _, s := range result.Exposure(len(counts), func(item int32) string { return popularityBins.of(counts[item]) }) {
		out = append(out, run.Exposure{Label: s.Label, Items: s.Items, Catalogue: s.Catalogue, Shown: s.Exposure, Had: float64(had[s.Label]) / float64(max(1, all))})
	}
	order := popularityBins.labels()
	slices.SortFunc(out, func(a, b run.Exposure) int {
		return cmp.Compare(slices.Index(order, a.Label), slices.Index(order, b.Label))
	})
	return out
}

// bins are the lower ends of ranges of whole numbers, after a first range from 0.
type bins []int

func (b bins) of(n int) string {
	i := 0
	for i < len(b) && n >= b[i] {
		i++
	}
	return b.labels()[i]
}

func (b bins) labels() []string {
	out := []string{span(0, b[0])}
	for i := range b {
		if i+1 < len(b) {
			out = append(out, span(b[i], b[i+1]))
		}
	}
	return append(out, fmt.Sprintf("%d or more", b[len(b)-1]))
}

func span(low, end int) string {
	if end-low == 1 {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d to %d", low, end-1)
}
