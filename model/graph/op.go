package graph

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// base is what all operations of the package have in common. They own their
// output, overwrite none of their inputs, and are told apart by a number:
// gorgonia takes nodes for the same when a hash of operation and inputs is.
type base struct {
	g       *Graph
	name    string
	id      int
	inputs  int
	scalars []int // inputs that are scalars; all others are matrices
	out     tensor.Shape
	in      [][]float32 // the inputs of the current run
}

func (g *Graph) newBase(name string, inputs int, out tensor.Shape, scalars ...int) base {
	g.operations++
	return base{g: g, name: name, id: g.operations, inputs: inputs, scalars: scalars, out: out, in: make([][]float32, inputs)}
}

// Arity implements gorgonia.Op.
func (b *base) Arity() int { return b.inputs }

// Type implements gorgonia.Op. Gorgonia recycles the returned type.
func (b *base) Type() hm.Type {
	matrix := func() hm.Type { return gorgonia.TensorType{Dims: 2, Of: tensor.Float32} }
	types := make([]hm.Type, b.inputs+1)
	for i := range types {
		types[i] = matrix()
	}
	for _, i := range b.scalars {
		types[i] = tensor.Float32
	}
	if len(b.out) == 0 {
		types[b.inputs] = tensor.Float32
	}
	return hm.NewFnType(types...)
}

// InferShape implements gorgonia.Op.
func (b *base) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return b.out.Clone(), nil }

// ReturnsPtr implements gorgonia.Op: the output is the operation's own memory.
func (b *base) ReturnsPtr() bool { return true }

// CallsExtern implements gorgonia.Op: true would allocate an output per run.
func (b *base) CallsExtern() bool { return false }

// OverwritesInput implements gorgonia.Op: none.
func (b *base) OverwritesInput() int { return -1 }

// WriteHash implements gorgonia.Op: different for every operation of a graph.
func (b *base) WriteHash(h hash.Hash) { fmt.Fprintf(h, "tutti %d %d %s", b.g.salt, b.id, b.name) }

// Hashcode implements gorgonia.Op.
func (b *base) Hashcode() uint32 {
	h := fnv.New32a()
	b.WriteHash(h)
	return h.Sum32()
}

// String names the operation.
func (b *base) String() string { return fmt.Sprintf("%s#%d", b.name, b.id) }

// read turns the inputs of a run into slices.
func (b *base) read(values []gorgonia.Value) (in [][]float32, err error) {
	if len(values) != b.inputs {
		return nil, fmt.Errorf("%d inputs, want %d", len(values), b.inputs)
	}
	for i, v := range values {
		if b.in[i], err = floats(v); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	return b.in, nil
}

// guard turns a panic into an error, for a panic on the machine's goroutine would
// end the process, and keeps the first error of a run: gorgonia hides its type.
// Defer it.
func (b *base) guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
	if *err == nil {
		return
	}
	*err = fmt.Errorf("%v: %w", b, *err)
	if b.g.failure == nil {
		b.g.failure = *err
	}
}

// apply adds an operation to the graph. It panics where that is impossible, which
// build turns into an error.
func (g *Graph) apply(op gorgonia.Op, children ...*gorgonia.Node) *gorgonia.Node {
	n := gorgonia.Must(gorgonia.ApplyOp(op, children...))
	if n.Op() != op {
		g.collided = true
		panic(errCollision)
	}
	return n
}

// fused is a layer, forward beside backward, on the live tokens of g's batch.
type fused interface {
	// forward overwrites y.
	forward(y []float32, in [][]float32) error
	// backward adds the gradients of the inputs to grads, given dy; entries of
	// grads that are nil are not asked for.
	backward(grads [][]float32, dy, y []float32, in [][]float32) error
}

// layerOp is a fused layer as a gorgonia operation with its own gradient.
type layerOp struct {
	base
	layer fused
	y     *buffer
	// passes is the input whose gradient is that of the output; 0 for none.
	passes int
	// early says that forward has already left the gradients in grad.into.
	early bool
	grad  *gradOp
}

func (g *Graph) layer(name string, l fused, y *buffer, inputs int) *layerOp {
	return &layerOp{base: g.newBase(name, inputs, tensor.Shape{y.rows, y.cols}), layer: l, y: y}
}

// Do implements gorgonia.Op.
func (op *layerOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	if err := op.layer.forward(op.y.live(op.g.batch.n), in); err != nil {
		return nil, err
	}
	return op.y.value(), nil
}

// DiffWRT implements gorgonia.SDOp: with respect to every input.
func (op *layerOp) DiffWRT(inputs int) []bool {
	out := make([]bool, inputs)
	for i := range out {
		out[i] = true
	}
	return out
}

// SymDiff implements gorgonia.SDOp. An operation has one output, so one node
// computes all gradients and shows the first; the others are picked from it.
func (op *layerOp) SymDiff(inputs gorgonia.Nodes, output, grad *gorgonia.Node) (grads gorgonia.Nodes, err error) {
	defer recoverBuild(&err)
	d := &gradOp{of: op, into: make([]*buffer, len(inputs)), grads: make([][]float32, len(inputs))}
	for i, n := range inputs {
		if i == 0 || i != op.passes {
			d.into[i] = op.g.gradient(n)
		}
	}
	var scalars []int
	if len(op.out) == 0 {
		scalars = []int{len(inputs), len(inputs) + 1}
	}
	d.base = op.g.newBase("d"+op.name, len(inputs)+2, inputs[0].Shape(), scalars...)
	op.grad = d
	all := op.g.apply(d, append(append(gorgonia.Nodes{}, inputs...), output, grad)...)
	grads = make(gorgonia.Nodes, len(inputs))
	for i, n := range inputs {
		switch i {
		case 0:
			grads[i] = all
		case op.passes:
			grads[i] = grad
		default:
			name := fmt.Sprintf("d%s/%d", op.name, i)
			grads[i] = op.g.apply(&pickOp{base: op.g.newBase(name, 1, n.Shape()), from: d, input: i}, all)
		}
	}
	return grads, nil
}

// gradOp computes the gradients of all inputs of a layer. Its inputs are those
// of the layer, then the layer's output and the gradient of that.
type gradOp struct {
	base
	of    *layerOp
	into  []*buffer // per input of the layer; nil where the gradient passes
	grads [][]float32
}

// Do implements gorgonia.Op.
func (op *gradOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	for i, b := range op.into {
		switch {
		case b == nil:
		case op.of.early:
			op.grads[i] = b.live(op.g.batch.n)
		default:
			op.grads[i] = b.zeroed(op.g.batch.n)
		}
	}
	k := len(op.into)
	if err := op.of.layer.backward(op.grads, in[k+1], in[k], in[:k]); err != nil {
		return nil, err
	}
	return op.into[0].value(), nil
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
