package mechanism

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

const (
	defaultSumLimit = 1<<29 - 1 // the aggregation's default: T = 2^30
	finestNoisy     = 1 << 15   // least "finest" grid: the clip in grid units
	finestExact     = 1 << 22   // with noise off: finer than float32 updates
	sigmaAim        = 1 << 11   // share sigma that the scale is lowered to, where it may be
	wasteDen        = 32        // padding up to whole blocks may cost 1/32
	smallestBlock   = 1 << 4
	oneBlock        = 1 << 10 // unmetered vectors up to here are a single block
	variantBits     = 20      // variances that do not fit are rounded up to 2^-20
)

// Literal is the open form of Params: what a planner wishes for.
type Literal struct {
	Dim       int       // d, length of the update
	Clip      float64   // c, L2 clip in the update's own units
	NMin      int       // least number of devices in an opened sum
	NMax      int       // largest number of devices in a sum
	Colluders int       // t_c, devices whose noise does not count
	Z         float64   // noise multiplier of the honest sum relative to B, or
	Rho       *big.Rat  // zCDP per participation: exactly one of both when Noise is on
	SumLimit  int64     // largest absolute sum that the aggregation carries; 0 means 2^29 - 1
	Pad       int       // least padding; 0 means 32768 with noise on a metered vector, else none
	Signs     [32]byte  // public seed of the rotation
	Noise     bool      // false: privacy visibly off
	Kind      NoiseKind // law of the noise shares
	Unmetered bool      // true: Pad may be 0 with noise; for small vectors beside a metered one
}

// Design chooses block, scale, bounds and noise share for l and returns
// parameters that Validate accepts, or a *RuleError.
//
// The scale is as fine as is useful, no finer: the clip in grid units is at
// most 2^15, or 64 sqrt(D) up to a power of two if that is more, where rounding costs less than 10^-4 of the
// sensitivity, and n_max M stays within SumLimit. It is lowered, but never
// below 2^13, to keep the share sigma at most 2^11: a finer one would only
// make the sums larger, and Skellam shares end at 2400. The variance is an exact fraction; where the exact
// value does not fit in 64 bits it is rounded up.
func Design(l Literal) (Params, error) {
	p := Params{
		Dim: l.Dim, Clip: l.Clip, Signs: l.Signs, Noise: l.Noise, Kind: l.Kind, Unmetered: l.Unmetered,
		NMin: l.NMin, NMax: l.NMax, Colluders: l.Colluders, SumLimit: l.SumLimit,
		Sigma2: Rational{0, 1},
	}
	if p.SumLimit == 0 {
		p.SumLimit = defaultSumLimit
	}
	if err := p.chooseBlocks(l.Pad); err != nil {
		return Params{}, err
	}
	if err := p.checkCohort(); err != nil {
		return Params{}, err
	}
	share, err := l.shareOfSquare()
	if err != nil {
		return Params{}, err
	}
	if err := p.chooseScale(wish{share, l.Rho}); err != nil {
		return Params{}, err
	}
	if p.Noise {
		p.Z = p.claimedZ()
	}
	if err := p.Validate(); err != nil {
		return Params{}, err
	}
	return p, nil
}

// chooseBlocks takes the largest block whose padding up to whole blocks
// wastes at most 1/32 of the vector; a small unmetered vector is one block.
func (p *Params) chooseBlocks(pad int) error {
	if p.Noise && !p.Unmetered {
		pad = max(pad, MinMeterPad)
	}
	if p.Dim < 1 || p.Dim > MaxDim || pad < 0 || pad > MaxDim {
		return broken(RuleDimension, "%d coordinates and %d of padding; want 1 to %d in all", p.Dim, pad, MaxDim)
	}
	total := p.Dim + pad
	if p.Unmetered && total <= oneBlock {
		p.Block = 1 << bits.Len(uint(total-1))
		p.PaddedDim = p.Block
		return nil
	}
	for p.Block = MaxBlock; p.Block > smallestBlock; p.Block /= 2 {
		if waste := (p.Block - total%p.Block) % p.Block; waste <= total/wasteDen {
			break
		}
	}
	p.PaddedDim = (total + p.Block - 1) / p.Block * p.Block
	return nil
}

// shareOfSquare returns sigma^2/B^2 of one share: z^2/(n_min - t_c), or
// 1/(2 rho (n_min - t_c)); 0 when noise is off.
func (l Literal) shareOfSquare() (*big.Rat, error) {
	if !l.Noise {
		if l.Z != 0 || l.Rho != nil {
			return nil, broken(RuleNoise, "noise is off but a multiplier or a rho is asked for")
		}
		return new(big.Rat), nil
	}
	if (l.Z != 0) == (l.Rho != nil) {
		return nil, broken(RuleNoise, "noise is on: state either Z or Rho")
	}
	honest := new(big.Rat).SetInt64(int64(l.NMin - l.Colluders))
	if l.Rho != nil {
		if l.Rho.Sign() <= 0 {
			return nil, broken(RuleNoise, "a rho of %s is not positive", l.Rho.RatString())
		}
		twice := new(big.Rat).Add(l.Rho, l.Rho)
		return twice.Inv(twice.Mul(twice, honest)), nil
	}
	if !(l.Z >= 1e-6 && l.Z <= 1e6) {
		return nil, broken(RuleNoise, "a noise multiplier of %g is outside [1e-6, 1e6]", l.Z)
	}
	z := decimal(l.Z)
	return z.Quo(z.Mul(z, z), honest), nil
}

// wish is what the noise is designed for.
type wish struct {
	share *big.Rat // (sigma/B)^2 of one share under the discrete Gaussian
	rho   *big.Rat // nil where a multiplier was asked for
}

// chooseScale sets ClipGrid and what follows from it.
func (p *Params) chooseScale(w wish) error {
	least, finest := int64(1), int64(finestExact)
	if p.Noise {
		lowest, _ := p.Kind.sigmas()
		ratio, _ := w.share.Float64() // (sigma/B)^2
		perSigma := math.Sqrt(ratio)
		least = max(MinClipGrid, int64(min(float64(lowest)/perSigma, maxClipGrid))+1)
		aim := int64(min(sigmaAim/perSigma, maxClipGrid)) - 2
		finest = max(least, min(aim, usefulGrid(p.PaddedDim)))
	}
	p.setGrid(least, w)
	if p.checkInput() != nil {
		return broken(RuleSumLimit, "even a clip of %d grid units lets %d devices of up to %d each exceed %d: "+
			"lower n_max (shards), the noise or raise the aggregation's limit", least, p.NMax, p.InputBound, p.SumLimit)
	}
	for low, high := least, finest; low < high; { // largest grid that the sum carries
		middle := low + (high-low+1)/2
		if p.setGrid(middle, w); p.checkInput() == nil {
			low = middle
		} else {
			high = middle - 1
		}
		finest = high
	}
	if even := finest &^ (1<<10 - 1); even >= least {
		finest = even // round numbers are easier to read in a plan
	}
	p.setGrid(finest, w)
	return nil
}

// usefulGrid returns the clip in grid units beyond which rounding no longer
// matters.
func usefulGrid(padded int) int64 {
	return max(finestNoisy, int64(1)<<bits.Len64(uint64(64*floorSqrt(int64(padded))-1)))
}

// setGrid sets the clip in grid units and the bounds and noise that follow.
// B is one above the formula, whose floor would make a full-length vector
// redraw its rounding up to five times.
func (p *Params) setGrid(grid int64, w wish) {
	p.ClipGrid = grid
	p.L2Bound = l2Bound(grid, p.PaddedDim) + 1
	p.Sigma2 = Rational{0, 1}
	if p.Noise {
		square := new(big.Rat).SetInt64(p.L2Bound)
		p.Sigma2 = roundUp(square.Mul(square.Mul(square, square), w.share))
		if p.Kind == Skellam && w.rho != nil {
			// every term of skellamRho falls at least as 1/sigma^2
			more := new(big.Rat).Quo(p.Rho(), w.rho)
			p.Sigma2 = roundUp(more.Mul(more, p.Sigma2.Rat()))
		}
	}
	p.InputBound = p.L2Bound + tailBound(p.Sigma2.Rat())
}

// roundUp returns r if it fits in a Rational, else the next multiple of
// 2^-20 (or the next integer, where that does not fit either).
func roundUp(r *big.Rat) Rational {
	if r.Num().BitLen() <= 63 && r.Denom().BitLen() <= 63 {
		return Rational{r.Num().Uint64(), r.Denom().Uint64()}
	}
	for _, shift := range []uint{variantBits, 0} {
		scaled := new(big.Int).Lsh(r.Num(), shift)
		quotient, rest := scaled.QuoRem(scaled, r.Denom(), new(big.Int))
		if rest.Sign() != 0 {
			quotient.Add(quotient, big.NewInt(1))
		}
		if quotient.BitLen() <= 63 {
			num, den := quotient.Uint64(), uint64(1)<<shift
			common := gcd(num, den)
			return Rational{num / common, den / common}
		}
	}
	return Rational{math.MaxUint64, 1} // beyond MaxSigma: Validate refuses it
}

// claimedZ returns sqrt((n_min - t_c) sigma^2)/B, rounded down to six
// significant digits.
func (p Params) claimedZ() float64 {
	z := math.Sqrt(float64(p.NMin-p.Colluders)*p.Sigma2.Float64()) / float64(p.L2Bound)
	for _, factor := range []float64{1, 1 - 1e-6, 1 - 1e-5} {
		rounded, err := strconv.ParseFloat(strconv.FormatFloat(z*factor, 'g', 6, 64), 64)
		p.Z = rounded
		if err == nil && p.checkNoise() == nil {
			return rounded
		}
	}
	return z * (1 - 1e-4)
}
