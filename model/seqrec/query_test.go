package seqrec_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"tutti/model/seqrec"
)

func scoresOf(t *testing.T, s *seqrec.Scorer, q seqrec.Query) []float32 {
	t.Helper()
	out := make([]float32, s.Items())
	if err := s.ScoresOf(q, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Ranking reads what a query says, and without it what training calls unknown.
func TestQueryMatters(t *testing.T) {
	for _, arch := range []seqrec.Arch{seqrec.Causal, seqrec.Bidirectional, seqrec.EncoderDecoder} {
		cfg := rich()
		if cfg.Arch = arch; arch == seqrec.EncoderDecoder {
			cfg.DecoderBlocks, cfg.Horizon = 1, 2
		}
		m := mustModel(t, cfg, nil)
		s := mustScorer(t, m, lively(t, m))
		full := seqrec.Query{Items: []int32{1, 2, 3}, Times: []int64{10, 20, 40}, Now: 100, User: []float32{1, 2}}
		want := scoresOf(t, s, full)
		for name, change := range map[string]func(*seqrec.Query){
			"item": func(q *seqrec.Query) { q.Items = []int32{4, 2, 3} },
			"time": func(q *seqrec.Query) { q.Times = []int64{10, 39, 40} },
			"now":  func(q *seqrec.Query) { q.Now = 41 },
			"user": func(q *seqrec.Query) { q.User = []float32{1, 3} },
		} {
			q := full
			change(&q)
			if slices.Equal(want, scoresOf(t, s, q)) {
				t.Errorf("%v: the scores do not depend on the %s", arch, name)
			}
		}
		bare, plain := scoresOf(t, s, seqrec.Query{Items: full.Items}), make([]float32, cfg.Items)
		if err := s.Scores(full.Items, plain); err != nil || !slices.Equal(bare, plain) {
			t.Errorf("%v: Scores differ from ScoresOf (%v)", arch, err)
		}
		if slices.Equal(bare, want) {
			t.Errorf("%v: times and user do not matter", arch)
		}
	}
}

// A long history counts as its end, with the time gap that leads to it unknown.
func TestQueryIsCut(t *testing.T) {
	for arch, fits := range map[seqrec.Arch]int{seqrec.Causal: 5, seqrec.Bidirectional: 4} {
		cfg := rich()
		cfg.Arch = arch
		m := mustModel(t, cfg, nil)
		s := mustScorer(t, m, lively(t, m))
		long := seqrec.Query{Items: []int32{9, 8, 1, 2, 3, 4, 5}, Times: []int64{1, 2, 10, 20, 40, 50, 90}, Now: 99}
		short := seqrec.Query{Items: long.Items[7-fits:], Times: long.Times[7-fits:], Now: 99}
		if !slices.Equal(scoresOf(t, s, long), scoresOf(t, s, short)) {
			t.Errorf("%v: more than %d items are read", arch, fits)
		}
	}
}

// A question without Now is a target without a time: the model gives the item the
// probability that it has in training.
func TestQueryWithoutNow(t *testing.T) {
	cfg := rich()
	m := mustModel(t, cfg, nil)
	params := lively(t, m)
	q := seqrec.Query{Items: []int32{1, 2, 3}, Times: []int64{10, 20, 400}}
	sequence := seqrec.Sequence{Items: q.Items, Targets: []int32{seqrec.NoTarget, seqrec.NoTarget, 7}, Times: q.Times}
	for _, now := range []int64{0, 3000} {
		if q.Now = now; now != 0 {
			sequence.Times = append(slices.Clone(q.Times), now)
		}
		loss, _, err := seqrec.NewEngine(m).LossGrad(params.Values(), []seqrec.Sequence{sequence}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, cfg.Items)
		if err := mustScorer(t, m, params).Probabilities(q, nil, got); err != nil || !(math.Abs(math.Log(float64(got[7]))+loss) <= 1e-5) {
			t.Errorf("now %d: log-probability %v (%v), loss %v", now, math.Log(float64(got[7])), err, loss)
		}
	}
}

func TestQueryRefuses(t *testing.T) {
	cfg := rich()
	cfg.Arch = seqrec.Bidirectional
	m := mustModel(t, cfg, nil)
	s := mustScorer(t, m, m.Init(1))
	out := make([]float32, cfg.Items)
	for name, q := range map[string]seqrec.Query{
		"MASK":       {Items: []int32{11}},
		"times":      {Items: []int32{1, 2}, Times: []int64{1}},
		"user":       {Items: []int32{1}, User: []float32{1}},
		"not finite": {Items: []int32{1}, User: []float32{1, float32(math.Inf(-1))}},
	} {
		if err := s.ScoresOf(q, out); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	// An item is named by its place in the whole history, read or not.
	long := []int32{1, 99, 2, 3, 4, 5, 6, 7, 8}
	if err := s.ScoresOf(seqrec.Query{Items: long}, out); err == nil || !strings.Contains(err.Error(), "item 1 is 99") {
		t.Errorf("item 99 long ago: %v", err)
	}
	if err := s.ScoresOf(seqrec.Query{}, out); !errors.Is(err, seqrec.ErrEmptyHistory) {
		t.Errorf("an empty history: %v", err)
	}
}

// The heads say what they were taught: ratings that depend on the item, clicks as
// probabilities.
func TestRatingsAndClicks(t *testing.T) {
	cfg := seqrec.Config{Items: 6, Dim: 8, Blocks: 1, Heads: 2, Hidden: 8, MaxLen: 4, RatingWeight: 1, ClickWeight: 1}
	m := mustModel(t, cfg, nil)
	var batch []seqrec.Sequence
	for i := range int32(6) {
		s := seqrec.FromHistory([]int32{i, (i + 1) % 6, (i + 2) % 6}, 4)
		for _, item := range s.Targets {
			s.Feedback = append(s.Feedback, seqrec.Feedback{Item: item, Rating: float32(item%3) + 2, Click: int8(item % 2)})
		}
		batch = append(batch, s)
	}
	params := m.Init(1)
	adam, err := optimAdam()
	if err != nil {
		t.Fatal(err)
	}
	engine, grad := seqrec.NewEngine(m), make([]float32, m.Layout().Size())
	for range 400 {
		if _, _, err := engine.LossGrad(params.Values(), batch, grad); err != nil {
			t.Fatal(err)
		}
		adam.Step(params.Values(), grad, 0.02)
	}
	s := mustScorer(t, m, params)
	items := []int32{0, 1, 2, 3, 4, 5}
	ratings, clicks := make([]float32, 6), make([]float32, 6)
	q := seqrec.Query{Items: []int32{1, 2}}
	if err := errors.Join(s.Ratings(q, items, ratings), s.Clicks(q, items, clicks)); err != nil {
		t.Fatal(err)
	}
	if r, p := ratings[3], clicks[3]; !(math.Abs(float64(r)-2) <= 0.2) || p < 0.8 {
		t.Errorf("item 3 is rated %v and clicked with %v, want 2 and about 1", r, p)
	}
	if err := s.Ratings(q, []int32{6}, ratings[:1]); err == nil {
		t.Error("an item outside the catalogue is rated")
	}
	if err := s.Clicks(q, items, clicks[:1]); err == nil {
		t.Error("six items are written into room for one")
	}
	plain := mustModel(t, small, nil)
	if err := mustScorer(t, plain, plain.Init(1)).Ratings(q, items, ratings); !errors.Is(err, seqrec.ErrNoHead) {
		t.Errorf("without a head: %v", err)
	}
}
