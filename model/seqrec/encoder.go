package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// encoder runs the Transformer over a ragged batch of N tokens and keeps what
// backward needs. Shapes: d width, h hidden, f features.
type encoder struct {
	*sublayers
	items *itemVectors

	batch   *Batch
	looked  []float32 // N x f: the features of the items; only with features alone
	users   []float32 // sequences x d; only with user numbers
	dUsers  []float32
	blocks  []blockState
	stream  []float32 // N x d: what the last block put out
	final   normState // its normalisation is the output; pre-norm only
	dStream []float32 // N x d
	dOther  []float32 // N x d
}

// blockState is what one block computed.
type blockState struct {
	in, mid      []float32 // N x d: what the block reads, and the sum after attention
	sum          []float32 // N x d: the sum after the feed-forward layer; post-norm only
	norm1, norm2 normState
	self         selfState
	feed         feedState
}

func newEncoder(m *Model, items *itemVectors) *encoder {
	return &encoder{
		sublayers: newSublayers(m.cfg, m.cfg.MaxLen), items: items,
		blocks: make([]blockState, m.cfg.Blocks),
	}
}

// reserve makes room for n tokens.
func (e *encoder) reserve(n int) {
	c, d := e.cfg, e.cfg.Dim
	for b := range e.blocks {
		s := &e.blocks[b]
		s.in, s.mid = kernel.Grow(s.in, n*d), kernel.Grow(s.mid, n*d)
		if c.Norm == PostNorm {
			s.sum = kernel.Grow(s.sum, n*d)
		}
		s.norm1.reserve(n, d)
		s.norm2.reserve(n, d)
		s.self.reserve(c, n)
		s.feed.reserve(c, n)
	}
	e.stream = kernel.Grow(e.stream, n*d)
	if c.Norm == PreNorm {
		e.final.reserve(n, d)
	}
}

// causal reports whether a token sees only what came before it.
func (e *encoder) causal() bool { return e.cfg.Arch == Causal }

// forward encodes a batch and returns the N x d outputs.
func (e *encoder) forward(w *weights, b *Batch, training bool) []float32 {
	e.begin(w, b, training)
	for i := range e.blocks {
		e.blockForward(e.output(i), &e.blocks[i], &w.blocks[i], i)
	}
	if e.cfg.Norm == PostNorm {
		return e.stream
	}
	e.final.forward(e.final.y, e.stream, w.finalGain, w.finalBias)
	return e.final.y
}

// begin sets the batch and writes the input of the first block.
func (e *encoder) begin(w *weights, b *Batch, training bool) {
	e.batch = b
	var seeds []uint64
	if training {
		seeds = b.Seeds
	}
	e.start(b.Offsets, seeds)
	e.reserve(len(b.IDs))
	e.embed(w, e.blocks[0].in)
}

// output is where block i writes.
func (e *encoder) output(i int) []float32 {
	if i+1 < len(e.blocks) {
		return e.blocks[i+1].in
	}
	return e.stream
}

// embed writes the input vectors of the batch into x (N x d): item, position,
// time gaps and user, summed.
func (e *encoder) embed(w *weights, x []float32) {
	b, c, d := e.batch, e.cfg, e.cfg.Dim
	e.items.forward(x, w, b.IDs, &e.looked)
	if w.position != nil {
		layer.PositionForward(x, w.position, b.Offsets, d)
	}
	if w.time != nil {
		layer.GatherAdd(x, w.time, b.Gaps, d)
	}
	if w.until != nil {
		layer.GatherAdd(x, w.until, b.Until, d)
	}
	if w.user != nil {
		n := len(b.Offsets) - 1
		e.users = kernel.Grow(e.users, n*d)
		layer.LinearForward(e.users, b.Users, w.user, nil, n, c.UserDim, d)
		layer.SequenceForward(x, e.users, b.Offsets, d)
	}
	e.dropout(x, embeddingSite)
}

func (e *encoder) embedBackward(g *weights, dx []float32) {
	b, c, d := e.batch, e.cfg, e.cfg.Dim
	e.dropout(dx, embeddingSite)
	e.items.backward(g, dx, b.IDs, e.looked)
	if g.position != nil {
		layer.PositionBackward(g.position, dx, b.Offsets, d)
	}
	if g.time != nil {
		layer.GatherBackward(g.time, dx, b.Gaps, d)
	}
	if g.until != nil {
		layer.GatherBackward(g.until, dx, b.Until, d)
	}
	if g.user != nil {
		n := len(b.Offsets) - 1
		e.dUsers = kernel.Grow(e.dUsers, n*d)
		clear(e.dUsers)
		layer.SequenceBackward(e.dUsers, dx, b.Offsets, d)
		layer.LinearBackward(nil, g.user, nil, e.dUsers, b.Users, nil, nil, n, c.UserDim, d)
	}
}

// blockForward is block i. Pre-norm: mid = in + attention(norm1(in)), out = mid
// + feedforward(norm2(mid)). Post-norm: mid = in + attention(in), sum =
// norm1(mid) + feedforward(norm1(mid)), out = norm2(sum).
func (e *encoder) blockForward(out []float32, s *blockState, w *blockWeights, i int) {
	site := firstBlockSite + i*blockSites
	if e.cfg.Norm == PostNorm {
		e.selfForward(s.mid, s.in, s.in, &s.self, w, e.causal(), site)
		s.norm1.forward(s.norm1.y, s.mid, w.norm1Gain, w.norm1Bias)
		e.feedForward(s.sum, s.norm1.y, s.norm1.y, &s.feed, w, site)
		s.norm2.forward(out, s.sum, w.norm2Gain, w.norm2Bias)
		return
	}
	s.norm1.forward(s.norm1.y, s.in, w.norm1Gain, w.norm1Bias)
	e.selfForward(s.mid, s.norm1.y, s.in, &s.self, w, e.causal(), site)
	s.norm2.forward(s.norm2.y, s.mid, w.norm2Gain, w.norm2Bias)
	e.feedForward(out, s.norm2.y, s.mid, &s.feed, w, site)
}

// backward adds the gradients of forward to g, given that of its outputs, which
// it may overwrite.
func (e *encoder) backward(w, g *weights, dOut []float32) {
	n := len(dOut)
	e.reserveBackward(n / e.cfg.Dim)
	e.dStream, e.dOther = kernel.Grow(e.dStream, n), kernel.Grow(e.dOther, n)
	if e.cfg.Norm == PostNorm {
		copy(e.dStream, dOut)
	} else {
		clear(e.dStream)
		e.final.backward(e.dStream, g.finalGain, g.finalBias, dOut, e.stream, w.finalGain)
	}
	for i := len(e.blocks) - 1; i >= 0; i-- {
		e.blockBackward(&e.blocks[i], &w.blocks[i], &g.blocks[i], i)
	}
	e.embedBackward(g, e.dStream)
}

// blockBackward turns dStream from the gradient of the output of block i into
// that of its input.
func (e *encoder) blockBackward(s *blockState, w, g *blockWeights, i int) {
	site := firstBlockSite + i*blockSites
	if e.cfg.Norm == PostNorm {
		clear(e.dOther)
		s.norm2.backward(e.dOther, g.norm2Gain, g.norm2Bias, e.dStream, s.sum, w.norm2Gain)
		e.feedBackward(e.dOther, e.dOther, s.norm1.y, &s.feed, w, g, site)
		clear(e.dStream)
		s.norm1.backward(e.dStream, g.norm1Gain, g.norm1Bias, e.dOther, s.mid, w.norm1Gain)
		e.selfBackward(e.dStream, e.dStream, s.in, &s.self, w, g, e.causal(), site)
		return
	}
	clear(e.dOther)
	e.feedBackward(e.dOther, e.dStream, s.norm2.y, &s.feed, w, g, site)
	s.norm2.backward(e.dStream, g.norm2Gain, g.norm2Bias, e.dOther, s.mid, w.norm2Gain)
	clear(e.dOther)
	e.selfBackward(e.dOther, e.dStream, s.norm1.y, &s.self, w, g, e.causal(), site)
	s.norm1.backward(e.dStream, g.norm1Gain, g.norm1Bias, e.dOther, s.in, w.norm1Gain)
}
