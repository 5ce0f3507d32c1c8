package layer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tutti/model/kernel"
)

// attentionCase is a ragged batch of some kind of attention.
type attentionCase struct {
	name          string
	d, heads      int
	queries, keys []int32 // offsets
	causal        bool
	drop          float32
}

func self(name string, d, heads int, causal bool, offsets ...int32) attentionCase {
	return attentionCase{name, d, heads, offsets, offsets, causal, 0}
}

var attentionCases = []attentionCase{
	self("one token", 4, 1, true, 0, 1),
	self("causal", 4, 2, true, 0, 3, 4, 9),
	self("one tile", 6, 3, true, 0, 24),
	self("one row in the second tile", 4, 2, true, 0, 25, 27),
	self("three tiles", 2, 1, true, 0, 2, 53),
	self("full", 4, 2, false, 0, 3, 4, 30),
	self("nothing in between", 4, 2, false, 0, 3, 3, 5),
	{"cross", 6, 2, []int32{0, 2, 29, 30}, []int32{0, 5, 6, 40}, false, 0},
	{"cross without queries or keys", 4, 2, []int32{0, 2, 2, 5}, []int32{0, 0, 3, 7}, false, 0},
	{"the last queries of a sequence", 4, 1, []int32{0, 2, 28}, []int32{0, 5, 33}, true, 0},
	{"causal, dropped", 4, 2, []int32{0, 3, 30}, []int32{0, 3, 30}, true, 0.3},
	{"cross, dropped", 6, 3, []int32{0, 26, 28}, []int32{0, 4, 31}, false, 0.5},
}

// attentionData is the input of a case: queries, keys and values in matrices of
// different row lengths, with something else to the left and right of them.
type attentionData struct {
	attentionCase
	q, k, v, dy []float32
	seeds       []uint64
}

const (
	beforeRow, afterRow = 3, 2 // columns around the queries
)

func newAttentionData(rng *rand.Rand, c attentionCase) attentionData {
	n, m := int(c.queries[len(c.queries)-1]), int(c.keys[len(c.keys)-1])
	data := attentionData{attentionCase: c,
		q: random(rng, n*(beforeRow+c.d+afterRow)), k: random(rng, m*(c.d+1)), v: random(rng, m*c.d), dy: random(rng, n*c.d)}
	for range c.queries[1:] {
		data.seeds = append(data.seeds, rng.Uint64())
	}
	return data
}

func (c attentionData) args() AttentionArgs {
	return AttentionArgs{
		Q: Rows{c.q[beforeRow:], beforeRow + c.d + afterRow}, K: Rows{c.k, c.d + 1}, V: Rows{c.v, c.d},
		Queries: c.queries, Keys: c.keys, Causal: c.causal, Dropout: c.drop, Seeds: c.seeds,
	}
}

// kept is what dropout leaves of weights that are all 1: as many rows of as many
// values as head h of sequence s has queries and keys.
func (c attentionData) kept(s, h, queries, keys int) []float64 {
	row := ones(queries * keys)
	if c.drop > 0 {
		kernel.Dropout(row, row, c.seeds[s]+uint64(h)*headStep, 0, c.drop)
	}
	return wide(row)
}

// attentionOracle is softmax(q k^T/sqrt(width)) v, with what is kept of the
// weights in between.
func attentionOracle(c attentionData, q, k, v []float64) []float64 {
	w := c.d / c.heads
	y := make([]float64, len(c.dy))
	for s := range c.queries[1:] {
		q0, k0 := int(c.queries[s]), int(c.keys[s])
		queries, keys := int(c.queries[s+1])-q0, int(c.keys[s+1])-k0
		for h := range c.heads {
			kept := c.kept(s, h, queries, keys)
			for i := range queries {
				seen := keys
				if c.causal {
					seen = keys - queries + i + 1
				}
				weight, total := make([]float64, seen), 0.0
				for j := range weight {
					dot := 0.0
					for e := range w {
						dot += q[(q0+i)*(beforeRow+c.d+afterRow)+beforeRow+h*w+e] * k[(k0+j)*(c.d+1)+h*w+e]
					}
					weight[j] = math.Exp(dot / math.Sqrt(float64(w)))
					total += weight[j]
				}
				for j := range weight {
					for e := range w {
						y[(q0+i)*c.d+h*w+e] += kept[i*keys+j] * weight[j] / total * v[(k0+j)*c.d+h*w+e]
					}
				}
			}
		}
	}
	return y
}

func TestAttention(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, one := range attentionCases {
		t.Run(one.name, func(t *testing.T) {
			c := newAttentionData(rng, one)
			q, k, v, dy := wide(c.q), wide(c.k), wide(c.v), wide(c.dy)
			a := NewAttention(c.d, c.heads)
			y, lse := make([]float32, len(c.dy)), make([]float32, len(c.dy)/c.d*c.heads)
			a.Forward(y, lse, c.args())
			compare(t, "y", y, attentionOracle(c, q, k, v))

			dq, dk, dv := ones(len(c.q)), ones(len(c.k)), ones(len(c.v))
			grads := AttentionGrads{Q: Rows{dq[beforeRow:], beforeRow + c.d + afterRow}, K: Rows{dk, c.d + 1}, V: Rows{dv, c.d}}
			a.Backward(grads, c.dy, y, lse, c.args())
			loss := func() float64 { return inner(dy, attentionOracle(c, q, k, v)) }
			compareSum(t, "dq", dq, slope(q, loss))
			compareSum(t, "dk", dk, slope(k, loss))
			compareSum(t, "dv", dv, slope(v, loss))
		})
	}
}

// The last query of a sequence alone is what it is among the others.
func TestAttentionLast(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, one := range attentionCases {
		c := newAttentionData(rng, one)
		if c.drop > 0 || c.queries[1] == 0 || c.keys[1] == 0 {
			continue
		}
		a := NewAttention(c.d, c.heads)
		y, lse := make([]float32, len(c.dy)), make([]float32, len(c.dy)/c.d*c.heads)
		in := c.args()
		a.Forward(y, lse, in)
		last, at := make([]float32, c.d), int(c.queries[1])-1
		a.Last(last, in.Q.X[at*in.Q.Step:][:c.d], in.K, in.V, int(c.keys[1]))
		compare(t, one.name, last, wide(y[at*c.d:(at+1)*c.d]))
		split := make([]float32, c.d)
		for m, first := int(c.keys[1]), 0; first <= m; first++ {
			rest := Past{Rows{in.K.X[first*in.K.Step:], in.K.Step}, Rows{in.V.X[first*in.V.Step:], in.V.Step}, m - first}
			a.Continue(split, in.Q.X[at*in.Q.Step:][:c.d], Past{in.K, in.V, first}, rest)
			if !slices.Equal(split, last) {
				t.Errorf("%s: %d keys apart from the others give %v, want %v", one.name, first, split, last)
			}
		}
	}
}

// SelfAttention reads what is side by side in one matrix, and a sequence gives
// the same bits and loses the same weights in any batch.
func TestSelfAttentionInAnyBatch(t *testing.T) {
	const d, heads = 6, 3
	rng := rand.New(rand.NewPCG(6, 6))
	offsets, seeds := []int32{0, 26, 31, 60}, []uint64{7, 8, 9}
	n := int(offsets[3])
	qkv, dy := random(rng, n*3*d), random(rng, n*d)
	for _, causal := range []bool{false, true} {
		run := func(first, last int) (y, dqkv []float32) { // sequences [first, last)
			lo, hi := offsets[first], offsets[last]
			in := SelfAttention(qkv[int(lo)*3*d:int(hi)*3*d], d, nil, causal)
			for _, o := range offsets[first : last+1] {
				in.Queries = append(in.Queries, o-lo)
			}
			in.Keys, in.Dropout, in.Seeds = in.Queries, 0.4, seeds[first:last]
			a := NewAttention(d, heads)
			y, lse := make([]float32, int(hi-lo)*d), make([]float32, int(hi-lo)*heads)
			a.Forward(y, lse, in)
			dqkv = make([]float32, int(hi-lo)*3*d)
			a.Backward(SelfAttentionGrads(dqkv, d), dy[int(lo)*d:int(hi)*d], y, lse, in)
			return y, dqkv
		}
		y, dqkv := run(0, 3)
		for s := range 3 {
			alone, dAlone := run(s, s+1)
			lo, hi := int(offsets[s]), int(offsets[s+1])
			if fmt.Sprint(alone) != fmt.Sprint(y[lo*d:hi*d]) || fmt.Sprint(dAlone) != fmt.Sprint(dqkv[lo*3*d:hi*3*d]) {
				t.Errorf("causal %v: sequence %d alone differs", causal, s)
			}
		}
		if fmt.Sprint(y[:26*d]) == fmt.Sprint(y[26*d:52*d]) {
			t.Error("nothing was computed")
		}
	}
}

// Large scores must not overflow, however they are shifted.
func TestAttentionWithLargeScores(t *testing.T) {
	qkv := []float32{300, 300, 1, 300, -300, 2} // d = 1: scores 300*300, far apart
	y, lse := make([]float32, 2), make([]float32, 2)
	NewAttention(1, 1).Forward(y, lse, SelfAttention(qkv, 1, []int32{0, 2}, true))
	if y[0] != 1 || y[1] != 1 {
		t.Errorf("got %v, want the first value twice", y)
	}
}

func TestAttentionWithoutKeys(t *testing.T) {
	y, lse := []float32{5, 5}, []float32{5, 5}
	NewAttention(2, 2).Forward(y, lse, AttentionArgs{Q: Rows{[]float32{1, 2}, 2}, Queries: []int32{0, 1}, Keys: []int32{0, 0}})
	inf := float32(math.Inf(-1))
	if !slices.Equal(y, []float32{0, 0}) || !slices.Equal(lse, []float32{inf, inf}) {
		t.Errorf("nothing to see gives %v and %v, want 0 and -Inf", y, lse)
	}
}

func TestAttentionRefusesAPastThatIsMissing(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("two causal queries over one key were accepted")
		}
	}()
	x := make([]float32, 2)
	NewAttention(1, 1).Forward(x, x, AttentionArgs{
		Q: Rows{x, 1}, K: Rows{x, 1}, V: Rows{x, 1}, Queries: []int32{0, 2}, Keys: []int32{0, 1}, Causal: true,
	})
}

func TestAttentionAllocatesNothingOnceWarm(t *testing.T) {
	c := newAttentionData(rand.New(rand.NewPCG(7, 7)), attentionCases[len(attentionCases)-1])
	a := NewAttention(c.d, c.heads)
	y, lse := make([]float32, len(c.dy)), make([]float32, len(c.dy)/c.d*c.heads)
	grads := AttentionGrads{Q: Rows{make([]float32, len(c.q)), beforeRow + c.d + afterRow}, K: Rows{make([]float32, len(c.k)), c.d + 1}, V: Rows{make([]float32, len(c.v)), c.d}}
	run := func() {
		a.Forward(y, lse, c.args())
		a.Backward(grads, c.dy, y, lse, c.args())
	}
	if n := testing.AllocsPerRun(10, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
