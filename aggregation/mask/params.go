// Package mask hides vectors of small integers under RLWE samples so that masks, and only sums of them, can be removed
// (section 2 of the secure-aggregation design). Per block of N coordinates a device computes
//
//	v = a·s + e + Δ·m mod q        w = round(v·P/q) mod P
//
// with a public uniform a, a secret s that is one for all blocks, and fresh noise e. The sum of wires w decodes to the sum of
// the m once the sum of the s is known. Profile Paired puts two coordinates into every m and sends w in two halves. NTT and Montgomery
// arithmetic are lattigo's; expander, sampler and codec are ours.
//
// Params.Security gives the estimate that a parameter set rests on; the table behind it is recomputed by a test.
package mask

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"

	"github.com/tuneinsight/lattigo/v5/ring"
)

// Errors of Choose and NewParams, before any key is made.
var (
	ErrDimension = errors.New("mask: dimension")           // outside [1, MaxDim], beyond the smoothing bound of rule 5, or odd for Paired
	ErrOverflow  = errors.New("mask: sum domain overflow") // Count·Bound > T/2-1, or no T is large enough
	ErrModulus   = errors.New("mask: modulus")             // not prime, not NTT-friendly, or beyond the security table
	ErrMargin    = errors.New("mask: decoding margin")     // fewer than 13 standard deviations
	ErrCount     = errors.New("mask: number of devices")   // outside [1, MaxCount]
)

// Limits of any parameter set.
const (
	MaxDim   = 1 << 26   // coordinates
	MaxCount = 1 << 20   // devices in one sum
	MaxBound = 1<<31 - 1 // |x_j| of one device
	MaxLogT  = 45        // of a sum domain with one coordinate in a coefficient: decoding is exact up to there; Choose takes no more
)

const (
	margin     = 13 // standard deviations between noise and decoding error
	minLogP    = 24 // of a coordinate; keeps q far above the noise for tiny inputs
	extraLogQ  = 6  // log q - log P
	smoothBits = 128
)

// Sigma is the standard deviation of secret and noise, in halves.
type Sigma uint8

const (
	Sigma65 Sigma = 13 // 6.5, up to D+N of about 2.76 million
	Sigma70 Sigma = 14 // 7.0 beyond
)

// Value is sigma as a number.
func (s Sigma) Value() float64 { return float64(s) / 2 }

// Tail is ceil(13.3 sigma), above every |value| that the sampler gives.
func (s Sigma) Tail() int { return int(math.Ceil(13.3 * s.Value())) }

// smooths reports rule 5: sigma/2 >= sqrt(2)·eta_{2^-128}(Z^m), with eta in units of standard deviation,
// eta^2 = ln(2m(1+2^128)) / (2 pi^2).
func (s Sigma) smooths(m int) bool {
	have := s.Value() / 2 * math.Pi
	return have*have >= math.Log(2*float64(m))+smoothBits*math.Ln2
}

// Literal is the open form of Params.
type Literal struct {
	Profile    Profile
	Q          uint64 // prime, 1 mod 2N
	Q2         uint64 // second prime, for Paired: q = Q·Q2; 0 otherwise
	LogT, LogP int    // sum domain of one coordinate, wire modulus of one coefficient
	Sigma      Sigma
	Dim        int   // coordinates of a vector
	Count      int   // most devices in one sum
	Bound      int64 // |x_j| of one device
}

// Choose applies the general rule of section 2: the smallest T = 2^k with Count·Bound <= T/2-1,
// log P = log T + ceil(log2(2·13·0.306·sqrt(Count))), q the largest prime below 2^(log P + 6) (2^60 for High) that is 1 mod 2N,
// sigma by rule 5. Where q is so far below its power of two that the margin fails by a hair, P is the next one that has it. Paired counts
// log T twice, makes log P even, and q the product of the two largest primes below its root.
func Choose(profile Profile, dim, count int, bound int64) (Literal, error) {
	l := Literal{Profile: profile, Dim: dim, Count: count, Bound: bound, Sigma: Sigma65}
	shape, err := profile.shape()
	if err != nil {
		return Literal{}, err
	}
	if err := l.checkRanges(); err != nil {
		return Literal{}, err
	}
	if !l.Sigma.smooths(dim + 1<<shape.logN) {
		l.Sigma = Sigma70
	}
	l.LogT = bits.Len64(uint64(count)*uint64(bound)) + 1
	wire := 2 * margin * math.Sqrt(float64(count)*(1.0/12+square(l.Sigma.Value()/(1<<extraLogQ))))
	l.LogP = max(minLogP*shape.perCoefficient, shape.perCoefficient*l.LogT+int(math.Ceil(math.Log2(wire))))
	l.LogP += l.LogP % shape.perCoefficient
	for ; l.LogP+extraLogQ <= shape.maxLogQ; l.LogP += shape.perCoefficient {
		logQ := l.LogP + extraLogQ
		if profile == High {
			logQ = shape.maxLogQ
		}
		l.Q, l.Q2 = ladder(profile, logQ).primes()
		if l.checkMargin(shape) == nil {
			return l, l.checkPair(shape)
		}
	}
	return Literal{}, fmt.Errorf("%w: %d devices with |x| <= %d need log q = %d, this profile has %d",
		ErrOverflow, count, bound, l.LogP+extraLogQ, shape.maxLogQ)
}

func square(x float64) float64 { return x * x }

func (l *Literal) checkRanges() error {
	switch {
	case l.Dim < 1 || l.Dim > MaxDim:
		return fmt.Errorf("%w: %d coordinates, 1 to %d allowed", ErrDimension, l.Dim, MaxDim)
	case l.Count < 1 || l.Count > MaxCount:
		return fmt.Errorf("%w: %d, 1 to %d allowed", ErrCount, l.Count, MaxCount)
	case l.Bound < 1 || l.Bound > MaxBound:
		return fmt.Errorf("%w: input bound %d, 1 to %d allowed", ErrOverflow, l.Bound, MaxBound)
	}
	return nil
}

// Params are checked and immutable; they may be shared between goroutines.
type Params struct {
	literal Literal
	shape   shape
	n       int
	ring    *ring.SubRing
	delta   uint64  // floor(q/T), floor(q/T²) for Paired
	q       float64 // q as a number
	pair    *pairing
	switchM uint64  // floor(2^(64+log P) / q), for modSwitch
	scale   float64 // q/(P·Δ), coordinates per wire unit, for decode
}

// NewParams checks every rule of section 2 on its own, whoever chose the numbers.
func NewParams(l Literal) (*Params, error) {
	shape, err := l.Profile.shape()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.checkRanges(), l.checkPair(shape)); err != nil {
		return nil, err
	}
	n := 1 << shape.logN
	_, logQ := l.modulus()
	switch {
	case l.Sigma != Sigma65 && l.Sigma != Sigma70:
		return nil, fmt.Errorf("%w: sigma %v has no table", ErrDimension, l.Sigma.Value())
	case !l.Sigma.smooths(l.Dim + n):
		return nil, fmt.Errorf("%w: sigma %v does not smooth %d coordinates", ErrDimension, l.Sigma.Value(), l.Dim+n)
	case logQ > shape.maxLogQ:
		return nil, fmt.Errorf("%w: %d bits at N = %d, at most %d are secure", ErrModulus, logQ, n, shape.maxLogQ)
	case l.LogP < minLogP*shape.perCoefficient || l.LogP+extraLogQ > logQ || l.LogT < 2 || shape.perCoefficient*l.LogT >= l.LogP:
		return nil, fmt.Errorf("%w: need %d <= log P <= log q - %d and log T < log P, have P 2^%d, T 2^%d, q of %d bits",
			ErrModulus, minLogP*shape.perCoefficient, extraLogQ, l.LogP, l.LogT, logQ)
	case int64(l.Count)*l.Bound > 1<<(l.LogT-1)-1:
		return nil, fmt.Errorf("%w: %d devices with |x| <= %d exceed 2^%d - 1", ErrOverflow, l.Count, l.Bound, l.LogT-1)
	}
	if err := l.checkMargin(shape); err != nil {
		return nil, err
	}
	p := &Params{literal: l, shape: shape, n: n}
	p.q, p.delta, p.scale = l.scales(shape)
	rings, err := l.rings(logQ)
	if err != nil {
		return nil, err
	}
	p.ring = rings[0]
	if shape.perCoefficient == 2 {
		p.pair = newPairing(l, p.delta, rings)
	} else {
		p.switchM, _ = bits.Div64(1<<l.LogP, 0, l.Q)
	}
	return p, nil
}

// modulus is q and its length.
func (l *Literal) modulus() (q *big.Int, logQ int) {
	q = new(big.Int).SetUint64(l.Q)
	if l.Profile == Paired {
		q.Mul(q, new(big.Int).SetUint64(l.Q2))
	}
	return q, q.BitLen()
}

// scales are q as a number, Δ, and q/(P·Δ), the coordinates in a wire unit.
func (l *Literal) scales(s shape) (q float64, delta uint64, scale float64) {
	exact, _ := l.modulus()
	q, _ = new(big.Float).SetInt(exact).Float64()
	delta = new(big.Int).Rsh(exact, uint(s.perCoefficient*l.LogT)).Uint64()
	return q, delta, q / (math.Ldexp(1, l.LogP) * float64(delta))
}

// checkMargin compares Δ·P/(2q), the wire error from which a coordinate decodes wrongly, with the noise of Count devices.
func (l *Literal) checkMargin(s shape) error {
	q, _, scale := l.scales(s)
	limit, noise := 1/(2*scale), math.Sqrt(l.noiseVariance(q, l.Count))
	if limit < margin*noise {
		return fmt.Errorf("%w: errors from %.1f wire units on, noise of %d devices is %.1f", ErrMargin, limit, l.Count, noise)
	}
	return nil
}

// noiseVariance is n(1/12 + (sigma·P/q)^2), in squared wire units.
func (l *Literal) noiseVariance(q float64, n int) float64 {
	return float64(n) * (1.0/12 + square(l.Sigma.Value()*math.Ldexp(1, l.LogP)/q))
}

// Literal returns the open form.
func (p *Params) Literal() Literal { return p.literal }

// N is the ring degree: coefficients of a block and of the key.
func (p *Params) N() int { return p.n }

// coordinates of one block.
func (p *Params) blockDim() int { return p.n * p.shape.perCoefficient }

// Blocks is the number of polynomials of a vector.
func (p *Params) Blocks() int { return (p.literal.Dim + p.blockDim() - 1) / p.blockDim() }

// WordBits is the width of one coordinate on the wire: log2 P, half of it for Paired.
func (p *Params) WordBits() int { return p.literal.LogP / p.shape.perCoefficient }

// Security is the classical estimate in bits after the hybrid argument over Count devices (section 5).
func (p *Params) Security() float64 {
	_, logQ := p.literal.modulus()
	return estimate(p.shape.logN, logQ) - math.Log2(float64(p.literal.Count))
}
