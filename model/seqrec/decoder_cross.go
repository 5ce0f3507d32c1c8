package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// With rotary positions history and continuation share one line of positions:
// token j of a continuation of n items stands at n+j, so that how far back an
// item lies is what the decoder sees.

// crossForward is cross-attention with its projections: y = residual +
// dropout(attention of x to the memory). site is the block's first.
func (e *decoder) crossForward(y, x, residual []float32, s *crossState, w *decoderBlockWeights, site int) {
	d, n, m := e.cfg.Dim, len(x)/e.cfg.Dim, len(e.read)/e.cfg.Dim
	layer.LinearForward(s.q, x, w.crossQ, w.crossQBias, n, d, d)
	layer.LinearForward(s.kv, e.read, w.crossKV, w.crossKVBias, m, d, 2*d)
	if e.rotary != nil {
		e.rotary.ForwardAfter(layer.Rows{X: s.q, Step: d}, e.cfg.Heads, e.offsets, e.memory)
		e.rotary.Forward(layer.Rows{X: s.kv, Step: 2 * d}, e.cfg.Heads, e.memory)
	}
	e.attention.Forward(s.att, s.lse, e.crossArgs(s, site))
	layer.LinearForward(y, s.att, w.crossOut, w.crossOutBias, n, d, d)
	e.dropout(y, site+crossOutSite)
	kernel.Add(y, residual)
}

// crossArgs describes who looks at whom.
func (e *decoder) crossArgs(s *crossState, site int) layer.AttentionArgs {
	d := e.cfg.Dim
	args := layer.AttentionArgs{
		Q: layer.Rows{X: s.q, Step: d}, K: layer.Rows{X: s.kv, Step: 2 * d}, V: layer.Rows{X: s.kv[d:], Step: 2 * d},
		Queries: e.offsets, Keys: e.memory,
	}
	if e.drop > 0 {
		args.Dropout, args.Seeds = e.drop, e.siteKeys(site+crossSite)
	}
	return args
}

// crossBackward adds the gradients of crossForward to g, dMemory and dx; that of
// the residual is dy itself. dx may be dy.
func (e *decoder) crossBackward(dx, dy, x []float32, s *crossState, w, g *decoderBlockWeights, site int) {
	d, n, m := e.cfg.Dim, len(x)/e.cfg.Dim, len(e.read)/e.cfg.Dim
	dAtt := e.dAtt[:n*d]
	clear(dAtt)
	layer.LinearBackward(dAtt, g.crossOut, g.crossOutBias, e.dropped(dy, site+crossOutSite), s.att, w.crossOut, e.scratch, n, d, d)
	clear(e.dQ)
	clear(e.dKV)
	grads := layer.AttentionGrads{
		Q: layer.Rows{X: e.dQ, Step: d}, K: layer.Rows{X: e.dKV, Step: 2 * d}, V: layer.Rows{X: e.dKV[d:], Step: 2 * d},
	}
	e.attention.Backward(grads, dAtt, s.att, s.lse, e.crossArgs(s, site))
	if e.rotary != nil {
		e.rotary.BackwardAfter(grads.Q, e.cfg.Heads, e.offsets, e.memory)
		e.rotary.Backward(grads.K, e.cfg.Heads, e.memory)
	}
	layer.LinearBackward(dx, g.crossQ, g.crossQBias, e.dQ, x, w.crossQ, e.scratch, n, d, d)
	layer.LinearBackward(e.dMemory, g.crossKV, g.crossKVBias, e.dKV, e.read, w.crossKV, e.scratch, m, d, 2*d)
}
