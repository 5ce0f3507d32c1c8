package mechanism

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// Rule names one of the conditions that Params.Validate checks.
type Rule string

// The rules, in the order in which they are checked.
const (
	RuleDimension  Rule = "dimension"   // 1 <= d <= D <= 2^24, D a multiple of a power-of-two block
	RulePad        Rule = "pad"         // D - d >= 32768 when noise is on, unless unmetered
	RuleClip       Rule = "clip"        // 1e-9 <= c <= 1e9
	RuleScale      Rule = "scale"       // clip in grid units: >= 2^13 when noise is on, <= 2^28
	RuleCohort     Rule = "cohort"      // 1 <= n_min <= n_max, 0 <= t_c < n_min
	RuleL2Bound    Rule = "l2-bound"    // B >= formula 2.2(4)
	RuleNoise      Rule = "noise"       // noise off means no variance and no claim; on means both
	RuleSigma      Rule = "sigma"       // 4 <= sigma <= 2^16 grid units; Skellam 16 to 2400
	RuleNoiseShare Rule = "noise-share" // sigma^2 (n_min - t_c) >= (z B)^2
	RuleInputBound Rule = "input-bound" // M = B + ceil(13.3 sigma) <= 2^30
	RuleSumLimit   Rule = "sum-limit"   // n_max M <= the aggregation's limit <= 2^36
)

// RuleError says which rule a Params or a Literal breaks, and how.
type RuleError struct {
	Rule   Rule
	Detail string
}

// Error returns the rule and the detail.
func (e *RuleError) Error() string {
	return "mechanism: parameters break the rule " + string(e.Rule) + ": " + e.Detail
}

func broken(rule Rule, format string, args ...any) error {
	return &RuleError{Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

// Validate rechecks every formula of p in exact integer arithmetic: what a
// device runs before it takes part and an auditor runs on every record. The
// error is a *RuleError that names the first broken rule.
func (p Params) Validate() error {
	for _, check := range []func() error{
		p.checkDimension, p.checkClip, p.checkCohort, p.checkL2Bound, p.checkNoise, p.checkInput,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (p Params) checkDimension() error {
	switch {
	case p.Dim < 1 || p.PaddedDim < p.Dim || p.PaddedDim > MaxDim:
		return broken(RuleDimension, "%d coordinates padded to %d; want 1 <= d <= D <= %d", p.Dim, p.PaddedDim, MaxDim)
	case p.Block < 1 || p.Block > MaxBlock || bits.OnesCount(uint(p.Block)) != 1:
		return broken(RuleDimension, "a block of %d is not a power of two up to %d", p.Block, MaxBlock)
	case p.PaddedDim%p.Block != 0:
		return broken(RuleDimension, "%d coordinates are not whole blocks of %d", p.PaddedDim, p.Block)
	case p.Noise && !p.Unmetered && p.Pad() < MinMeterPad:
		return broken(RulePad, "%d padding coordinates; the noise meter needs %d", p.Pad(), MinMeterPad)
	}
	return nil
}

func (p Params) checkClip() error {
	least := int64(1)
	if p.Noise {
		least = MinClipGrid
	}
	switch {
	case !(p.Clip >= minClip && p.Clip <= maxClip):
		return broken(RuleClip, "a clip of %g is outside [%g, %g]", p.Clip, minClip, maxClip)
	case p.ClipGrid < least || p.ClipGrid > maxClipGrid:
		return broken(RuleScale, "a clip of %d grid units is outside [%d, %d]", p.ClipGrid, least, int64(maxClipGrid))
	}
	return nil
}

func (p Params) checkCohort() error {
	if p.NMin < 1 || p.NMax < p.NMin || p.NMax > MaxCohort || p.Colluders < 0 || p.Colluders >= p.NMin {
		return broken(RuleCohort, "n_min %d, n_max %d, colluders %d; want 0 <= t_c < n_min <= n_max <= %d",
			p.NMin, p.NMax, p.Colluders, MaxCohort)
	}
	return nil
}

func (p Params) checkL2Bound() error {
	least := l2Bound(p.ClipGrid, p.PaddedDim)
	if most := least + 2; p.L2Bound < least || p.L2Bound > most {
		return broken(RuleL2Bound, "an L2 bound of %d; formula 2.2(4) gives %d, at most %d is accepted", p.L2Bound, least, most)
	}
	return nil
}

func (p Params) checkNoise() error {
	if p.Kind > Skellam || p.Kind != DiscreteGaussian && !p.Noise {
		return broken(RuleNoise, "a noise kind of %v", p.Kind)
	}
	if !p.Noise {
		if p.Sigma2 != (Rational{0, 1}) || p.Z != 0 {
			return broken(RuleNoise, "noise is off but a variance of %v or a multiplier of %g is stated", p.Sigma2, p.Z)
		}
		return nil
	}
	s := p.Sigma2
	if s.Den == 0 || s.Num == 0 || gcd(s.Num, s.Den) != 1 {
		return broken(RuleNoise, "a variance of %v is not a positive fraction in lowest terms", s)
	}
	if !(p.Z > 0) || math.IsInf(p.Z, 0) {
		return broken(RuleNoise, "a noise multiplier of %g is not positive", p.Z)
	}
	sigma2 := s.Rat()
	low, high := p.Kind.sigmas()
	if sigma2.Cmp(big.NewRat(low*low, 1)) < 0 || sigma2.Cmp(big.NewRat(high*high, 1)) > 0 {
		return broken(RuleSigma, "a %v share sigma of %.4g grid units is outside [%d, %d]", p.Kind, p.Sigma(), low, high)
	}
	have := new(big.Rat).Mul(sigma2, new(big.Rat).SetInt64(int64(p.NMin-p.Colluders)))
	want := new(big.Rat).Mul(decimal(p.Z), new(big.Rat).SetInt64(p.L2Bound))
	if want.Mul(want, want); have.Cmp(want) < 0 {
		return broken(RuleNoiseShare, "%d honest shares of variance %v do not reach (%g * %d)^2",
			p.NMin-p.Colluders, s, p.Z, p.L2Bound)
	}
	return nil
}

// sigmas returns the range of share sigmas that the kind's sampler serves.
func (k NoiseKind) sigmas() (low, high int64) {
	if k == Skellam {
		return MinSkellamSigma, MaxSkellamSigma
	}
	return MinSigma, MaxSigma
}

func (p Params) checkInput() error {
	want := p.L2Bound + tailBound(p.Sigma2.Rat())
	switch {
	case p.InputBound != want || p.InputBound > MaxInput:
		return broken(RuleInputBound, "an input bound of %d; B + ceil(13.3 sigma) is %d, at most %d", p.InputBound, want, MaxInput)
	case p.SumLimit < 1 || p.SumLimit > MaxSumLimit:
		return broken(RuleSumLimit, "a sum limit of %d is outside [1, %d]", p.SumLimit, int64(MaxSumLimit))
	case p.InputBound > p.SumLimit/int64(p.NMax):
		return broken(RuleSumLimit, "%d devices of up to %d exceed %d", p.NMax, p.InputBound, p.SumLimit)
	}
	return nil
}

// l2Bound returns formula 2.2(4) of the design, the norm that conditional
// rounding allows (arXiv 2102.06387), with beta = exp(-1/2): with g = c*s,
//
//	floor(min(g + sqrt(D), sqrt(g^2 + D/4 + g + sqrt(D)/2)))
//
// exactly, for 1 <= g <= 2^28 and 1 <= D <= 2^24, where the second is always
// the smaller.
func l2Bound(grid int64, padded int) int64 {
	d := int64(padded)
	fits := func(b int64) bool { // 4b^2 - (4g^2 + D + 4g) <= 2 sqrt(D)
		over := 4*b*b - (4*grid*grid + d + 4*grid)
		return over <= 0 || over <= 1<<13 && over*over <= 4*d
	}
	b := grid
	for step := int64(1) << 24; step > 0; step >>= 1 {
		for fits(b + step) {
			b += step
		}
	}
	return b
}

func floorSqrt(n int64) int64 { return new(big.Int).Sqrt(big.NewInt(n)).Int64() }

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// decimal returns the exact value of the shortest decimal that denotes f,
// which is how f travels: 0.65 is 13/20.
func decimal(f float64) *big.Rat {
	r, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok {
		panic("mechanism: no decimal for a finite float64")
	}
	return r
}
