package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/kernel"
)

// gradOp computes the gradients of all inputs of a layer. Its inputs are those
// of the layer, the layer's output and the gradient of that, and the gradients
// to which it adds.
type gradOp struct {
	base
	of    *layerOp
	node  *gorgonia.Node
	into  []target // per input of the layer
	grads [][]float32
}

// prepare returns what backward, or an early forward, adds gradients to.
func (op *gradOp) prepare() [][]float32 {
	for i, t := range op.into {
		switch {
		case t.own != nil:
			op.grads[i] = t.own.zeroed()
		case t.adds:
			op.grads[i] = t.live()
		default:
			op.grads[i] = t.zeroed()
		}
	}
	return op.grads
}

// Do implements gorgonia.Op.
func (op *gradOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	if !op.of.early {
		op.prepare()
	}
	k := len(op.into)
	if y := op.of.y; y == nil || len(y.live()) > 0 {
		if err := op.of.layer.backward(op.grads, in[k+1], in[k], in[:k]); err != nil {
			return nil, err
		}
	}
	for i, t := range op.into {
		if t.own != nil {
			kernel.Add(t.live(), op.grads[i])
		}
	}
	return op.into[0].value(), nil
}

// target is where an operation puts the gradient of an input.
type target struct {
	*buffer
	adds bool    // to what others have put there
	own  *buffer // where an early gradient waits until it can be added
}

// pickOp shows one of the gradients that its only input, a gradOp, computed.
type pickOp struct {
	base
	from  *gradOp
	input int
}

// Do implements gorgonia.Op.
func (op *pickOp) Do(...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	return op.from.into[op.input].value(), nil
}
