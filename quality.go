package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/model/metric"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/report"
)

// quality measures recommenders on what every device kept back: leave-one-out, full ranking, seen items masked. Only a
// demo or a study can do that, because it holds everybody's data; a deployment measures on devices.
type quality struct {
	items int
	test  []metric.Case
	rows  []qualityRow
}

// qualityRow is one measured recommender.
type qualityRow struct {
	Name    string          `json:"name"`
	Private bool            `json:"private"` // made only of what the claim covers
	NDCG    float64         `json:"ndcg10"`
	HR      float64         `json:"hr10"`
	NDCG95  metric.Interval `json:"ndcg10_ci95"`
	HR95    metric.Interval `json:"hr10_ci95"`
	Users   int             `json:"users"`
	Note    string          `json:"note,omitempty"`
}

func newQuality(ds *dataset.Dataset, split dataset.Split) *quality {
	return &quality{items: ds.Catalogue.Len(), test: split.Test}
}

// scorer writes a score for every item.
type scorer func(history []int32, out []float32) error

// measure ranks the catalogue for every test case; ties count half, which matters for counts and not for networks.
func (q *quality) measure(name string, private bool, score scorer) (qualityRow, error) {
	var failed atomic.Pointer[error]
	result, err := metric.Evaluate(q.test, q.items, func(_ int, history []int32, out []float32) {
		if err := score(history, out); err != nil {
			failed.Store(&err)
		}
	}, metric.Options{MaskSeen: true, Ties: metric.TiesHalf})
	if p := failed.Load(); err == nil && p != nil {
		err = *p
	}
	if err != nil {
		return qualityRow{}, fmt.Errorf("measuring %s: %w", name, err)
	}
	return qualityRow{
		Name: name, Private: private, NDCG: result.NDCG, HR: result.HR, Users: len(q.test),
		NDCG95: result.NDCGInterval(bootstrapDraws, 1), HR95: result.HRInterval(bootstrapDraws, 1),
	}, nil
}

// add measures and keeps the row for the final table and the report.
func (q *quality) add(name string, private bool, score scorer) (qualityRow, error) {
	row, err := q.measure(name, private, score)
	if err == nil {
		q.rows = append(q.rows, row)
	}
	return row, err
}

const bootstrapDraws = 500

// heads are the scorers of a version's parts: the blend, and each head by itself.
func heads(p blend.Parts) (whole, transformer, transitions scorer, err error) {
	r, err := blend.New(p)
	if err != nil {
		return nil, nil, nil, err
	}
	whole = r.Scores
	if p.Transitions != nil {
		s, err := stats.NewScorer(p.Popularity, p.Transitions)
		if err != nil {
			return nil, nil, nil, err
		}
		transitions = func(h []int32, out []float32) error { s.Scores(h, out); return nil }
	}
	if p.Model != nil {
		s, err := seqrec.NewScorer(p.Model, p.Params)
		if err != nil {
			return nil, nil, nil, err
		}
		transformer = s.Scores
	}
	return whole, transformer, transitions, nil
}

// inTheClear makes the same blend of everybody's data in one place, exact statistics and a Transformer trained on all
// sequences: what privacy costs is measured against it.
func inTheClear(ctx context.Context, spec blend.Spec, public blend.Public, split dataset.Split, weight float64, fit clearFit, newEngine func(*seqrec.Model) seqrec.Engine, progress func(step int)) (blend.Parts, error) {
	parts := blend.Parts{Weight: weight}
	var err error
	if parts.Popularity, err = stats.NewPopularity(popularityOf(split.Train, spec.Items), 0); err != nil {
		return parts, err
	}
	if parts.Transitions, err = exactTransitions(split.Train, parts.Popularity.TopK(clearBlock), spec.Items); err != nil {
		return parts, err
	}
	if parts.Model, err = spec.Model(public, parts.Popularity, parts.Transitions); err != nil {
		return parts, err
	}
	parts.Params, _, err = seqrec.FitSource(ctx, newEngine(parts.Model), parts.Model.Init(fit.seed), seqrec.Crops(split.Train, spec.MaxLen, fit.batch, 0.6, fit.seed),
		seqrec.FitConfig{Steps: fit.steps, LearningRate: fit.rate, WarmUp: fit.steps / 20, Progress: func(step int, _ float64) { progress(step) }})
	return parts, err
}

// clearBlock is k without noise: the study's largest.
const clearBlock = 1000

func exactTransitions(histories [][]int32, chosen []int32, items int) (*stats.Transitions, error) {
	block, err := stats.NewBlock(chosen, items)
	if err != nil {
		return nil, err
	}
	sum := make([]float32, block.Cells())
	for _, h := range histories {
		for i, x := range block.Vector(h, stats.DefaultWindow) {
			sum[i] += x
		}
	}
	return stats.NewTransitions(block, sum, 0)
}

// clearFit is how long the comparison trains.
type clearFit struct {
	steps, batch int
	rate         float64
	seed         uint64
}

func popularityOf(histories [][]int32, items int) []float32 {
	counts := stats.CountPopularity(histories, items)
	out := make([]float32, items)
	for i, n := range counts {
		out[i] = float32(n)
	}
	return out
}

// utility is the table as the report declares it.
func (q *quality) utility() []report.Utility {
	rows := make([]report.Utility, len(q.rows))
	for i, r := range q.rows {
		rows[i] = report.Utility{
			Name: r.Name, Private: r.Private, Users: uint64(r.Users), Note: r.Note,
			NDCG: value(r.NDCG, r.NDCG95), HR: value(r.HR, r.HR95),
		}
	}
	return rows
}

func value(x float64, i metric.Interval) report.Value {
	f := func(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }
	return report.Value{Value: f(x), Low: f(i.Low), High: f(i.High)}
}
