package accounting

import (
	"fmt"
	"math"
	"math/big"
)

// DiscreteLaplace adds noise of probability proportional to exp(-A |x|) to
// one integer of sensitivity Sensitivity: A Sensitivity-DP (Ghosh,
// Roughgarden, Sundararajan, arXiv 0811.2841).
type DiscreteLaplace struct {
	A           float64
	Sensitivity int
}

// SkellamSum is the distributed Skellam mechanism: Shares honest devices
// each add a Skellam variable (a difference of two Poisson variables) of
// variance Sigma2 to every one of Dim integers, and one device's part has an
// L2 norm of at most L2.
type SkellamSum struct {
	L2     *big.Rat
	Sigma2 *big.Rat
	Shares int
	Dim    int
}

func (e DiscreteLaplace) check() error {
	if e.Sensitivity < 0 || e.Sensitivity > 1<<30 {
		return fmt.Errorf("%w: a sensitivity of %d", ErrEvent, e.Sensitivity)
	}
	return checkPositive("noise parameter", e.A)
}

func (e DiscreteLaplace) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	eps := decimal(e.A)
	eps.Mul(eps, new(big.Rat).SetInt64(int64(e.Sensitivity)))
	eps.Mul(eps, eps)
	return eps.Quo(eps, big.NewRat(2, 1)), nil
}

// That of pure DP.
func (e DiscreteLaplace) rdp(a float64) (float64, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	return PureDP{e.A * float64(e.Sensitivity)}.rdp(a)
}

func (e SkellamSum) check() error {
	return DiscreteGaussianSum(e).check()
}

func (e SkellamSum) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: the Skellam mechanism has a Renyi curve and no zCDP", ErrEvent)
}

// Agarwal, Kairouz, Liu (arXiv 2110.04995, Theorem 3.5) at integer orders,
// with mu the variance of the sum and L1 at most min(sqrt(Dim) L2, L2^2):
//
//	a L2^2/(2 mu) + min( ((2a-1) L2^2 + 6 L1)/(4 mu^2), 3 L1/(2 mu) )
func (e SkellamSum) rdp(a float64) (float64, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	l2, _ := e.L2.Float64()
	mu, _ := e.Sigma2.Float64()
	mu *= float64(e.Shares)
	square, l1 := l2*l2, min(math.Sqrt(float64(e.Dim))*l2, l2*l2)
	return betweenOrders(a, func(n int) (float64, error) {
		order := float64(n)
		return (order - 1) * (order*square/(2*mu) + min(((2*order-1)*square+6*l1)/(4*mu*mu), 3*l1/(2*mu))), nil
	})
}

// DiscreteGaussianEpsilon returns the exact epsilon at delta of one discrete
// Gaussian on one integer (arXiv 2004.00010, Theorem 7): with D the
// sensitivity, delta = P[X > eps sigma^2/D - D/2] - e^eps P[X > eps
// sigma^2/D + D/2].
func DiscreteGaussianEpsilon(e DiscreteGaussian, delta float64) (float64, error) {
	if err := checkDelta(delta); err != nil {
		return 0, err
	}
	if _, err := e.rho(); err != nil {
		return 0, err
	}
	if e.Sensitivity == 0 {
		return 0, nil
	}
	if e.Sigma > 1e4 || float64(e.Sensitivity) > 100*e.Sigma {
		return 0, fmt.Errorf("%w: the direct sum serves sigma up to 1e4 and sensitivities up to 100 sigma", ErrRange)
	}
	tail := discreteTail(e.Sigma)
	shift := float64(e.Sensitivity)
	deltaAt := func(eps float64) float64 {
		centre := eps * e.Sigma * e.Sigma / shift
		return tail(centre-shift/2) - exceeds(eps, tail(centre+shift/2))
	}
	if deltaAt(0) <= delta {
		return 0, nil
	}
	high := 1.0
	for deltaAt(high) > delta {
		high *= 2
	}
	return bisect(0, high, func(eps float64) bool { return deltaAt(eps) <= delta }), nil
}

// discreteTail returns P[X > t] for X from N_Z(0, sigma^2).
func discreteTail(sigma float64) func(t float64) float64 {
	edge := int(40*sigma) + 1
	density := func(x int) float64 { return math.Exp(-float64(x) * float64(x) / (2 * sigma * sigma)) }
	tails := make([]float64, 2*edge+2) // tails[i] = sum over x >= i - edge
	for x := edge; x >= -edge; x-- {
		tails[x+edge] = tails[x+edge+1] + density(x)
	}
	total := tails[0]
	return func(t float64) float64 {
		from := math.Floor(t) + 1 + float64(edge)
		if from >= float64(len(tails)) {
			return 0
		}
		return tails[int(max(from, 0))] / total
	}
}
