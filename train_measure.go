package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"tutti/model/metric"
	"tutti/model/run"
	"tutti/model/stats"
)

// The metrics that groups are compared by.
const (
	ndcgName = "NDCG@10"
	hrName   = "HR@10"
)

// shown are the columns of a table, in its order, with what each means.
var shown = []run.Metric{
	{Name: ndcgName, Better: 1, Means: "1 where what came next is first of the ten, less the lower it stands, 0 where it is missing"},
	{Name: hrName, Better: 1, Means: "share of people for whom what came next is among the ten"},
	{Name: "MRR", Better: 1, Means: "one over the place of what came next, in the whole catalogue"},
	{Name: "precision@10", Better: 1, Means: "share of the ten that came next; with one right item at most 0.1"},
	{Name: "recall@10", Better: 1, Means: "share of what came next that is among the ten; with one right item the same as HR"},
	{Name: "F1@10", Better: 1, Means: "harmonic mean of precision and recall; with one right item at most 0.18"},
	{Name: "accuracy", Better: 1, Means: "share of people for whom what came next stands first"},
	{Name: "AUC", Better: 1, Means: "how often what came next stands before another item"},
	{Name: metric.CoverageName, Better: 1, Means: "share of the catalogue that is in anybody's ten"},
	{Name: metric.NoveltyName, Means: "bits of surprise of a recommended item: 1 more for each halving of its popularity"},
	{Name: metric.DiversityName, Means: "how little two items of one list have in common, by their genres: 1 nothing, 0 everything"},
	{Name: metric.GiniName, Means: "how unequally the lists show the items: 0 all alike, 1 always the same few"},
}

// measured is a recommender with the name that a table gives it.
type measured struct {
	name  string
	score func(user int, history []int32, out []float32) error
}

// asks measures recommenders on the same cases: leave-one-out or after the cut, full ranking, seen items masked.
func (m *material) asks(name string, cases []metric.Case, recommenders []measured, progress func(done int)) (*run.Evaluation, error) {
	begun := time.Now()
	e := &run.Evaluation{Split: name, Users: len(cases)}
	facts := m.facts()
	for i, r := range recommenders {
		result, err := m.ask(cases, r)
		if err != nil {
			return nil, err
		}
		figures := map[string]metric.Figure{}
		for _, f := range append(result.Figures(bootstrapDraws, 1), result.Beyond(facts, bootstrapDraws/5, 1)...) {
			figures[f.Name] = f
		}
		row := run.Measured{Name: r.name}
		for _, s := range shown {
			f, ok := figures[s.Name]
			if !ok {
				continue // no genres, no diversity
			}
			if i == 0 {
				e.Metrics = append(e.Metrics, s)
			}
			row.Values = append(row.Values, valueOf(f))
		}
		e.Rows = append(e.Rows, row)
		if i == 0 {
			e.Groups, e.Exposure = m.breakdowns(cases, result), m.exposure(result)
		}
		progress(i + 1)
	}
	e.Seconds = time.Since(begun).Seconds()
	return e, nil
}

// ask ranks the catalogue for every case; ties count half, which matters for counts and not for networks.
func (m *material) ask(cases []metric.Case, r measured) (metric.Result, error) {
	var failed atomic.Pointer[error]
	result, err := metric.Evaluate(cases, m.data.Catalogue.Len(), func(user int, history []int32, out []float32) {
		if err := r.score(user, history, out); err != nil {
			failed.Store(&err)
		}
	}, metric.Options{MaskSeen: true, Ties: metric.TiesHalf})
	if p := failed.Load(); err == nil && p != nil {
		err = *p
	}
	if err != nil {
		return result, fmt.Errorf("measuring %s: %w", r.name, err)
	}
	return result, nil
}

// facts are the popularity and the genres of the items.
func (m *material) facts() metric.ItemFacts {
	items := m.data.Catalogue.Len()
	f := metric.ItemFacts{Items: items, Counts: m.counts()}
	labels, any := make([][]string, items), false
	for i, item := range m.data.Catalogue.Items {
		labels[i] = item.Genres
		any = any || len(item.Genres) > 0
	}
	if any {
		f.Similarity = metric.Jaccard(labels)
	}
	return f
}

// counts is how many histories of the training data hold each item.
func (m *material) counts() []int {
	out := make([]int, m.data.Catalogue.Len())
	for i, n := range stats.CountPopularity(m.split.Train, len(out)) {
		out[i] = int(n)
	}
	return out
}

// baselines are what every Transformer must beat: popularity, and which item follows which.
func (m *material) baselines() ([]measured, error) {
	items := m.data.Catalogue.Len()
	popularity := stats.CountPopularity(m.split.Train, items)
	follow, err := stats.NewItemItem(m.split.Train, items, stats.DefaultWindow, stats.ForwardOnly)
	if err != nil {
		return nil, err
	}
	return []measured{
		{"item transitions", func(_ int, h []int32, out []float32) error { follow.Scores(h, out); return nil }},
		{"popularity", func(_ int, _ []int32, out []float32) error { copy(out, popularity); return nil }},
	}, nil
}

// rate foretells the ratings of what came next, where they are known; nil if none is.
func (t *trained) rate(cases []metric.Case) (*run.Ratings, error) {
	var truth, said, mean []float64
	var one [1]float32
	usual := t.meanRating()
	for _, c := range cases {
		u := &t.behaviour[c.User]
		n := len(c.History)
		if n >= len(u.Ratings) || u.History[n] != c.Target {
			continue
		}
		if err := t.scorer.Ratings(t.caseQuery(c.User, c.History), []int32{c.Target}, one[:]); err != nil {
			return nil, err
		}
		truth, said, mean = append(truth, float64(u.Ratings[n])), append(said, float64(one[0])), append(mean, usual)
	}
	if len(truth) == 0 {
		return nil, nil
	}
	out := &run.Ratings{Events: len(truth)}
	own, err := metric.Ratings(truth, said, bootstrapDraws, 1)
	if err != nil {
		return nil, err
	}
	other, err := metric.Ratings(truth, mean, bootstrapDraws, 1)
	if err != nil {
		return nil, err
	}
	out.RMSE, out.MAE, out.Mean = valueOf(own[0]), valueOf(own[1]), valueOf(other[0])
	return out, nil
}

func valueOf(f metric.Figure) run.Value { return run.Value{Value: f.Value, Low: f.Low, High: f.High} }

// meanRating is the mean of the ratings in the training data.
func (m *material) meanRating() float64 {
	sum, n := 0.0, 0
	for i, h := range m.split.Train {
		for _, r := range m.behaviour[i].Ratings[:min(len(h), len(m.behaviour[i].Ratings))] {
			sum, n = sum+float64(r), n+1
		}
	}
	return sum / float64(max(1, n))
}
