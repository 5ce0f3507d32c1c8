package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// encoder runs the Transformer over a ragged batch of N tokens and keeps what
// backward needs. Shapes: d width, h hidden, f features.
type encoder struct {
	cfg       Config
	features  []float32 // V x f, or nil
	attention *layer.Attention

	ids     []int32   // N
	offsets []int32   // sequences + 1
	looked  []float32 // N x f: the features of ids; only with features
	blocks  []blockState
	stream  []float32 // N x d: the residual stream after the last block
	final   normState // its normalisation is the output

	dStream, dNorm, dAtt, dQKV []float32 // N x d, d, d, 3d
	dUp, dAct                  []float32 // N x h
	scratch                    []float32 // one transposed weight matrix
}

// blockState is what one block computed.
type blockState struct {
	in, mid      []float32 // N x d: the stream before attention, and after it
	norm1, norm2 normState
	qkv          []float32 // N x 3d
	lse          []float32 // N x heads
	att          []float32 // N x d
	up, act      []float32 // N x h
}

type normState struct{ y, mean, rstd []float32 } // N x d, N, N

func (s *normState) reserve(n, d int) {
	s.y, s.mean, s.rstd = kernel.Grow(s.y, n*d), kernel.Grow(s.mean, n), kernel.Grow(s.rstd, n)
}

func newEncoder(m *Model) *encoder {
	c := m.cfg
	return &encoder{
		cfg: c, features: m.features,
		attention: layer.NewAttention(c.Dim, c.Heads),
		blocks:    make([]blockState, c.Blocks),
		scratch:   make([]float32, c.Dim*max(3*c.Dim, c.Hidden, c.FeatureDim)),
	}
}

// reserve makes room for n tokens.
func (e *encoder) reserve(n int) {
	d, h := e.cfg.Dim, e.cfg.Hidden
	e.looked = kernel.Grow(e.looked, n*e.cfg.FeatureDim)
	for b := range e.blocks {
		s := &e.blocks[b]
		s.in, s.mid = kernel.Grow(s.in, n*d), kernel.Grow(s.mid, n*d)
		s.norm1.reserve(n, d)
		s.norm2.reserve(n, d)
		s.qkv = kernel.Grow(s.qkv, n*3*d)
		s.lse = kernel.Grow(s.lse, n*e.cfg.Heads)
		s.att = kernel.Grow(s.att, n*d)
		s.up, s.act = kernel.Grow(s.up, n*h), kernel.Grow(s.act, n*h)
	}
	e.stream = kernel.Grow(e.stream, n*d)
	e.final.reserve(n, d)
}

// reserveBackward makes room for the gradients of n tokens.
func (e *encoder) reserveBackward(n int) {
	d, h := e.cfg.Dim, e.cfg.Hidden
	e.dStream, e.dNorm = kernel.Grow(e.dStream, n*d), kernel.Grow(e.dNorm, n*d)
	e.dAtt, e.dQKV = kernel.Grow(e.dAtt, n*d), kernel.Grow(e.dQKV, n*3*d)
	e.dUp, e.dAct = kernel.Grow(e.dUp, n*h), kernel.Grow(e.dAct, n*h)
}

// embed writes the input vectors of ids into x (N x d).
func (e *encoder) embed(w *weights, x []float32) {
	d, f, n := e.cfg.Dim, e.cfg.FeatureDim, len(e.ids)
	if f == 0 {
		layer.GatherForward(x, w.table, e.ids, d)
	} else {
		layer.GatherForward(e.looked, e.features, e.ids, f)
		layer.LinearForward(x, e.looked, w.projection, nil, n, f, d)
	}
	layer.PositionForward(x, w.position, e.offsets, d)
}

func (e *encoder) embedBackward(w, g *weights) {
	d, f, n := e.cfg.Dim, e.cfg.FeatureDim, len(e.ids)
	if f == 0 {
		layer.GatherBackward(g.table, e.dStream, e.ids, d)
	} else {
		layer.LinearBackward(nil, g.projection, nil, e.dStream, e.looked, w.projection, e.scratch, n, f, d)
	}
	layer.PositionBackward(g.position, e.dStream, e.offsets, d)
}

// forward encodes ids and returns the N x d outputs.
func (e *encoder) forward(w *weights) []float32 {
	n, d := len(e.ids), e.cfg.Dim
	e.reserve(n)
	e.embed(w, e.blocks[0].in)
	for b := range e.blocks {
		out := e.stream
		if b+1 < len(e.blocks) {
			out = e.blocks[b+1].in
		}
		e.blockForward(out, &e.blocks[b], &w.blocks[b], n)
	}
	f := &e.final
	layer.NormForward(f.y, f.mean, f.rstd, e.stream, w.finalGain, w.finalBias, n, d)
	return f.y
}

// blockForward is one pre-norm block: mid = in + attention(norm1(in)),
// out = mid + feedforward(norm2(mid)).
func (e *encoder) blockForward(out []float32, s *blockState, w *blockWeights, n int) {
	d, h := e.cfg.Dim, e.cfg.Hidden
	layer.NormForward(s.norm1.y, s.norm1.mean, s.norm1.rstd, s.in, w.norm1Gain, w.norm1Bias, n, d)
	layer.LinearForward(s.qkv, s.norm1.y, w.qkv, w.qkvBias, n, d, 3*d)
	e.attention.Forward(s.att, s.lse, layer.SelfAttention(s.qkv, d, e.offsets, true))
	layer.LinearForward(s.mid, s.att, w.out, w.outBias, n, d, d)
	kernel.Add(s.mid, s.in)

	layer.NormForward(s.norm2.y, s.norm2.mean, s.norm2.rstd, s.mid, w.norm2Gain, w.norm2Bias, n, d)
	layer.LinearForward(s.up, s.norm2.y, w.up, w.upBias, n, d, h)
	layer.GELUForward(s.act, s.up)
	layer.LinearForward(out, s.act, w.down, w.downBias, n, h, d)
	kernel.Add(out, s.mid)
}

// backward adds the gradients of forward to g, given that of its outputs.
func (e *encoder) backward(w, g *weights, dOut []float32) {
	n, d := len(e.ids), e.cfg.Dim
	e.reserveBackward(n)
	clear(e.dStream)
	f := &e.final
	layer.NormBackward(e.dStream, g.finalGain, g.finalBias, dOut, e.stream, f.mean, f.rstd, w.finalGain, n, d)
	for b := len(e.blocks) - 1; b >= 0; b-- {
		e.blockBackward(&e.blocks[b], &w.blocks[b], &g.blocks[b], n)
	}
	e.embedBackward(w, g)
}

// blockBackward turns dStream from the gradient of a block's output into that
// of its input.
func (e *encoder) blockBackward(s *blockState, w, g *blockWeights, n int) {
	d, h := e.cfg.Dim, e.cfg.Hidden
	clear(e.dAct)
	layer.LinearBackward(e.dAct, g.down, g.downBias, e.dStream, s.act, w.down, e.scratch, n, h, d)
	clear(e.dUp)
	layer.GELUBackward(e.dUp, e.dAct, s.up)
	clear(e.dNorm)
	layer.LinearBackward(e.dNorm, g.up, g.upBias, e.dUp, s.norm2.y, w.up, e.scratch, n, d, h)
	layer.NormBackward(e.dStream, g.norm2Gain, g.norm2Bias, e.dNorm, s.mid, s.norm2.mean, s.norm2.rstd, w.norm2Gain, n, d)

	clear(e.dAtt)
	layer.LinearBackward(e.dAtt, g.out, g.outBias, e.dStream, s.att, w.out, e.scratch, n, d, d)
	clear(e.dQKV)
	e.attention.Backward(layer.SelfAttentionGrads(e.dQKV, d), e.dAtt, s.att, s.lse, layer.SelfAttention(s.qkv, d, e.offsets, true))
	clear(e.dNorm)
	layer.LinearBackward(e.dNorm, g.qkv, g.qkvBias, e.dQKV, s.norm1.y, w.qkv, e.scratch, n, d, 3*d)
	layer.NormBackward(e.dStream, g.norm1Gain, g.norm1Bias, e.dNorm, s.in, s.norm1.mean, s.norm1.rstd, w.norm1Gain, n, d)
}
