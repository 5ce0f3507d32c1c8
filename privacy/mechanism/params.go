package mechanism

import (
	"fmt"
	"math"
	"math/big"
)

// Limits that every Params obeys. They keep each product below in int64 and
// every allocation bounded.
const (
	MaxDim          = 1 << 24 // largest padded dimension
	MaxBlock        = 1 << 16 // largest Hadamard block
	MaxCohort       = 1 << 20 // largest NMax
	MaxSumLimit     = 1 << 36 // largest SumLimit: a decoded block stays exact in float64
	MaxInput        = 1 << 30 // largest InputBound: values are int32
	MinMeterPad     = 1 << 15 // least padding when noise is on, unless unmetered (noise meter)
	MinClipGrid     = 1 << 13 // least clip in grid units when noise is on
	MinSigma        = 4       // least share sigma in grid units: tau < 1e-60
	MaxSigma        = 1 << 16 // largest share sigma that the sampler serves
	MinSkellamSigma = 16      // the same for Skellam shares: their tails are heavier,
	MaxSkellamSigma = 2400    // and their table holds every value
	tailNum         = 133     // the share's tail is cut at 13.3 sigma
	tailDen         = 10
	maxClip         = 1e9
	minClip         = 1e-9
	maxClipGrid     = 1 << 28
)

// NoiseKind is the law of a device's noise share.
type NoiseKind uint8

// The kinds. The zero value is the default.
const (
	DiscreteGaussian NoiseKind = iota
	Skellam                    // closed under sums, but dearer: see Params.Rho and SECURITY.md
)

// String is the kind's name in plans, records and reports.
func (k NoiseKind) String() string {
	switch k {
	case DiscreteGaussian:
		return "discrete-gaussian"
	case Skellam:
		return "skellam"
	}
	return fmt.Sprintf("noise(%d)", uint8(k))
}

// Rational is a non-negative exact fraction in lowest terms (Den >= 1).
type Rational struct {
	Num, Den uint64
}

// Rat returns r as a new big.Rat; the zero Rational is 0.
func (r Rational) Rat() *big.Rat {
	if r.Den == 0 {
		return new(big.Rat)
	}
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(r.Num), new(big.Int).SetUint64(r.Den))
}

// String returns "num/den".
func (r Rational) String() string { return fmt.Sprintf("%d/%d", r.Num, r.Den) }

// Float64 returns the nearest float64.
func (r Rational) Float64() float64 {
	f, _ := r.Rat().Float64()
	return f
}

// Params are the public numbers of one vector kind in a signed plan: both
// ends of a Codec are built from them, a device and an auditor recheck them
// with Validate. Build them with Design; a value that was parsed or changed
// by hand means nothing until Validate accepted it.
type Params struct {
	Dim       int      // d: length of the update, >= 1
	PaddedDim int      // D: number of coordinates sent, a multiple of Block
	Block     int      // Hadamard block, a power of two, <= 2^16
	Clip      float64  // c: L2 clip in the update's own units
	ClipGrid  int64    // c*s: the clip in grid units, so the scale is ClipGrid/Clip
	Signs     [32]byte // public seed of the random signs

	L2Bound    int64    // B: L2 norm of the rounded vector, grid units
	Sigma2     Rational // variance of one device's noise share per coordinate, grid units squared
	InputBound int64    // M = B + ceil(13.3 sigma): largest absolute value sent
	Z          float64  // claimed noise multiplier of the honest sum relative to B, as a decimal

	NMin      int   // least number of devices in a sum that may be opened
	NMax      int   // largest number of devices in a sum
	Colluders int   // t_c: devices whose noise the claim does not count
	SumLimit  int64 // largest absolute value the aggregation can carry per coordinate

	Noise     bool      // false: privacy visibly off, Sigma2 = 0, no claim
	Kind      NoiseKind // law of the noise share
	Unmetered bool      // true: no padding is demanded and DecodeSum reads no noise meter; for small vectors beside a metered one
}

// Pad returns the number of coordinates that carry noise only.
func (p Params) Pad() int { return p.PaddedDim - p.Dim }

// Blocks returns the number of Hadamard blocks.
func (p Params) Blocks() int { return p.PaddedDim / p.Block }

// Scale returns s, grid units per unit of the update.
func (p Params) Scale() float64 { return float64(p.ClipGrid) / p.Clip }

// Sigma returns the standard deviation of one share in grid units.
func (p Params) Sigma() float64 { return math.Sqrt(p.Sigma2.Float64()) }

// Rho returns what one participation costs, in zCDP under zero-out
// adjacency: B^2 / (2 (n_min - t_c) sigma^2), exactly (arXiv 2102.06387,
// Theorem 1 with tau = 0, which MinSigma guarantees); for Skellam noise
// somewhat more, see skellamRho. It is nil when noise is off: there is no
// finite claim.
func (p Params) Rho() *big.Rat {
	honest := int64(p.NMin) - int64(p.Colluders)
	if !p.Noise || honest < 1 || p.Sigma2.Num == 0 {
		return nil
	}
	mu := new(big.Rat).Mul(p.Sigma2.Rat(), new(big.Rat).SetInt64(honest))
	if p.Kind == Skellam {
		return skellamRho(p.L2Bound, p.PaddedDim, mu)
	}
	square := new(big.Rat).SetInt64(p.L2Bound)
	square.Mul(square, square)
	return square.Quo(square, mu.Add(mu, mu))
}

// NoiseOnSum returns the standard deviation of the noise in each coordinate
// of a decoded sum of n devices, in the update's own units, rounding
// included.
func (p Params) NoiseOnSum(n int) float64 {
	return math.Sqrt(float64(n)*(p.Sigma2.Float64()+roundingVariance)) / p.Scale()
}
