package accounting

import (
	"errors"
	"fmt"
	"math"
	"math/big"
)

// ErrRange is wrapped where an epsilon, delta, rho or mu is out of range.
var ErrRange = errors.New("accounting: out of range")

func checkDelta(delta float64) error {
	if !(delta > 0 && delta < 1) {
		return fmt.Errorf("%w: a delta of %g is not between 0 and 1", ErrRange, delta)
	}
	return nil
}

func checkRho(rho *big.Rat) error {
	if rho == nil || rho.Sign() < 0 {
		return fmt.Errorf("%w: no rho >= 0", ErrRange)
	}
	return nil
}

// EpsilonFromRho returns the epsilon at delta of a rho-zCDP release, by the
// tight conversion of Canonne, Kamath and Steinke (arXiv 2004.00010,
// Proposition 12, at every order):
//
//	eps = inf over a > 1 of  rho a + log(1 - 1/a) - log(delta a)/(a - 1)
//
// never below 0. Every a gives a valid epsilon, so an inexact minimum errs
// on the side of privacy.
func EpsilonFromRho(rho *big.Rat, delta float64) (float64, error) {
	if err := errors.Join(checkRho(rho), checkDelta(delta)); err != nil {
		return 0, err
	}
	if rho.Sign() == 0 {
		return 0, nil
	}
	r, _ := rho.Float64()
	if math.IsInf(r, 1) {
		return r, nil
	}
	return epsilonFromRho(math.Nextafter(r, math.Inf(1)), delta), nil
}

func epsilonFromRho(rho, delta float64) float64 {
	// in x = log(a - 1) the minimum lies near log sqrt(log(1/delta)/rho)
	f := func(x float64) float64 {
		over := math.Exp(x)
		a := 1 + over
		return rho*a + x - math.Log(a) - (math.Log(delta)+math.Log(a))/over
	}
	const half, step = 12.0, 0.125
	middle := (math.Log(-math.Log(delta)) - math.Log(rho)) / 2
	best := middle
	for x := middle - half; x <= middle+half; x += step {
		if f(x) < f(best) {
			best = x
		}
	}
	return max(0, f(goldenMinimum(f, best-step, best+step)))
}

// goldenMinimum returns where f, unimodal on [low, high], is least.
func goldenMinimum(f func(float64) float64, low, high float64) float64 {
	ratio := (math.Sqrt(5) - 1) / 2
	a, b := high-ratio*(high-low), low+ratio*(high-low)
	fa, fb := f(a), f(b)
	for range 60 {
		if fa < fb {
			high, b, fb = b, a, fa
			a = high - ratio*(high-low)
			fa = f(a)
		} else {
			low, a, fa = a, b, fb
			b = low + ratio*(high-low)
			fb = f(b)
		}
	}
	return (low + high) / 2
}

// SimpleEpsilonFromRho returns rho + 2 sqrt(rho log(1/delta)) (Bun and
// Steinke, arXiv 1605.02065, Proposition 1.3): looser, to compare with.
func SimpleEpsilonFromRho(rho *big.Rat, delta float64) (float64, error) {
	if err := errors.Join(checkRho(rho), checkDelta(delta)); err != nil {
		return 0, err
	}
	r, _ := rho.Float64()
	return r + 2*math.Sqrt(-r*math.Log(delta)), nil
}

// rhoDigits is how many significant decimal digits RhoForEpsilon keeps.
const rhoDigits = 9

// RhoForEpsilon returns a rho of nine significant digits, rounded down, so
// that EpsilonFromRho(rho, delta) <= eps. It is within 1e-8 of the largest.
func RhoForEpsilon(eps, delta float64) (*big.Rat, error) {
	if err := checkDelta(delta); err != nil {
		return nil, err
	}
	if !(eps >= 1e-6 && eps <= 1e6) {
		return nil, fmt.Errorf("%w: an epsilon of %g is outside [1e-6, 1e6]", ErrRange, eps)
	}
	low, high := 0.0, eps
	for epsilonFromRho(high, delta) <= eps {
		high *= 2
	}
	for range 200 {
		middle := (low + high) / 2
		if epsilonFromRho(middle, delta) <= eps {
			low = middle
		} else {
			high = middle
		}
	}
	if low == 0 {
		return nil, fmt.Errorf("%w: no rho for epsilon %g at delta %g", ErrRange, eps, delta)
	}
	rho := truncate(low)
	for { // the truncation nearly always suffices
		if got, err := EpsilonFromRho(rho, delta); err != nil || got <= eps {
			return rho, err
		}
		f, _ := rho.Float64()
		rho = truncate(f * (1 - 1e-8))
	}
}

// truncate returns x, positive, to rhoDigits decimal digits, rounded down.
func truncate(x float64) *big.Rat {
	exponent := rhoDigits - 1 - int64(math.Floor(math.Log10(x)))
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(max(exponent, -exponent)), nil))
	if exponent < 0 {
		scale.Inv(scale)
	}
	scaled := new(big.Rat).Mul(new(big.Rat).SetFloat64(x), scale)
	floor := new(big.Rat).SetInt(new(big.Int).Quo(scaled.Num(), scaled.Denom()))
	return floor.Quo(floor, scale)
}
