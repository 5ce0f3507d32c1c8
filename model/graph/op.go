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
// output, and are told apart by a number: gorgonia takes nodes for the same when
// a hash of operation and inputs is.
type base struct {
	g       *Graph
	name    string
	id      int
	scalars []bool // per input: a scalar, else a matrix
	out     tensor.Shape
	in      [][]float32 // the inputs of the current run
}

func (g *Graph) newBase(name string, out tensor.Shape, children gorgonia.Nodes) base {
	g.operations++
	b := base{g: g, name: name, id: g.operations, out: out, in: make([][]float32, len(children))}
	for _, n := range children {
		b.scalars = append(b.scalars, n.IsScalar())
	}
	return b
}

// Arity implements gorgonia.Op.
func (b *base) Arity() int { return len(b.scalars) }

// Type implements gorgonia.Op. Gorgonia recycles the returned type.
func (b *base) Type() hm.Type {
	types := make([]hm.Type, 0, len(b.scalars)+1)
	for _, scalar := range append(b.scalars[:len(b.scalars):len(b.scalars)], len(b.out) == 0) {
		if scalar {
			types = append(types, tensor.Float32)
		} else {
			types = append(types, gorgonia.TensorType{Dims: 2, Of: tensor.Float32})
		}
	}
	return hm.NewFnType(types...)
}

// InferShape implements gorgonia.Op.
func (b *base) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return b.out.Clone(), nil }

// ReturnsPtr implements gorgonia.Op: the output is the operation's own memory.
func (b *base) ReturnsPtr() bool { return true }

// CallsExtern implements gorgonia.Op: true would allocate an output per run.
func (b *base) CallsExtern() bool { return false }

// OverwritesInput implements gorgonia.Op: none that gorgonia manages.
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
	if len(values) != len(b.in) {
		return nil, fmt.Errorf("%d inputs, want %d", len(values), len(b.in))
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

// fused is a layer, forward beside backward, on what counts of the batch.
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
	y     *buffer       // nil for a loss
	value *gorgonia.F32 // of a loss
	grad  *gradOp       // nil where no gradient is asked for
	role  []role        // per input

	// passes says that the output is the sum of both inputs, so that its gradient
	// is theirs.
	passes bool
	// backInPlace says that the gradient of the first input is written over that of
	// the output.
	backInPlace bool
	// early says that forward leaves the gradients in grad.grads.
	early bool
}

// layer adds a layer to the graph that writes to y, which may be the buffer of
// an input that nobody else reads.
func (g *Graph) layer(name string, l fused, y *buffer, children ...*gorgonia.Node) *gorgonia.Node {
	return g.add(&layerOp{layer: l, y: y}, name, children)
}

func (g *Graph) add(op *layerOp, name string, children gorgonia.Nodes) *gorgonia.Node {
	shape := tensor.ScalarShape()
	if op.y == nil {
		op.value = gorgonia.NewF32(0)
	} else {
		shape = tensor.Shape{op.y.rows, op.y.cols}
	}
	op.base = g.newBase(name, shape, children)
	op.role = make([]role, len(children))
	return g.apply(op, children...)
}

// Do implements gorgonia.Op.
func (op *layerOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	if op.y == nil {
		var y [1]float32
		err := op.layer.forward(y[:], in)
		*op.value = gorgonia.F32(y[0])
		return op.value, err
	}
	if y := op.y.live(); len(y) > 0 {
		err = op.layer.forward(y, in)
	}
	return op.y.value(), err
}

// DiffWRT implements gorgonia.SDOp: with respect to every input, though gorgonia
// is not told of gradients that are handed on.
func (op *layerOp) DiffWRT(int) []bool {
	out := make([]bool, len(op.role))
	for i, r := range op.role {
		out[i] = r != handsOn
	}
	return out
}

// SymDiff implements gorgonia.SDOp. An operation has one output, so one node
// computes all gradients and shows the first; the others are picked from it.
func (op *layerOp) SymDiff(inputs gorgonia.Nodes, output, grad *gorgonia.Node) (grads gorgonia.Nodes, err error) {
	defer recoverBuild(&err)
	if op.passes {
		op.g.running[inputs[1]] = running{bufferOf(grad), grad}
		bufferOf(grad).held++
		return gorgonia.Nodes{grad, nil}, nil
	}
	d := &gradOp{of: op, grads: make([][]float32, len(inputs))}
	children := append(append(gorgonia.Nodes{}, inputs...), output, grad)
	for i, n := range inputs {
		if i == 0 && op.backInPlace {
			d.into = append(d.into, target{buffer: bufferOf(grad), adds: true})
			continue
		}
		t, before := op.g.target(n, op.role[i], op.early)
		if before != nil {
			children = append(children, before)
		}
		if t.adds && op.early {
			t.own = t.like()
		}
		d.into = append(d.into, t)
	}
	d.base = op.g.newBase("d"+op.name, inputs[0].Shape(), children)
	op.grad, d.node = d, op.g.apply(d, children...)
	for i, n := range inputs {
		grads = append(grads, op.g.written(n, d, i, op.role[i]))
	}
	if !op.backInPlace {
		op.g.release(bufferOf(grad))
	}
	return grads, nil
}
