package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// sublayers are the parts of a block, each with its residual connection, and the
// memory that they share: y = residual + dropout(f(x)). A stack of blocks has
// one; n is the number of its tokens.
type sublayers struct {
	cfg       Config
	attention *layer.Attention
	rotary    *layer.Rotary // nil with learned positions

	offsets []int32 // sequences + 1
	drop    float32 // 0 outside training
	seeds   []uint64
	keys    []uint64 // of the sequences, at the site at hand

	dBranch, dAtt, dQKV []float32 // N x d, d, 3d
	dUp, dAct           []float32 // N x up, h
	scratch             []float32 // one transposed weight matrix
}

// newSublayers makes those of a stack of at most positions tokens per sequence.
func newSublayers(c Config, positions int) *sublayers {
	s := &sublayers{
		cfg: c, attention: layer.NewAttention(c.Dim, c.Heads),
		scratch: make([]float32, c.Dim*max(3*c.Dim, c.upWidth(), c.FeatureDim)),
	}
	if c.Positions == RotaryPositions {
		s.rotary = layer.NewRotary(c.Dim/c.Heads, positions)
	}
	return s
}

// start sets the batch; seeds is nil outside training.
func (k *sublayers) start(offsets []int32, seeds []uint64) {
	k.offsets, k.seeds, k.drop = offsets, seeds, 0
	if seeds != nil {
		k.drop = float32(k.cfg.Dropout)
	}
}

// reserveBackward makes room for the gradients of n tokens.
func (k *sublayers) reserveBackward(n int) {
	c := k.cfg
	k.dAtt, k.dQKV = kernel.Grow(k.dAtt, n*c.Dim), kernel.Grow(k.dQKV, n*3*c.Dim)
	k.dUp, k.dAct = kernel.Grow(k.dUp, n*c.upWidth()), kernel.Grow(k.dAct, n*c.Hidden)
	if k.drop > 0 {
		k.dBranch = kernel.Grow(k.dBranch, n*c.Dim)
	}
}

// siteKeys are the keys of the sequences at a site.
func (k *sublayers) siteKeys(site int) []uint64 {
	k.keys = kernel.Grow(k.keys, len(k.seeds))
	layer.DropoutKeys(k.keys, k.seeds, site)
	return k.keys
}

// dropout drops values of x (N x d) in place.
func (k *sublayers) dropout(x []float32, site int) {
	if k.drop > 0 {
		layer.Dropout(x, x, k.offsets, k.siteKeys(site), k.cfg.Dim, k.drop)
	}
}

// dropped is the gradient before dropout, given dy after it; dy stays as it is.
func (k *sublayers) dropped(dy []float32, site int) []float32 {
	if k.drop == 0 {
		return dy
	}
	layer.Dropout(k.dBranch, dy, k.offsets, k.siteKeys(site), k.cfg.Dim, k.drop)
	return k.dBranch
}

// selfState is what self-attention keeps for backward.
type selfState struct {
	qkv, lse, att []float32 // N x 3d, heads, d
}

func (s *selfState) reserve(c Config, n int) {
	s.qkv, s.lse, s.att = kernel.Grow(s.qkv, n*3*c.Dim), kernel.Grow(s.lse, n*c.Heads), kernel.Grow(s.att, n*c.Dim)
}

// self describes the attention of the stack's sequences to themselves.
func (k *sublayers) self(s *selfState, causal bool, site int) layer.AttentionArgs {
	args := layer.SelfAttention(s.qkv, k.cfg.Dim, k.offsets, causal)
	if k.drop > 0 {
		args.Dropout, args.Seeds = k.drop, k.siteKeys(site+attentionSite)
	}
	return args
}

// selfForward is self-attention with its projections. site is the block's first.
func (k *sublayers) selfForward(y, x, residual []float32, s *selfState, w *blockWeights, causal bool, site int) {
	d, n := k.cfg.Dim, len(x)/k.cfg.Dim
	layer.LinearForward(s.qkv, x, w.qkv, w.qkvBias, n, d, 3*d)
	if k.rotary != nil {
		k.rotary.Forward(layer.Rows{X: s.qkv, Step: 3 * d}, 2*k.cfg.Heads, k.offsets) // queries and keys
	}
	k.attention.Forward(s.att, s.lse, k.self(s, causal, site))
	layer.LinearForward(y, s.att, w.out, w.outBias, n, d, d)
	k.dropout(y, site+outSite)
	kernel.Add(y, residual)
}

// selfBackward adds the gradients of selfForward to g and dx; that of the
// residual is dy itself. dx may be dy.
func (k *sublayers) selfBackward(dx, dy, x []float32, s *selfState, w, g *blockWeights, causal bool, site int) {
	d, n := k.cfg.Dim, len(x)/k.cfg.Dim
	dAtt, dQKV := k.dAtt[:n*d], k.dQKV[:n*3*d]
	clear(dAtt)
	layer.LinearBackward(dAtt, g.out, g.outBias, k.dropped(dy, site+outSite), s.att, w.out, k.scratch, n, d, d)
	clear(dQKV)
	k.attention.Backward(layer.SelfAttentionGrads(dQKV, d), dAtt, s.att, s.lse, k.self(s, causal, site))
	if k.rotary != nil {
		k.rotary.Backward(layer.Rows{X: dQKV, Step: 3 * d}, 2*k.cfg.Heads, k.offsets)
	}
	layer.LinearBackward(dx, g.qkv, g.qkvBias, dQKV, x, w.qkv, k.scratch, n, d, 3*d)
}

// feedState is what the feed-forward layer keeps for backward.
type feedState struct {
	up, act []float32 // N x h (SwiGLU: 2h), h
}

func (s *feedState) reserve(c Config, n int) {
	s.up, s.act = kernel.Grow(s.up, n*c.upWidth()), kernel.Grow(s.act, n*c.Hidden)
}

// feedForward is the feed-forward layer. site is the block's first.
func (k *sublayers) feedForward(y, x, residual []float32, s *feedState, w *blockWeights, site int) {
	c, n := k.cfg, len(x)/k.cfg.Dim
	up, act := s.up[:n*c.upWidth()], s.act[:n*c.Hidden]
	layer.LinearForward(up, x, w.up, w.upBias, n, c.Dim, c.upWidth())
	switch c.Activation {
	case SwiGLU:
		layer.SwiGLUForward(act, up, n, c.Hidden)
	case ReLU:
		kernel.ReLU(act, up)
	default:
		layer.GELUForward(act, up)
	}
	layer.LinearForward(y, act, w.down, w.downBias, n, c.Hidden, c.Dim)
	k.dropout(y, site+feedSite)
	kernel.Add(y, residual)
}

// feedBackward adds the gradients of feedForward to g and dx; that of the
// residual is dy itself. dx may be dy.
func (k *sublayers) feedBackward(dx, dy, x []float32, s *feedState, w, g *blockWeights, site int) {
	c, n := k.cfg, len(x)/k.cfg.Dim
	dUp, dAct := k.dUp[:n*c.upWidth()], k.dAct[:n*c.Hidden]
	clear(dAct)
	layer.LinearBackward(dAct, g.down, g.downBias, k.dropped(dy, site+feedSite), s.act, w.down, k.scratch, n, c.Hidden, c.Dim)
	clear(dUp)
	switch c.Activation {
	case SwiGLU:
		layer.SwiGLUBackward(dUp, dAct, s.up, n, c.Hidden)
	case ReLU:
		kernel.ReLUBackward(dUp, dAct, s.up)
	default:
		layer.GELUBackward(dUp, dAct, s.up)
	}
	layer.LinearBackward(dx, g.up, g.upBias, dUp, x, w.up, k.scratch, n, c.Dim, c.upWidth())
}

// normState is what layer norm keeps for backward, and its output where that is
// needed.
type normState struct{ y, mean, rstd []float32 } // N x d, N, N

func (s *normState) reserve(n, d int) {
	s.y, s.mean, s.rstd = kernel.Grow(s.y, n*d), kernel.Grow(s.mean, n), kernel.Grow(s.rstd, n)
}

// forward normalises the rows of x into y, which is often s.y.
func (s *normState) forward(y, x, gain, bias []float32) {
	d := len(gain)
	layer.NormForward(y, s.mean, s.rstd, x, gain, bias, len(x)/d, d)
}

// backward adds the gradients of forward to dx, dGain and dBias.
func (s *normState) backward(dx, dGain, dBias, dy, x, gain []float32) {
	d := len(gain)
	layer.NormBackward(dx, dGain, dBias, dy, x, s.mean, s.rstd, gain, len(x)/d, d)
}
