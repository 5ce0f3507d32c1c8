package accounting

import (
	"errors"
	"fmt"
	"math"
	"math/big"
)

// Accountant returns the epsilon of an event at delta, and refuses, with an
// error that wraps ErrEvent, what it has no theorem for. EpsilonByRho,
// EpsilonByRDP and EpsilonByPLD are accountants.
type Accountant func(e Event, delta float64) (float64, error)

// EpsilonByRho accounts in zCDP: the claim's own accountant.
func EpsilonByRho(e Event, delta float64) (float64, error) {
	rho, err := Rho(e)
	if err != nil {
		return 0, err
	}
	return EpsilonFromRho(rho, delta)
}

// EpsilonByRDP accounts with a Renyi curve at the default orders. The deltas
// of (epsilon, delta) parts are set aside: the rest has what is left.
func EpsilonByRDP(e Event, delta float64) (float64, error) {
	if err := errors.Join(checkDelta(delta), checkEvent(e)); err != nil {
		return 0, err
	}
	pure, aside := setAside(e)
	if aside >= delta {
		return math.Inf(1), nil
	}
	curve, err := RDP(pure, DefaultOrders())
	if err != nil {
		return 0, err
	}
	eps, _, err := curve.Epsilon(delta - aside)
	return eps, err
}

// EpsilonByPLD accounts with a privacy loss distribution.
func EpsilonByPLD(e Event, delta float64) (float64, error) {
	if err := checkDelta(delta); err != nil {
		return 0, err
	}
	pld, err := NewPLD(e)
	if err != nil {
		return 0, err
	}
	return pld.Epsilon(delta)
}

// Range of LeastNoise, and how near its epsilon comes to the wanted one.
const (
	leastZ, mostZ = 1e-3, 1e6
	nearness      = 1e-7
)

// LeastNoise returns the least z, within about 1e-7 of it, for which the
// epsilon of build(z) at delta is at most eps > 0; that epsilon holds for
// the z that is returned. More noise must not cost more. It refuses when no
// z in [1e-3, 1e6] does.
func LeastNoise(eps, delta float64, build func(z float64) Event, account Accountant) (float64, error) {
	if err := checkDelta(delta); err != nil {
		return 0, err
	}
	if !(eps > 0 && eps <= 1e6) {
		return 0, fmt.Errorf("%w: an epsilon of %g is outside (0, 1e6]", ErrRange, eps)
	}
	excess := func(x float64) (float64, error) { // of log epsilon, at z = e^x
		got, err := account(build(math.Exp(x)), delta)
		return min(20, max(-20, math.Log(got/eps))), err
	}
	low, high, above, below, err := bracket(excess)
	if err != nil {
		return 0, err
	}
	// regula falsi, the Illinois variant: an end that stays twice counts half
	gap, last := below, 0
	for range 60 {
		if gap > -nearness || high-low < 1e-12 {
			break
		}
		middle := (low*below - high*above) / (below - above)
		if !(middle > low && middle < high) {
			middle = (low + high) / 2
		}
		value, err := excess(middle)
		switch {
		case err != nil:
			return 0, err
		case value <= 0:
			high, below, gap = middle, value, value
			if last == -1 {
				above /= 2
			}
			last = -1
		default:
			low, above = middle, value
			if last == 1 {
				below /= 2
			}
			last = 1
		}
	}
	return math.Exp(high), nil
}

// bracket returns low < high with excess above > 0 at low, below <= 0 at
// high.
func bracket(excess func(x float64) (float64, error)) (low, high, above, below float64, err error) {
	value, err := excess(0)
	if err != nil {
		return
	}
	const step = math.Ln2
	if value > 0 {
		for low, above, high = 0, value, step; high < math.Log(mostZ); low, above, high = high, below, high+step {
			if below, err = excess(high); err != nil || below <= 0 {
				return
			}
		}
		err = fmt.Errorf("%w: no noise multiplier up to %g is enough", ErrRange, mostZ)
		return
	}
	for high, below, low = 0, value, -step; low > math.Log(leastZ); high, below, low = low, above, low-step {
		if above, err = excess(low); err != nil || above > 0 {
			return
		}
	}
	err = fmt.Errorf("%w: a noise multiplier of %g is more than enough", ErrRange, leastZ)
	return
}

// DeltaFromRho returns the delta at eps >= 0 of a rho-zCDP release
// (arXiv 2004.00010, Proposition 12): the least over a > 1 of
// exp((a-1)(a rho - eps)) (1 - 1/a)^(a-1) / a. Every a gives a valid delta.
func DeltaFromRho(rho *big.Rat, eps float64) (float64, error) {
	if err := checkRho(rho); err != nil {
		return 0, err
	}
	if !(eps >= 0) || math.IsInf(eps, 1) {
		return 0, fmt.Errorf("%w: an epsilon of %g", ErrRange, eps)
	}
	if rho.Sign() == 0 {
		return 0, nil
	}
	r, _ := rho.Float64()
	return deltaFromRho(math.Nextafter(r, math.Inf(1)), eps), nil
}

func deltaFromRho(rho, eps float64) float64 {
	f := func(x float64) float64 { // log delta, x = log(a - 1)
		over := math.Exp(x)
		a := 1 + over
		return over*(a*rho-eps+x-math.Log(a)) - math.Log(a)
	}
	const step = 0.25
	best := 0.0
	for x := -12.0; x <= 12; x += step {
		if f(x) < f(best) {
			best = x
		}
	}
	return math.Exp(min(0, f(goldenMinimum(f, best-step, best+step))))
}

// MaxTPRFromRho returns a bound on the true-positive rate of any membership
// test of false-positive rate fpr against a rho-zCDP release: the least of
// e^eps fpr + delta(eps) over eps >= 0. fpr over (0, 1) gives the points of
// a trade-off curve.
func MaxTPRFromRho(rho *big.Rat, fpr float64) (float64, error) {
	if err := checkRho(rho); err != nil {
		return 0, err
	}
	if !(fpr > 0 && fpr < 1) {
		return 0, fmt.Errorf("%w: a false-positive rate of %g is not between 0 and 1", ErrRange, fpr)
	}
	if rho.Sign() == 0 {
		return fpr, nil
	}
	r, _ := rho.Float64()
	r = math.Nextafter(r, math.Inf(1))
	least, most := 1.0, -math.Log(fpr)
	const points = 200
	for i := range points {
		eps := most * float64(i) / points
		least = min(least, math.Exp(eps)*fpr+deltaFromRho(r, eps))
	}
	return least, nil
}

// SplitClip returns the noise multiplier of the update when an adaptive
// clip's indicator, of sensitivity 1/2, is released beside it with noise of
// standard deviation sigmaB, so that the pair costs what z alone would
// (Andrew, Thakkar, McMahan, Ramaswamy, arXiv 1905.03871, Theorem 1):
// (z^-2 - (2 sigmaB)^-2)^(-1/2). It refuses when the indicator alone costs
// as much.
func SplitClip(z, sigmaB float64) (float64, error) {
	if err := errors.Join(checkPositive("noise multiplier", z), checkPositive("noise", sigmaB)); err != nil {
		return 0, err
	}
	left := 1/(z*z) - 1/(4*sigmaB*sigmaB)
	if left <= 0 {
		return 0, fmt.Errorf("%w: noise of %g on the clip's indicator costs more than a multiplier of %g", ErrRange, sigmaB, z)
	}
	return 1 / math.Sqrt(left), nil
}
