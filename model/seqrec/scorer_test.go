package seqrec_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

func mustScorer(tb testing.TB, m *seqrec.Model, p model.Params) *seqrec.Scorer {
	tb.Helper()
	s, err := seqrec.NewScorer(m, p)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestScoresAgainstOracle(t *testing.T) {
	for name, m := range smallModels(t) {
		params := lively(t, m)
		o, scorer := newOracle(m, params), mustScorer(t, m, params)
		for _, history := range [][]int32{{3}, {1, 2, 3}, {5, 4, 3, 2, 1}, {9, 9, 9, 5, 4, 3, 2, 1}} {
			got := make([]float32, small.Items)
			if err := scorer.Scores(history, got); err != nil {
				t.Fatal(err)
			}
			read := history[max(0, len(history)-small.MaxLen):]
			all := o.logits(read)
			for v, want := range all[len(all)-1] {
				if math.Abs(float64(got[v])-want) > 1e-5 {
					t.Errorf("%s: after %v item %d scores %v, want %v", name, history, v, got[v], want)
				}
			}
		}
	}
}

func TestScorerKeepsItsWeights(t *testing.T) {
	m := smallModels(t)["table"]
	params := lively(t, m)
	scorer := mustScorer(t, m, params)
	before, after := make([]float32, small.Items), make([]float32, small.Items)
	if err := scorer.Scores([]int32{1}, before); err != nil {
		t.Fatal(err)
	}
	clear(params.Values())
	if err := scorer.Scores([]int32{1}, after); err != nil || !slices.Equal(before, after) {
		t.Errorf("scores changed with the caller's weights (%v)", err)
	}
}

func TestScorerIsSafeForConcurrentUse(t *testing.T) {
	m := smallModels(t)["features"]
	scorer := mustScorer(t, m, lively(t, m))
	want, err := scorer.Rank([]int32{1, 2}, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 50 {
				if got, err := scorer.Rank([]int32{1, 2}, 3, nil); err != nil || !slices.Equal(got, want) {
					t.Errorf("got %v (%v), want %v", got, err, want)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestScorerRefuses(t *testing.T) {
	m := smallModels(t)["table"]
	scorer := mustScorer(t, m, m.Init(1))
	out := make([]float32, small.Items)
	if err := scorer.Scores(nil, out); !errors.Is(err, seqrec.ErrEmptyHistory) {
		t.Errorf("empty history: %v", err)
	}
	if err := scorer.Scores([]int32{11}, out); err == nil {
		t.Error("an item outside the catalogue was read")
	}
	if err := scorer.Scores([]int32{1}, out[1:]); err == nil {
		t.Error("scores were written into a short slice")
	}
	if _, err := scorer.Rank([]int32{-1}, 3, nil); err == nil {
		t.Error("a negative item was read")
	}
	bad := m.Init(1)
	bad.Values()[3] = float32(math.Inf(1))
	if _, err := seqrec.NewScorer(m, bad); err == nil {
		t.Error("infinite weights were accepted")
	}
	if _, err := seqrec.NewScorer(m, smallModels(t)["features"].Init(1)); err == nil {
		t.Error("weights of another layout were accepted")
	}
}

// topNaive sorts everything.
func topNaive(scores []float32, n int, exclude func(int32) bool) []seqrec.Ranked {
	var all []seqrec.Ranked
	for i, s := range scores {
		if s == s && (exclude == nil || !exclude(int32(i))) {
			all = append(all, seqrec.Ranked{Item: int32(i), Score: s})
		}
	}
	slices.SortStableFunc(all, func(a, b seqrec.Ranked) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	return all[:min(n, len(all))]
}

func TestTopAgainstSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(30, 30))
	for range 500 {
		scores := make([]float32, rng.IntN(60))
		for i := range scores {
			scores[i] = float32(rng.IntN(8)) // many ties
			if rng.IntN(20) == 0 {
				scores[i] = float32(math.NaN())
			}
		}
		n := rng.IntN(15)
		var exclude func(int32) bool
		if rng.IntN(2) == 0 {
			exclude = func(item int32) bool { return item%3 == 0 }
		}
		got, want := seqrec.Top(scores, n, exclude), topNaive(scores, n, exclude)
		if !slices.Equal(got, want) {
			t.Fatalf("%d of %v: %v, want %v", n, scores, got, want)
		}
	}
}
