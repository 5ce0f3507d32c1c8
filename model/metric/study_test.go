package metric_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"testing"

	"tutti/model/dataset"
	"tutti/model/metric"
)

// TestPopularityOnMillion holds the figures of the model study (sections 4.4
// and 8) for the simplest of all recommenders.
func TestPopularityOnMillion(t *testing.T) {
	const folder = "../../../shared/data/ml-1m"
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is missing: it is real data that is not part of the repository", folder)
	}
	data, _, err := dataset.Load(os.DirFS(folder), dataset.Options{SeenOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	split, items := dataset.LeaveOneOut(data), data.Catalogue.Len()
	counts := make([]int, items)
	for _, h := range split.Train {
		for _, i := range h {
			counts[i]++
		}
	}
	score := func(_ int, _ []int32, out []float32) {
		for i, n := range counts {
			out[i] = float32(n)
		}
	}
	masked, err := metric.Evaluate(split.Test, items, score, metric.Options{MaskSeen: true, Ties: metric.TiesHalf})
	if err != nil {
		t.Fatal(err)
	}
	open, err := metric.Evaluate(split.Test, items, score, metric.Options{Ties: metric.TiesHalf})
	if err != nil {
		t.Fatal(err)
	}
	facts := metric.ItemFacts{Items: items, Counts: counts}
	for _, want := range []struct {
		name       string
		got, value float64
	}{
		{"NDCG@10", masked.NDCG, 0.0194},
		{"HR@10", masked.HR, 0.0394},
		{"novelty of the ten most popular", open.Beyond(facts, 0, 0)[2].Value, 8.48},
		{"coverage of the ten most popular", open.Beyond(facts, 0, 0)[0].Value, 10 / float64(items)},
		{"Gini of the ten most popular", open.Beyond(facts, 0, 0)[1].Value, 1 - 10/float64(items)},
	} {
		t.Logf("%s %.4f", want.name, want.got)
		if !(math.Abs(want.got-want.value) <= 0.01*want.value) {
			t.Errorf("%s: %.4f, the study has %.4f", want.name, want.got, want.value)
		}
	}
	for _, g := range masked.By(func(i int) string { return data.Users[split.Test[i].User].Group(dataset.GroupGender) }) {
		t.Logf("%s: %d cases, NDCG@10 %.4f", g.Label, len(g.Ranks), g.NDCG)
		if n := len(g.Ranks); n != map[string]int{"F": 1709, "M": 4331}[g.Label] {
			t.Errorf("%s: %d cases", g.Label, n)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	const items = 3706
	scores := make([]float32, items)
	for i := range scores {
		scores[i] = float32(i * 7919 % items)
	}
	cases := make([]metric.Case, 1000)
	for i := range cases {
		cases[i] = metric.Case{History: []int32{1, 2, 3, 4, 5}, Target: int32(i)}
	}
	for b.Loop() {
		if _, err := metric.Evaluate(cases, items, func(_ int, _ []int32, out []float32) { copy(out, scores) }, metric.Options{MaskSeen: true}); err != nil {
			b.Fatal(err)
		}
	}
}
