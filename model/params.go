package model

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

const paramsDomain = "tutti/model/params"

// Params are the weights of a model: a Layout over one flat float32 vector.
// Copies of a Params share the vector; Clone does not.
type Params struct {
	layout Layout
	values []float32
}

// NewParams returns weights that are all zero.
func NewParams(layout Layout) Params {
	return Params{layout: layout, values: make([]float32, layout.Size())}
}

// ParamsOf returns weights with a copy of values, which must be as many as the
// layout has. Values that are not finite are refused.
func ParamsOf(layout Layout, values []float32) (Params, error) {
	if len(values) != layout.Size() {
		return Params{}, fmt.Errorf("params: %d values for a layout of %d", len(values), layout.Size())
	}
	if i := firstNotFinite(values); i >= 0 {
		return Params{}, fmt.Errorf("params: value %d is not finite", i)
	}
	return Params{layout: layout, values: slices.Clone(values)}, nil
}

// Layout says which tensor lies where.
func (p Params) Layout() Layout { return p.layout }

// Values is the flat vector itself, not a copy.
func (p Params) Values() []float32 { return p.values }

// View is the part of Values that holds the named tensor, nil if there is none.
func (p Params) View(name string) []float32 {
	i, ok := p.layout.index[name]
	if !ok {
		return nil
	}
	lo, hi := p.layout.offsets[i], p.layout.offsets[i+1]
	return p.values[lo:hi:hi]
}

// Clone copies the weights.
func (p Params) Clone() Params {
	return Params{layout: p.layout, values: slices.Clone(p.values)}
}

// Digest is the SHA-256 of a domain, the layout's digest and the IEEE 754 bits
// of every value, big-endian: equal for equal layout and equal bits.
func (p Params) Digest() Digest {
	h := sha256.New()
	head := appendHeader(nil, paramsDomain, 1)
	layout := p.layout.Digest()
	h.Write(append(head, layout[:]...))
	var buf [4096]byte
	for rest := p.values; len(rest) > 0; {
		n := min(len(rest), len(buf)/4)
		for i, v := range rest[:n] {
			binary.BigEndian.PutUint32(buf[4*i:], math.Float32bits(v))
		}
		h.Write(buf[:4*n])
		rest = rest[n:]
	}
	return Digest(h.Sum(nil))
}

// firstNotFinite returns the first index that holds NaN or an infinity, or -1.
func firstNotFinite(values []float32) int {
	const exponent = 0x7f800000
	for i, v := range values {
		if math.Float32bits(v)&exponent == exponent {
			return i
		}
	}
	return -1
}
