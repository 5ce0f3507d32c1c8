package graph

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// buffer is a matrix that one operation owns and shows to the graph as a value.
// It gets memory at first use, or is pointed at memory of the engine's caller.
type buffer struct {
	rows, cols int
	perToken   bool // rows are tokens, of which only the live ones count
	reachable  bool // a Loss can reach it: rows that are not live must be zero
	data       []float32
	dense      *tensor.Dense
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

// live is the part that counts in a batch of n tokens.
func (b *buffer) live(n int) []float32 {
	if b.data == nil {
		b.point(make([]float32, b.rows*b.cols))
	}
	if !b.perToken {
		return b.data
	}
	if b.reachable {
		clear(b.data[n*b.cols:])
	}
	return b.data[:n*b.cols]
}

// zeroed is live, cleared.
func (b *buffer) zeroed(n int) []float32 {
	data := b.live(n)
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
