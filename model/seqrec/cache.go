package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// cache is a stack of blocks that writes lists, several at once, a token at a
// time: it keeps the keys and values of what they hold, so that only the newest
// token of a list is computed. Every token is computed on its own, by operations
// whose shape depends on its place in its list alone. So it does not matter, to
// the last bit, which lists are written beside it, nor whether what came before
// was kept or is computed again.
type cache struct {
	*sublayers
	blocks               []cacheBlock
	finalGain, finalBias []float32 // d; pre-norm

	shared   int // tokens that all lists begin with
	written  int // own tokens of every list so far
	capacity int // most own tokens of a list
	memory   int // items the encoder of an EncoderDecoder has read

	norm                    normState // of one row
	feed                    feedState
	out, qkv, query, att, y []float32 // d, 3d, d, d, d
}

// cacheBlock is one block: its weights, and keys and values side by side.
type cacheBlock struct {
	w     *blockWeights
	cross *decoderBlockWeights // nil in a Causal model

	shared     layer.Past // of what all lists begin with
	memory     layer.Past // of the encoder's outputs
	own, spare []float32  // lists x capacity x 2d, and as much to sort them in
}

// newCache is for the decoder of an EncoderDecoder or the stack of a Causal
// model.
func newCache(m *Model, w *weights) *cache {
	cfg := m.cfg
	c := &cache{sublayers: newSublayers(cfg, cfg.MaxLen+cfg.Horizon)}
	if cfg.Arch == EncoderDecoder {
		for b := range w.decoder.blocks {
			block := &w.decoder.blocks[b]
			c.blocks = append(c.blocks, cacheBlock{w: &block.blockWeights, cross: block})
		}
		c.finalGain, c.finalBias = w.decoder.finalGain, w.decoder.finalBias
	} else {
		for b := range w.blocks {
			c.blocks = append(c.blocks, cacheBlock{w: &w.blocks[b]})
		}
		c.finalGain, c.finalBias = w.finalGain, w.finalBias
	}
	d := cfg.Dim
	c.norm.reserve(1, d)
	c.feed.reserve(cfg, 1)
	c.y, c.out, c.query, c.att = make([]float32, d), make([]float32, d), make([]float32, d), make([]float32, d)
	c.qkv = make([]float32, 3*d)
	return c
}

// reset forgets everything and makes room for lists of at most capacity own
// tokens.
func (c *cache) reset(lists, capacity int) {
	c.shared, c.written, c.capacity, c.memory = 0, 0, capacity, 0
	for i := range c.blocks {
		b := &c.blocks[i]
		b.own = kernel.Grow(b.own, lists*capacity*2*c.cfg.Dim)
		b.spare = kernel.Grow(b.spare, lists*capacity*2*c.cfg.Dim)
	}
}

// continueEncoder makes what a Causal encoder has just read the beginning of all
// lists. It borrows the encoder's memory.
func (c *cache) continueEncoder(e *encoder) {
	for i := range c.blocks {
		c.blocks[i].share(&e.blocks[i].self, e.offsets, c.cfg.Dim)
	}
	c.shared = int(e.offsets[1])
}

// continueDecoder makes what a decoder has just read, and what it remembers of
// the history, the beginning of all lists. It borrows the decoder's memory.
func (c *cache) continueDecoder(e *decoder) {
	d := c.cfg.Dim
	c.shared, c.memory = int(e.offsets[1]), int(e.memory[1])
	for i := range c.blocks {
		b := &c.blocks[i]
		b.share(&e.blocks[i].self, e.offsets, d)
		b.memory = past(e.blocks[i].cross.kv, c.memory, d)
	}
}

// share takes the keys and values of the one sequence that was read.
func (b *cacheBlock) share(s *selfState, offsets []int32, d int) {
	b.shared = layer.Past{
		K: layer.Rows{X: s.qkv[d:], Step: 3 * d}, V: layer.Rows{X: s.qkv[2*d:], Step: 3 * d}, N: int(offsets[1]),
	}
}

// list is the keys and values of a list, in rows of 2d.
func (b *cacheBlock) list(list, capacity, d int) []float32 {
	return b.own[list*capacity*2*d : (list+1)*capacity*2*d]
}

// reorder makes list i what list parents[i] was.
func (c *cache) reorder(parents []int) {
	d := c.cfg.Dim
	for i := range c.blocks {
		b := &c.blocks[i]
		for to, from := range parents {
			at := to * c.capacity * 2 * d
			copy(b.spare[at:at+c.written*2*d], b.list(from, c.capacity, d))
		}
		b.own, b.spare = b.spare, b.own
	}
}

// step reads one more token of a list, x being its input vector, and overwrites
// x with the output. advance follows when all lists have been stepped.
func (c *cache) step(list int, x []float32) {
	for i := range c.blocks {
		b := &c.blocks[i]
		w := b.w
		c.sublayer(x, w.norm1Gain, w.norm1Bias, func(y, in, residual []float32) { c.attend(y, in, residual, b, list) })
		gain, bias := w.norm2Gain, w.norm2Bias
		if b.cross != nil {
			c.sublayer(x, gain, bias, func(y, in, residual []float32) { c.recall(y, in, residual, b) })
			gain, bias = b.cross.norm3Gain, b.cross.norm3Bias
		}
		c.sublayer(x, gain, bias, func(y, in, residual []float32) { c.feedForward(y, in, residual, &c.feed, w, 0) })
	}
	if c.cfg.Norm == PreNorm {
		c.norm.forward(c.y, x, c.finalGain, c.finalBias)
		copy(x, c.y)
	}
}

// advance counts the tokens that step read.
func (c *cache) advance() { c.written++ }

// sublayer makes x + f(norm(x)) of x, or norm(x + f(x)).
func (c *cache) sublayer(x, gain, bias []float32, f func(y, in, residual []float32)) {
	if c.cfg.Norm == PostNorm {
		f(c.out, x, x)
		c.norm.forward(x, c.out, gain, bias)
		return
	}
	c.norm.forward(c.y, x, gain, bias)
	f(c.out, c.y, x)
	copy(x, c.out)
}

// attend is self-attention of the newest token of a list.
func (c *cache) attend(y, x, residual []float32, b *cacheBlock, list int) {
	d := c.cfg.Dim
	layer.LinearForward(c.qkv, x, b.w.qkv, b.w.qkvBias, 1, d, 3*d)
	if c.rotary != nil {
		c.rotary.Row(c.qkv[:2*d], 2*c.cfg.Heads, c.shared+c.written)
	}
	own := b.list(list, c.capacity, d)
	copy(own[c.written*2*d:(c.written+1)*2*d], c.qkv[d:])
	c.attention.Continue(c.att, c.qkv[:d], b.shared, past(own, c.written+1, d))
	layer.LinearForward(y, c.att, b.w.out, b.w.outBias, 1, d, d)
	kernel.Add(y, residual)
}

// recall is cross-attention of the newest token of any list.
func (c *cache) recall(y, x, residual []float32, b *cacheBlock) {
	d := c.cfg.Dim
	layer.LinearForward(c.query, x, b.cross.crossQ, b.cross.crossQBias, 1, d, d)
	if c.rotary != nil {
		c.rotary.Row(c.query, c.cfg.Heads, c.memory+c.shared+c.written)
	}
	c.attention.Continue(c.att, c.query, b.memory, layer.Past{})
	layer.LinearForward(y, c.att, b.cross.crossOut, b.cross.crossOutBias, 1, d, d)
	kernel.Add(y, residual)
}

// past is the first n rows of keys and values side by side.
func past(kv []float32, n, d int) layer.Past {
	return layer.Past{K: layer.Rows{X: kv, Step: 2 * d}, V: layer.Rows{X: kv[d:], Step: 2 * d}, N: n}
}
