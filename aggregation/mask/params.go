// Package mask hides vectors of small integers under RLWE samples so that masks, and only sums of them, can be removed
// (section 2 of the secure-aggregation design). Per block of N coordinates a device computes
//
//	v = a·s + e + Δ·m mod q        w = round(v·P/q) mod P
//
// with a public uniform a, a secret s that is one for all blocks, and fresh noise e. The sum of wires w decodes to the sum of
// the m once the sum of the s is known. NTT and Montgomery arithmetic are lattigo's; expander, sampler and codec are ours.
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
	ErrDimension = errors.New("mask: dimension")           // outside [1, MaxDim], or beyond the smoothing bound of rule 5
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
)

const (
	margin     = 13 // standard deviations between noise and decoding error
	minLogP    = 24 // keeps q far above the noise for tiny inputs
	extraLogQ  = 6  // log q - log P
	smoothBits = 128
)

// Profile chooses the ring degree.
type Profile uint8

const (
	Standard Profile = 1 // N = 2048, log q <= 53
	High     Profile = 2 // N = 4096, q of 60 bits
)

// logN and the largest log q at which the lattice estimate for sigma 6.5 stays above the profile's claim
// (section 5: 163 bits at 46, 148 at 50 for Standard; at least 240 for High).
func (p Profile) limits() (logN, maxLogQ int, err error) {
	switch p {
	case Standard:
		return 11, 53, nil
	case High:
		return 12, 60, nil
	}
	return 0, 0, fmt.Errorf("%w: profile %d is unknown", ErrModulus, p)
}

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
	LogT, LogP int    // sum domain and wire modulus
	Sigma      Sigma
	Dim        int   // coordinates of a vector
	Count      int   // most devices in one sum
	Bound      int64 // |x_j| of one device
}

// Choose applies the general rule of section 2: the smallest T = 2^k with Count·Bound <= T/2-1,
// log P = log T + ceil(log2(2·13·0.306·sqrt(Count))), q the largest prime below 2^(log P + 6) (2^60 for High) that is 1 mod 2N,
// sigma by rule 5.
func Choose(profile Profile, dim, count int, bound int64) (Literal, error) {
	l := Literal{Profile: profile, Dim: dim, Count: count, Bound: bound, Sigma: Sigma65}
	logN, maxLogQ, err := profile.limits()
	if err != nil {
		return Literal{}, err
	}
	if err := l.checkRanges(); err != nil {
		return Literal{}, err
	}
	if !l.Sigma.smooths(dim + 1<<logN) {
		l.Sigma = Sigma70
	}
	l.LogT = bits.Len64(uint64(count)*uint64(bound)) + 1
	wire := 2 * margin * math.Sqrt(float64(count)*(1.0/12+square(l.Sigma.Value()/(1<<extraLogQ))))
	l.LogP = max(minLogP, l.LogT+int(math.Ceil(math.Log2(wire))))
	logQ := l.LogP + extraLogQ
	if logQ > maxLogQ {
		return Literal{}, fmt.Errorf("%w: %d devices with |x| <= %d need log q = %d, this profile has %d",
			ErrOverflow, count, bound, logQ, maxLogQ)
	}
	if profile == High {
		logQ = maxLogQ
	}
	l.Q = largestPrime(logQ, 2<<logN)
	return l, nil
}

// largestPrime below 2^log that is 1 mod step; step is a power of two far below 2^log.
func largestPrime(log int, step uint64) uint64 {
	q := uint64(1)<<log - step + 1
	for !isPrime(q) {
		q -= step
	}
	return q
}

func isPrime(q uint64) bool { return new(big.Int).SetUint64(q).ProbablyPrime(20) }

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
	n       int
	ring    *ring.SubRing
	delta   uint64 // floor(q/T)
	switchM uint64 // floor(2^(64+log P) / q), for modSwitch
	decodeM uint64 // floor(2^64·q / (P·Δ)), for divideRound
}

// NewParams checks every rule of section 2 on its own, whoever chose the numbers.
func NewParams(l Literal) (*Params, error) {
	logN, maxLogQ, err := l.Profile.limits()
	if err != nil {
		return nil, err
	}
	if err := l.checkRanges(); err != nil {
		return nil, err
	}
	n := 1 << logN
	logQ := bits.Len64(l.Q)
	switch {
	case l.Sigma != Sigma65 && l.Sigma != Sigma70:
		return nil, fmt.Errorf("%w: sigma %v has no table", ErrDimension, l.Sigma.Value())
	case !l.Sigma.smooths(l.Dim + n):
		return nil, fmt.Errorf("%w: sigma %v does not smooth %d coordinates", ErrDimension, l.Sigma.Value(), l.Dim+n)
	case logQ > maxLogQ:
		return nil, fmt.Errorf("%w: %d bits at N = %d, at most %d are secure", ErrModulus, logQ, n, maxLogQ)
	case l.Q%uint64(2*n) != 1 || !isPrime(l.Q):
		return nil, fmt.Errorf("%w: %d is not a prime that is 1 mod %d", ErrModulus, l.Q, 2*n)
	case l.LogP < minLogP || l.LogP+extraLogQ > logQ || l.LogT < 2 || l.LogT >= l.LogP:
		return nil, fmt.Errorf("%w: need %d <= log P <= log q - %d and log T < log P, have P 2^%d, T 2^%d, q of %d bits",
			ErrModulus, minLogP, extraLogQ, l.LogP, l.LogT, logQ)
	case int64(l.Count)*l.Bound > 1<<(l.LogT-1)-1:
		return nil, fmt.Errorf("%w: %d devices with |x| <= %d exceed 2^%d - 1", ErrOverflow, l.Count, l.Bound, l.LogT-1)
	}
	p := &Params{literal: l, n: n, delta: l.Q >> l.LogT}
	if limit := p.limit(); limit < margin*math.Sqrt(p.noiseVariance(l.Count)) {
		return nil, fmt.Errorf("%w: errors from %.1f wire units on, noise of %d devices is %.1f", ErrMargin, limit, l.Count,
			math.Sqrt(p.noiseVariance(l.Count)))
	}
	r, err := ring.NewRing(n, []uint64{l.Q})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModulus, err)
	}
	p.ring = r.SubRings[0]
	p.switchM, _ = bits.Div64(1<<l.LogP, 0, l.Q)
	scaled := new(big.Int).Lsh(new(big.Int).SetUint64(l.Q), 64)
	p.decodeM = scaled.Div(scaled, new(big.Int).Lsh(new(big.Int).SetUint64(p.delta), uint(l.LogP))).Uint64()
	return p, nil
}

// limit is Δ·P/(2q), the wire error from which a coordinate decodes wrongly.
func (p *Params) limit() float64 {
	return float64(p.delta) * math.Ldexp(1, p.literal.LogP) / (2 * float64(p.literal.Q))
}

// noiseVariance is n(1/12 + (sigma·P/q)^2), in squared wire units.
func (p *Params) noiseVariance(n int) float64 {
	return float64(n) * (1.0/12 + square(p.literal.Sigma.Value()*math.Ldexp(1, p.literal.LogP)/float64(p.literal.Q)))
}

// Literal returns the open form.
func (p *Params) Literal() Literal { return p.literal }

// N is the ring degree: coordinates per block and coefficients of the key.
func (p *Params) N() int { return p.n }

// Blocks is ceil(Dim/N).
func (p *Params) Blocks() int { return (p.literal.Dim + p.n - 1) / p.n }

// WordBits is log2 P.
func (p *Params) WordBits() int { return p.literal.LogP }
