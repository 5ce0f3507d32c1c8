package mechanism

import (
	"io"
	"math/big"
)

const roundingVariance = 1.0 / 6

// Literal is the open form of Params: what a planner wishes for.
type Literal struct {
	Dim       int      // d
	Clip      float64  // c
	NMin      int      // least devices in an opened sum
	NMax      int      // most devices in a sum
	Colluders int      // t_c
	Z         float64  // noise multiplier relative to B; or
	Rho       *big.Rat // zCDP per participation; exactly one of Z and Rho when Noise
	SumLimit  int64    // largest |sum| of the aggregation; 0 means 2^29 - 1
	Pad       int      // least padding; 0 means MinMeterPad when Noise, else 0
	Signs     [32]byte // public seed of the rotation
	Noise     bool     // false: privacy visibly off
}

// Design chooses block, scale, bound and noise for l.
func Design(l Literal) (Params, error) { panic("not yet") }

// Validate rechecks every formula in exact integer arithmetic.
func (p Params) Validate() error { panic("not yet") }

// AppendCanonical appends the canonical bytes of p to b.
func (p Params) AppendCanonical(b []byte) []byte { panic("not yet") }

// ParseParams reads canonical bytes; the caller still calls Validate.
func ParseParams(b []byte) (Params, error) { panic("not yet") }

// Codec is both ends of the mechanism for one Params. Not for concurrent use.
type Codec struct{ params Params }

// NewCodec validates p and builds its tables.
func NewCodec(p Params) (*Codec, error) { panic("not yet") }

// Encode rounds, rotates and noises x. The Encoded is valid until the next Encode.
func (c *Codec) Encode(x Clipped, rand io.Reader) (Encoded, error) { panic("not yet") }

// DecodeSum turns the sum of n encoded vectors into the sum of n clipped updates.
func (c *Codec) DecodeSum(sum []int64, n int) (Decoded, error) { panic("not yet") }

// Encoded is a noised integer vector, ready to be masked.
type Encoded struct{ values []int32 }

// Values returns the D coordinates, each in [-Bound, Bound].
func (e Encoded) Values() []int32 { return e.values }

// Bound returns the public bound M.
func (e Encoded) Bound() int64 { panic("not yet") }

// Decoded is an opened sum.
type Decoded struct {
	Values []float32 // length d: the sum (not the mean) of the clipped updates, with noise
	Meter  NoiseMeter
}

// NoiseMeter compares the noise that arrived with the noise that was promised.
type NoiseMeter struct {
	PadCoords   int     // coordinates that carried noise only; 0 when noise is off
	MeasuredVar float64 // grid units squared, per coordinate of the sum
	ExpectedVar float64 // n (sigma^2 + rounding)
	ZScore      float64 // (measured - expected) in standard deviations
}
