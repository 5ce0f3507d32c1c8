package accounting

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
)

// ErrEvent is wrapped by every refusal of an event: unknown to the
// accountant that was asked, or with parameters out of range.
var ErrEvent = errors.New("accounting: event refused")

// Event is one privacy-relevant release, or a composition of releases.
// Events are values: build them once, never change them. The set is closed.
type Event interface {
	// check says whether the parameters are in range.
	check() error
	// rho returns the zCDP parameter.
	rho() (*big.Rat, error)
	// rdp returns the Renyi divergence bound at order a > 1.
	rdp(a float64) (float64, error)
}

// ZCDP is any release of which Rho-zCDP is known, Rho >= 0.
type ZCDP struct{ Rho *big.Rat }

// Gaussian adds Gaussian noise of standard deviation Z times the L2
// sensitivity.
type Gaussian struct{ Z float64 }

// Laplace adds Laplace noise of scale B times the L1 sensitivity: 1/B-DP.
type Laplace struct{ B float64 }

// PureDP is any release of which Epsilon-DP is known, Epsilon >= 0.
type PureDP struct{ Epsilon float64 }

// DiscreteGaussian adds N_Z(0, Sigma^2) to one integer of sensitivity
// Sensitivity.
type DiscreteGaussian struct {
	Sigma       float64
	Sensitivity int
}

// DiscreteGaussianSum is the distributed discrete Gaussian (Kairouz, Liu,
// Steinke, arXiv 2102.06387): Shares honest devices each add N_Z(0, Sigma2)
// to every one of Dim integers, and one device's part has an L2 norm of at
// most L2.
type DiscreteGaussianSum struct {
	L2     *big.Rat
	Sigma2 *big.Rat
	Shares int
	Dim    int
}

// TreeSingleEpoch releases all nodes of one binary tree over Steps rounds,
// each with noise of Z times the sensitivity; a device takes part once.
type TreeSingleEpoch struct {
	Z     float64
	Steps int
}

// Composed is the adaptive composition of Events, in any order.
type Composed struct{ Events []Event }

// SelfComposed is Count adaptive repetitions of Event, Count >= 0.
type SelfComposed struct {
	Event Event
	Count int
}

// Rho returns the zCDP parameter of e, exactly. Where a parameter is a
// float64 it stands for its shortest decimal: 0.65 is 13/20. The error
// wraps ErrEvent.
func Rho(e Event) (*big.Rat, error) {
	if e == nil {
		return nil, fmt.Errorf("%w: there is none", ErrEvent)
	}
	return e.rho()
}

func (e ZCDP) rho() (*big.Rat, error) {
	if e.Rho == nil || e.Rho.Sign() < 0 {
		return nil, fmt.Errorf("%w: zCDP without a rho >= 0", ErrEvent)
	}
	return new(big.Rat).Set(e.Rho), nil
}

func (e Gaussian) rho() (*big.Rat, error) { return gaussianRho(e.Z, 1) }

// gaussianRho returns times/(2 z^2).
func gaussianRho(z float64, times int64) (*big.Rat, error) {
	square, err := positiveSquare("noise multiplier", z)
	if err != nil {
		return nil, err
	}
	return square.Quo(big.NewRat(times, 2), square), nil
}

func (e Laplace) rho() (*big.Rat, error) { return gaussianRho(e.B, 1) }

// Pure epsilon-DP gives epsilon^2/2-zCDP (Bun and Steinke, Proposition 1.4).
func (e PureDP) rho() (*big.Rat, error) {
	if e.Epsilon == 0 {
		return new(big.Rat), nil
	}
	square, err := positiveSquare("epsilon", e.Epsilon)
	if err != nil {
		return nil, err
	}
	return square.Quo(square, big.NewRat(2, 1)), nil
}

func (e DiscreteGaussian) rho() (*big.Rat, error) {
	if e.Sensitivity < 0 || e.Sensitivity > 1<<30 {
		return nil, fmt.Errorf("%w: a sensitivity of %d", ErrEvent, e.Sensitivity)
	}
	return gaussianRho(e.Sigma, int64(e.Sensitivity)*int64(e.Sensitivity))
}

func (e TreeSingleEpoch) rho() (*big.Rat, error) {
	depth, err := e.depth()
	if err != nil {
		return nil, err
	}
	return gaussianRho(e.Z, depth)
}

// depth returns ceil(log2(Steps+1)): how many nodes hold one step.
func (e TreeSingleEpoch) depth() (int64, error) {
	if e.Steps < 1 {
		return 0, fmt.Errorf("%w: a tree over %d steps", ErrEvent, e.Steps)
	}
	return int64(bits.Len(uint(e.Steps))), nil
}

func (e Composed) rho() (*big.Rat, error) {
	sum := new(big.Rat)
	for _, part := range e.Events {
		rho, err := Rho(part)
		if err != nil {
			return nil, err
		}
		sum.Add(sum, rho)
	}
	return sum, nil
}

func (e SelfComposed) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	rho, err := Rho(e.Event)
	if err != nil {
		return nil, err
	}
	return rho.Mul(rho, new(big.Rat).SetInt64(int64(e.Count))), nil
}

// minExactSigma2 is the variance of a share from which the excess of a sum of
// discrete Gaussians over one discrete Gaussian, tau < 10 n exp(-158), is
// below 1e-60 for every n we allow and left out of rho.
var minExactSigma2 = big.NewRat(16, 1)

func (e DiscreteGaussianSum) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if e.Sigma2.Cmp(minExactSigma2) < 0 {
		return nil, fmt.Errorf("%w: shares of variance %s are below 16: no zCDP without a term in the dimension",
			ErrEvent, e.Sigma2.RatString())
	}
	square := new(big.Rat).Mul(e.L2, e.L2)
	noise := new(big.Rat).Mul(e.Sigma2, new(big.Rat).SetInt64(2*int64(e.Shares)))
	return square.Quo(square, noise), nil
}

func (e DiscreteGaussianSum) check() error {
	switch {
	case e.L2 == nil || e.L2.Sign() < 0 || e.Sigma2 == nil || e.Sigma2.Sign() <= 0:
		return fmt.Errorf("%w: a discrete Gaussian sum without a norm >= 0 and a variance > 0", ErrEvent)
	case e.Shares < 1 || e.Shares > 1<<20 || e.Dim < 1 || e.Dim > 1<<30:
		return fmt.Errorf("%w: a discrete Gaussian sum of %d shares in %d dimensions", ErrEvent, e.Shares, e.Dim)
	}
	l2, _ := e.L2.Float64()
	sigma2, _ := e.Sigma2.Float64()
	if l2 > 1<<64 || sigma2 < 0x1p-64 || sigma2 > 0x1p128 { // the curves are float64
		return fmt.Errorf("%w: a discrete Gaussian sum of norm %g and variance %g", ErrEvent, l2, sigma2)
	}
	return nil
}

func (e ZCDP) check() error             { _, err := e.rho(); return err }
func (e Gaussian) check() error         { return checkPositive("noise multiplier", e.Z) }
func (e Laplace) check() error          { return checkPositive("scale", e.B) }
func (e PureDP) check() error           { _, err := e.rho(); return err }
func (e DiscreteGaussian) check() error { _, err := e.rho(); return err }
func (e TreeSingleEpoch) check() error  { _, err := e.rho(); return err }

func (e SelfComposed) check() error {
	if e.Count < 0 || e.Count > maxCount {
		return fmt.Errorf("%w: %d repetitions", ErrEvent, e.Count)
	}
	return checkEvent(e.Event)
}

func (e Composed) check() error {
	for _, part := range e.Events {
		if err := checkEvent(part); err != nil {
			return err
		}
	}
	return nil
}

func checkEvent(e Event) error {
	if e == nil {
		return fmt.Errorf("%w: there is none", ErrEvent)
	}
	return e.check()
}

// positiveSquare returns the square of the decimal that x stands for.
func positiveSquare(what string, x float64) (*big.Rat, error) {
	if err := checkPositive(what, x); err != nil {
		return nil, err
	}
	r := decimal(x)
	return r.Mul(r, r), nil
}

func checkPositive(what string, x float64) error {
	if !(x >= 1e-9 && x <= 1e9) {
		return fmt.Errorf("%w: a %s of %g is outside [1e-9, 1e9]", ErrEvent, what, x)
	}
	return nil
}

// PureEpsilon returns the epsilon of e under basic composition, delta = 0. It
// refuses events that have none.
func PureEpsilon(e Event) (float64, error) {
	switch e := e.(type) {
	case Laplace:
		return 1 / e.B, checkPositive("scale", e.B)
	case PureDP:
		if e.Epsilon == 0 {
			return 0, nil
		}
		return e.Epsilon, checkPositive("epsilon", e.Epsilon)
	case DiscreteLaplace:
		return e.A * float64(e.Sensitivity), e.check()
	case SelfComposed:
		if e.Count < 0 {
			return 0, fmt.Errorf("%w: %d repetitions", ErrEvent, e.Count)
		}
		eps, err := PureEpsilon(e.Event)
		return eps * float64(e.Count), err
	case Composed:
		sum := 0.0
		for _, part := range e.Events {
			eps, err := PureEpsilon(part)
			if err != nil {
				return 0, err
			}
			sum += eps
		}
		return sum, nil
	}
	return 0, fmt.Errorf("%w: %T has no epsilon at delta 0", ErrEvent, e)
}

// Mu returns the mu of Gaussian differential privacy (Dong, Roth, Su, arXiv
// 1905.02383, Corollary 3.3) of a composition of Gaussian events: the square
// root of the sum of 1/z^2, exact for those. It refuses all others.
func Mu(e Event) (float64, error) {
	if err := onlyGaussian(e); err != nil {
		return 0, err
	}
	rho, err := Rho(e)
	if err != nil {
		return 0, err
	}
	f, _ := rho.Float64()
	return math.Sqrt(2 * f), nil
}

func onlyGaussian(e Event) error {
	switch e := e.(type) {
	case Gaussian, TreeSingleEpoch, ToeplitzMF, BLTMF:
		return nil
	case SelfComposed:
		return onlyGaussian(e.Event)
	case Composed:
		for _, part := range e.Events {
			if err := onlyGaussian(part); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: %T is not Gaussian", ErrEvent, e)
}
