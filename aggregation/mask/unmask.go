package mask

import (
	"errors"
	"fmt"
	"math"
	"math/big"
)

// ErrGarbled reports sums that do not decode to a sum of in-range vectors: the key sum is not that of the vectors,
// or one of the vectors was never masked as it should. There is no result then.
var ErrGarbled = errors.New("mask: garbled sum")

// Unmask removes the mask of n devices whose keys sum to key (N coefficients) from the Dim sums of their wires:
//
//	u = Σw - round((A·S mod q)·P/q)  centred        M = round(u·q/(P·Δ))
//
// It refuses (ErrGarbled) keys beyond n·Tail, results beyond n·Bound, and a residual noise that n honest masks do not
// leave: false-rejection probability below 2^-60 for the last, 0 for the others.
func (p *Params) Unmask(public [32]byte, key []int64, sums []uint64, n int) ([]int64, error) {
	if len(key) != p.n || len(sums) != p.literal.Dim || n < 1 || n > p.literal.Count {
		return nil, fmt.Errorf("%w: %d key words, %d sums, %d devices", ErrDimension, len(key), len(sums), n)
	}
	for _, c := range key {
		if limit := int64(n) * int64(p.literal.Sigma.Tail()); c > limit || c < -limit {
			return nil, fmt.Errorf("%w: a key word beyond %d devices", ErrGarbled, n)
		}
	}
	out, residual := p.decodeAll(public, key, sums)
	if residual > p.residualLimit(n, len(sums)) {
		return nil, fmt.Errorf("%w: residual noise is not that of %d masks", ErrGarbled, n)
	}
	for _, v := range out {
		if limit := int64(n) * p.literal.Bound; v > limit || v < -limit {
			return nil, fmt.Errorf("%w: a coordinate beyond %d devices", ErrGarbled, n)
		}
	}
	return out, nil
}

// UnmaskProven is Unmask for vectors each of which proved that it is a mask under the shared key and how large what it masks is
// (package validity). Nothing else is known of such a vector: its key may be any one mod q, and what it masks any numbers within its norm, not
// only multiples of Δ. No such vector makes the sum unreadable, as it could with Unmask: it adds the rounded x/Δ. Profiles of one prime only.
func (p *Params) UnmaskProven(public [32]byte, key []int64, sums []uint64) ([]int64, error) {
	if err := p.checkOnePrime(); err != nil {
		return nil, err
	}
	if len(key) != p.n || len(sums) != p.literal.Dim {
		return nil, fmt.Errorf("%w: %d key words, %d sums", ErrDimension, len(key), len(sums))
	}
	for _, c := range key {
		if q := int64(p.literal.Q); c > q/2 || c < -q/2 {
			return nil, fmt.Errorf("%w: a key word beyond q/2", ErrGarbled)
		}
	}
	out, _ := p.decodeAll(public, key, sums)
	return out, nil
}

// decodeAll removes the mask under key and decodes; it also returns the sum of squared residuals.
func (p *Params) decodeAll(public [32]byte, key []int64, sums []uint64) (out []int64, residual float64) {
	s := make([]uint64, p.blockDim())
	p.toNTT(s, key)
	expand := newExpander(p, public)
	block := make([]uint64, p.blockDim())
	out = make([]int64, len(sums))
	for at := 0; at < len(sums); at += len(block) {
		p.maskOf(block, expand, s)
		k := min(len(block), len(sums)-at)
		if p.pair != nil {
			residual += p.pair.decode(out[at:at+k], sums[at:at+k], block)
		} else {
			residual += p.decode(out[at:at+k], sums[at:at+k], block[:k])
		}
	}
	return out, residual
}

// decode fills out with M and returns the sum of squared residuals (u - M·Δ·P/q), in wire units.
//
// |u| <= 2^53, and no quotient u·q/(P·Δ) exceeds T/2 by more than a unit, which is 2^44 at most: floating point, four roundings,
// gives it within 2^-7, whatever the sums are. The nearest integer is the right one unless the fraction is within nearHalf of a half;
// then integers decide.
func (p *Params) decode(out []int64, sums, as []uint64) float64 {
	shift := 64 - p.literal.LogP
	squares, scale := 0.0, p.scale
	sums, as = sums[:len(out)], as[:len(out)]
	for i := range out {
		u := int64((sums[i]-p.modSwitch(as[i]))<<(shift&63)) >> (shift & 63)
		quotient := float64(float64(u) * scale)
		m := quotient + rounder - rounder
		rest := quotient - m
		square := rest * rest
		out[i] = int64(m)
		if square > (0.5-nearHalf)*(0.5-nearHalf) {
			out[i], rest = p.divide(u)
			square = rest * rest
		}
		squares += square
	}
	return squares / (scale * scale)
}

const (
	nearHalf = 1.0 / 64
	rounder  = 3 << 51 // adding and subtracting it rounds |x| < 2^51 to an integer
)

// divide gives round(u·q/(P·Δ)), halves away from zero, and the rest, in integers.
func (p *Params) divide(u int64) (int64, float64) {
	a, b := big.NewInt(u), new(big.Int).SetUint64(p.literal.Q)
	a.Mul(a, b)
	d := b.Lsh(b.SetUint64(p.delta), uint(p.literal.LogP))
	m, rest := new(big.Int).QuoRem(a, d, new(big.Int))
	if twice := new(big.Int).Lsh(rest, 1); twice.CmpAbs(d) >= 0 {
		sign := big.NewInt(int64(u>>63 | 1))
		m.Add(m, sign)
		rest.Sub(rest, sign.Mul(sign, d))
	}
	r, _ := new(big.Rat).SetFrac(rest, d).Float64()
	return m.Int64(), r
}

// residualLimit bounds the sum of squared residuals of d coordinates: each is sub-Gaussian with the variance of n masks plus the rounding of
// A·S, so by Laurent and Massart (2000, Lemma 1) the sum exceeds v(d + 2·sqrt(d·x) + 2x) with probability below e^-x; x = 45.
// A coordinate without its mask leaves limit²/3, at least 56 times v.
func (p *Params) residualLimit(n, d int) float64 {
	const x = 45
	v := p.literal.noiseVariance(p.q, n) + 1.0/12
	f := float64((d + p.shape.perCoefficient - 1) / p.shape.perCoefficient) // coefficients
	return v * (f + 2*math.Sqrt(f*x) + 2*x)
}
