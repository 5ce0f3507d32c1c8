package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/kernel"
	"tutti/model/layer"
)

// tokens makes the output of an operation: a row per token.
func (g *Graph) tokens(cols int) *buffer {
	return &buffer{rows: g.capacity, cols: cols, perToken: true}
}

// norm is layer norm. in: x (N x d), gain, bias (1 x d).
type norm struct {
	g          *Graph
	d          int
	mean, rstd []float32
}

func (g *Graph) norm(x, gain, bias *gorgonia.Node) *gorgonia.Node {
	d := g.cfg.Dim
	return g.apply(g.layer("norm", &norm{g: g, d: d}, g.tokens(d), 3), x, gain, bias)
}

func (l *norm) forward(y []float32, in [][]float32) error {
	n := l.g.batch.n
	l.mean, l.rstd = kernel.Grow(l.mean, n), kernel.Grow(l.rstd, n)
	layer.NormForward(y, l.mean, l.rstd, in[0], in[1], in[2], n, l.d)
	return nil
}

func (l *norm) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	layer.NormBackward(grads[0], grads[1], grads[2], dy, in[0], l.mean, l.rstd, in[1], l.g.batch.n, l.d)
	return nil
}

// linear is x*w + b, with a residual connection where it has a fourth input.
// in: x (N x in), w (in x out), b (1 x out), residual (N x out).
type linear struct {
	g       *Graph
	in, out int
}

func (g *Graph) linear(x, w, b, residual *gorgonia.Node) *gorgonia.Node {
	in, out := w.Shape()[0], w.Shape()[1]
	children := []*gorgonia.Node{x, w, b}
	if residual != nil {
		children = append(children, residual)
	}
	op := g.layer("linear", &linear{g: g, in: in, out: out}, g.tokens(out), len(children))
	if residual != nil {
		op.passes = 3
	}
	return g.apply(op, children...)
}

func (l *linear) forward(y []float32, in [][]float32) error {
	n := l.g.batch.n
	layer.LinearForward(y, in[0], in[1], in[2], n, l.in, l.out)
	if len(in) == 4 {
		kernel.Add(y, in[3][:n*l.out])
	}
	return nil
}

func (l *linear) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	scratch := l.g.shared.transpose(l.in * l.out)
	layer.LinearBackward(grads[0], grads[1], grads[2], dy, in[0], in[1], scratch, l.g.batch.n, l.in, l.out)
	return nil
}

// linearT is x*w^T + b. in: x (N x in), w (out x in), b (1 x out).
type linearT struct {
	g       *Graph
	in, out int
}

func (g *Graph) linearT(name string, x, w, b *gorgonia.Node) *gorgonia.Node {
	out, in := w.Shape()[0], w.Shape()[1]
	return g.apply(g.layer(name, &linearT{g: g, in: in, out: out}, g.tokens(out), 3), x, w, b)
}

func (l *linearT) forward(y []float32, in [][]float32) error {
	scratch := l.g.shared.transpose(l.in * l.out)
	layer.LinearTForward(y, in[0], in[1], in[2], scratch, l.g.batch.n, l.in, l.out)
	return nil
}

func (l *linearT) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	layer.LinearTBackward(grads[0], grads[1], grads[2], dy, in[0], in[1], l.g.batch.n, l.in, l.out)
	return nil
}

// scores is x*F^T for the public features F (V x f). in: x (N x f).
type scores struct {
	g    *Graph
	f, v int
}

func (g *Graph) scores(x *gorgonia.Node) *gorgonia.Node {
	l := &scores{g: g, f: g.cfg.FeatureDim, v: g.cfg.Items}
	return g.apply(g.layer("scores", l, g.tokens(l.v), 1), x)
}

func (l *scores) forward(y []float32, in [][]float32) error {
	scratch := l.g.shared.transpose(l.f * l.v)
	layer.LinearTForward(y, in[0], l.g.model.Features(), nil, scratch, l.g.batch.n, l.f, l.v)
	return nil
}

func (l *scores) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	kernel.Gemm(l.g.batch.n, l.f, l.v, dy, l.v, 1, l.g.model.Features(), l.f, grads[0], l.f, true)
	return nil
}

// attend is causal self-attention. in: queries, keys, values (N x 3d).
type attend struct {
	g   *Graph
	lse []float32
}

func (g *Graph) attend(qkv *gorgonia.Node) *gorgonia.Node {
	return g.apply(g.layer("attention", &attend{g: g}, g.tokens(g.cfg.Dim), 1), qkv)
}

func (l *attend) forward(y []float32, in [][]float32) error {
	b := l.g.batch
	l.lse = kernel.Grow(l.lse, b.n*l.g.cfg.Heads)
	l.g.shared.attention.Forward(y, l.lse, layer.SelfAttention(in[0], l.g.cfg.Dim, b.offsets, true))
	return nil
}

func (l *attend) backward(grads [][]float32, dy, y []float32, in [][]float32) error {
	d := l.g.cfg.Dim
	self := layer.SelfAttention(in[0], d, l.g.batch.offsets, true)
	l.g.shared.attention.Backward(layer.SelfAttentionGrads(grads[0], d), dy, y, l.lse, self)
	return nil
}

// gelu is the activation. in: x (N x cols).
type gelu struct {
	g    *Graph
	cols int
}

func (g *Graph) gelu(x *gorgonia.Node) *gorgonia.Node {
	cols := x.Shape()[1]
	return g.apply(g.layer("gelu", &gelu{g: g, cols: cols}, g.tokens(cols), 1), x)
}

func (l *gelu) forward(y []float32, in [][]float32) error {
	layer.GELUForward(y, in[0][:len(y)])
	return nil
}

func (l *gelu) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	size := l.g.batch.n * l.cols
	layer.GELUBackward(grads[0], dy[:size], in[0][:size])
	return nil
}
