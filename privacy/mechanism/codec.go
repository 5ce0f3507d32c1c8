package mechanism

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
)

// roundingVariance is the mean variance of a stochastic rounding whose
// fractional part is uniform: the mean of f(1-f). It is 0 for a vector of
// zeros and at most 1/4.
const roundingVariance = 1.0 / 6

// scratchBytes of key stream are drawn at a time.
const scratchBytes = 8 << 10

// maxRoundings bounds the redraws of the conditional rounding. One draw
// succeeds with probability at least 1 - beta = 1 - exp(-1/2) = 0.39, by the
// choice of the bound, so 128 fail with a probability below 2^-91.
const maxRoundings = 128

// ErrMismatch is returned where a vector does not fit the codec's Params:
// another length, another clip.
var ErrMismatch = errors.New("mechanism: the vector does not fit the plan's parameters")

// Codec is the mechanism of one Params, with both of its ends. Its tables
// cost about a millisecond (Skellam's up to some tens) and are never written again; its buffers are
// reused, so a Codec serves many devices but one call at a time.
type Codec struct {
	params  Params
	signs   []byte    // public, one bit per padded coordinate, 1 means minus
	noise   sampler   // nil when noise is off
	block   []float64 // one block, in the clear
	values  []int32   // D, the vector being encoded
	scratch []byte    // key stream
	serial  uint64    // counts Encodes, so that a stale Encoded is noticed
}

// NewCodec validates p and builds its tables and buffers: 4 bytes per padded
// coordinate and 8 per coordinate of one block.
func NewCodec(p Params) (*Codec, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	c := &Codec{
		params:  p,
		signs:   expandSigns(p.Signs, p.PaddedDim),
		block:   make([]float64, p.Block),
		values:  make([]int32, p.PaddedDim),
		scratch: make([]byte, scratchBytes),
	}
	if p.Noise {
		noise, err := newSampler(p.Kind, p.Sigma2.Rat())
		if err != nil {
			return nil, err
		}
		c.noise = noise
	}
	return c, nil
}

// sampler adds one fresh noise sample to each y, taking randomness from s
// through scratch.
type sampler interface {
	addTo(y []int32, s keystream, scratch []byte)
}

func newSampler(kind NoiseKind, sigma2 *big.Rat) (sampler, error) {
	if kind == Skellam {
		return newSkellam(sigma2)
	}
	return newGaussian(sigma2)
}

// Params returns the parameters that the codec was built from.
func (c *Codec) Params() Params { return c.params }

// span returns which of the d data coordinates block b holds, at its start;
// the rest of the block is padding. The data are spread evenly.
func (p Params) span(b int) (lo, hi int) {
	share, extra := p.Dim/p.Blocks(), p.Dim%p.Blocks()
	lo = b*share + min(b, extra)
	hi = lo + share
	if b < extra {
		hi++
	}
	return lo, hi
}

// Encode turns a clipped update into what the device may send: D integers of
// absolute value at most InputBound, whose part before noise has an L2 norm
// of at most L2Bound, with the device's discrete Gaussian share in every
// coordinate (design 2.2, steps 2 to 5). rand yields 48 bytes that key an
// AES-256-CTR stream for the rounding and the noise.
//
// It allocates nothing that grows with D: the Encoded lives in the codec and
// is valid until the next Encode.
func (c *Codec) Encode(x Clipped, rand io.Reader) (Encoded, error) {
	p := c.params
	switch {
	case x.Len() != p.Dim:
		return Encoded{}, fmt.Errorf("%w: %d coordinates, want %d", ErrMismatch, x.Len(), p.Dim)
	case x.data.clip != p.Clip:
		return Encoded{}, fmt.Errorf("%w: clipped to %g, want %g", ErrMismatch, x.data.clip, p.Clip)
	}
	c.serial++
	s, err := newStream(rand)
	if err != nil {
		return Encoded{}, err
	}
	defer c.wipe()
	if err := c.round(x.data.values, s); err != nil {
		clear(c.values)
		return Encoded{}, err
	}
	if c.noise != nil {
		c.noise.addTo(c.values, s, c.scratch)
	}
	return Encoded{codec: c, serial: c.serial}, nil
}

// wipe erases what is left of the update and of the randomness.
func (c *Codec) wipe() {
	clear(c.block)
	clear(c.scratch)
}

// round rotates, scales and rounds x into c.values, again until the integer
// norm is within L2Bound.
func (c *Codec) round(x []float32, s keystream) error {
	bound := uint64(c.params.L2Bound) * uint64(c.params.L2Bound) // < 2^60
	for range maxRoundings {
		square := uint64(0) // at most (2^28 + sqrt(D) + 1)^2 < 2^57
		for b := range c.params.Blocks() {
			c.rotate(x, b)
			square += c.roundBlock(c.values[b*c.params.Block:(b+1)*c.params.Block], s)
		}
		if square <= bound {
			return nil
		}
	}
	return fmt.Errorf("mechanism: %d roundings in a row exceeded the norm bound", maxRoundings)
}

// rotate loads block b of x with its signs and transforms it.
func (c *Codec) rotate(x []float32, b int) {
	lo, hi := c.params.span(b)
	first := b * c.params.Block
	data := c.block[:hi-lo]
	for i, v := range x[lo:hi] {
		at := first + i
		minus := uint64(c.signs[at>>3]>>(at&7)) & 1
		data[i] = math.Float64frombits(math.Float64bits(float64(v)) ^ minus<<63)
	}
	clear(c.block[hi-lo:])
	hadamard(c.block)
}

// roundBlock scales the transformed block into grid units and rounds it at
// random to one of the two neighbouring integers, without bias up to 2^-32:
// floor(v + u) with u uniform in [0, 1), in fixed point. It returns the sum
// of squares.
func (c *Codec) roundBlock(y []int32, s keystream) uint64 {
	const one = 1 << 32
	// |v| <= ClipGrid <= 2^28, so the fixed-point value stays below 2^61
	scale := c.params.Scale() / math.Sqrt(float64(c.params.Block)) * one
	square := uint64(0)
	for first := 0; first < len(y); first += scratchBytes / 4 {
		part := y[first:min(first+scratchBytes/4, len(y))]
		values := c.block[first : first+len(part)]
		random := c.scratch[:4*len(part)]
		s.fill(random)
		for i, v := range values {
			u := int64(binary.LittleEndian.Uint32(random[4*i:]))
			rounded := (int64(v*scale) + u) >> 32
			part[i] = int32(rounded)
			square += uint64(rounded * rounded)
		}
	}
	return square
}

// Encoded is a noised vector of integers, ready for the secure sum. Only
// Encode makes one that is not empty. It redacts itself.
type Encoded struct {
	codec  *Codec
	serial uint64
}

// Values returns the D coordinates, each in [-Bound, Bound]. The slice
// belongs to the codec and must not be written. It panics when the codec has
// encoded again since: what it holds now is another device's vector.
func (e Encoded) Values() []int32 {
	if e.codec == nil {
		return nil
	}
	if e.serial != e.codec.serial {
		panic("mechanism: an Encoded outlived the next Encode of its Codec")
	}
	return e.codec.values
}

// Bound returns the public bound M on the absolute values; 0 when empty.
func (e Encoded) Bound() int64 {
	if e.codec == nil {
		return 0
	}
	return e.codec.params.InputBound
}

// Erase overwrites the vector with zeros, once it has been sealed. It does
// nothing to a codec that has encoded again since.
func (e Encoded) Erase() {
	if e.codec != nil && e.serial == e.codec.serial {
		clear(e.codec.values)
	}
}
