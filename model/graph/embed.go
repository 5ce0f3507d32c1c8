package graph

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// embedOp makes the input vectors of the tokens: rows of the item table, or
// projected public features, plus the vector of the position. Its inputs are the
// table (V x d) or the projection (f x d), and the positions (L x d).
type embedOp struct {
	base
	y      *buffer
	looked []float32 // N x f: the features of the tokens; only with features
}

func (g *Graph) embed() *gorgonia.Node {
	y := g.tokens(g.cfg.Dim)
	op := &embedOp{base: g.newBase("embed", 2, tensor.Shape{y.rows, y.cols}), y: y}
	return g.apply(op, g.itemWeights(), g.Param(seqrec.TensorPosition))
}

// Do implements gorgonia.Op.
func (op *embedOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	b, d, f := op.g.batch, op.g.cfg.Dim, op.g.cfg.FeatureDim
	y := op.y.live(b.n)
	if f == 0 {
		layer.GatherForward(y, in[0], b.ids, d)
	} else {
		op.looked = kernel.Grow(op.looked, b.n*f)
		layer.GatherForward(op.looked, op.g.model.Features(), b.ids, f)
		layer.LinearForward(y, op.looked, in[0], nil, b.n, f, d)
	}
	layer.PositionForward(y, in[1], b.offsets, d)
	return op.y.value(), nil
}

// itemGradient adds the gradient of the first input to into.
func (op *embedOp) itemGradient(into, dy []float32) {
	b, d, f := op.g.batch, op.g.cfg.Dim, op.g.cfg.FeatureDim
	if f == 0 {
		layer.GatherBackward(into, dy, b.ids, d)
		return
	}
	layer.LinearBackward(nil, into, nil, dy, op.looked, nil, nil, b.n, f, d)
}

// DiffWRT implements gorgonia.SDOp.
func (op *embedOp) DiffWRT(int) []bool { return []bool{true, true} }

// SymDiff implements gorgonia.SDOp.
func (op *embedOp) SymDiff(inputs gorgonia.Nodes, output, grad *gorgonia.Node) (grads gorgonia.Nodes, err error) {
	defer recoverBuild(&err)
	g := op.g
	items := &itemGradOp{base: g.newBase("dembed/items", 2, inputs[0].Shape()), of: op, into: g.gradient(inputs[0]), output: output, dy: grad}
	position := &positionGradOp{base: g.newBase("dembed/position", 1, inputs[1].Shape()), into: g.gradient(inputs[1])}
	return gorgonia.Nodes{g.apply(items, output, grad), g.apply(position, grad)}, nil
}

// itemGradOp is the gradient of the item weights as inputs of the encoder. Its
// inputs are the embedding, whose private state it reads, and its gradient.
type itemGradOp struct {
	base
	of         *embedOp
	into       *buffer
	output, dy *gorgonia.Node // its inputs
}

// Do implements gorgonia.Op.
func (op *itemGradOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	op.of.itemGradient(op.into.zeroed(op.g.batch.n), in[1])
	return op.into.value(), nil
}

// addItemGradOp is the sum of another gradient of the item weights, its first
// input, and an itemGradOp's, added in place: a batch touches few of the rows.
type addItemGradOp struct {
	base
	of *embedOp
}

// Do implements gorgonia.Op.
func (op *addItemGradOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	op.of.itemGradient(in[0], in[2])
	return values[0], nil
}

// positionGradOp is the gradient of the position vectors, given that of the
// embedding.
type positionGradOp struct {
	base
	into *buffer
}

// Do implements gorgonia.Op.
func (op *positionGradOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	b := op.g.batch
	layer.PositionBackward(op.into.zeroed(b.n), in[0], b.offsets, op.g.cfg.Dim)
	return op.into.value(), nil
}
