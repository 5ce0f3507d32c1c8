package mechanism

import (
	"fmt"
	"math"
)

// Decoded is an opened sum.
type Decoded struct {
	Values []float32 // length d: the sum, not the mean, of the clipped updates, with its noise
	Meter  NoiseMeter
}

// NoiseMeter compares the noise that arrived with the noise that was
// promised. The padding coordinates of the sum, rotated back, hold noise
// only. It finds faulty devices; an adversary can hide from it, so it is a
// diagnostic and never evidence inside the claim. All zero when noise is off or the vector is
// unmetered.
type NoiseMeter struct {
	PadCoords   int     // coordinates that carried noise only
	MeasuredVar float64 // mean square of those, grid units squared
	ExpectedVar float64 // n (sigma^2 + 1/6): shares and rounding
	ZScore      float64 // (measured - expected) / (expected sqrt(2/PadCoords))
}

// DecodeSum turns the coordinate-wise sum of n encoded vectors into the sum
// of the n clipped updates plus noise. n must be a cohort that the plan
// allows, and no coordinate may exceed n*InputBound. Everything before the
// last multiplication is exact integer arithmetic, and the result is the
// same on every machine, so that anyone can recompute it from the logged
// sum.
func (c *Codec) DecodeSum(sum []int64, n int) (Decoded, error) {
	p := c.params
	if len(sum) != p.PaddedDim {
		return Decoded{}, fmt.Errorf("%w: a sum of %d coordinates, want %d", ErrMismatch, len(sum), p.PaddedDim)
	}
	if n < p.NMin || n > p.NMax {
		return Decoded{}, fmt.Errorf("%w: a sum over %d devices, the plan allows %d to %d", ErrMismatch, n, p.NMin, p.NMax)
	}
	limit := int64(n) * p.InputBound
	for i, v := range sum {
		if v > limit || v < -limit {
			return Decoded{}, fmt.Errorf("%w: coordinate %d of the sum is %d, beyond %d", ErrMismatch, i, v, limit)
		}
	}
	decoded := Decoded{Values: make([]float32, p.Dim)}
	unit := 1 / (p.Scale() * math.Sqrt(float64(p.Block)))
	padSquare := 0.0
	for b := range p.Blocks() {
		for i, v := range sum[b*p.Block : (b+1)*p.Block] {
			c.block[i] = float64(v)
		}
		hadamard(c.block) // exact: below 2^36 * 2^16
		lo, hi := p.span(b)
		c.unsign(decoded.Values[lo:hi], b*p.Block, unit)
		for _, v := range c.block[hi-lo:] {
			padSquare += float64(v * v) // no fused multiply-add: same bits everywhere
		}
	}
	if p.Noise && !p.Unmetered {
		decoded.Meter = p.readMeter(padSquare/float64(p.Block), n)
	}
	return decoded, nil
}

// DecodeNoised is DecodeSum for a sum to which a trusted aggregator has added
// noise that may push a coordinate by reach grid units beyond what the
// devices' bounds allow. The devices add none: their Params have noise off,
// so that there is no meter to read.
func (c *Codec) DecodeNoised(sum []int64, n int, reach int64) (Decoded, error) {
	if n < 1 || reach < 0 || reach > MaxSumLimit {
		return Decoded{}, ErrMismatch
	}
	wide := *c // shares the buffers
	wide.params.InputBound = min(c.params.InputBound+(reach+int64(n)-1)/int64(n), MaxSumLimit/int64(n))
	return wide.DecodeSum(sum, n)
}

// unsign writes the data coordinates at the start of the block, which begins
// at padded coordinate first, into out.
func (c *Codec) unsign(out []float32, first int, unit float64) {
	for i := range out {
		v := c.block[i] * unit
		if at := first + i; c.signs[at>>3]>>(at&7)&1 == 1 {
			v = -v
		}
		out[i] = float32(v)
	}
}

// readMeter judges the sum of squares of the padding, grid units squared. A
// sum of n shares is Gaussian to within its discreteness, so the mean square
// has a relative standard deviation of sqrt(2/PadCoords). The rounding term
// assumes uniform fractions; with vectors near zero it is less, which moves
// the score by at most -sqrt(PadCoords/2)/(6 sigma^2).
func (p Params) readMeter(padSquare float64, n int) NoiseMeter {
	pad := float64(p.Pad())
	measured := padSquare / pad
	expected := float64(n) * (p.Sigma2.Float64() + roundingVariance)
	return NoiseMeter{
		PadCoords:   p.Pad(),
		MeasuredVar: measured,
		ExpectedVar: expected,
		ZScore:      (measured/expected - 1) * math.Sqrt(pad/2),
	}
}
