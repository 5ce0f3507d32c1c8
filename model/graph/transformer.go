package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/layer"
	"tutti/model/seqrec"
)

// transform adds the recommender's Transformer: what it says is g.hidden.
func (g *Graph) transform() {
	c := g.cfg
	if c.Positions == seqrec.RotaryPositions {
		g.rotary = layer.NewRotary(c.Dim/c.Heads, c.MaxLen+c.Horizon)
	}
	of := stack{tokens, offsetsOf, seqrec.BlockSite}
	x := g.dropout(g.embedTokens(), of, seqrec.EmbeddingSite)
	for i := range c.Blocks {
		x = block{g, of, nil, seqrec.BlockTensor, i}.add(x)
	}
	g.hidden = g.finalNorm(x, seqrec.TensorFinalGain, seqrec.TensorFinalBias)
	if c.Arch == seqrec.EncoderDecoder {
		g.decode(g.hidden)
	}
	g.output = bufferOf(g.hidden)
}

// decode adds the decoder, which attends to what the encoder says.
func (g *Graph) decode(memory *gorgonia.Node) {
	of := stack{positions, positionsOf, seqrec.DecoderSite}
	x := g.dropout(g.embedReads(), of, seqrec.DecoderEmbeddingSite)
	for i := range g.cfg.DecoderBlocks {
		x = block{g, of, memory, seqrec.DecoderTensor, i}.add(x)
	}
	g.hidden = g.finalNorm(x, seqrec.TensorDecoderFinalGain, seqrec.TensorDecoderFinalBias)
}

// finalNorm is x itself for a post-norm model.
func (g *Graph) finalNorm(x *gorgonia.Node, gain, bias string) *gorgonia.Node {
	if g.cfg.Norm == seqrec.PostNorm {
		return x
	}
	return g.norm(x, g.Param(gain), g.Param(bias))
}

// block is one block of a stack.
type block struct {
	*Graph
	of     stack
	memory *gorgonia.Node // what the decoder attends to; nil for the encoder
	tensor func(block int, name string) string
	i      int
}

// node is that of a tensor of the block.
func (b block) node(name string) *gorgonia.Node { return b.Param(b.tensor(b.i, name)) }

// branch is what a block adds to the stream.
type branch func(x *gorgonia.Node) *gorgonia.Node

// add adds the block: self-attention, attention to the memory where there is
// one, and the feed-forward layer.
func (b block) add(x *gorgonia.Node) *gorgonia.Node {
	x = b.sublayer(x, b.self, seqrec.AttentionOutput, seqrec.TensorNorm1Gain, seqrec.TensorNorm1Bias)
	if b.memory == nil {
		return b.sublayer(x, b.feed, seqrec.FeedForward, seqrec.TensorNorm2Gain, seqrec.TensorNorm2Bias)
	}
	x = b.sublayer(x, b.cross, seqrec.CrossOutput, seqrec.TensorNorm2Gain, seqrec.TensorNorm2Bias)
	return b.sublayer(x, b.feed, seqrec.FeedForward, seqrec.TensorNorm3Gain, seqrec.TensorNorm3Bias)
}

// sublayer is x + dropout(f(norm(x))), or norm(x + dropout(f(x))) in a post-norm
// model.
func (b block) sublayer(x *gorgonia.Node, f branch, place seqrec.Place, gain, bias string) *gorgonia.Node {
	read := x
	if b.cfg.Norm == seqrec.PreNorm {
		read = b.norm(x, b.node(gain), b.node(bias))
	}
	sum := b.residual(b.dropout(f(read), b.of, b.of.site(b.i, place)), x)
	if b.cfg.Norm == seqrec.PreNorm {
		return sum
	}
	return b.norm(sum, b.node(gain), b.node(bias))
}

// self is self-attention with its projections.
func (b block) self(x *gorgonia.Node) *gorgonia.Node {
	qkv := b.linear(x, b.node(seqrec.TensorQKV), b.node(seqrec.TensorQKVBias))
	qkv = b.turn(qkv, 2*b.cfg.Heads, b.of.offsets, nil) // queries and keys
	causal := b.memory != nil || b.cfg.Arch == seqrec.Causal
	y := b.selfAttend(qkv, b.of, causal, b.i)
	return b.linear(y, b.node(seqrec.TensorOut), b.node(seqrec.TensorOutBias))
}

// cross is attention to the memory, with its projections.
func (b block) cross(x *gorgonia.Node) *gorgonia.Node {
	q := b.linear(x, b.node(seqrec.TensorCrossQ), b.node(seqrec.TensorCrossQBias))
	kv := b.linear(b.memory, b.node(seqrec.TensorCrossKV), b.node(seqrec.TensorCrossKVBias))
	q = b.turn(q, b.cfg.Heads, b.of.offsets, offsetsOf)
	kv = b.turn(kv, b.cfg.Heads, offsetsOf, nil) // keys
	y := b.crossAttend(q, kv, b.of, b.i)
	return b.linear(y, b.node(seqrec.TensorCrossOut), b.node(seqrec.TensorCrossOutBias))
}

// feed is the feed-forward layer.
func (b block) feed(x *gorgonia.Node) *gorgonia.Node {
	y := b.activation(b.linear(x, b.node(seqrec.TensorUp), b.node(seqrec.TensorUpBias)))
	return b.linear(y, b.node(seqrec.TensorDown), b.node(seqrec.TensorDownBias))
}
