package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// decoder is the second half of an EncoderDecoder (Vaswani et al. 2017, section
// 3.1): it reads what was said so far and, by cross-attention, the encoder's
// outputs, and says what comes next. It runs over a ragged batch of N tokens
// with a memory of M, and keeps what backward needs.
//
// The first token of a continuation is the last item of the history plus the
// start vector; token j is item j-1 of the continuation. So every step reads the
// item that came just before, and what training teaches one step serves all.
type decoder struct {
	*sublayers
	items *itemVectors

	ids    []int32   // N: what the tokens read
	memory []int32   // sequences + 1: offsets of the memory
	read   []float32 // M x d: the memory
	looked []float32 // N x f: the features of the items; only with features alone
	blocks []decoderState
	stream []float32 // N x d: what the last block put out
	final  normState // its normalisation is the output; pre-norm only

	dMemory         []float32 // M x d
	dStream, dOther []float32 // N x d
	dQ, dKV         []float32 // N x d, M x 2d
}

// decoderState is what one block computed.
type decoderState struct {
	in, mid, late       []float32 // N x d: what the block reads, the sums after attention and after cross-attention
	sum                 []float32 // N x d: the sum after the feed-forward layer; post-norm only
	norm1, norm2, norm3 normState
	self                selfState
	cross               crossState
	feed                feedState
}

// crossState is what cross-attention keeps for backward.
type crossState struct {
	q, kv, lse, att []float32 // N x d, M x 2d, N x heads, N x d
}

func newDecoder(m *Model, items *itemVectors) *decoder {
	return &decoder{
		sublayers: newSublayers(m.cfg, m.cfg.MaxLen+m.cfg.Horizon), items: items,
		blocks: make([]decoderState, m.cfg.DecoderBlocks),
	}
}

// reserve makes room for n tokens over a memory of m.
func (e *decoder) reserve(n, m int) {
	c, d := e.cfg, e.cfg.Dim
	for b := range e.blocks {
		s := &e.blocks[b]
		s.in, s.mid, s.late = kernel.Grow(s.in, n*d), kernel.Grow(s.mid, n*d), kernel.Grow(s.late, n*d)
		if c.Norm == PostNorm {
			s.sum = kernel.Grow(s.sum, n*d)
		}
		s.norm1.reserve(n, d)
		s.norm2.reserve(n, d)
		s.norm3.reserve(n, d)
		s.self.reserve(c, n)
		s.cross.q, s.cross.kv = kernel.Grow(s.cross.q, n*d), kernel.Grow(s.cross.kv, m*2*d)
		s.cross.lse, s.cross.att = kernel.Grow(s.cross.lse, n*c.Heads), kernel.Grow(s.cross.att, n*d)
		s.feed.reserve(c, n)
	}
	e.stream = kernel.Grow(e.stream, n*d)
	if c.Norm == PreNorm {
		e.final.reserve(n, d)
	}
}

func (e *decoder) reserveBackward(n, m int) {
	d := e.cfg.Dim
	e.sublayers.reserveBackward(n)
	e.dStream, e.dOther = kernel.Grow(e.dStream, n*d), kernel.Grow(e.dOther, n*d)
	e.dQ, e.dKV, e.dMemory = kernel.Grow(e.dQ, n*d), kernel.Grow(e.dKV, m*2*d), kernel.Grow(e.dMemory, m*d)
}

// forward decodes a batch, given the encoder's outputs (M x d), and returns the N
// x d outputs.
func (e *decoder) forward(w *weights, b *Batch, memory []float32, training bool) []float32 {
	var seeds []uint64
	if training {
		seeds = b.Seeds
	}
	e.start(b.Positions, seeds)
	e.reserve(len(b.Reads), len(memory)/e.cfg.Dim)
	e.ids, e.memory, e.read = b.Reads, b.Offsets, memory
	e.embed(w, e.blocks[0].in)
	for i := range e.blocks {
		out := e.stream
		if i+1 < len(e.blocks) {
			out = e.blocks[i+1].in
		}
		e.blockForward(out, &e.blocks[i], &w.decoder.blocks[i], i)
	}
	if e.cfg.Norm == PostNorm {
		return e.stream
	}
	e.final.forward(e.final.y, e.stream, w.decoder.finalGain, w.decoder.finalBias)
	return e.final.y
}

// embed writes the input vectors: item, position and, at the first token of a
// sequence, the start vector, summed.
func (e *decoder) embed(w *weights, x []float32) {
	d := e.cfg.Dim
	e.items.forward(x, w, e.ids, &e.looked)
	e.eachFirst(func(at int) { kernel.Add(x[at:at+d], w.decoder.start) })
	if w.decoder.position != nil {
		layer.PositionForward(x, w.decoder.position, e.offsets, d)
	}
	e.dropout(x, decoderSites+embeddingSite)
}

func (e *decoder) embedBackward(g *weights, dx []float32) {
	d := e.cfg.Dim
	e.dropout(dx, decoderSites+embeddingSite)
	e.items.backward(g, dx, e.ids, e.looked)
	e.eachFirst(func(at int) { kernel.Add(g.decoder.start, dx[at:at+d]) })
	if g.decoder.position != nil {
		layer.PositionBackward(g.decoder.position, dx, e.offsets, d)
	}
}

// eachFirst visits where the first token of every sequence starts.
func (e *decoder) eachFirst(visit func(at int)) {
	for _, first := range e.offsets[:len(e.offsets)-1] {
		visit(int(first) * e.cfg.Dim)
	}
}

// blockForward is block i: self-attention to what was said, attention to the
// memory, and the feed-forward layer, normed as in the encoder.
func (e *decoder) blockForward(out []float32, s *decoderState, w *decoderBlockWeights, i int) {
	site, own := e.site(i), &w.blockWeights
	if e.cfg.Norm == PostNorm {
		e.selfForward(s.mid, s.in, s.in, &s.self, own, true, site)
		s.norm1.forward(s.norm1.y, s.mid, w.norm1Gain, w.norm1Bias)
		e.crossForward(s.late, s.norm1.y, s.norm1.y, &s.cross, w, site)
		s.norm2.forward(s.norm2.y, s.late, w.norm2Gain, w.norm2Bias)
		e.feedForward(s.sum, s.norm2.y, s.norm2.y, &s.feed, own, site)
		s.norm3.forward(out, s.sum, w.norm3Gain, w.norm3Bias)
		return
	}
	s.norm1.forward(s.norm1.y, s.in, w.norm1Gain, w.norm1Bias)
	e.selfForward(s.mid, s.norm1.y, s.in, &s.self, own, true, site)
	s.norm2.forward(s.norm2.y, s.mid, w.norm2Gain, w.norm2Bias)
	e.crossForward(s.late, s.norm2.y, s.mid, &s.cross, w, site)
	s.norm3.forward(s.norm3.y, s.late, w.norm3Gain, w.norm3Bias)
	e.feedForward(out, s.norm3.y, s.late, &s.feed, own, site)
}

// site is the first of a block's places of dropout.
func (e *decoder) site(block int) int { return decoderSites + firstBlockSite + block*blockSites }

// backward adds the gradients of forward to g, given that of its outputs, and
// returns that of the memory.
func (e *decoder) backward(w, g *weights, dOut []float32) (dMemory []float32) {
	n := len(dOut)
	e.reserveBackward(n/e.cfg.Dim, len(e.read)/e.cfg.Dim)
	clear(e.dMemory)
	if e.cfg.Norm == PostNorm {
		copy(e.dStream, dOut)
	} else {
		clear(e.dStream)
		e.final.backward(e.dStream, g.decoder.finalGain, g.decoder.finalBias, dOut, e.stream, w.decoder.finalGain)
	}
	for i := len(e.blocks) - 1; i >= 0; i-- {
		e.blockBackward(&e.blocks[i], &w.decoder.blocks[i], &g.decoder.blocks[i], i)
	}
	e.embedBackward(g, e.dStream)
	return e.dMemory
}

// blockBackward turns dStream from the gradient of the output of block i into
// that of its input.
func (e *decoder) blockBackward(s *decoderState, w, g *decoderBlockWeights, i int) {
	site, own, dOwn := e.site(i), &w.blockWeights, &g.blockWeights
	if e.cfg.Norm == PostNorm {
		clear(e.dOther)
		s.norm3.backward(e.dOther, g.norm3Gain, g.norm3Bias, e.dStream, s.sum, w.norm3Gain)
		e.feedBackward(e.dOther, e.dOther, s.norm2.y, &s.feed, own, dOwn, site)
		clear(e.dStream)
		s.norm2.backward(e.dStream, g.norm2Gain, g.norm2Bias, e.dOther, s.late, w.norm2Gain)
		e.crossBackward(e.dStream, e.dStream, s.norm1.y, &s.cross, w, g, site)
		clear(e.dOther)
		s.norm1.backward(e.dOther, g.norm1Gain, g.norm1Bias, e.dStream, s.mid, w.norm1Gain)
		e.selfBackward(e.dOther, e.dOther, s.in, &s.self, own, dOwn, true, site)
		e.dStream, e.dOther = e.dOther, e.dStream
		return
	}
	clear(e.dOther)
	e.feedBackward(e.dOther, e.dStream, s.norm3.y, &s.feed, own, dOwn, site)
	s.norm3.backward(e.dStream, g.norm3Gain, g.norm3Bias, e.dOther, s.late, w.norm3Gain)
	clear(e.dOther)
	e.crossBackward(e.dOther, e.dStream, s.norm2.y, &s.cross, w, g, site)
	s.norm2.backward(e.dStream, g.norm2Gain, g.norm2Bias, e.dOther, s.mid, w.norm2Gain)
	clear(e.dOther)
	e.selfBackward(e.dOther, e.dStream, s.norm1.y, &s.self, own, dOwn, true, site)
	s.norm1.backward(e.dStream, g.norm1Gain, g.norm1Bias, e.dOther, s.in, w.norm1Gain)
}
