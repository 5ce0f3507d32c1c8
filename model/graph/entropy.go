package graph

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tutti/model/kernel"
	"tutti/model/layer"
)

// crossEntropy is the mean loss per target over the whole catalogue. It computes
// its gradients on the way forward, while the probabilities are at hand
// (layer.CrossEntropy). in: h (N x d), table (V x d), bias (1 x V); with features
// only the outputs in feature space (N x f).
type crossEntropy struct {
	op   *layerOp
	run  *layer.CrossEntropy
	mean float64 // of the last run: the value of the node before rounding
}

// entropyOp is a layerOp whose value is a scalar.
type entropyOp struct {
	layerOp
	value *gorgonia.F32
}

func (g *Graph) crossEntropy(inputs ...*gorgonia.Node) *gorgonia.Node {
	l := &crossEntropy{run: layer.NewCrossEntropy()}
	op := &entropyOp{value: gorgonia.NewF32(0), layerOp: layerOp{
		base: g.newBase("crossentropy", len(inputs), tensor.ScalarShape()), layer: l, early: true,
	}}
	l.op, g.entropy = &op.layerOp, l
	return g.apply(op, inputs...)
}

// Do implements gorgonia.Op.
func (op *entropyOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	var y [1]float32
	if err := op.layer.forward(y[:], in); err != nil {
		return nil, err
	}
	*op.value = gorgonia.F32(y[0])
	return op.value, nil
}

func (l *crossEntropy) forward(y []float32, in [][]float32) error {
	g := l.op.g
	b := g.batch
	args := layer.CrossEntropyArgs{N: b.n, V: g.cfg.Items, D: g.cfg.Dim, H: in[0], Targets: b.targets, Soft: b.soft, Scale: 1 / float32(b.tokens)}
	if g.cfg.FeatureDim == 0 {
		args.Table, args.Bias = in[1], in[2]
	} else {
		args.D, args.Table = g.cfg.FeatureDim, g.model.Features()
	}
	if grad := l.op.grad; b.wantGrad && grad != nil {
		args.DH = grad.into[0].zeroed(b.n)
		if g.cfg.FeatureDim == 0 {
			args.DTable, args.DBias = grad.into[1].zeroed(b.n), grad.into[2].zeroed(b.n)
		}
	}
	sum, err := l.run.Run(args)
	l.mean = sum / float64(b.tokens)
	y[0] = float32(l.mean)
	return err
}

// backward weighs the gradients where the loss is not the cross-entropy itself.
func (l *crossEntropy) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	if dy[0] != 1 {
		for _, g := range grads {
			kernel.Scale(g, dy[0])
		}
	}
	return nil
}

// resultOp keeps the value of the loss: what a node shows after a run may have
// been overwritten.
type resultOp struct {
	base
	loss  *gorgonia.Node // its input
	node  *gorgonia.Node // itself
	value float32
}

func (g *Graph) result(loss *gorgonia.Node) *gorgonia.Node {
	op := &resultOp{base: g.newBase("result", 1, tensor.ScalarShape(), 0), loss: loss}
	op.node, g.outcome = g.apply(op, loss), op
	return op.node
}

// Do implements gorgonia.Op.
func (op *resultOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	op.value = in[0][0]
	return values[0], nil
}
