package model

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Limits of a Layout. They bound what a decoder may allocate.
const (
	MaxTensors    = 4096          // tensors in a layout
	MaxTensorName = 256           // bytes in a tensor's name
	MaxRank       = 8             // dimensions of a tensor
	MaxSize       = math.MaxInt32 // float32 values in a layout
)

const layoutDomain = "tutti/model/layout"

// TensorSpec names one tensor. An empty Shape is a scalar.
type TensorSpec struct {
	Name  string
	Shape []int
}

// Size is the number of values: the product of the shape.
func (t TensorSpec) Size() int {
	size := 1
	for _, dim := range t.Shape {
		size *= dim
	}
	return size
}

func (t TensorSpec) clone() TensorSpec {
	return TensorSpec{Name: t.Name, Shape: slices.Clone(t.Shape)}
}

// Layout says which tensor lies where in one flat float32 vector: the tensors
// follow each other in the order given, each row-major, without gaps.
// It is immutable; the zero Layout holds nothing.
type Layout struct {
	tensors []TensorSpec
	offsets []int // offsets[i] is where tensor i starts; one more at the end
	index   map[string]int
	digest  Digest
}

// NewLayout checks the tensors and places them. Names must be unique, printable
// ASCII and at most MaxTensorName long; every dimension must be positive.
func NewLayout(specs ...TensorSpec) (Layout, error) {
	if len(specs) == 0 || len(specs) > MaxTensors {
		return Layout{}, fmt.Errorf("layout: %d tensors, want 1 to %d", len(specs), MaxTensors)
	}
	l := Layout{
		tensors: make([]TensorSpec, len(specs)),
		offsets: make([]int, len(specs)+1),
		index:   make(map[string]int, len(specs)),
	}
	for i, spec := range specs {
		size, err := checkSpec(spec)
		if err != nil {
			return Layout{}, fmt.Errorf("layout: tensor %d: %w", i, err)
		}
		if _, twice := l.index[spec.Name]; twice {
			return Layout{}, fmt.Errorf("layout: tensor %q twice", spec.Name)
		}
		if size > MaxSize-l.offsets[i] {
			return Layout{}, fmt.Errorf("layout: more than %d values", MaxSize)
		}
		l.tensors[i] = spec.clone()
		l.index[spec.Name] = i
		l.offsets[i+1] = l.offsets[i] + size
	}
	l.digest = sha256.Sum256(l.canonical())
	return l, nil
}

func checkSpec(spec TensorSpec) (size int, err error) {
	if spec.Name == "" || len(spec.Name) > MaxTensorName {
		return 0, fmt.Errorf("name of %d bytes, want 1 to %d", len(spec.Name), MaxTensorName)
	}
	for _, c := range []byte(spec.Name) {
		if c <= ' ' || c > '~' {
			return 0, fmt.Errorf("name %q: only printable ASCII without spaces", spec.Name)
		}
	}
	if len(spec.Shape) > MaxRank {
		return 0, fmt.Errorf("%s: %d dimensions, at most %d", spec.Name, len(spec.Shape), MaxRank)
	}
	size = 1
	for _, dim := range spec.Shape {
		if dim <= 0 || dim > MaxSize/size {
			return 0, fmt.Errorf("%s: shape %v", spec.Name, spec.Shape)
		}
		size *= dim
	}
	return size, nil
}

// canonical is what Digest covers: count, then name, rank and dimensions of
// every tensor in order.
func (l Layout) canonical() []byte {
	b := appendHeader(nil, layoutDomain, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.tensors)))
	for _, t := range l.tensors {
		b = appendString(b, t.Name)
		b = binary.BigEndian.AppendUint32(b, uint32(len(t.Shape)))
		for _, dim := range t.Shape {
			b = binary.BigEndian.AppendUint64(b, uint64(dim))
		}
	}
	return b
}

// Size is the number of float32 values of all tensors together.
func (l Layout) Size() int {
	if len(l.offsets) == 0 {
		return 0
	}
	return l.offsets[len(l.offsets)-1]
}

// Tensors returns a copy of the tensors in their order.
func (l Layout) Tensors() []TensorSpec {
	out := make([]TensorSpec, len(l.tensors))
	for i, t := range l.tensors {
		out[i] = t.clone()
	}
	return out
}

// Tensor finds a tensor by name and says where it starts in the flat vector.
func (l Layout) Tensor(name string) (spec TensorSpec, offset int, ok bool) {
	i, ok := l.index[name]
	if !ok {
		return TensorSpec{}, 0, false
	}
	return l.tensors[i].clone(), l.offsets[i], true
}

// Digest is the SHA-256 of the layout's canonical bytes: two layouts are the
// same if and only if their digests are.
func (l Layout) Digest() Digest { return l.digest }
