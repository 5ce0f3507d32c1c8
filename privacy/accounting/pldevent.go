package accounting

import (
	"fmt"
	"math"
)

// lossPairs returns the dominating pairs of one release. An add of nil says
// that it is as remove.
func lossPairs(e Event) (remove, add lossPair, err error) {
	if err := checkEvent(e); err != nil {
		return nil, nil, err
	}
	switch e := e.(type) {
	case PureDP:
		return randomisedResponse(e.Epsilon, 0), nil, nil
	case EpsilonDelta:
		return randomisedResponse(e.Epsilon, e.Delta), nil, nil
	case PoissonSampled:
		return sampledPairs(e.Q, e.Event)
	case PoissonReplaced:
		if e.Q == 0 {
			return nothing, nil, nil
		}
		return replacedPair(e.Q, e.Z), nil, nil
	case TruncatedPoisson:
		return e.pairs()
	}
	return sampledPairs(1, e)
}

// nothing is the pair of two equal distributions.
var nothing = atoms{{0, 1}}

// randomisedResponse dominates every (epsilon, delta)-DP release (Kairouz,
// Oh, Viswanath, arXiv 1311.0776, Theorem 3.2).
func randomisedResponse(epsilon, delta float64) atoms {
	low := (1 - delta) / (1 + math.Exp(epsilon))
	return atoms{{epsilon, 1 - delta - low}, {-epsilon, low}, {math.Inf(1), delta}}
}

// sampledPairs are those of a Poisson sample of rate q of additive noise, q
// = 1 being the noise itself; the pair of mixtures dominates the sample (Zhu,
// Dong, Wang, arXiv 2106.08567, Theorem 11).
func sampledPairs(q float64, e Event) (remove, add lossPair, err error) {
	switch e := e.(type) {
	case Gaussian, Laplace, DiscreteGaussian, DiscreteLaplace:
		if q == 0 {
			return nothing, nil, nil
		}
		switch e := e.(type) {
		case Gaussian:
			remove, add = gaussianPairs(q, e.Z)
		case Laplace:
			remove, add = laplacePairs(q, e.B)
		case DiscreteGaussian:
			return discreteGaussianPairs(q, e)
		case DiscreteLaplace:
			return discreteLaplacePairs(q, e)
		}
		return remove, add, nil
	}
	return nil, nil, fmt.Errorf("%w: %T has no loss distribution here", ErrEvent, e)
}

func checkAtoms(edge float64, shift int) error {
	if 2*edge+float64(shift) > maxPoints {
		return errPoints
	}
	return nil
}

func discreteGaussianPairs(q float64, e DiscreteGaussian) (remove, add lossPair, err error) {
	edge := math.Ceil(tailSigmas*e.Sigma) + 2
	if err := checkAtoms(edge, e.Sensitivity); err != nil {
		return nil, nil, err
	}
	noise, sum := make([]float64, 2*int(edge)+1), 0.0
	for i := range noise {
		x := (float64(i) - edge) / e.Sigma
		noise[i] = math.Exp(-x * x / 2)
		sum += noise[i]
	}
	for i := range noise {
		noise[i] /= sum
	}
	shift := float64(e.Sensitivity)
	remove, add = integerPairs(q, noise, e.Sensitivity, func(x int) float64 {
		return (2*float64(x) - shift) * shift / (2 * e.Sigma * e.Sigma)
	})
	return withTail(remove), withTail(add), nil
}

// withTail adds, as certain loss, what was cut off the noise.
func withTail(pair lossPair) lossPair {
	if pair == nil {
		return nil
	}
	return append(pair.(atoms), atom{math.Inf(1), 1e-19})
}

// The tails of the discrete Laplace beyond the edge have the loss of the
// edge and are counted there.
func discreteLaplacePairs(q float64, e DiscreteLaplace) (remove, add lossPair, err error) {
	edge := math.Ceil(45/e.A) + float64(e.Sensitivity)
	if err := checkAtoms(edge, e.Sensitivity); err != nil {
		return nil, nil, err
	}
	noise := make([]float64, 2*int(edge)+1)
	for i := range noise {
		noise[i] = math.Tanh(e.A/2) * math.Exp(-e.A*math.Abs(float64(i)-edge))
	}
	tail := math.Exp(-e.A*edge) / (1 + math.Exp(-e.A))
	noise[0], noise[len(noise)-1] = tail, tail
	shift := float64(e.Sensitivity)
	remove, add = integerPairs(q, noise, e.Sensitivity, func(x int) float64 {
		return e.A * (math.Abs(float64(x)) - math.Abs(float64(x)-shift))
	})
	return remove, add, nil
}

// A truncated sample is, when nothing is cut, a Poisson sample; else one
// record takes the place of another, which a replaced record bounds
// (dp_accounting, "Privacy loss distributions", section 4.3).
func (e TruncatedPoisson) pairs() (remove, add lossPair, err error) {
	if e.Q == 0 {
		return nothing, nil, nil
	}
	remove, add = gaussianPairs(e.Q, e.Z)
	cut, kept := e.split()
	if cut == 0 {
		return remove, add, nil
	}
	if add == nil {
		add = remove
	}
	replaced := replacedPair(max(kept, 1e-12), e.Z/2)
	return mixture{cut, replaced, remove}, mixture{cut, replaced, add}, nil
}
