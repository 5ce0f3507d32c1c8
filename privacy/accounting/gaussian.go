package accounting

import (
	"errors"
	"fmt"
	"math"
)

// The exact Gaussian mechanism with mu = sensitivity/sigma: its trade-off
// curve, and its delta(epsilon) by Balle and Wang (arXiv 1805.06530,
// Theorem 8), in logarithms.

func checkMu(mu float64) error {
	if !(mu > 0 && mu <= 1e6) {
		return fmt.Errorf("%w: a mu of %g is outside (0, 1e6]", ErrRange, mu)
	}
	return nil
}

// GaussianDelta returns Phi(mu/2 - eps/mu) - exp(eps) Phi(-mu/2 - eps/mu),
// for eps >= 0.
func GaussianDelta(mu, eps float64) (float64, error) {
	if err := checkMu(mu); err != nil {
		return 0, err
	}
	if !(eps >= 0) || math.IsInf(eps, 1) {
		return 0, fmt.Errorf("%w: an epsilon of %g", ErrRange, eps)
	}
	return gaussianDelta(mu, eps), nil
}

func gaussianDelta(mu, eps float64) float64 {
	plus := logPhi(mu/2 - eps/mu)
	if math.IsInf(plus, -1) {
		return 0
	}
	minus := eps + logPhi(-mu/2-eps/mu)
	return max(0, -math.Exp(plus)*math.Expm1(minus-plus))
}

// GaussianEpsilon returns the least eps >= 0 with GaussianDelta(mu, eps) <=
// delta.
func GaussianEpsilon(mu, delta float64) (float64, error) {
	if err := errors.Join(checkMu(mu), checkDelta(delta)); err != nil {
		return 0, err
	}
	if gaussianDelta(mu, 0) <= delta {
		return 0, nil
	}
	high := mu*mu/2 + mu*math.Sqrt(-2*math.Log(delta)) // delta <= Phi(mu/2 - eps/mu) here
	return bisect(0, high, func(eps float64) bool { return gaussianDelta(mu, eps) <= delta }), nil
}

// MuForEpsilon returns the largest mu whose epsilon at delta is at most eps;
// 1/mu is the noise multiplier of the analytic Gaussian mechanism.
func MuForEpsilon(eps, delta float64) (float64, error) {
	if err := checkDelta(delta); err != nil {
		return 0, err
	}
	if !(eps >= 0 && eps <= 1e6) {
		return 0, fmt.Errorf("%w: an epsilon of %g is outside [0, 1e6]", ErrRange, eps)
	}
	high := 1.0
	for gaussianDelta(high, eps) <= delta {
		high *= 2
	}
	exceeds := func(mu float64) bool { return gaussianDelta(mu, eps) > delta }
	return math.Nextafter(bisect(0, high, exceeds), 0), nil
}

// bisect returns the least x in (low, high] for which ok, which is monotone
// and true at high, holds, to the last bit.
func bisect(low, high float64, ok func(float64) bool) float64 {
	for {
		middle := low + (high-low)/2
		if middle <= low || middle >= high {
			return high
		}
		if ok(middle) {
			high = middle
		} else {
			low = middle
		}
	}
}

// MaxTPR returns the largest true-positive rate that any membership test of
// false-positive rate fpr can reach against a mu-GDP release:
// Phi(Phi^-1(fpr) + mu). fpr over (0, 1) gives the trade-off curve.
func MaxTPR(mu, fpr float64) (float64, error) {
	if err := checkMu(mu); err != nil {
		return 0, err
	}
	if !(fpr > 0 && fpr < 1) {
		return 0, fmt.Errorf("%w: a false-positive rate of %g is not between 0 and 1", ErrRange, fpr)
	}
	return math.Exp(logPhi(quantile(fpr) + mu)), nil
}

// MaxTPRAt is MaxTPR for what is only known to be (eps, delta)-DP:
// min(1, exp(eps) fpr + delta).
func MaxTPRAt(eps, delta, fpr float64) float64 {
	return min(1, math.Exp(eps)*fpr+delta)
}

// MaxAUC returns the largest area under the curve of any membership test
// against a mu-GDP release, Phi(mu/sqrt 2).
func MaxAUC(mu float64) float64 { return math.Exp(logPhi(mu / math.Sqrt2)) }

// MaxAdvantage returns the largest difference of true- and false-positive
// rate, 2 Phi(mu/2) - 1.
func MaxAdvantage(mu float64) float64 { return math.Erf(mu / (2 * math.Sqrt2)) }

// logPhi returns log Phi(x), the standard normal distribution function.
func logPhi(x float64) float64 {
	switch {
	case x > -1:
		return math.Log1p(-math.Erfc(x/math.Sqrt2) / 2)
	case x > -30:
		return math.Log(math.Erfc(-x/math.Sqrt2) / 2)
	}
	// asymptotic series of the Mills ratio; at x = -30 the first term left
	// out is 10395/30^12 < 1e-13
	s := 1 / (x * x)
	series := -s * (1 - s*(3-s*(15-s*(105-945*s))))
	return -x*x/2 - math.Log(-x*math.Sqrt(2*math.Pi)) + math.Log1p(series)
}

// quantile returns Phi^-1(p) for p in (0, 1).
func quantile(p float64) float64 {
	if p > 0.5 {
		return -quantile(1 - p)
	}
	target := math.Log(p)
	return bisect(-40, 0, func(x float64) bool { return logPhi(x) >= target })
}
