package metric

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"
)

// reference is testdata/reference.json: what scikit-learn computes, see
// reference.py.
type reference struct {
	Items, K int
	Cases    []struct {
		Scores               []float32
		History, Right, List []int32
		Want                 map[string]float64
		MapAll               float64 `json:"map_all"`
	}
	Binary struct {
		Truth              []int
		Probability, Inner []float64
		Want               map[string]float64
	}
	Classes struct {
		Truth, Predicted []int
		Accuracy         float64
		Macro            [3]float64
	}
	Ratings struct {
		Truth, Predicted []float64
		RMSE, MAE        float64
	}
	Lists struct {
		Features                           []float32
		Counts                             []int
		Lists                              [][]int32
		Diversity, Novelty, Coverage, Gini float64
	}
}

func readReference(t *testing.T) reference {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func near(t *testing.T, name string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("%s: %.12f, want %.12f", name, got, want)
	}
}

// referenceCases turns the cases round, so that Evaluate can be asked for all
// of them at once: case i is user i.
func (r reference) evaluate(t *testing.T, options Options) Result {
	t.Helper()
	cases := make([]Case, len(r.Cases))
	for i, c := range r.Cases {
		cases[i] = Case{User: i, History: c.History, Target: c.Right[0], Also: c.Right[1:]}
	}
	result, err := EvaluateBatch(cases, r.Items, 5, func(batch []Case, out []float32) {
		for i, c := range batch {
			copy(out[i*r.Items:], r.Cases[c.User].Scores)
		}
	}, options)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestAgainstScikitLearn(t *testing.T) {
	r := readReference(t)
	got := r.evaluate(t, Options{K: r.K, MaskSeen: true, Logits: true})
	all := r.evaluate(t, Options{K: r.Items, MaskSeen: true})
	for i, c := range r.Cases {
		checked := 0
		for m := range Measure(measures) {
			if want, known := c.Want[m.String()]; known {
				near(t, m.String(), got.Values(m)[i], want)
				checked++
			}
		}
		if checked != len(c.Want) || checked != 9 {
			t.Fatalf("case %d: %d of %d measures compared", i, checked, len(c.Want))
		}
		near(t, "MAP", all.Values(PrecisionAverageAtK)[i], c.MapAll)
		if !slices.Equal(got.Lists[i], c.List) {
			t.Errorf("case %d: list %v, want %v", i, got.Lists[i], c.List)
		}
	}
}

func TestPredictionsAgainstScikitLearn(t *testing.T) {
	r := readReference(t)
	truth := make([]bool, len(r.Binary.Truth))
	for i, v := range r.Binary.Truth {
		truth[i] = v == 1
	}
	b, err := NewBinary(truth, r.Binary.Probability)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := NewBinary(truth, r.Binary.Inner)
	if err != nil {
		t.Fatal(err)
	}
	figures := b.Figures(0.5, 200, 1)
	if len(figures) != 6 {
		t.Fatalf("%d figures", len(figures))
	}
	for _, f := range figures {
		if f.Name == "log loss" { // scikit-learn clips elsewhere: compared on inner
			near(t, f.Name, inner.LogLoss(), r.Binary.Want[f.Name])
			continue
		}
		near(t, f.Name, f.Value, r.Binary.Want[f.Name])
		if !(f.Low < f.Value && f.Value < f.High) {
			t.Errorf("%s: %v outside %v", f.Name, f.Value, f.Interval)
		}
	}
	c := NewConfusion(4)
	for i, class := range r.Classes.Truth {
		if err := c.Add(class, r.Classes.Predicted[i]); err != nil {
			t.Fatal(err)
		}
	}
	precision, recall, f1 := c.Macro()
	near(t, "accuracy", c.Accuracy(), r.Classes.Accuracy)
	near(t, "macro precision", precision, r.Classes.Macro[0])
	near(t, "macro recall", recall, r.Classes.Macro[1])
	near(t, "macro F1", f1, r.Classes.Macro[2])
	ratings, err := Ratings(r.Ratings.Truth, r.Ratings.Predicted, 200, 1)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "RMSE", ratings[0].Value, r.Ratings.RMSE)
	near(t, "MAE", ratings[1].Value, r.Ratings.MAE)
	for _, f := range ratings {
		if !(f.Low < f.Value && f.Value < f.High) {
			t.Errorf("%s: %v outside %v", f.Name, f.Value, f.Interval)
		}
	}
}

func TestBeyondAgainstReference(t *testing.T) {
	l := readReference(t).Lists
	dim := len(l.Features) / len(l.Counts)
	figures := Result{Lists: l.Lists}.Beyond(ItemFacts{Items: len(l.Counts), Counts: l.Counts, Similarity: Cosine(l.Features, dim)}, 300, 1)
	want := map[string]float64{CoverageName: l.Coverage, GiniName: l.Gini, NoveltyName: l.Novelty, DiversityName: l.Diversity}
	if len(figures) != len(want) {
		t.Fatalf("%d figures", len(figures))
	}
	for _, f := range figures {
		near(t, f.Name, f.Value, want[f.Name])
		if !(f.Low < f.Value && f.Value < f.High) || f.Cases != len(l.Lists) {
			t.Errorf("%s: %v outside %v, or of %d lists", f.Name, f.Value, f.Interval, f.Cases)
		}
	}
}
