package blend_test

import (
	"math"
	"slices"
	"sync"
	"testing"

	"tutti/model"
	"tutti/model/blend"
	"tutti/model/seqrec"
	"tutti/model/stats"
)

const items = 12

// releases are noise-free statistics: item i is liked by 20-i people; in the block of items 0 to 5, 1 follows 0 often,
// 3 follows 2 now and then.
func releases(t testing.TB) (*stats.Popularity, *stats.Transitions) {
	t.Helper()
	liked := make([]float32, items)
	for i := range liked {
		liked[i] = float32(20 - i)
	}
	popularity, err := stats.NewPopularity(liked, 0)
	if err != nil {
		t.Fatal(err)
	}
	block, err := stats.NewBlock(popularity.TopK(6), items)
	if err != nil {
		t.Fatal(err)
	}
	sum := make([]float32, block.Cells())
	sum[block.Cell(0, 1)], sum[block.Cell(2, 3)] = 40, 2
	transitions, err := stats.NewTransitions(block, sum, 0)
	if err != nil {
		t.Fatal(err)
	}
	return popularity, transitions
}

// whole are parts with a Transformer of random weights.
func whole(t testing.TB, weight float64) blend.Parts {
	t.Helper()
	p := blend.Parts{Weight: weight}
	p.Popularity, p.Transitions = releases(t)
	var err error
	spec := blend.Spec{Items: items, Dim: 4, Blocks: 1, Heads: 2, Hidden: 4, MaxLen: 4}
	if p.Model, err = spec.Model(blend.Public{}, nil, nil); err != nil {
		t.Fatal(err)
	}
	p.Params = p.Model.Init(3)
	for i := range p.Params.Values() { // far from uniform
		p.Params.Values()[i] *= 8
	}
	return p
}

func recommender(t testing.TB, p blend.Parts) *blend.Recommender {
	t.Helper()
	r, err := blend.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func scores(t testing.TB, r *blend.Recommender, history []int32) []float32 {
	t.Helper()
	out := make([]float32, r.Items())
	for i := range out {
		out[i] = 7 // what was there before must not matter
	}
	if err := r.Scores(history, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// near compares distributions to a float32's precision.
func near(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-6 })
}

var histories = [][]int32{nil, {0}, {2, 0}, {5, 5, 5}, {11, 7, 3, 1, 0, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}

// TestScores: for every weight the scores are a distribution over what is unseen, at weight 0 that of the statistics,
// at weight 1 the softmax of the Transformer, in between the two mixed; without history the statistics speak alone.
func TestScores(t *testing.T) {
	p := whole(t, 0)
	transformer, err := seqrec.NewScorer(p.Model, p.Params)
	if err != nil {
		t.Fatal(err)
	}
	statistics, err := stats.NewScorer(p.Popularity, p.Transitions)
	if err != nil {
		t.Fatal(err)
	}
	for _, history := range histories {
		said, felt := make([]float32, items), make([]float32, items)
		statistics.Distribution(history, said)
		copy(felt, said)
		if len(history) > 0 {
			if err := transformer.Scores(history, felt); err != nil {
				t.Fatal(err)
			}
			total := 0.0
			for i, x := range felt {
				if !slices.Contains(history, int32(i)) {
					total += math.Exp(float64(x))
				}
			}
			for i, x := range felt {
				if felt[i] = float32(math.Exp(float64(x)) / total); slices.Contains(history, int32(i)) {
					felt[i] = 0
				}
			}
		}
		for _, weight := range []float64{0, 0.3, 1} {
			p.Weight = weight
			got := scores(t, recommender(t, p), history)
			want := make([]float32, items)
			sum := 0.0
			for i := range want {
				want[i] = float32(weight*float64(felt[i]) + (1-weight)*float64(said[i]))
				sum += float64(got[i])
				if slices.Contains(history, int32(i)) && got[i] != 0 {
					t.Errorf("weight %g, history %v: seen item %d has %g", weight, history, i, got[i])
				}
			}
			if !near(got, want) || !(math.Abs(sum-1) <= 1e-5) {
				t.Errorf("weight %g, history %v: %v, sum %g, want %v", weight, history, got, sum, want)
			}
		}
	}
}

// TestNobodyLeft: when everything has been seen there is nothing to say.
func TestNobodyLeft(t *testing.T) {
	all := []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	r := recommender(t, whole(t, 0.5))
	if got := scores(t, r, all); !slices.Equal(got, make([]float32, items)) {
		t.Errorf("scores %v", got)
	}
	if list, err := r.Rank(all, 5, nil); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestEmptyHistoryGetsPopularity(t *testing.T) {
	p := whole(t, 0.9)
	got := scores(t, recommender(t, p), nil)
	if !near(got, p.Popularity.Shares()) {
		t.Errorf("%v, want %v", got, p.Popularity.Shares())
	}
	list, err := recommender(t, p).Rank(nil, 3, nil)
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	for k, l := range list {
		if l.Item != int32(k) || l.Kind != blend.Popular || l.Because != -1 {
			t.Errorf("%d: %+v", k, l)
		}
	}
}

func TestRank(t *testing.T) {
	r := recommender(t, whole(t, 0.5))
	for _, history := range histories {
		all := scores(t, r, history)
		odd := func(item int32) bool { return item%2 == 1 }
		first, err := r.Rank(history, 4, odd)
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.Rank(history, 4, odd)
		if err != nil || !slices.Equal(first, again) {
			t.Errorf("history %v: %v, then %v (%v)", history, first, again, err)
		}
		var want []int32
		for i := range int32(items) {
			if !odd(i) && !slices.Contains(history, i) {
				want = append(want, i)
			}
		}
		slices.SortStableFunc(want, func(a, b int32) int { // best first; the lower index of equals stands first already
			switch {
			case all[a] > all[b]:
				return -1
			case all[a] < all[b]:
				return 1
			}
			return 0
		})
		want = want[:min(4, len(want))]
		if len(first) != len(want) {
			t.Fatalf("history %v: %v, want items %v", history, first, want)
		}
		for k, l := range first {
			if l.Item != want[k] || l.Score != float64(all[want[k]]) {
				t.Errorf("history %v, place %d: %+v, want item %d with %g", history, k, l, want[k], all[want[k]])
			}
		}
	}
}

// TestTies: equal scores go by the lower index.
func TestTies(t *testing.T) {
	even, err := stats.NewPopularity([]float32{1, 1, 1, 1, 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	list, err := recommender(t, blend.Parts{Popularity: even}).Rank([]int32{1}, 9, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []int32
	for _, l := range list {
		got = append(got, l.Item)
	}
	if !slices.Equal(got, []int32{0, 2, 3, 4}) {
		t.Errorf("ranked %v", got)
	}
}

// TestReasons reaches every kind of reason, and names the item that speaks loudest.
func TestReasons(t *testing.T) {
	find := func(p blend.Parts, history []int32, item int32) blend.Recommendation {
		t.Helper()
		list, err := recommender(t, p).Rank(history, items, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			if l.Item == item {
				return l
			}
		}
		t.Fatalf("item %d is not ranked", item)
		return blend.Recommendation{}
	}
	statistics := whole(t, 0)
	statistics.Model = nil
	silent := whole(t, 0) // there is a Transformer, but it has no say
	loud := whole(t, 1)
	for _, c := range []struct {
		name    string
		parts   blend.Parts
		history []int32
		item    int32
		kind    blend.Kind
		because int32
	}{
		{"a transition speaks", statistics, []int32{9, 0}, 1, blend.Because, 0},
		{"the Transformer has weight 0", silent, []int32{9, 0}, 1, blend.Because, 0},
		{"outside of the block", statistics, []int32{0}, 8, blend.Popular, -1},
		{"nothing leads there", statistics, []int32{9}, 1, blend.Popular, -1},
		{"the Transformer alone", loud, []int32{9, 0}, 1, blend.Taste, 0},
		{"the Transformer alone, and nothing leads there", loud, []int32{9}, 8, blend.Taste, -1},
	} {
		if got := find(c.parts, c.history, c.item); got.Kind != c.kind || got.Because != c.because {
			t.Errorf("%s: %s because of %d, want %s because of %d", c.name, got.Kind, got.Because, c.kind, c.because)
		}
	}
	// A transition that says less than popularity does not count as the reason.
	weak := statistics
	block, err := stats.NewBlock([]int32{0, 1, 2}, items)
	if err != nil {
		t.Fatal(err)
	}
	sum := make([]float32, block.Cells())
	sum[block.Cell(0, 1)], sum[block.Cell(1, 2)] = 0.001, 1000 // 0 leads to 1, but far less often than 2 does
	if weak.Transitions, err = stats.NewTransitions(block, sum, 0); err != nil {
		t.Fatal(err)
	}
	if got := find(weak, []int32{0}, 1); got.Kind != blend.Popular || got.Because != -1 {
		t.Errorf("a whisper counts: %+v", got)
	}
}

// TestConcurrentUse compares many goroutines with one; run it with -race.
func TestConcurrentUse(t *testing.T) {
	r := recommender(t, whole(t, 0.5))
	var want [][]blend.Recommendation
	for _, h := range histories {
		list, err := r.Rank(h, 5, nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, list)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for k := range 40 {
				i := (g + k) % len(histories)
				if list, err := r.Rank(histories[i], 5, nil); err != nil || !slices.Equal(list, want[i]) {
					t.Errorf("history %v: %v, %v", histories[i], list, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestNewRefuses(t *testing.T) {
	other, err := stats.NewPopularity(make([]float32, items+1), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*blend.Parts){
		"no popularity":                    func(p *blend.Parts) { p.Popularity = nil },
		"weight below 0":                   func(p *blend.Parts) { p.Weight = -0.1 },
		"weight above 1":                   func(p *blend.Parts) { p.Weight = 1.1 },
		"weight not a number":              func(p *blend.Parts) { p.Weight = math.NaN() },
		"transitions of another catalogue": func(p *blend.Parts) { p.Popularity, p.Model = other, nil },
		"a Transformer of another one":     func(p *blend.Parts) { p.Popularity, p.Transitions = other, nil },
		"no weights":                       func(p *blend.Parts) { p.Params = model.Params{} },
		"a weight that is not finite":      func(p *blend.Parts) { p.Params.Values()[1] = float32(math.Inf(1)) },
	} {
		p := whole(t, 0.5)
		change(&p)
		if _, err := blend.New(p); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// TestForeignItems: a history may name items that the catalogue does not have; that is an error or nothing, never a
// panic.
func TestForeignItems(t *testing.T) {
	for _, weight := range []float64{0, 0.5, 1} {
		r := recommender(t, whole(t, weight))
		for _, history := range [][]int32{{-1}, {items}, {0, math.MaxInt32}, {math.MinInt32, 3}} {
			list, err := r.Rank(history, items, nil)
			for _, l := range list {
				if err == nil && (l.Item < 0 || l.Item >= items || math.IsNaN(l.Score)) {
					t.Errorf("weight %g, history %v: %+v", weight, history, l)
				}
			}
		}
	}
}
