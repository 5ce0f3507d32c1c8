package rank

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The best of all scores are what Top finds, to the last bit.
func TestScoresAreWhatTopRanksBy(t *testing.T) {
	for _, s := range shapes {
		for _, c := range []struct{ items, dim int }{{1, 1}, {7, 3}, {601, 5}, {1500, 64}, {1101, 66}} {
			r := rand.New(rand.NewPCG(uint64(c.items), 9))
			vectors, query, bias := make([]float32, c.items*c.dim), make([]float32, c.dim), make([]float32, c.items)
			s.make(r, vectors, c.dim)
			s.make(r, query, c.dim)
			s.make(r, bias, 1)
			for _, bias := range [][]float32{nil, bias} {
				x, err := NewIndex(vectors, bias, c.dim)
				if err != nil {
					t.Fatal(err)
				}
				scores := make([]float32, c.items)
				if err := x.Scores(query, scores); err != nil {
					t.Fatal(err)
				}
				want, err := x.Top(query, 20, nil)
				if got := Top(scores, 20, nil); err != nil || !slices.Equal(got, want) {
					t.Errorf("%s, %v, biased %v:\n got %v\nwant %v, %v", s.name, c, bias != nil, got, want, err)
				}
				for i, score := range scores {
					if score != x.score(query, int32(i)) {
						t.Fatalf("%s, %v: item %d scores %v, alone %v", s.name, c, i, score, x.score(query, int32(i)))
					}
				}
			}
		}
	}
}

func TestScoresRefuse(t *testing.T) {
	x, err := NewIndex([]float32{1, 2, 3, 4}, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ query, out []float32 }{
		"short query": {make([]float32, 1), make([]float32, 2)},
		"long room":   {make([]float32, 2), make([]float32, 3)},
		"NaN":         {[]float32{1, float32(math.NaN())}, make([]float32, 2)},
	} {
		if err := x.Scores(c.query, c.out); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
