package mask

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
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
	s := make([]uint64, p.n)
	reduced := make([]int64, p.n)
	for i, c := range key {
		reduced[i] = c % int64(p.literal.Q)
	}
	p.toNTT(s, reduced)
	expand := newExpander(p, public)
	block := make([]uint64, p.n)
	out := make([]int64, len(sums))
	residual := 0.0
	for at := 0; at < len(sums); at += p.n {
		expand.next(block)
		p.ring.MulCoeffsMontgomery(block, s, block)
		p.ring.INTT(block, block)
		k := min(p.n, len(sums)-at)
		residual += p.decode(out[at:at+k], sums[at:at+k], block[:k])
	}
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

// decode fills out with M and returns the sum of squared residuals (u - M·Δ·P/q), in wire units.
func (p *Params) decode(out []int64, sums, as []uint64) float64 {
	shift := 64 - p.literal.LogP
	step := 1 / float64(p.literal.Q)
	squares := 0.0
	for i := range out {
		u := int64((sums[i]-p.modSwitch(as[i]))<<shift) >> shift
		sign := u >> 63
		m, rest := p.divideRound(uint64((u ^ sign) - sign))
		out[i] = (int64(m) ^ sign) - sign
		r := rest * step
		squares += r * r
	}
	return squares
}

// divideRound returns round(u·q/(P·Δ)), half up, and the signed remainder u·q - result·P·Δ, for 0 <= u <= P/2.
func (p *Params) divideRound(u uint64) (uint64, float64) {
	hi, lo := bits.Mul64(u, p.literal.Q)
	dhi, dlo := p.delta>>(64-p.literal.LogP), p.delta<<p.literal.LogP
	m, _ := bits.Mul64(u, p.decodeM) // the quotient or one or two below
	mh, ml := bits.Mul64(m, dlo)
	mh += m * dhi
	lo, borrow := bits.Sub64(lo, ml, 0)
	hi, _ = bits.Sub64(hi, mh, borrow)
	for hi > dhi || hi == dhi && lo >= dlo {
		lo, borrow = bits.Sub64(lo, dlo, 0)
		hi, _ = bits.Sub64(hi, dhi, borrow)
		m++
	}
	rest := float64(hi)*0x1p64 + float64(lo)
	twice, carry := bits.Add64(lo, lo, 0)
	twiceHi := hi<<1 + carry
	if twiceHi > dhi || twiceHi == dhi && twice >= dlo {
		return m + 1, rest - (float64(dhi)*0x1p64 + float64(dlo))
	}
	return m, rest
}

// residualLimit bounds the sum of d squared residuals: each is sub-Gaussian with the variance of n masks plus the rounding of
// A·S, so by Laurent and Massart (2000, Lemma 1) the sum exceeds v(d + 2·sqrt(d·x) + 2x) with probability below e^-x; x = 45.
// A coordinate without its mask leaves limit²/3, at least 56 times v.
func (p *Params) residualLimit(n, d int) float64 {
	const x = 45
	v := p.noiseVariance(n) + 1.0/12
	return v * (float64(d) + 2*math.Sqrt(float64(d)*x) + 2*x)
}
