package main

import (
	"fmt"
	"os"

	"tutti/model/dataset"
	"tutti/model/metric"
)

// world is the people, what they did, and what came next.
type world struct {
	items  int
	train  [][]int32
	test   []metric.Case
	target int32 // the item that a backdoor pushes
	seed   uint64
}

const shared = "../shared/data/ml-latest-small"

// load reads behaviour, or invents it.
func load(o options) (ds *dataset.Dataset, source string, err error) {
	dir := o.data
	if dir == "" {
		if _, err := os.Stat(shared); err == nil {
			dir = shared
		}
	}
	if dir == "" {
		ds, err = invent(400, 800, o.seed)
		return ds, "400 invented people", err
	}
	ds, _, err = dataset.Load(os.DirFS(dir), dataset.Options{})
	if err != nil {
		return nil, "", err
	}
	return ds, fmt.Sprintf("%d people of %s", len(ds.Users), dir), nil
}

func invent(users, items int, seed uint64) (*dataset.Dataset, error) {
	g := dataset.DefaultGenerator()
	g.Users, g.Items, g.Seed = users, items, seed
	return dataset.Generate(g)
}

func newWorld(ds *dataset.Dataset, seed uint64) *world {
	split := dataset.LeaveOneOut(ds)
	return &world{items: ds.Catalogue.Len(), train: split.Train, test: split.Test, seed: seed}
}

// evaluate asks for the honest people's next items.
func (w *world) evaluate(bad []bool, score func(history []int32, out []float32)) (measured, error) {
	var cases []metric.Case
	for _, c := range w.test {
		if !bad[c.User] {
			cases = append(cases, c)
		}
	}
	r, err := metric.Evaluate(cases, w.items, func(_ int, history []int32, out []float32) { score(history, out) },
		metric.Options{MaskSeen: true, Ties: metric.TiesHalf, Workers: 1})
	if err != nil {
		return measured{}, err
	}
	shown := 0
	for _, list := range r.Lists {
		for _, item := range list {
			if item == w.target {
				shown++
			}
		}
	}
	interval := r.NDCGInterval(200, 1)
	return measured{NDCG: r.NDCG, Chance: (interval.High - interval.Low) / 2, Target: float64(shown) / float64(max(1, len(cases)))}, nil
}
