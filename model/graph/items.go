package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// items is what vectors of items are made from: their table (V x d), the same
// plus projected features where the model is hybrid, or with features alone the
// projection (f x d).
func (g *Graph) items() *gorgonia.Node {
	switch {
	case g.cfg.FeatureDim == 0:
		return g.Param(seqrec.TensorTable)
	case !g.cfg.Hybrid:
		return g.Param(seqrec.TensorProjection)
	case g.combined == nil:
		v, d := g.cfg.Items, g.cfg.Dim
		l := &combine{v: v, f: g.cfg.FeatureDim, d: d, features: g.model.Features()}
		g.combined = g.layer("combine", l, g.constant(v, d), g.Param(seqrec.TensorTable), g.Param(seqrec.TensorProjection))
		g.combined.Op().(*layerOp).backInPlace = true
	}
	return g.combined
}

// combine is table + features*projection. in: table (V x d), projection (f x d).
// The gradient of the table is that of the output.
type combine struct {
	v, f, d  int
	features []float32 // V x f
}

func (l *combine) forward(y []float32, in [][]float32) error {
	copy(y, in[0])
	kernel.Gemm(l.v, l.d, l.f, l.features, l.f, 1, in[1], l.d, y, l.d, true)
	return nil
}

func (l *combine) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	layer.LinearBackward(nil, grads[1], nil, dy, l.features, nil, nil, l.v, l.f, l.d)
	return nil
}

// scores is x*F^T for the public features F (V x f). in: x (M x f).
type scores struct {
	g    *Graph
	f, v int
}

func (g *Graph) scores(x *gorgonia.Node) *gorgonia.Node {
	l := &scores{g: g, f: g.cfg.FeatureDim, v: g.cfg.Items}
	return g.layer("scores", l, g.matrix(positions, l.v), x)
}

func (l *scores) forward(y []float32, in [][]float32) error {
	scratch := l.g.shared.transpose(l.f * l.v)
	layer.LinearTForward(y, in[0], l.g.model.Features(), nil, scratch, len(y)/l.v, l.f, l.v)
	return nil
}

func (l *scores) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	n := len(grads[0]) / l.f
	kernel.Gemm(n, l.f, l.v, dy, l.v, 1, l.g.model.Features(), l.f, grads[0], l.f, true)
	return nil
}
