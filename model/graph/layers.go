package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// norm is layer norm. in: x (N x d), gain, bias (1 x d).
type norm struct {
	d          int
	mean, rstd []float32
}

func (g *Graph) norm(x, gain, bias *gorgonia.Node) *gorgonia.Node {
	return g.layer("norm", &norm{d: g.cfg.Dim}, bufferOf(x).like(), x, gain, bias)
}

func (l *norm) forward(y []float32, in [][]float32) error {
	n := len(y) / l.d
	l.mean, l.rstd = kernel.Grow(l.mean, n), kernel.Grow(l.rstd, n)
	layer.NormForward(y, l.mean, l.rstd, in[0][:len(y)], in[1], in[2], n, l.d)
	return nil
}

func (l *norm) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	size := len(grads[0])
	layer.NormBackward(grads[0], grads[1], grads[2], dy[:size], in[0][:size], l.mean, l.rstd, in[1], size/l.d, l.d)
	return nil
}

// linear is x*w + b. in: x (N x in), w (in x out), b (1 x out).
type linear struct {
	shared  *shared
	in, out int
}

func (g *Graph) linear(x, w, b *gorgonia.Node) *gorgonia.Node {
	l := &linear{g.shared, w.Shape()[0], w.Shape()[1]}
	return g.layer("linear", l, g.matrix(bufferOf(x).axis, l.out), x, w, b)
}

func (l *linear) forward(y []float32, in [][]float32) error {
	layer.LinearForward(y, in[0], in[1], in[2], len(y)/l.out, l.in, l.out)
	return nil
}

func (l *linear) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	n := len(grads[0]) / l.in
	scratch := l.shared.transpose(l.in * l.out)
	layer.LinearBackward(grads[0], grads[1], grads[2], dy, in[0], in[1], scratch, n, l.in, l.out)
	return nil
}

// linearT is x*w^T + b. in: x (N x in), w (out x in), b (1 x out).
type linearT struct {
	shared  *shared
	in, out int
}

func (g *Graph) linearT(name string, x, w, b *gorgonia.Node) *gorgonia.Node {
	l := &linearT{g.shared, w.Shape()[1], w.Shape()[0]}
	return g.layer(name, l, g.matrix(bufferOf(x).axis, l.out), x, w, b)
}

func (l *linearT) forward(y []float32, in [][]float32) error {
	scratch := l.shared.transpose(l.in * l.out)
	layer.LinearTForward(y, in[0], in[1], in[2], scratch, len(y)/l.out, l.in, l.out)
	return nil
}

func (l *linearT) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	layer.LinearTBackward(grads[0], grads[1], grads[2], dy, in[0], in[1], len(grads[0])/l.in, l.in, l.out)
	return nil
}

// residual is branch + x, written over the branch: nobody else reads that. in:
// branch, x (N x d). Its gradient is that of both.
type residual struct{}

func (g *Graph) residual(branch, x *gorgonia.Node) *gorgonia.Node {
	y := g.layer("residual", residual{}, bufferOf(branch), branch, x)
	y.Op().(*layerOp).passes = true
	return y
}

func (residual) forward(y []float32, in [][]float32) error {
	kernel.Add(y, in[1][:len(y)])
	return nil
}

func (residual) backward([][]float32, []float32, []float32, [][]float32) error { return nil }

// dropout drops values in training, over its input: what makes that does not
// read it again. in: x (N x d).
type dropout struct {
	g    *Graph
	of   stack
	site int
}

// dropout is x itself for a model without.
func (g *Graph) dropout(x *gorgonia.Node, of stack, site int) *gorgonia.Node {
	if g.cfg.Dropout == 0 {
		return x
	}
	return g.layer("dropout", &dropout{g, of, site}, bufferOf(x), x)
}

func (l *dropout) forward(y []float32, _ [][]float32) error {
	if l.g.call.training {
		l.drop(y, y)
	}
	return nil
}

// backward has the only gradient of its input.
func (l *dropout) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	l.drop(grads[0], dy)
	return nil
}

func (l *dropout) drop(y, x []float32) {
	b, c := l.g.call.batch, l.g.cfg
	layer.Dropout(y, x, l.of.offsets(b), l.g.shared.dropoutKeys(b.Seeds, l.site), c.Dim, float32(c.Dropout))
}

// activation is GELU, ReLU or SwiGLU. in: x (N x h; SwiGLU: N x 2h).
type activation struct {
	kind seqrec.Activation
	h    int
}

func (g *Graph) activation(x *gorgonia.Node) *gorgonia.Node {
	l := &activation{g.cfg.Activation, g.cfg.Hidden}
	return g.layer(l.kind.String(), l, g.matrix(bufferOf(x).axis, l.h), x)
}

func (l *activation) forward(y []float32, in [][]float32) error {
	switch l.kind {
	case seqrec.SwiGLU:
		layer.SwiGLUForward(y, in[0], len(y)/l.h, l.h)
	case seqrec.ReLU:
		kernel.ReLU(y, in[0][:len(y)])
	default:
		layer.GELUForward(y, in[0][:len(y)])
	}
	return nil
}

func (l *activation) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	dx := grads[0]
	switch l.kind {
	case seqrec.SwiGLU:
		layer.SwiGLUBackward(dx, dy, in[0], len(dx)/(2*l.h), l.h)
	case seqrec.ReLU:
		kernel.ReLUBackward(dx, dy[:len(dx)], in[0][:len(dx)])
	default:
		layer.GELUBackward(dx, dy[:len(dx)], in[0][:len(dx)])
	}
	return nil
}
