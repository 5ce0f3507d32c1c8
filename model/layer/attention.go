package layer

import (
	"math"

	"tutti/model/kernel"
)

// Attention is multi-head attention (Vaswani et al. 2017, section 3.2) over a
// ragged batch, without its input and output projections: of a sequence to
// itself, causal or not, or to another one. Queries are worked off in small
// tiles, so that none of the score matrix is kept and, where it is causal, no
// more than the lower triangle is computed; backward computes it again from the
// saved log-sum-exp (Dao et al. 2022, section 3.1).
//
// It owns scratch memory: one goroutine uses it at a time.
type Attention struct {
	d, heads, width int // width = d/heads
	scale           float32

	keysT, valuesT []float32 // width x keys, of one head of one sequence
	prob, dProb    []float32 // attentionTile x keys
}

// attentionTile is how many queries are worked off together at most.
const attentionTile = 26

// rowsFrom is how many of n queries the tile that begins at r0 takes: as many as
// the others, one more or less.
func rowsFrom(r0, n int) int {
	left := n - r0
	tiles := (left + attentionTile - 1) / attentionTile
	return (left + tiles - 1) / tiles
}

// headStep tells the heads of a sequence apart when weights are dropped: an odd
// number without pattern, so that all differ.
const headStep = 0xd1342543de82ef95

// NewAttention wants d to be a multiple of heads.
func NewAttention(d, heads int) *Attention {
	if heads < 1 || d%heads != 0 {
		panic("layer: width is not a multiple of heads")
	}
	width := d / heads
	return &Attention{d: d, heads: heads, width: width, scale: float32(1 / math.Sqrt(float64(width)))}
}

// Rows are vectors of d values, head after head, Step apart: row i starts at
// X[i*Step]. The zero value holds none.
type Rows struct {
	X    []float32
	Step int
}

// AttentionArgs is one call of Attention over S sequences: who looks at whom.
type AttentionArgs struct {
	Q, K, V Rows
	// Sequence s has the queries Queries[s] to Queries[s+1] and the keys Keys[s]
	// to Keys[s+1]: S+1 offsets each, the same ones for self-attention.
	Queries, Keys []int32
	// Causal hides the future: with n queries and m >= n keys, query i sees the
	// first m-n+i+1 keys. Without it every query sees every key of its sequence.
	Causal bool
	// Dropout, in [0, 1), is the chance of a weight to be dropped; Seeds then
	// holds one value per sequence. Which weights they are depends on the seed and
	// the place of the weight in its sequence only.
	Dropout float32
	Seeds   []uint64
}

// AttentionGrads receive gradients by addition: each row as in Q, K and V. They
// may lie in one matrix.
type AttentionGrads struct{ Q, K, V Rows }

// SelfAttention describes a sequence that looks at itself: qkv is N x 3d,
// queries, keys and values side by side.
func SelfAttention(qkv []float32, d int, offsets []int32, causal bool) AttentionArgs {
	return AttentionArgs{
		Q: Rows{qkv, 3 * d}, K: Rows{part(qkv, d), 3 * d}, V: Rows{part(qkv, 2*d), 3 * d},
		Queries: offsets, Keys: offsets, Causal: causal,
	}
}

// SelfAttentionGrads are the gradients for the qkv (N x 3d) of SelfAttention.
func SelfAttentionGrads(dqkv []float32, d int) AttentionGrads {
	return AttentionGrads{Q: Rows{dqkv, 3 * d}, K: Rows{part(dqkv, d), 3 * d}, V: Rows{part(dqkv, 2*d), 3 * d}}
}

// part is x from at on, or nothing where x is empty.
func part(x []float32, at int) []float32 { return x[min(at, len(x)):] }

// Forward computes y = dropout(softmax(q k^T/sqrt(d/heads))) v for every head.
// A query without any key gives zeros.
//
// y: N x d for N queries; lse: N x heads, the log-sum-exp of every row of
// scores, kept for Backward.
func (a *Attention) Forward(y, lse []float32, in AttentionArgs) {
	a.each(in, func(head attentionHead) { a.forwardHead(y, lse, head) })
}

// Backward adds the gradients of Forward to grads, given dy (N x d) and what
// Forward read and wrote.
func (a *Attention) Backward(grads AttentionGrads, dy, y, lse []float32, in AttentionArgs) {
	a.each(in, func(head attentionHead) {
		if head.m == 0 {
			return
		}
		head.dq = grads.Q.from(head.query, head.at)
		head.dk, head.dv = grads.K.from(head.key, head.at), grads.V.from(head.key, head.at)
		a.backwardHead(dy, y, lse, head)
	})
}

// Past is N keys and their values.
type Past struct {
	K, V Rows
	N    int
}

// Last is Forward for a single query that sees all of n keys: the newest token
// of a sequence. y and q hold d values each. Nothing is dropped.
func (a *Attention) Last(y, q []float32, k, v Rows, n int) {
	a.Continue(y, q, Past{k, v, n}, Past{})
}

// Continue is Last where the keys are those of first and then those of second:
// what several sequences begin with, and how one of them goes on.
func (a *Attention) Continue(y, q []float32, first, second Past) {
	n := first.N + second.N
	a.reserve(n)
	w := a.width
	for h := range a.heads {
		at := h * w
		p := a.prob[:n]
		a.scores(p[:first.N], q[at:at+w], first.K, at)
		a.scores(p[first.N:], q[at:at+w], second.K, at)
		sum := kernel.ExpShifted(p, p, kernel.Max(p))
		out := y[at : at+w]
		clear(out)
		mean(out, p[:first.N], sum, first.V, at)
		mean(out, p[first.N:], sum, second.V, at)
	}
}

// scores are the scaled inner products of q with the columns from at on of keys.
func (a *Attention) scores(p, q []float32, k Rows, at int) {
	for i := range p {
		key := i*k.Step + at
		p[i] = a.scale * kernel.Dot(q, k.X[key:key+len(q)])
	}
}

// mean adds the values, weighed by p/sum, to y.
func mean(y, p []float32, sum float32, v Rows, at int) {
	for i, weight := range p {
		value := i*v.Step + at
		kernel.Axpy(y, weight/sum, v.X[value:value+len(y)])
	}
}

// attentionHead is one head of one sequence.
type attentionHead struct {
	head, at   int // the head, and its first column
	query, key int // first row of each
	n, m       int // queries, keys
	ahead      int // query i sees keys [0, ahead+i+1), at most m
	q, k, v    Rows
	dq, dk, dv Rows

	drop float32
	seed uint64
}

// from is the rows from the first on, and of these the columns from at on.
func (r Rows) from(first, at int) Rows { return Rows{r.X[first*r.Step+at:], r.Step} }

// each visits the heads of the sequences that have a query and a key.
func (a *Attention) each(in AttentionArgs, visit func(attentionHead)) {
	for s := 1; s < len(in.Queries); s++ {
		one := attentionHead{
			query: int(in.Queries[s-1]), n: int(in.Queries[s] - in.Queries[s-1]),
			key: int(in.Keys[s-1]), m: int(in.Keys[s] - in.Keys[s-1]),
			drop: in.Dropout,
		}
		one.ahead = one.m
		if in.Causal {
			one.ahead = one.m - one.n
		}
		if one.ahead < 0 {
			panic("layer: causal attention with more queries than keys")
		}
		if one.n == 0 {
			continue
		}
		a.reserve(one.m)
		for h := range a.heads {
			one.head, one.at = h, h*a.width
			if in.Dropout > 0 {
				one.seed = in.Seeds[s-1] + uint64(h)*headStep
			}
			if one.q = in.Q.from(one.query, one.at); one.m > 0 {
				one.k, one.v = in.K.from(one.key, one.at), in.V.from(one.key, one.at)
			}
			visit(one)
		}
	}
}

func (a *Attention) reserve(keys int) {
	a.keysT = kernel.Grow(a.keysT, a.width*keys)
	a.valuesT = kernel.Grow(a.valuesT, a.width*keys)
	a.prob = kernel.Grow(a.prob, attentionTile*keys)
	a.dProb = kernel.Grow(a.dProb, attentionTile*keys)
}

// seen is how many keys query i sees.
func (h *attentionHead) seen(i int) int { return min(h.ahead+i+1, h.m) }

// dropout drops weights of the row of query i, or their gradients.
func (h *attentionHead) dropout(row []float32, i int) {
	kernel.Dropout(row, row, h.seed, uint32(i*h.m), h.drop)
}

func (a *Attention) forwardHead(y, lse []float32, h attentionHead) {
	d, w := a.d, a.width
	if h.m == 0 {
		for i := range h.n {
			clear(y[(h.query+i)*d+h.at:][:w])
			lse[(h.query+i)*a.heads+h.head] = float32(math.Inf(-1))
		}
		return
	}
	kernel.Transpose(a.keysT, h.m, h.k.X, h.k.Step, h.m, w)
	kernel.Scale(a.keysT, a.scale)
	for r0, rows := 0, 0; r0 < h.n; r0 += rows {
		rows = rowsFrom(r0, h.n)
		cols := h.seen(r0 + rows - 1)
		p := a.prob[:rows*cols]
		kernel.Gemm(rows, cols, w, h.q.X[r0*h.q.Step:], h.q.Step, 1, a.keysT, h.m, p, cols, false)
		for i := range rows {
			row, seen := p[i*cols:(i+1)*cols], h.seen(r0+i)
			lse[(h.query+r0+i)*a.heads+h.head] = kernel.Softmax(row[:seen], 1)
			clear(row[seen:])
			if h.drop > 0 {
				h.dropout(row[:seen], r0+i)
			}
		}
		kernel.Gemm(rows, w, cols, p, cols, 1, h.v.X, h.v.Step, y[(h.query+r0)*d+h.at:], d, false)
	}
}

func (a *Attention) backwardHead(dy, y, lse []float32, h attentionHead) {
	d, w := a.d, a.width
	kernel.Transpose(a.keysT, h.m, h.k.X, h.k.Step, h.m, w)
	kernel.Scale(a.keysT, a.scale)
	kernel.Transpose(a.valuesT, h.m, h.v.X, h.v.Step, h.m, w)
	for r0, rows := 0, 0; r0 < h.n; r0 += rows {
		rows = rowsFrom(r0, h.n)
		cols := h.seen(r0 + rows - 1)
		p, ds := a.prob[:rows*cols], a.dProb[:rows*cols]
		q, up := h.q.X[r0*h.q.Step:], dy[(h.query+r0)*d+h.at:]
		kernel.Gemm(rows, cols, w, q, h.q.Step, 1, a.keysT, h.m, p, cols, false)
		kernel.Gemm(rows, cols, w, up, d, 1, a.valuesT, h.m, ds, cols, false)
		for i := range rows {
			at := h.query + r0 + i
			seen := h.seen(r0 + i)
			row, dRow := p[i*cols:(i+1)*cols], ds[i*cols:(i+1)*cols]
			kernel.ExpShifted(row[:seen], row[:seen], lse[at*a.heads+h.head])
			clear(row[seen:])
			if h.drop > 0 {
				h.dropout(dRow[:seen], r0+i)
			}
			// The sum of P*dP over the row, also where weights were dropped.
			inner := kernel.Dot(dy[at*d+h.at:at*d+h.at+w], y[at*d+h.at:at*d+h.at+w])
			kernel.SoftmaxBackward(dRow, row, inner, a.scale)
			if h.drop > 0 {
				h.dropout(row[:seen], r0+i)
			}
		}
		kernel.Gemm(rows, w, cols, ds, cols, 1, h.k.X, h.k.Step, h.dq.X[r0*h.dq.Step:], h.dq.Step, true)
		kernel.Gemm(cols, w, rows, ds, 1, cols, q, h.q.Step, h.dk.X, h.dk.Step, true)
		kernel.Gemm(cols, w, rows, p, 1, cols, up, d, h.dv.X, h.dv.Step, true)
	}
}
