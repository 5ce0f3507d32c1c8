package audit

import (
	"math"

	"tutti/privacy/accounting"
)

// maxMu is where an effect size counts as "no noise at all".
const maxMu = 1000.0

// Pair is what two groups of scores say about the distance of two Gaussians
// of one standard deviation, the deviation included.
type Pair struct {
	Mu       float64 // difference of the means in standard deviations
	Error    float64 // its standard error
	In, Out  int     // how many scores
	Sd       float64 // pooled, in the unit of the scores
	MeanDiff float64 // in the unit of the scores
}

// NewPair compares the scores of canaries that were in with those that were
// not. The deviation is estimated from the scores themselves, as an attacker
// would, because what a broken mechanism says about its noise is what is in
// doubt; the standard error pays for that: 1/n + 1/m + mu^2/(2 (n+m-2))
// (Hedges 1981).
func NewPair(in, out []float64) (Pair, error) {
	if len(in) < 2 || len(out) < 2 {
		return Pair{}, outOfRange("%d scores inside and %d outside are too few", len(in), len(out))
	}
	meanIn, squareIn := moments(in)
	meanOut, squareOut := moments(out)
	n, m := float64(len(in)), float64(len(out))
	p := Pair{In: len(in), Out: len(out), MeanDiff: meanIn - meanOut}
	p.Sd = math.Sqrt((squareIn + squareOut) / (n + m - 2))
	if p.Mu = p.MeanDiff / p.Sd; math.IsNaN(p.Mu) || math.Abs(p.Mu) > maxMu {
		p.Mu = math.Copysign(maxMu, p.MeanDiff)
		if p.MeanDiff == 0 {
			p.Mu = 0
		}
	}
	p.Error = math.Sqrt(1/n + 1/m + p.Mu*p.Mu/(2*(n+m-2)))
	return p, nil
}

// moments returns the mean and the sum of squares around it.
func moments(x []float64) (mean, square float64) {
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	return mean, square
}

// Lower returns the lower bound on mu at level alpha, never below 0. It is
// right where the scores are Gaussian and many (over 100): the noise's shape
// is taken on trust, only its size is measured.
func (p Pair) Lower(alpha float64) float64 {
	return max(0, p.Mu+normalQuantile(alpha)*p.Error)
}

// EpsilonOfMu returns the epsilon at delta of a mu-GDP release; 0 for a mu
// of 0.
func EpsilonOfMu(mu, delta float64) (float64, error) {
	if mu == 0 {
		return 0, nil
	}
	return accounting.GaussianEpsilon(mu, delta)
}

// Normal is a Gaussian.
type Normal struct{ Mean, Sd float64 }

// EpsilonOneShot returns the least epsilon at which the two Gaussians are
// (epsilon, delta)-indistinguishable, in both directions: the estimate of
// Andrew et al. (arXiv 2302.03098), with the null N(0, 1/d) and a Gaussian
// fitted to the cosines of canaries and released model. It is an estimate:
// it lies above or below the truth, and no test may rest on it.
func EpsilonOneShot(null, canaries Normal, delta float64) (float64, error) {
	if !(null.Sd > 0 && canaries.Sd > 0) || math.IsInf(null.Sd+canaries.Sd, 0) || math.IsNaN(null.Mean-canaries.Mean) {
		return 0, outOfRange("Gaussians %v and %v", null, canaries)
	}
	if !(delta > 0 && delta < 1) {
		return 0, outOfRange("a delta of %g", delta)
	}
	enough := func(eps float64) bool {
		return hockeyStick(null, canaries, eps) <= delta && hockeyStick(canaries, null, eps) <= delta
	}
	if enough(0) {
		return 0, nil
	}
	high := 1.0
	for !enough(high) && high < 1e9 {
		high *= 2
	}
	return bisect(0, high, enough), nil
}

// hockeyStick returns P(S) - e^eps Q(S) with S = {x: p(x) > e^eps q(x)}. The
// logarithm of p/q is a quadratic: S is a half line, an interval, or what is
// outside of one.
func hockeyStick(p, q Normal, eps float64) float64 {
	// log p/q - eps = a x^2 + b x + c, with x in units of q around q's mean
	ratio := p.Sd / q.Sd
	shift := (p.Mean - q.Mean) / q.Sd
	a := (1 - 1/(ratio*ratio)) / 2
	b := shift / (ratio * ratio)
	c := -shift*shift/(2*ratio*ratio) - math.Log(ratio) - eps
	unit := func(x float64) float64 { return (x - shift) / ratio } // in units of p
	mass := func(low, high float64) float64 {
		return max(0, between(unit(low), unit(high))-math.Exp(eps+logBetween(low, high)))
	}
	inf := math.Inf(1)
	if math.Abs(a) < 1e-12 {
		switch {
		case b > 0:
			return mass(-c/b, inf)
		case b < 0:
			return mass(-inf, -c/b)
		}
		return 0
	}
	root := b*b - 4*a*c
	if root <= 0 {
		if a < 0 {
			return 0 // p is nowhere above
		}
		return max(0, -math.Expm1(eps))
	}
	half := -(b + math.Copysign(math.Sqrt(root), b)) / 2 // without cancellation
	x, y := half/a, c/half
	if x > y {
		x, y = y, x
	}
	if a < 0 {
		return mass(x, y)
	}
	return mass(-inf, x) + mass(y, inf)
}

// between returns Phi(high) - Phi(low) without cancellation in either tail.
func between(low, high float64) float64 {
	if low > 0 {
		low, high = -high, -low
	}
	return normalCDF(high) - normalCDF(low)
}

// logBetween is the logarithm of between.
func logBetween(low, high float64) float64 { return math.Log(between(low, high)) }
