package seqrec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"tutti/model"
)

// forgetful is a speaker that keeps nothing but the items of its lists: for
// every question it reads the history again and says the list from the start,
// alone, on new memory.
type forgetful struct {
	t     *testing.T
	s     *Scorer
	query Query
	most  int
	lists [][]int32
}

func (f *forgetful) logits(list int) []float32 {
	w := newWriter(f.s)
	if err := w.begin(f.query, f.most, 1); err != nil {
		f.t.Fatal(err)
	}
	for _, item := range f.lists[list] {
		w.grow([]int{0}, []int32{item})
	}
	return w.logits(0)
}

func (f *forgetful) grow(parents []int, items []int32) {
	lists := make([][]int32, len(items))
	for i, item := range items {
		lists[i] = append(append([]int32(nil), f.lists[parents[i]]...), item)
	}
	f.lists = lists
}

// writingConfigs are models of every kind that writes.
func writingConfigs() []Config {
	base := Config{Items: 13, Dim: 8, Blocks: 2, Heads: 2, Hidden: 6, MaxLen: 9}
	var out []Config
	for _, arch := range []Arch{Causal, EncoderDecoder} {
		c := base
		if c.Arch = arch; arch == EncoderDecoder {
			c.DecoderBlocks, c.Horizon = 2, 5
		}
		out = append(out, c)
		if arch == EncoderDecoder {
			c.Horizon = 25 // three items of a history are taken for said
		}
		c.TimeBuckets, c.UserDim, c.FeatureDim = 20, 3, 2
		out = append(out, c)
		c.Positions, c.Activation, c.Hybrid = RotaryPositions, SwiGLU, true
		out = append(out, c)
		c.Norm = PostNorm
		out = append(out, c)
		c.Positions = LearnedPositions
		out = append(out, c)
	}
	return out
}

func writingModel(t *testing.T, c Config) (*Model, model.Params) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	features := make([]float32, c.Items*c.FeatureDim)
	for i := range features {
		features[i] = float32(rng.NormFloat64())
	}
	m, err := New(c, features)
	if err != nil {
		t.Fatal(err)
	}
	params := m.Init(1)
	for i := range params.Values() {
		params.Values()[i] += float32(0.4 * rng.NormFloat64())
	}
	return m, params
}

func writingScorer(t *testing.T, c Config) *Scorer {
	t.Helper()
	s, err := NewScorer(writingModel(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func writingQuery(c Config, items ...int32) Query {
	q := Query{Items: items}
	if c.UserDim > 0 {
		q.User = []float32{1, -1, 0.5}
	}
	if c.TimeBuckets > 0 {
		q.Now = 5000
		for i := range items {
			q.Times = append(q.Times, int64(100*i*i))
		}
	}
	return q
}

func mustSearch(t *testing.T, from speaker, o GenerateOptions, allowed rules) []List {
	t.Helper()
	lists, err := search(from, o, allowed)
	if err != nil {
		t.Fatal(err)
	}
	return lists
}

// A list that is written with all that was kept is, bit for bit, the list that
// is computed from the start for every item.
func TestCacheEqualsTheSlowPath(t *testing.T) {
	for _, c := range writingConfigs() {
		s := writingScorer(t, c)
		w := newWriter(s)
		for _, q := range []Query{writingQuery(c, 3), writingQuery(c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), writingQuery(c, 4, 4)} {
			for _, options := range []GenerateOptions{{Length: 5, Beams: 1}, {Length: 4, Beams: 5}, {Length: 5, Beams: 30}} {
				rules := newRules(q.Items, options)
				if err := w.begin(q, options.Length, options.Beams); err != nil {
					t.Fatal(err)
				}
				got := mustSearch(t, w, options, rules)
				slow := &forgetful{t: t, s: s, query: q, most: options.Length, lists: [][]int32{nil}}
				want := mustSearch(t, slow, options, rules)
				if len(got) != options.Beams || len(got[0].Items) != options.Length {
					t.Fatalf("%d lists of %d items", len(got), len(got[0].Items))
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%v %v %v, %d beams: %v, want %v", c.Arch, c.Norm, c.Positions, options.Beams, got, want)
				}
			}
		}
	}
}

// fullPass is the logarithm of the probability that an engine gives the list
// after q, reading all of it at once as in training.
func fullPass(t *testing.T, m *Model, params model.Params, q Query, list []int32) float64 {
	t.Helper()
	c, n := m.Config(), len(q.Items)
	h := History{Items: slices.Concat(q.Items, list), User: q.User}
	if q.Times != nil {
		h.Times = slices.Concat(q.Times, slices.Repeat([]int64{q.Now}, len(list)))
	}
	var s Sequence
	skip := 0 // positions that are judged before the list
	if c.Arch == EncoderDecoder {
		skip = c.primed(n, len(list))
		s = h.Continuation(n-skip, c.MaxLen, c.Horizon)
	} else {
		s = h.Predictions(c.MaxLen)
		skip = len(s.Items) - len(list)
		s.Targets = slices.Clone(s.Targets)
		for i := range skip {
			s.Targets[i] = NoTarget
		}
	}
	total := func(s Sequence) float64 {
		loss, tokens, err := NewEngine(m).LossGrad(params.Values(), []Sequence{s}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return -loss * float64(tokens)
	}
	if c.Arch == EncoderDecoder && skip > 0 { // less what counts as said already
		said := s
		said.Next = s.Next[:skip]
		return total(s) - total(said)
	}
	return total(s)
}

// What is kept, and what is said for it one token at a time, is what the whole
// model says of the same list at once: for every kind of position, input and norm.
func TestCacheEqualsTheWholeModel(t *testing.T) {
	for _, c := range writingConfigs() {
		m, params := writingModel(t, c)
		g, err := NewGenerator(m, params)
		if err != nil {
			t.Fatal(err)
		}
		for _, items := range [][]int32{{3}, {1, 2, 3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}} {
			timed := writingQuery(c, items...)
			timeless := timed
			timeless.Times, timeless.Now = nil, 0
			for _, q := range []Query{timed, timeless} {
				lists, err := g.Generate(q, GenerateOptions{Length: 4, Beams: 3})
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range lists {
					if want := fullPass(t, m, params, q, l.Items); !(math.Abs(l.LogProb-want) <= 2e-5) {
						t.Errorf("%v %v %v after %d items: %v has %v, want %v", c.Arch, c.Norm, c.Positions, len(items), l.Items, l.LogProb, want)
					}
				}
			}
		}
	}
}

// Where the time of no event is known, only distances from the question could
// matter, and there are none.
func TestNowAloneSaysNothing(t *testing.T) {
	for _, c := range writingConfigs() {
		m, params := writingModel(t, c)
		g, err := NewGenerator(m, params)
		if err != nil {
			t.Fatal(err)
		}
		q := writingQuery(c, 1, 2, 3)
		q.Times, q.Now = nil, 5000
		early, err := g.Generate(q, GenerateOptions{Length: 4})
		if err != nil {
			t.Fatal(err)
		}
		q.Now = 1 << 40
		if late, err := g.Generate(q, GenerateOptions{Length: 4}); err != nil || !reflect.DeepEqual(early, late) {
			t.Errorf("%v: %v, later %v (%v)", c.Arch, early, late, err)
		}
	}
}

// table is a speaker that looks up what follows a list.
type table struct {
	next  map[string][]float32
	lists [][]int32
}

func (f *table) logits(list int) []float32 { return f.next[fmt.Sprint(f.lists[list])] }

func (f *table) grow(parents []int, items []int32) {
	g := forgetful{lists: f.lists}
	g.grow(parents, items)
	f.lists = g.lists
}

// Greedy takes the best first item and regrets it; a beam of two does not.
func TestBeamLooksFurtherThanGreedy(t *testing.T) {
	next := map[string][]float32{
		"[]":  {1, 0.9, -9, -9},
		"[0]": {0, 0, 0, 0},
		"[1]": {9, 0, 0, 0},
	}
	lists := func(beams int) []List {
		o := GenerateOptions{Length: 2, Beams: beams}
		return mustSearch(t, &table{next: next, lists: [][]int32{{}}}, o, newRules(nil, o))
	}
	if got := lists(1); len(got) != 1 || fmt.Sprint(got[0].Items) != "[0 1]" {
		t.Errorf("greedy says %v", got)
	}
	if got := lists(2); len(got) != 2 || fmt.Sprint(got[0].Items, got[1].Items) != "[1 0] [0 1]" {
		t.Errorf("two beams say %v", got)
	}
}

// All lists are equally probable: they come in the order of their items.
func TestTiesGoByTheLowerItem(t *testing.T) {
	next := map[string][]float32{"[]": make([]float32, 3)}
	for i := range 3 {
		next[fmt.Sprintf("[%d]", i)] = make([]float32, 3)
	}
	o := GenerateOptions{Length: 2, Beams: 6}
	got := fmt.Sprint(items(mustSearch(t, &table{next: next, lists: [][]int32{{}}}, o, newRules(nil, o))))
	if want := "[[0 1] [0 2] [1 0] [1 2] [2 0] [2 1]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func items(lists []List) (out [][]int32) {
	for _, l := range lists {
		out = append(out, l.Items)
	}
	return out
}
