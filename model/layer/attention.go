package layer

import (
	"math"

	"tutti/model/kernel"
)

// Attention is causal multi-head self-attention (Vaswani et al. 2017, section
// 3.2) over a ragged batch, without its input and output projections. Rows are
// worked off in small tiles, so that only the lower triangle of the score matrix
// is computed and none of it is kept; backward computes it again from the saved
// log-sum-exp (Dao et al. 2022, section 3.1).
//
// It owns scratch memory: one goroutine uses it at a time.
type Attention struct {
	d, heads, width int // width = d/heads
	scale           float32

	keysT, valuesT []float32 // width x T, of one head of one sequence
	prob, dProb    []float32 // attentionTile x T
}

// attentionTile is how many queries are worked off together.
const attentionTile = 24

// NewAttention wants d to be a multiple of heads.
func NewAttention(d, heads int) *Attention {
	if heads < 1 || d%heads != 0 {
		panic("layer: width is not a multiple of heads")
	}
	width := d / heads
	return &Attention{d: d, heads: heads, width: width, scale: float32(1 / math.Sqrt(float64(width)))}
}

// Forward computes y = softmax(q k^T/sqrt(d/heads)) v for every head, where a
// token attends to itself and to what came before it in its sequence.
//
// qkv: N x 3d, queries, keys and values side by side, each head after head;
// y: N x d; lse: N x heads, the log-sum-exp of every row, kept for Backward.
func (a *Attention) Forward(y, lse, qkv []float32, offsets []int32) {
	for s := 1; s < len(offsets); s++ {
		first, n := int(offsets[s-1]), int(offsets[s]-offsets[s-1])
		a.reserve(n)
		for h := range a.heads {
			a.forwardHead(y, lse, qkv, first, n, h)
		}
	}
}

// Backward adds the gradients of Forward to dqkv (N x 3d), given dy (N x d) and
// what Forward read and wrote.
func (a *Attention) Backward(dqkv, dy, y, lse, qkv []float32, offsets []int32) {
	for s := 1; s < len(offsets); s++ {
		first, n := int(offsets[s-1]), int(offsets[s]-offsets[s-1])
		a.reserve(n)
		for h := range a.heads {
			a.backwardHead(dqkv, dy, y, lse, qkv, first, n, h)
		}
	}
}

// Last is Forward for the last of the n tokens of one sequence alone: it reads
// all keys and values of qkv (n x 3d) but only the last query, and writes d
// values to y.
func (a *Attention) Last(y, qkv []float32, n int) {
	a.reserve(n)
	d, w := a.d, a.width
	for h := range a.heads {
		q := qkv[(n-1)*3*d+h*w : (n-1)*3*d+(h+1)*w]
		k, v := qkv[d+h*w:], qkv[2*d+h*w:]
		p := a.prob[:n]
		for i := range p {
			p[i] = a.scale * kernel.Dot(q, k[i*3*d:i*3*d+w])
		}
		sum := kernel.ExpShifted(p, p, kernel.Max(p))
		out := y[h*w : (h+1)*w]
		clear(out)
		for i, weight := range p {
			kernel.Axpy(out, weight/sum, v[i*3*d:i*3*d+w])
		}
	}
}

func (a *Attention) reserve(n int) {
	a.keysT = kernel.Grow(a.keysT, a.width*n)
	a.valuesT = kernel.Grow(a.valuesT, a.width*n)
	a.prob = kernel.Grow(a.prob, attentionTile*n)
	a.dProb = kernel.Grow(a.dProb, attentionTile*n)
}

func (a *Attention) forwardHead(y, lse, qkv []float32, first, n, h int) {
	d, w := a.d, a.width
	base := first*3*d + h*w
	q, k, v := qkv[base:], qkv[base+d:], qkv[base+2*d:]
	kernel.Transpose(a.keysT, n, k, 3*d, n, w)
	kernel.Scale(a.keysT, a.scale)
	for r0 := 0; r0 < n; r0 += attentionTile {
		r1 := min(r0+attentionTile, n)
		rows, cols := r1-r0, r1 // the last row of the tile sees cols tokens
		p := a.prob[:rows*cols]
		kernel.Gemm(rows, cols, w, q[r0*3*d:], 3*d, 1, a.keysT, n, p, cols, false)
		for i := range rows {
			row, seen := p[i*cols:(i+1)*cols], r0+i+1
			top := kernel.Max(row[:seen])
			sum := kernel.ExpShifted(row[:seen], row[:seen], top)
			clear(row[seen:])
			kernel.Scale(row[:seen], 1/sum)
			lse[(first+r0+i)*a.heads+h] = top + float32(math.Log(float64(sum)))
		}
		kernel.Gemm(rows, w, cols, p, cols, 1, v, 3*d, y[(first+r0)*d+h*w:], d, false)
	}
}

func (a *Attention) backwardHead(dqkv, dy, y, lse, qkv []float32, first, n, h int) {
	d, w := a.d, a.width
	base := first*3*d + h*w
	q, k, v := qkv[base:], qkv[base+d:], qkv[base+2*d:]
	dq, dk, dv := dqkv[base:], dqkv[base+d:], dqkv[base+2*d:]
	kernel.Transpose(a.keysT, n, k, 3*d, n, w)
	kernel.Scale(a.keysT, a.scale)
	kernel.Transpose(a.valuesT, n, v, 3*d, n, w)
	for r0 := 0; r0 < n; r0 += attentionTile {
		r1 := min(r0+attentionTile, n)
		rows, cols := r1-r0, r1
		p, ds := a.prob[:rows*cols], a.dProb[:rows*cols]
		up := dy[(first+r0)*d+h*w:]
		kernel.Gemm(rows, cols, w, q[r0*3*d:], 3*d, 1, a.keysT, n, p, cols, false)
		kernel.Gemm(rows, cols, w, up, d, 1, a.valuesT, n, ds, cols, false)
		for i := range rows {
			at := first + r0 + i
			seen := r0 + i + 1
			row := p[i*cols : (i+1)*cols]
			kernel.ExpShifted(row[:seen], row[:seen], lse[at*a.heads+h])
			clear(row[seen:])
			inner := kernel.Dot(dy[at*d+h*w:at*d+(h+1)*w], y[at*d+h*w:at*d+(h+1)*w])
			softmaxGradient(ds[i*cols:(i+1)*cols], row, inner, a.scale)
		}
		kernel.Gemm(rows, w, cols, ds, cols, 1, k, 3*d, dq[r0*3*d:], 3*d, true)
		kernel.Gemm(cols, w, rows, ds, 1, cols, q[r0*3*d:], 3*d, dk, 3*d, true)
		kernel.Gemm(cols, w, rows, p, 1, cols, up, d, dv, 3*d, true)
	}
}

// softmaxGradient turns dP into dS*scale = P*(dP - inner)*scale, inner being the
// sum of P*dP over the row.
func softmaxGradient(ds, p []float32, inner, scale float32) {
	p = p[:len(ds)]
	for j, g := range ds {
		ds[j] = p[j] * (g - inner) * scale
	}
}
