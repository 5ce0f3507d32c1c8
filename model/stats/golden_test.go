package stats

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"testing"

	"tutti/model/dataset"
	"tutti/model/metric"
)

// realData loads a data set that stands beside the repository, or skips.
func realData(t testing.TB, name string) *dataset.Dataset {
	t.Helper()
	folder := "../../../shared/data/" + name
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is missing: it is real data that is not part of the repository", folder)
	}
	data, _, err := dataset.Load(os.DirFS(folder), dataset.Options{SeenOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func ignoreUser(score func(history []int32, out []float32)) metric.Score {
	return func(_ int, history []int32, out []float32) { score(history, out) }
}

func wantFigures(t *testing.T, name string, cases []metric.Case, items int, score metric.Score, ndcg, hr float64) {
	t.Helper()
	got, err := metric.Evaluate(cases, items, score, metric.Options{MaskSeen: true, Ties: metric.TiesHalf})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: NDCG@10 %.4f, HR@10 %.4f", name, got.NDCG, got.HR)
	if !(math.Abs(got.NDCG-ndcg) <= 0.001) || !(math.Abs(got.HR-hr) <= 0.001) {
		t.Errorf("%s: NDCG@10 %.4f, HR@10 %.4f; the study has %.4f and %.4f", name, got.NDCG, got.HR, ndcg, hr)
	}
}

// Sections 4.3 and 8 of the model study: leave-one-out, full ranking, seen
// items masked.
func TestBaselinesReproduceTheStudyOnMillion(t *testing.T) {
	data := realData(t, "ml-1m")
	split, items := dataset.LeaveOneOut(data), data.Catalogue.Len()
	popularity := CountPopularity(split.Train, items)
	wantFigures(t, "popularity", split.Test, items, func(_ int, _ []int32, out []float32) { copy(out, popularity) }, 0.0194, 0.0394)

	for _, want := range []struct {
		name           string
		backward       float64
		ndcg, hitRatio float64
	}{
		{"item-item forward", ForwardOnly, 0.1469, 0.2508},
		{"item-item symmetric", Symmetric, 0.1415, 0.2455},
	} {
		model, err := NewItemItem(split.Train, items, DefaultWindow, want.backward)
		if err != nil {
			t.Fatal(err)
		}
		wantFigures(t, want.name, split.Test, items, ignoreUser(model.Scores), want.ndcg, want.hitRatio)
	}
}

func TestPopularityReproducesTheStudyOnLatestSmall(t *testing.T) {
	data := realData(t, "ml-latest-small")
	split, items := dataset.LeaveOneOut(data), data.Catalogue.Len()
	popularity := CountPopularity(split.Train, items)
	wantFigures(t, "popularity", split.Test, items, func(_ int, _ []int32, out []float32) { copy(out, popularity) }, 0.0188, 0.0410)
}
