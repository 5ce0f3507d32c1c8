package seqrec_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"tutti/model"
	"tutti/model/rank"
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
				if !(math.Abs(float64(got[v])-want) <= 1e-5) {
					t.Errorf("%s: after %v item %d scores %v, want %v", name, history, v, got[v], want)
				}
			}
		}
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

// Rank, the sorted Scores, an int8 table and the index behind them say the same,
// to the last bit, for every architecture and every kind of item vector.
func TestRankIsTheOrderOfScores(t *testing.T) {
	rng := rand.New(rand.NewPCG(30, 30))
	for _, items := range []int{11, seqrec.Int8Items + 1} {
		for name, m := range scoredModels(t, items) {
			params := lively(t, m)
			plain := mustScorer(t, m, params)
			small, err := seqrec.NewInt8Scorer(m, params)
			if err != nil {
				t.Fatal(err)
			}
			scores, vector := make([]float32, items), make([]float32, m.Config().Dim)
			for range 3 {
				q := seqrec.Query{Items: randomHistory(rng, 3, items)}
				var exclude func(int32) bool
				if rng.IntN(2) == 0 {
					exclude = rank.Seen(q.Items)
				}
				if err := errors.Join(plain.ScoresOf(q, scores), plain.Vector(q, vector)); err != nil {
					t.Fatal(err)
				}
				want := rank.Top(scores, 10, exclude)
				for kind, search := range map[string]func() ([]rank.Ranked, error){
					"Rank":  func() ([]rank.Ranked, error) { return plain.RankOf(q, 10, exclude) },
					"int8":  func() ([]rank.Ranked, error) { return small.RankOf(q, 10, exclude) },
					"index": func() ([]rank.Ranked, error) { return plain.Index().Top(vector, 10, exclude) },
				} {
					if got, err := search(); err != nil || !slices.Equal(got, want) {
						t.Errorf("%s, %d items, %s: %v, %v\nwant %v", name, items, kind, got, err, want)
					}
				}
			}
		}
	}
}

// scoredModels are one model for each way of scoring.
func scoredModels(t *testing.T, items int) map[string]*seqrec.Model {
	t.Helper()
	cfg := small
	cfg.Items = items
	features := make([]float32, items*2)
	for i := range features {
		features[i] = float32(i%13)/7 - 1
	}
	models := map[string]*seqrec.Model{"table": mustModel(t, cfg, nil)}
	cfg.FeatureDim = 2
	models["features"] = mustModel(t, cfg, features)
	cfg.Hybrid, cfg.Arch = true, seqrec.Bidirectional
	models["hybrid, bidirectional"] = mustModel(t, cfg, features)
	cfg.Arch, cfg.DecoderBlocks, cfg.Horizon = seqrec.EncoderDecoder, 1, 2
	models["hybrid, encoder and decoder"] = mustModel(t, cfg, features)
	return models
}

// The probabilities are the softmax of the scores, but for float32's roundings.
func TestProbabilities(t *testing.T) {
	for name, m := range smallModels(t) {
		s := mustScorer(t, m, lively(t, m))
		q := seqrec.Query{Items: []int32{1, 2, 3}}
		scores, got := make([]float32, small.Items), make([]float32, small.Items)
		for _, without := range [][]int32{nil, q.Items, {-1, 99, 0}} {
			if err := errors.Join(s.ScoresOf(q, scores), s.Probabilities(q, without, got)); err != nil {
				t.Fatal(err)
			}
			total := 0.0
			for i, x := range scores {
				if !slices.Contains(without, int32(i)) {
					total += math.Exp(float64(x))
				}
			}
			for i, p := range got {
				want := math.Exp(float64(scores[i])) / total
				if slices.Contains(without, int32(i)) {
					want = 0
				}
				if !(math.Abs(float64(p)-want) <= 1e-5) {
					t.Errorf("%s, without %v: item %d has %v, want %v", name, without, i, p, want)
				}
			}
		}
		all := make([]int32, small.Items)
		for i := range all {
			all[i] = int32(i)
		}
		if err := s.Probabilities(q, all, got); err != nil || slices.ContainsFunc(got, func(p float32) bool { return p != 0 }) {
			t.Errorf("%s: nothing is left, and the probabilities are %v (%v)", name, got, err)
		}
		if s.Probabilities(q, nil, got[1:]) == nil || s.Vector(q, got[:1]) == nil {
			t.Errorf("%s: wrote into a short slice", name)
		}
	}
}

// Finite weights may give scores that are not: that is an error, not a ranking.
func TestWeightsThatAreTooLarge(t *testing.T) {
	for _, cfg := range []seqrec.Config{tinyCausal(9), tinyDecoder(9)} {
		m := mustModel(t, cfg, nil)
		params := m.Init(1)
		for _, name := range []string{seqrec.TensorFinalGain, seqrec.TensorDecoderFinalGain} {
			gain := params.View(name)
			for i := range gain {
				gain[i] = math.MaxFloat32
			}
		}
		s, q := mustScorer(t, m, params), seqrec.Query{Items: []int32{1, 2, 3}}
		if best, err := s.RankOf(q, 3, nil); err == nil {
			t.Errorf("%v: ranked %v", cfg.Arch, best)
		}
		if err := s.Probabilities(q, nil, make([]float32, 9)); err == nil {
			t.Errorf("%v: probabilities", cfg.Arch)
		}
		if lists, err := mustGenerator(t, m, params).Generate(q, seqrec.GenerateOptions{Length: 2, Beams: 2}); err == nil {
			t.Errorf("%v: wrote %v", cfg.Arch, lists)
		}
	}
}

// The weights are not copied: of a learned table there is one.
func TestScorerSharesItsWeights(t *testing.T) {
	cfg := small
	cfg.Items = 100_000
	m := mustModel(t, cfg, nil)
	params := m.Init(1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	mustScorer(t, m, params)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<16 {
		t.Errorf("%d bytes for a scorer of %d weights", got, len(params.Values()))
	}
}
