package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// last encodes one sequence and returns the d outputs of its last token. Ranking
// reads nothing else, so the last block computes only that token's query,
// attention and feed-forward.
func (e *encoder) last(w *weights, items []int32) []float32 {
	n, d := len(items), e.cfg.Dim
	e.ids = append(e.ids[:0], items...)
	e.offsets = append(e.offsets[:0], 0, int32(n))
	e.reserve(n)
	e.embed(w, e.blocks[0].in)
	end := len(e.blocks) - 1
	for b := range end {
		e.blockForward(e.blocks[b+1].in, &e.blocks[b], &w.blocks[b], n)
	}
	e.lastBlock(&e.blocks[end], &w.blocks[end], n)
	f := &e.final
	layer.NormForward(f.y, f.mean, f.rstd, e.stream, w.finalGain, w.finalBias, 1, d)
	return f.y[:d]
}

// lastBlock writes the block's output for token n-1 into the first row of the
// stream.
func (e *encoder) lastBlock(s *blockState, w *blockWeights, n int) {
	d, h := e.cfg.Dim, e.cfg.Hidden
	norm1 := &s.norm1
	layer.NormForward(norm1.y, norm1.mean, norm1.rstd, s.in, w.norm1Gain, w.norm1Bias, n, d)
	// Keys and values of all tokens: the last two thirds of the columns.
	kernel.Gemm(n, 2*d, d, norm1.y, d, 1, w.qkv[d:], 3*d, s.qkv[d:], 3*d, false)
	tail := s.qkv[(n-1)*3*d:]
	kernel.Gemm(1, d, d, norm1.y[(n-1)*d:], d, 1, w.qkv, 3*d, tail, 3*d, false)
	for i := range n {
		kernel.Add(s.qkv[i*3*d+d:(i+1)*3*d], w.qkvBias[d:])
	}
	kernel.Add(tail[:d], w.qkvBias[:d])
	e.attention.Last(s.att[:d], tail[:d], layer.Rows{X: s.qkv[d:], Step: 3 * d}, layer.Rows{X: s.qkv[2*d:], Step: 3 * d}, n)
	layer.LinearForward(s.mid, s.att, w.out, w.outBias, 1, d, d)
	kernel.Add(s.mid[:d], s.in[(n-1)*d:n*d])

	norm2 := &s.norm2
	layer.NormForward(norm2.y, norm2.mean, norm2.rstd, s.mid, w.norm2Gain, w.norm2Bias, 1, d)
	layer.LinearForward(s.up, norm2.y, w.up, w.upBias, 1, d, h)
	layer.GELUForward(s.act[:h], s.up[:h])
	layer.LinearForward(e.stream, s.act, w.down, w.downBias, 1, h, d)
	kernel.Add(e.stream[:d], s.mid[:d])
}
