package graph

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// buffer is a matrix that operations own and show to the graph as a value: one
// of them, or those that write to it one after another. It gets memory at first
// use, or is pointed at memory of the engine's caller.
type buffer struct {
	call       *call
	axis       axis
	rows, cols int
	reachable  bool // a Loss can reach it: rows that do not count must be zero
	held       int  // of a gradient: nodes that it is handed on for
	data       []float32
	dense      *tensor.Dense
}

// matrix makes a buffer with a row per whatever the axis counts.
func (g *Graph) matrix(a axis, cols int) *buffer {
	return &buffer{call: g.call, axis: a, rows: g.sizes[a], cols: cols}
}

// constant makes a buffer of a size that no batch changes.
func (g *Graph) constant(rows, cols int) *buffer {
	return &buffer{call: g.call, axis: fixed, rows: rows, cols: cols}
}

// like makes a buffer of the shape of another.
func (b *buffer) like() *buffer {
	return &buffer{call: b.call, axis: b.axis, rows: b.rows, cols: b.cols}
}

// point makes data, of rows x cols values, the memory of b.
func (b *buffer) point(data []float32) { b.data, b.dense = data, denseOf(data, b.rows, b.cols) }

func denseOf(data []float32, rows, cols int) *tensor.Dense {
	return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(data), tensor.WithEngine(gorgonia.StandardEngine{}))
}

// value is b as a gorgonia value. Operations of gorgonia that ran in place on it
// may have left it with another shape.
func (b *buffer) value() gorgonia.Value {
	if s := b.dense.Shape(); len(s) != 2 || s[0] != b.rows || s[1] != b.cols || b.dense.RequiresIterator() {
		b.point(b.data)
	}
	return b.dense
}

// live is the part that counts in this run.
func (b *buffer) live() []float32 {
	if b.data == nil {
		b.point(make([]float32, b.rows*b.cols))
	}
	if b.axis == fixed {
		return b.data
	}
	end := b.call.live[b.axis] * b.cols
	if b.reachable {
		clear(b.data[end:])
	}
	return b.data[:end]
}

// zeroed is live, cleared.
func (b *buffer) zeroed() []float32 {
	data := b.live()
	clear(data)
	return data
}

// floats is the memory of a value, or a copy where that is not contiguous.
func floats(v gorgonia.Value) ([]float32, error) {
	switch v := v.(type) {
	case *gorgonia.F32:
		return []float32{float32(*v)}, nil
	case *tensor.Dense:
		if v.Dtype() != tensor.Float32 {
			return nil, fmt.Errorf("a value of %v, want float32", v.Dtype())
		}
		if v.RequiresIterator() {
			v = tensor.Materialize(v).(*tensor.Dense)
		}
		return v.Float32s(), nil
	}
	return nil, fmt.Errorf("a value of type %T", v)
}
