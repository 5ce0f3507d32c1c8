package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// last encodes the one sequence of a batch and returns the d outputs of its last
// token. Ranking reads nothing else, so the last block computes only that
// token's query, attention and feed-forward.
func (e *encoder) last(w *weights, b *Batch) []float32 {
	e.begin(w, b, false)
	end := len(e.blocks) - 1
	for i := range end {
		e.blockForward(e.output(i), &e.blocks[i], &w.blocks[i], i)
	}
	out := e.stream[:e.cfg.Dim]
	e.lastBlock(out, &e.blocks[end], &w.blocks[end], end)
	if e.cfg.Norm == PostNorm {
		return out
	}
	y := e.final.y[:e.cfg.Dim]
	e.final.forward(y, out, w.finalGain, w.finalBias)
	return y
}

// lastBlock is blockForward for the last token alone.
func (e *encoder) lastBlock(out []float32, s *blockState, w *blockWeights, i int) {
	d, site := e.cfg.Dim, firstBlockSite+i*blockSites
	own, mid := s.in[len(s.in)-d:], s.mid[:d]
	y1, y2 := s.norm1.y[:d], s.norm2.y[:d]
	if e.cfg.Norm == PostNorm {
		e.selfLast(mid, s.in, own, &s.self, w)
		s.norm1.forward(y1, mid, w.norm1Gain, w.norm1Bias)
		e.feedForward(s.sum[:d], y1, y1, &s.feed, w, site)
		s.norm2.forward(out, s.sum[:d], w.norm2Gain, w.norm2Bias)
		return
	}
	s.norm1.forward(s.norm1.y, s.in, w.norm1Gain, w.norm1Bias)
	e.selfLast(mid, s.norm1.y, own, &s.self, w)
	s.norm2.forward(y2, mid, w.norm2Gain, w.norm2Bias)
	e.feedForward(out, y2, mid, &s.feed, w, site)
}

// selfLast is selfForward for the last of the tokens of one sequence: x has all
// of them, y and residual are the last one's.
func (k *sublayers) selfLast(y, x, residual []float32, s *selfState, w *blockWeights) {
	d, n := k.cfg.Dim, len(x)/k.cfg.Dim
	// Keys and values of all tokens: the last two thirds of the columns.
	kernel.Gemm(n, 2*d, d, x, d, 1, w.qkv[d:], 3*d, s.qkv[d:], 3*d, false)
	tail := s.qkv[(n-1)*3*d:]
	kernel.Gemm(1, d, d, x[(n-1)*d:], d, 1, w.qkv, 3*d, tail, 3*d, false)
	for i := range n {
		kernel.Add(s.qkv[i*3*d+d:(i+1)*3*d], w.qkvBias[d:])
	}
	kernel.Add(tail[:d], w.qkvBias[:d])
	keys, values := layer.Rows{X: s.qkv[d:], Step: 3 * d}, layer.Rows{X: s.qkv[2*d:], Step: 3 * d}
	if k.rotary != nil {
		k.rotary.Forward(keys, k.cfg.Heads, k.offsets)
		k.rotary.Row(tail[:d], k.cfg.Heads, n-1)
	}
	k.attention.Last(s.att[:d], tail[:d], keys, values, n)
	layer.LinearForward(y, s.att, w.out, w.outBias, 1, d, d)
	kernel.Add(y, residual)
}
