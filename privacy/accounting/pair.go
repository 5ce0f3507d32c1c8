package accounting

import (
	"errors"
	"fmt"
	"math"
)

// TwoGaussians is a pair of normal distributions that an adversary tells
// apart, as a test finds them: no mechanism, so no Event, and its epsilon is
// an estimate (Andrew and others, arXiv 2302.03098, section 4).
type TwoGaussians struct{ Mean0, SD0, Mean1, SD1 float64 }

func (p TwoGaussians) check() error {
	if math.IsNaN(p.Mean1-p.Mean0) || math.IsInf(p.Mean1-p.Mean0, 0) {
		return fmt.Errorf("%w: means of %g and %g", ErrEvent, p.Mean0, p.Mean1)
	}
	return errors.Join(checkPositive("deviation", p.SD0), checkPositive("deviation", p.SD1))
}

// Delta returns the larger of the two hockey-stick divergences at eps >= 0.
func (p TwoGaussians) Delta(eps float64) (float64, error) {
	if err := p.check(); err != nil {
		return 0, err
	}
	if !(eps >= 0) || math.IsInf(eps, 1) {
		return 0, fmt.Errorf("%w: an epsilon of %g", ErrRange, eps)
	}
	return p.delta(eps), nil
}

func (p TwoGaussians) delta(eps float64) float64 {
	apart := p.Mean1 - p.Mean0
	return max(hockeyStick(apart/p.SD0, p.SD1/p.SD0, eps), hockeyStick(-apart/p.SD1, p.SD0/p.SD1, eps))
}

// Epsilon returns the least eps >= 0 with Delta(eps) <= delta, up to 1e6.
func (p TwoGaussians) Epsilon(delta float64) (float64, error) {
	if err := errors.Join(p.check(), checkDelta(delta)); err != nil {
		return 0, err
	}
	if p.delta(0) <= delta {
		return 0, nil
	}
	high := 1.0
	for p.delta(high) > delta {
		if high *= 2; high > 1e6 {
			return 0, fmt.Errorf("%w: an epsilon above 1e6", ErrRange)
		}
	}
	return bisect(0, high, func(eps float64) bool { return p.delta(eps) <= delta }), nil
}

// hockeyStick returns P[L > eps] - e^eps Q[L > eps] for P = N(m, s^2), Q =
// N(0, 1). Their log-ratio L is quadratic in x: above eps outside its roots
// where s > 1, between them where s < 1.
func hockeyStick(m, s, eps float64) float64 {
	if math.Abs(s-1) < 1e-9 {
		if m == 0 {
			return 0
		}
		return gaussianDelta(math.Abs(m), eps)
	}
	a, b, c := (1-1/(s*s))/2, m/(s*s), -math.Log(s)-m*m/(2*s*s)-eps
	root := b*b - 4*a*c
	if root <= 0 {
		return 0 // everywhere above (then e^eps >= 1 outweighs it) or nowhere
	}
	far := -(b + math.Copysign(math.Sqrt(root), b)) / 2
	low, high := far/a, c/far
	if far == 0 {
		low, high = 0, 0
	}
	low, high = min(low, high), max(low, high)
	p, q := gaussianNoise{s}, gaussianNoise{1}
	if s < 1 {
		return p.between(low-m, high-m) - exceeds(eps, q.between(low, high))
	}
	outside := func(g gaussianNoise, shift float64) float64 {
		return g.between(math.Inf(-1), low-shift) + g.between(high-shift, math.Inf(1))
	}
	return outside(p, m) - exceeds(eps, outside(q, 0))
}

// exceeds returns e^eps q without overflow.
func exceeds(eps, q float64) float64 {
	if q == 0 {
		return 0
	}
	return math.Exp(eps + math.Log(q))
}
