package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// attend is attention of a stack to itself or to another. in: queries, keys and
// values in one (N x 3d), or queries (N x d) and keys and values (M x 2d).
type attend struct {
	g      *Graph
	of     stack
	keys   func(*seqrec.Batch) []int32 // offsets of the sequences attended to
	causal bool
	site   int       // of dropout
	lse    []float32 // N x heads
}

// selfAttend is attention to the own sequence.
func (g *Graph) selfAttend(qkv *gorgonia.Node, of stack, causal bool, block int) *gorgonia.Node {
	l := &attend{g: g, of: of, keys: of.offsets, causal: causal, site: of.site(block, seqrec.AttentionWeights)}
	return g.layer("attention", l, g.matrix(of.axis, g.cfg.Dim), qkv)
}

// crossAttend is attention to what the encoder says.
func (g *Graph) crossAttend(q, kv *gorgonia.Node, of stack, block int) *gorgonia.Node {
	l := &attend{g: g, of: of, keys: offsetsOf, site: of.site(block, seqrec.CrossWeights)}
	return g.layer("cross", l, g.matrix(of.axis, g.cfg.Dim), q, kv)
}

// args describes who looks at whom.
func (l *attend) args(in [][]float32) layer.AttentionArgs {
	b, d := l.g.call.batch, l.g.cfg.Dim
	args := layer.AttentionArgs{Queries: l.of.offsets(b), Keys: l.keys(b), Causal: l.causal}
	args.Q, args.K, args.V = attentionRows(in, d)
	if l.g.cfg.Dropout > 0 && l.g.call.training {
		args.Dropout, args.Seeds = float32(l.g.cfg.Dropout), l.g.shared.dropoutKeys(b.Seeds, l.site)
	}
	return args
}

// attentionRows finds queries, keys and values, or their gradients.
func attentionRows(in [][]float32, d int) (q, k, v layer.Rows) {
	if len(in) == 1 {
		return layer.Rows{X: in[0], Step: 3 * d}, layer.Rows{X: in[0][d:], Step: 3 * d}, layer.Rows{X: in[0][2*d:], Step: 3 * d}
	}
	return layer.Rows{X: in[0], Step: d}, layer.Rows{X: in[1], Step: 2 * d}, layer.Rows{X: in[1][d:], Step: 2 * d}
}

func (l *attend) forward(y []float32, in [][]float32) error {
	c := l.g.cfg
	l.lse = kernel.Grow(l.lse, len(y)/c.Dim*c.Heads)
	l.g.shared.attention.Forward(y, l.lse, l.args(in))
	return nil
}

func (l *attend) backward(grads [][]float32, dy, y []float32, in [][]float32) error {
	var to layer.AttentionGrads
	to.Q, to.K, to.V = attentionRows(grads, l.g.cfg.Dim)
	l.g.shared.attention.Backward(to, dy, y, l.lse, l.args(in))
	return nil
}

// turn gives queries and keys their rotary positions, over its input: the map
// that makes them does not read them again. in: the rows (N x cols).
type turn struct {
	rotary      *layer.Rotary
	g           *Graph
	cols, heads int                         // of cols values, those of so many heads turn
	offsets     func(*seqrec.Batch) []int32 // of the rows
	after       func(*seqrec.Batch) []int32 // of the sequences that they go on from, or nil
}

// turn is x itself for a model with learned positions.
func (g *Graph) turn(x *gorgonia.Node, heads int, offsets, after func(*seqrec.Batch) []int32) *gorgonia.Node {
	if g.rotary == nil {
		return x
	}
	l := &turn{rotary: g.rotary, g: g, cols: x.Shape()[1], heads: heads, offsets: offsets, after: after}
	y := g.layer("rotary", l, bufferOf(x), x)
	y.Op().(*layerOp).backInPlace = true
	return y
}

func (l *turn) forward(y []float32, _ [][]float32) error {
	b, rows := l.g.call.batch, layer.Rows{X: y, Step: l.cols}
	if l.after != nil {
		l.rotary.ForwardAfter(rows, l.heads, l.offsets(b), l.after(b))
	} else {
		l.rotary.Forward(rows, l.heads, l.offsets(b))
	}
	return nil
}

func (l *turn) backward(grads [][]float32, _, _ []float32, _ [][]float32) error {
	b, rows := l.g.call.batch, layer.Rows{X: grads[0], Step: l.cols}
	if l.after != nil {
		l.rotary.BackwardAfter(rows, l.heads, l.offsets(b), l.after(b))
	} else {
		l.rotary.Backward(rows, l.heads, l.offsets(b))
	}
	return nil
}
