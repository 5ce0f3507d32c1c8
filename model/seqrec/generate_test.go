package seqrec_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

func tinyCausal(items int) seqrec.Config {
	return seqrec.Config{Items: items, Dim: 6, Blocks: 2, Heads: 2, Hidden: 5, MaxLen: 8}
}

func mustGenerator(t *testing.T, m *seqrec.Model, params model.Params) *seqrec.Generator {
	t.Helper()
	g, err := seqrec.NewGenerator(m, params)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func generate(t *testing.T, g *seqrec.Generator, history []int32, o seqrec.GenerateOptions) []seqrec.List {
	t.Helper()
	lists, err := g.Generate(seqrec.Query{Items: history}, o)
	if err != nil {
		t.Fatal(err)
	}
	return lists
}

// judge is the logarithm of the probability of the items of a list, computed by
// the whole model over history and list, as in training.
func judge(t *testing.T, m *seqrec.Model, params model.Params, history, list []int32) float64 {
	t.Helper()
	s := seqrec.Sequence{Items: history, Next: list}
	if m.Config().Arch == seqrec.Causal {
		s = seqrec.Sequence{Items: slices.Concat(history, list[:len(list)-1])}
		for range history[1:] {
			s.Targets = append(s.Targets, seqrec.NoTarget)
		}
		s.Targets = append(s.Targets, list...)
	}
	loss, n, err := seqrec.NewEngine(m).LossGrad(params.Values(), []seqrec.Sequence{s}, nil)
	if err != nil || n != len(list) {
		t.Fatalf("%d items, %v", n, err)
	}
	return -loss * float64(n)
}

// all are the lists of n different items out of v.
func all(v, n int) (out [][]int32) {
	if n == 0 {
		return [][]int32{nil}
	}
	for _, list := range all(v, n-1) {
		for item := range int32(v) {
			if !slices.Contains(list, item) {
				out = append(out, append(slices.Clone(list), item))
			}
		}
	}
	return out
}

// A beam that is wide enough to lose nothing finds what trying every list finds;
// for two items the width of the catalogue is enough.
func TestBeamEqualsBruteForce(t *testing.T) {
	const v = 5
	for _, cfg := range []seqrec.Config{tinyDecoder(v), tinyCausal(v)} {
		m := mustModel(t, cfg, nil)
		params := lively(t, m)
		g := mustGenerator(t, m, params)
		for _, c := range []struct{ length, beams int }{{1, v}, {2, v}, {2, v * (v - 1)}, {3, v * (v - 1)}} {
			for _, history := range [][]int32{{0}, {3, 1, 4, 1}} {
				lists := all(v, c.length)
				truth := make(map[string]float64, len(lists))
				for _, l := range lists {
					truth[fmt.Sprint(l)] = judge(t, m, params, history, l)
				}
				slices.SortFunc(lists, func(a, b []int32) int {
					if truth[fmt.Sprint(a)] > truth[fmt.Sprint(b)] {
						return -1
					}
					return 1
				})
				got := generate(t, g, history, seqrec.GenerateOptions{Length: c.length, Beams: c.beams})
				if len(got) != c.beams {
					t.Fatalf("%d lists, want %d", len(got), c.beams)
				}
				for i, list := range got {
					want := truth[fmt.Sprint(list.Items)]
					if !slices.Equal(list.Items, lists[i]) || !(math.Abs(list.LogProb-want) <= 1e-5) {
						t.Errorf("%v, %d of %d beams: list %d is %v (%v), want %v (%v)",
							cfg.Arch, c.length, c.beams, i, list.Items, list.LogProb, lists[i], want)
					}
					sum := 0.0
					for _, p := range list.LogProbs {
						sum += p
					}
					if len(list.LogProbs) != c.length || !(math.Abs(sum-list.LogProb) <= 1e-12) {
						t.Errorf("%v do not sum to %v", list.LogProbs, list.LogProb)
					}
				}
			}
		}
	}
}

// Greedy generation says what a scorer would rank first, again and again.
func TestGreedyFollowsTheScorer(t *testing.T) {
	cfg := tinyCausal(11)
	cfg.Dim, cfg.TimeBuckets, cfg.UserDim, cfg.Positions = 8, 12, 2, seqrec.RotaryPositions
	m := mustModel(t, cfg, nil)
	params := lively(t, m)
	q := seqrec.Query{Items: []int32{1, 2, 3}, Times: []int64{10, 20, 400}, Now: 1000, User: []float32{1, -2}}
	lists, err := mustGenerator(t, m, params).Generate(q, seqrec.GenerateOptions{Length: 5, ExcludeSeen: true})
	if err != nil {
		t.Fatal(err)
	}
	s := mustScorer(t, m, params)
	for i, item := range lists[0].Items {
		best, err := s.RankOf(q, 1, func(item int32) bool { return slices.Contains(q.Items, item) })
		if err != nil || best[0].Item != item {
			t.Fatalf("item %d is %d, the scorer says %v (%v)", i, item, best, err)
		}
		scores := make([]float32, 11)
		if err := s.ScoresOf(q, scores); err != nil {
			t.Fatal(err)
		}
		total := 0.0
		for _, x := range scores {
			total += math.Exp(float64(x))
		}
		if want := float64(scores[item]) - math.Log(total); !(math.Abs(want-lists[0].LogProbs[i]) <= 1e-5) {
			t.Errorf("item %d has log-probability %v, want %v", i, lists[0].LogProbs[i], want)
		}
		q.Items, q.Times = append(slices.Clone(q.Items), item), append(slices.Clone(q.Times), q.Now)
	}
}

// Lists of one item are what a scorer ranks.
func TestFirstStepIsTheRanking(t *testing.T) {
	for _, cfg := range []seqrec.Config{tinyCausal(11), tinyDecoder(11)} {
		m := mustModel(t, cfg, nil)
		params := lively(t, m)
		history := []int32{4, 5, 6}
		seen := func(item int32) bool { return slices.Contains(history, item) }
		ranked, err := mustScorer(t, m, params).Rank(history, 8, seen)
		if err != nil {
			t.Fatal(err)
		}
		lists := generate(t, mustGenerator(t, m, params), history, seqrec.GenerateOptions{Length: 1, Beams: 10, ExcludeSeen: true})
		if len(lists) != len(ranked) {
			t.Fatalf("%v: %d lists, %d ranked", cfg.Arch, len(lists), len(ranked))
		}
		for i, l := range lists {
			apart := float64(ranked[i].Score - ranked[0].Score)
			if l.Items[0] != ranked[i].Item || !(math.Abs(l.LogProb-lists[0].LogProb-apart) <= 1e-5) {
				t.Errorf("%v: list %d is %v, ranked is %v", cfg.Arch, i, l, ranked[i])
			}
		}
	}
}

// With a long horizon the newest items count as said: the list is judged as the
// rest of a continuation that starts with them.
func TestDecoderGoesOnFromTheNewestItems(t *testing.T) {
	cfg := tinyDecoder(11)
	cfg.Horizon, cfg.TimeBuckets, cfg.UserDim, cfg.Norm = 17, 12, 1, seqrec.PostNorm
	m := mustModel(t, cfg, nil)
	params := lively(t, m)
	g, s := mustGenerator(t, m, params), mustScorer(t, m, params)
	engine := seqrec.NewEngine(m)
	q := seqrec.Query{
		Items: []int32{1, 2, 3, 4, 5, 6, 7, 8, 9}, Times: []int64{1, 20, 300, 310, 330, 400, 2000, 2100, 2500},
		Now: 3000, User: []float32{0.5},
	}
	// The eleven items make lists of at most eleven, whatever was asked for.
	for _, c := range []struct{ items, length, said int }{{9, 1, 2}, {9, 15, 2}, {9, 16, 1}, {9, 17, 0}, {2, 3, 1}, {1, 3, 0}} {
		q := q
		q.Items, q.Times = q.Items[:c.items], q.Times[:c.items]
		lists, err := g.Generate(q, seqrec.GenerateOptions{Length: c.length})
		if err != nil || len(lists[0].Items) != min(c.length, 11) {
			t.Fatalf("%+v: %v, %v", c, lists, err)
		}
		split := c.items - c.said
		h := seqrec.History{Items: slices.Concat(q.Items, lists[0].Items), Times: slices.Clone(q.Times), User: q.User}
		for range lists[0].Items {
			h.Times = append(h.Times, q.Now)
		}
		sequence := h.Continuation(split, cfg.MaxLen, cfg.Horizon)
		loss := func(n int) float64 { // of the first n items of the continuation
			one := sequence
			one.Next = one.Next[:n]
			if n == 0 {
				return 0
			}
			mean, _, err := engine.LossGrad(params.Values(), []seqrec.Sequence{one}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return mean * float64(n)
		}
		if got, want := -lists[0].LogProb, loss(len(sequence.Next))-loss(c.said); !(math.Abs(got-want) <= 1e-4) {
			t.Errorf("%+v: the list costs %v, want %v", c, got, want)
		}
		if c.length > 1 {
			continue
		}
		scores := make([]float32, 11)
		if err := s.ScoresOf(q, scores); err != nil {
			t.Fatal(err)
		}
		total := 0.0
		for _, x := range scores {
			total += math.Exp(float64(x))
		}
		if got := float64(scores[lists[0].Items[0]]) - math.Log(total); !(math.Abs(got-lists[0].LogProb) <= 1e-5) {
			t.Errorf("the scorer gives %v, the list %v", got, lists[0].LogProb)
		}
	}
}

// A Causal model reads as much of a long history as leaves room for the list.
func TestLongHistories(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	history := randomHistory(rng, 40, 11)
	for _, cfg := range []seqrec.Config{tinyCausal(11), tinyDecoder(11)} {
		m := mustModel(t, cfg, nil)
		g := mustGenerator(t, m, lively(t, m))
		read := 6 // MaxLen of the encoder
		if cfg.Arch == seqrec.Causal {
			read = 8 - 4 + 1
		}
		o := seqrec.GenerateOptions{Length: 4, Beams: 3}
		want := generate(t, g, history[40-read:], o)
		if got := generate(t, g, history, o); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %v, want %v", cfg.Arch, got, want)
		}
		if got := generate(t, g, history[40-read+1:], o); reflect.DeepEqual(got, want) {
			t.Errorf("%v: the oldest item does not count", cfg.Arch)
		}
	}
}

func TestRulesOfLists(t *testing.T) {
	history := []int32{0, 1, 2}
	categories := []int32{0, 0, 1, 1, 1, 2, 2, -1, -1, -1, 0}
	for _, cfg := range []seqrec.Config{tinyCausal(11), tinyDecoder(11)} {
		m := mustModel(t, cfg, nil)
		g := mustGenerator(t, m, lively(t, m))
		// One of 3 and 4, one of 5 and 6, and 7 and 9, which have no category.
		for _, beams := range []int{1, 7} {
			for _, l := range generate(t, g, history, seqrec.GenerateOptions{
				Length: 4, Beams: beams, ExcludeSeen: true, Exclude: func(item int32) bool { return item == 8 || item == 10 },
				Categories: categories, PerCategory: 1,
			}) {
				count := map[int32]int{}
				for i, item := range l.Items {
					if item < 3 || item == 8 || item == 10 || slices.Contains(l.Items[:i], item) {
						t.Errorf("%v: %v is against the rules", cfg.Arch, l.Items)
					}
					if c := categories[item]; c >= 0 {
						count[c]++
					}
				}
				if count[0] > 1 || count[1] > 1 || count[2] > 1 || len(l.Items) != 4 {
					t.Errorf("%v: %v has %v of the categories", cfg.Arch, l.Items, count)
				}
			}
		}
		// Items 10, 3 or 4, and 5 or 6 are left: lists end after three.
		short := seqrec.GenerateOptions{Length: 4, Beams: 100, ExcludeSeen: true, Exclude: func(item int32) bool { return item > 6 && item < 10 },
			Categories: categories, PerCategory: 1}
		if lists := generate(t, g, history, short); len(lists) != 6*2*2 || len(lists[0].Items) != 3 {
			t.Errorf("%v: %d lists of %v", cfg.Arch, len(lists), lists[0].Items)
		}
		if lists := generate(t, g, history, seqrec.GenerateOptions{Length: 2, Exclude: func(int32) bool { return true }}); lists != nil {
			t.Errorf("%v: %v although all is excluded", cfg.Arch, lists)
		}
	}
}

func TestGeneratorIsSafeForConcurrentUse(t *testing.T) {
	m := mustModel(t, tinyDecoder(11), nil)
	g := mustGenerator(t, m, lively(t, m))
	o := seqrec.GenerateOptions{Length: 4, Beams: 4}
	var want [8][]seqrec.List
	for i := range want {
		want[i] = generate(t, g, []int32{int32(i), 3}, o)
	}
	var wait sync.WaitGroup
	for i := range want {
		wait.Go(func() {
			for range 20 {
				lists, err := g.Generate(seqrec.Query{Items: []int32{int32(i), 3}}, o)
				if err != nil || !reflect.DeepEqual(lists, want[i]) {
					t.Errorf("history %d: %v (%v), want %v", i, lists, err, want[i])
				}
			}
		})
	}
	wait.Wait()
}

func TestGenerateRefusals(t *testing.T) {
	both := seqrec.Config{Items: 5, Dim: 4, Blocks: 1, Heads: 1, Hidden: 4, MaxLen: 4, Arch: seqrec.Bidirectional}
	m := mustModel(t, both, nil)
	if _, err := seqrec.NewGenerator(m, m.Init(1)); err == nil || !strings.Contains(err.Error(), "bidirectional") {
		t.Errorf("a bidirectional model: %v", err)
	}
	m = mustModel(t, tinyDecoder(5), nil)
	if _, err := seqrec.NewGenerator(m, mustModel(t, tinyCausal(5), nil).Init(1)); err == nil {
		t.Error("weights of another layout are accepted")
	}
	g := mustGenerator(t, m, m.Init(1))
	for says, o := range map[string]seqrec.GenerateOptions{
		"lists of 0":           {},
		"lists of 5":           {Length: 5},
		"-1 beams":             {Length: 1, Beams: -1},
		"1025 beams":           {Length: 1, Beams: 1025},
		"no categories":        {Length: 1, PerCategory: 1},
		"4 categories":         {Length: 1, Categories: make([]int32, 4), PerCategory: 1},
		"0 items per category": {Length: 1, Categories: make([]int32, 5)},
	} {
		if _, err := g.Generate(seqrec.Query{Items: []int32{1}}, o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		}
	}
	one := seqrec.GenerateOptions{Length: 1}
	if _, err := g.Generate(seqrec.Query{}, one); !errors.Is(err, seqrec.ErrEmptyHistory) {
		t.Errorf("without a history: %v", err)
	}
	for _, q := range []seqrec.Query{{Items: []int32{5}}, {Items: make([]int32, 9), Times: make([]int64, 2)}} {
		if _, err := g.Generate(q, one); err == nil {
			t.Errorf("%+v is accepted", q)
		}
	}
}

// A model that has learned that items come in a circle says how it goes on.
func ExampleGenerator() {
	m, err := seqrec.New(seqrec.Config{
		Items: 6, Dim: 8, Blocks: 1, Heads: 1, Hidden: 8, MaxLen: 4,
		Arch: seqrec.EncoderDecoder, DecoderBlocks: 1, Horizon: 4,
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	circle := []int32{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3}
	params, err := learn(m, seqrec.Continuations([][]int32{circle}, 4, 4, 1, 1), 200)
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := seqrec.NewGenerator(m, params)
	if err != nil {
		fmt.Println(err)
		return
	}
	lists, err := g.Generate(seqrec.Query{Items: []int32{3, 4}}, seqrec.GenerateOptions{Length: 3, Beams: 2})
	fmt.Println(lists[0].Items, err)
	// Output: [5 0 1] <nil>
}

// learn trains from initial weights.
func learn(m *seqrec.Model, source seqrec.Source, steps int) (model.Params, error) {
	params, _, err := seqrec.FitSource(context.Background(), seqrec.NewEngine(m), m.Init(1), source,
		seqrec.FitConfig{Steps: steps, LearningRate: 0.01})
	return params, err
}
