package rank

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Packed is the int8 table alone, a quarter of the bytes: for devices that
// should not keep the vectors. It ranks exactly by the quantised vectors s*c,
// which differ from the vectors by what int8 rounds away.
type Packed struct{ z *Int8 }

// Pack makes the int8 table of an index; it does not keep the index.
func Pack(x *Index) (*Packed, error) {
	if x == nil {
		return nil, errors.New("rank: no index to pack")
	}
	codes, scale := make([]int8, x.items*x.dim), make([]float32, x.items)
	for i := range x.items {
		scale[i], _ = encode(codes[i*x.dim:(i+1)*x.dim], x.row(i))
	}
	return newPacked(x.dim, codes, scale, slices.Clone(x.bias))
}

// newPacked lays rows in the order of the items out for the search.
func newPacked(dim int, codes []int8, scale, bias []float32) (*Packed, error) {
	x := &Index{dim: dim, items: len(scale), bias: bias}
	norms := make([]float64, x.items)
	for i := range norms {
		sum := 0.0
		for _, c := range codes[i*dim : (i+1)*dim] {
			sum += float64(c) * float64(c)
		}
		norms[i] = float64(scale[i]) * math.Sqrt(sum) * (1 + 1e-9)
		if !(scale[i] >= 0 && norms[i] <= limit) {
			return nil, fmt.Errorf("rank: the scale of item %d is %v", i, scale[i])
		}
	}
	if err := x.checkBias(); err != nil {
		return nil, err
	}
	x.spare.New = func() any { return &worker{} }
	z := &Int8{x: x, codes: make([]int8, len(codes)), scale: make([]float32, x.items), ids: byNorm(norms)}
	if bias != nil {
		z.bias = make([]float32, x.items)
	}
	for first := 0; first < x.items; first += blockRows {
		p := part{first: first, rows: min(blockRows, x.items-first), norm: norms[z.ids[first]], bias: math.Inf(-1)}
		for r := first; r < first+p.rows; r++ {
			item := int(z.ids[r])
			copy(z.codes[r*dim:(r+1)*dim], codes[item*dim:(item+1)*dim])
			z.scale[r] = scale[item]
			b := float32(0)
			if bias != nil {
				b = bias[item]
				z.bias[r] = b
			}
			p.bias = max(p.bias, float64(b))
		}
		z.parts = append(z.parts, p)
	}
	x.bias = nil // it stands in z
	return &Packed{z}, nil
}

// Items is the size of the catalogue.
func (p *Packed) Items() int { return p.z.x.items }

// Top is described at Searcher.
func (p *Packed) Top(query []float32, k int, exclude func(item int32) bool) ([]Ranked, error) {
	return one(p.z, query, k, exclude)
}

// Batch is Top for several queries; see Index.Batch.
func (p *Packed) Batch(queries []float32, k int, exclude func(query int, item int32) bool) ([][]Ranked, error) {
	return search(p.z, queries, k, exclude)
}

// packedMark begins what MarshalBinary writes: a name and a version.
const packedMark = "tutti/int8\x00\x01"

// headBytes: mark, number of items, length of a vector, 1 if there are biases.
const headBytes = len(packedMark) + 4 + 4 + 1

// MarshalBinary writes the table: the mark, items and vector length (4 bytes
// each, big-endian as all that follows), 1 or 0 for biases or none, the codes of
// item 0, 1, ..., the scales, the biases.
func (p *Packed) MarshalBinary() ([]byte, error) {
	z := p.z
	n, dim := z.x.items, z.x.dim
	row := make([]int, n) // of each item
	for r, item := range z.ids {
		row[item] = r
	}
	b := make([]byte, 0, headBytes+n*(dim+8))
	b = append(b, packedMark...)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = binary.BigEndian.AppendUint32(b, uint32(dim))
	if z.bias != nil {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for _, r := range row {
		for _, c := range z.codes[r*dim : (r+1)*dim] {
			b = append(b, byte(c))
		}
	}
	for _, r := range row {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(z.scale[r]))
	}
	if z.bias != nil {
		for _, r := range row {
			b = binary.BigEndian.AppendUint32(b, math.Float32bits(z.bias[r]))
		}
	}
	return b, nil
}

// ParsePacked reads what MarshalBinary wrote. It allocates no more than a few
// times the length of data.
func ParsePacked(data []byte) (*Packed, error) {
	if len(data) < headBytes || string(data[:len(packedMark)]) != packedMark {
		return nil, errors.New("rank: not an int8 table of version 1")
	}
	head, body := data[len(packedMark):headBytes], data[headBytes:]
	n, dim, biased := uint64(binary.BigEndian.Uint32(head)), uint64(binary.BigEndian.Uint32(head[4:])), head[8]
	if n < 1 || n > math.MaxInt32 || dim < 1 || dim > maxDim || biased > 1 {
		return nil, fmt.Errorf("rank: an int8 table of %d items of %d numbers", n, dim)
	}
	if want := n * (dim + 4 + 4*uint64(biased)); uint64(len(body)) != want {
		return nil, fmt.Errorf("rank: an int8 table of %d bytes, %d expected", len(body), want)
	}
	codes := make([]int8, n*dim)
	for i := range codes {
		if codes[i] = int8(body[i]); codes[i] == -128 {
			return nil, errors.New("rank: an int8 table holds -128")
		}
	}
	body = body[len(codes):]
	read := func() []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = math.Float32frombits(binary.BigEndian.Uint32(body[4*i:]))
		}
		body = body[4*n:]
		return v
	}
	scale := read()
	var bias []float32
	if biased == 1 {
		bias = read()
	}
	return newPacked(int(dim), codes, scale, bias)
}
