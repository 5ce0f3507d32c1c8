package rank

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
)

// naive sorts the whole catalogue by scores that it computes without any
// rounding but the last.
func naive(vectors, bias, query []float32, k int, exclude func(int32) bool) []Ranked {
	dim := len(query)
	var all []Ranked
	for i := range len(vectors) / dim {
		if exclude != nil && exclude(int32(i)) {
			continue
		}
		sum, product := new(big.Float).SetPrec(700), new(big.Float).SetPrec(60)
		for j, q := range query {
			product.SetFloat64(float64(q) * float64(vectors[i*dim+j])) // exact
			sum.Add(sum, product)
		}
		if bias != nil {
			sum.Add(sum, product.SetFloat64(float64(bias[i])))
		}
		s, _ := sum.Float32()
		all = append(all, Ranked{Item: int32(i), Score: s})
	}
	slices.SortStableFunc(all, func(a, b Ranked) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	return all[:min(k, len(all))]
}

// shape makes a catalogue that is awkward in its own way.
type shape struct {
	name string
	make func(r *rand.Rand, v []float32, dim int)
}

var shapes = []shape{
	{"normal", func(r *rand.Rand, v []float32, _ int) {
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
	}},
	{"few values, many ties", func(r *rand.Rand, v []float32, _ int) {
		for i := range v {
			v[i] = float32(r.IntN(3) - 1)
		}
	}},
	{"norms over many orders of magnitude", func(r *rand.Rand, v []float32, dim int) {
		for i := 0; i < len(v); i += dim {
			size := math.Exp(4 * r.NormFloat64())
			for j := range dim {
				v[i+j] = float32(size * r.NormFloat64())
			}
		}
	}},
	{"one large number in each row", func(r *rand.Rand, v []float32, dim int) {
		for i := range v {
			v[i] = float32(r.NormFloat64())
			if i%dim == 0 {
				v[i] *= 1000
			}
		}
	}},
	{"next to each other", func(r *rand.Rand, v []float32, dim int) {
		for i := range v {
			v[i] = float32(i%dim) + float32(r.IntN(5))*0x1p-20
		}
	}},
	{"sums that cancel", func(r *rand.Rand, v []float32, dim int) {
		for i := range v {
			v[i] = 1000 + float32(2e-4*r.NormFloat64())
			if len(v) > 3*dim && i%dim%2 == 1 { // items, not queries
				v[i] = -v[i]
			}
		}
	}},
	{"tiny", func(r *rand.Rand, v []float32, _ int) {
		for i := range v {
			v[i] = float32(r.NormFloat64() * 1e-42)
		}
	}},
	{"huge", func(r *rand.Rand, v []float32, dim int) {
		for i := range v {
			v[i] = float32(r.NormFloat64() * 1e16 / math.Sqrt(float64(dim)))
		}
	}},
	{"zero", func(*rand.Rand, []float32, int) {}},
}

func TestEverySearchIsExact(t *testing.T) {
	for _, s := range shapes {
		for _, c := range []struct{ items, dim, k int }{{1, 1, 1}, {7, 3, 20}, {600, 5, 10}, {1500, 64, 10}, {1100, 65, 3}} {
			for _, biased := range []bool{false, true} {
				r := rand.New(rand.NewPCG(uint64(c.items), uint64(c.dim)))
				vectors, queries := make([]float32, c.items*c.dim), make([]float32, 3*c.dim)
				s.make(r, vectors, c.dim)
				s.make(r, queries, c.dim)
				var bias []float32
				if biased {
					bias = make([]float32, c.items)
					s.make(r, bias, 1)
				}
				name := fmt.Sprintf("%s, %d items, %d numbers, biased %v", s.name, c.items, c.dim, biased)
				compare(t, name, vectors, bias, queries, c.dim, c.k)
			}
		}
	}
}

func compare(t *testing.T, name string, vectors, bias, queries []float32, dim, k int) {
	t.Helper()
	x, err := NewIndex(vectors, bias, dim)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	z, err := NewInt8(x)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	odd := func(query int, item int32) bool { return query == 1 && item%2 == 1 }
	searches := map[string]interface {
		Searcher
		Batch([]float32, int, func(int, int32) bool) ([][]Ranked, error)
	}{"float32": x, "int8": z}
	var want [][]Ranked
	for q := range len(queries) / dim {
		want = append(want, naive(vectors, bias, queries[q*dim:(q+1)*dim], k, func(i int32) bool { return odd(q, i) }))
	}
	for kind, search := range searches {
		for q := range want {
			got, err := search.Top(queries[q*dim:(q+1)*dim], k, func(i int32) bool { return odd(q, i) })
			if err != nil || !equal(got, want[q]) {
				t.Errorf("%s, %s, query %d:\n got %v, %v\nwant %v", name, kind, q, got, err, want[q])
			}
		}
		got, err := search.Batch(queries, k, odd)
		if err != nil || !slices.EqualFunc(got, want, equal) {
			t.Errorf("%s, %s, batch:\n got %v, %v\nwant %v", name, kind, got, err, want)
		}
	}
}

// equal takes -0 for 0.
func equal(a, b []Ranked) bool { return slices.Equal(a, b) }

func TestManyWorkersFindTheSame(t *testing.T) {
	const items, dim, k = 20000, 16, 50
	r := rand.New(rand.NewPCG(5, 5))
	vectors, queries := make([]float32, items*dim), make([]float32, 4*dim)
	shapes[1].make(r, vectors, dim) // ties across the workers' borders
	shapes[1].make(r, queries, dim)
	x, err := NewIndex(vectors, nil, dim)
	if err != nil {
		t.Fatal(err)
	}
	z, err := NewInt8(x)
	if err != nil {
		t.Fatal(err)
	}
	want, err := x.Batch(queries, k, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []scanner{x, z} {
		for workers := range 6 {
			questions, err := ask(s, queries[:dim], k, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := scanAll(s, questions, nil, workers+1); !reflect.DeepEqual(got[0], want[0]) {
				t.Errorf("%T, %d workers: %v, want %v", s, workers+1, got[0], want[0])
			}
		}
	}
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for q := range want {
				got, err := z.Top(queries[q*dim:(q+1)*dim], k, nil)
				if err != nil || !slices.Equal(got, want[q]) {
					t.Errorf("at once with others, query %d: %v, %v", q, got, err)
				}
			}
		})
	}
	users.Wait()
}

// TestInt8LeavesOut makes sure that the bound does its work: most items are
// never scored exactly.
func TestInt8LeavesOut(t *testing.T) {
	const items, dim, k = 20000, 64, 10
	r := rand.New(rand.NewPCG(9, 9))
	vectors, query := make([]float32, items*dim), make([]float32, dim)
	shapes[0].make(r, vectors, dim)
	shapes[0].make(r, query, dim)
	x, _ := NewIndex(vectors, nil, dim)
	z, err := NewInt8(x)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0 // exclude hears of every candidate that would enter the list
	if _, err := z.Top(query, k, func(int32) bool { asked++; return false }); err != nil {
		t.Fatal(err)
	}
	if asked > 300 { // about k*ln(items/k) = 76 for an exact threshold
		t.Errorf("%d of %d items entered the list", asked, items)
	}
}

func TestRefusals(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, make := range map[string]func() error{
		"empty":         func() error { _, err := NewIndex(nil, nil, 2); return err },
		"ragged":        func() error { _, err := NewIndex([]float32{1, 2, 3}, nil, 2); return err },
		"no dimension":  func() error { _, err := NewIndex([]float32{1}, nil, 0); return err },
		"biases":        func() error { _, err := NewIndex([]float32{1, 2}, []float32{1, 2}, 2); return err },
		"NaN":           func() error { _, err := NewIndex([]float32{1, nan}, nil, 2); return err },
		"infinite":      func() error { _, err := NewIndex([]float32{1, inf}, nil, 2); return err },
		"NaN bias":      func() error { _, err := NewIndex([]float32{1, 2}, []float32{nan}, 2); return err },
		"too large":     func() error { _, err := NewIndex([]float32{1e19, 2}, nil, 2); return err },
		"nothing":       func() error { _, err := NewInt8(nil); return err },
		"short query":   func() error { _, err := small(t).Top([]float32{1}, 1, nil); return err },
		"two queries":   func() error { _, err := small(t).Top([]float32{1, 2, 3, 4}, 1, nil); return err },
		"ragged batch":  func() error { _, err := small(t).Batch([]float32{1, 2, 3}, 1, nil); return err },
		"NaN query":     func() error { _, err := small(t).Top([]float32{1, nan}, 1, nil); return err },
		"huge query":    func() error { _, err := small(t).Top([]float32{1, 1e30}, 1, nil); return err },
		"no queries":    func() error { _, err := small(t).Batch(nil, 1, nil); return err },
		"infinite bias": func() error { _, err := NewIndex([]float32{1, 2}, []float32{inf}, 2); return err },
	} {
		if make() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got, err := small(t).Top([]float32{1, 2}, 0, nil); err != nil || len(got) != 0 {
		t.Errorf("none of the best: %v, %v", got, err)
	}
	if got, err := small(t).Top([]float32{1, 2}, 5, func(int32) bool { return true }); err != nil || len(got) != 0 {
		t.Errorf("all left out: %v, %v", got, err)
	}
}

func small(t *testing.T) *Index {
	t.Helper()
	x, err := NewIndex([]float32{1, 2, 3, 4}, nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestTopOfScores(t *testing.T) {
	nan := float32(math.NaN())
	r := rand.New(rand.NewPCG(3, 1))
	for range 300 {
		scores := make([]float32, r.IntN(60))
		for i := range scores {
			if scores[i] = float32(r.IntN(20)); scores[i] == 0 {
				scores[i] = nan
			}
		}
		var want []Ranked
		for i, s := range scores {
			if s == s && i%3 != 0 {
				want = append(want, Ranked{int32(i), s})
			}
		}
		slices.SortStableFunc(want, func(a, b Ranked) int { return int(b.Score - a.Score) })
		k := r.IntN(12)
		want = want[:min(k, len(want))]
		if got := Top(scores, k, func(i int32) bool { return i%3 == 0 }); !slices.Equal(got, want) {
			t.Fatalf("%v: got %v, want %v", scores, got, want)
		}
	}
}

func TestSeen(t *testing.T) {
	items := []int32{9, 2, 2, 5}
	seen := Seen(items)
	items[0] = 0 // the function has its own copy
	for i := range int32(12) {
		if want := i == 2 || i == 5 || i == 9; seen(i) != want {
			t.Errorf("item %d: %v", i, seen(i))
		}
	}
}

// A vector whose codes hide nearly half of all its numbers, behind others that
// look better: the query is exact in int8, so that only what the codes of the
// item miss keeps it in.
func TestInt8KeepsWhatItsCodesHide(t *testing.T) {
	const items, dim, hidden = 30, 64, 29
	vectors, query := make([]float32, items*dim), make([]float32, dim)
	for i := range items {
		row := vectors[i*dim : (i+1)*dim]
		row[0], row[1], row[2] = 127, 5, -4 // 128, and the longer ones: they come first
	}
	for j := range dim {
		query[j] = 127
		if j > 0 {
			vectors[hidden*dim+j] = 0.49 // in all 157.87 times 127, of which the codes hold 127 times 127
		}
	}
	x, err := NewIndex(vectors, nil, dim)
	if err != nil {
		t.Fatal(err)
	}
	z, err := NewInt8(x)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := z.Top(query, 1, nil); err != nil || len(got) != 1 || got[0].Item != hidden {
		t.Errorf("the best is %v, %v, want item %d", got, err, hidden)
	}
}

func TestBelow(t *testing.T) {
	for _, v := range []float64{1, 1 + 0x1p-30, 1 + 0x1p-23 - 0x1p-30, -1 - 0x1p-30, -1 - 0x1p-23 + 0x1p-30, 0, math.Inf(-1)} {
		f := below(v)
		if next := math.Nextafter32(f, float32(math.Inf(1))); float64(f) > v || float64(next) <= v {
			t.Errorf("below(%v) is %v", v, f)
		}
	}
}
