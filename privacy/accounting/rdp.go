package accounting

import (
	"fmt"
	"math"
)

// Curve is a Renyi differential privacy bound at some orders.
type Curve struct {
	Orders []float64 // each > 1
	Values []float64 // the divergence at each order
}

// DefaultOrders returns 1.1 to 10.9 by 0.1, 11 to 63, 128, 256, 512, 1024:
// those of the reference implementation.
func DefaultOrders() []float64 {
	orders := make([]float64, 0, 99+53+4)
	for i := 1; i < 100; i++ {
		orders = append(orders, 1+float64(i)/10)
	}
	for i := 11; i < 64; i++ {
		orders = append(orders, float64(i))
	}
	return append(orders, 128, 256, 512, 1024)
}

// RDP returns the Renyi curve of e (Mironov, arXiv 1702.07476; adaptive
// composition adds). The error wraps ErrEvent.
func RDP(e Event, orders []float64) (Curve, error) {
	c := Curve{Orders: orders, Values: make([]float64, len(orders))}
	for i, a := range orders {
		if !(a > 1) || math.IsInf(a, 1) {
			return Curve{}, fmt.Errorf("%w: a Renyi order of %g", ErrRange, a)
		}
		value, err := divergence(e, a)
		if err != nil {
			return Curve{}, err
		}
		c.Values[i] = value
	}
	return c, nil
}

// divergence returns the bound of e at order a.
func divergence(e Event, a float64) (float64, error) {
	if e == nil {
		return 0, fmt.Errorf("%w: there is none", ErrEvent)
	}
	return e.rdp(a)
}

// Epsilon returns the epsilon at delta and the order that gives it:
// the least of value + log(1 - 1/a) - log(delta a)/(a - 1) (arXiv
// 2004.00010, Proposition 12), and 0 at an order where delta^2 exceeds
// 1 - exp(-value), which bounds the total variation (Bretagnolle-Huber).
// Without a delta there is no finite epsilon.
func (c Curve) Epsilon(delta float64) (eps, order float64, err error) {
	if delta == 0 {
		return math.Inf(1), 0, nil
	}
	if err := checkDelta(delta); err != nil {
		return 0, 0, err
	}
	eps = math.Inf(1)
	for i, a := range c.Orders {
		value := c.Values[i]
		at := value + math.Log1p(-1/a) - math.Log(delta*a)/(a-1)
		if delta*delta+math.Expm1(-value) > 0 {
			at = 0
		}
		if at < eps {
			eps, order = at, a
		}
	}
	return max(0, eps), order, nil
}

// Delta returns the delta at eps: the least over the orders of
// exp((a-1)(value - eps + log(1-1/a)))/a and of the total variation's bound;
// 1 where eps is below 0 or no number.
func (c Curve) Delta(eps float64) float64 {
	least := 0.0
	if !(eps >= 0) {
		return 1
	}
	for i, a := range c.Orders {
		value := c.Values[i]
		least = min(least, math.Log1p(-math.Exp(-value))/2)
		least = min(least, (a-1)*(value-eps+math.Log1p(-1/a))-math.Log(a))
	}
	return math.Exp(least)
}

// rhoCurve is the curve of rho-zCDP: rho a.
func rhoCurve(e Event, a float64) (float64, error) {
	rho, err := e.rho()
	if err != nil {
		return 0, err
	}
	f, _ := rho.Float64()
	return f * a, nil
}

func (e ZCDP) rdp(a float64) (float64, error)             { return rhoCurve(e, a) }
func (e Gaussian) rdp(a float64) (float64, error)         { return rhoCurve(e, a) }
func (e DiscreteGaussian) rdp(a float64) (float64, error) { return rhoCurve(e, a) }
func (e TreeSingleEpoch) rdp(a float64) (float64, error)  { return rhoCurve(e, a) }

// The Laplace mechanism exactly (Mironov 2017, Proposition 6), with t = 1/B:
// log( a/(2a-1) exp((a-1)t) + (a-1)/(2a-1) exp(-a t) ) / (a-1).
func (e Laplace) rdp(a float64) (float64, error) {
	if err := checkPositive("scale", e.B); err != nil {
		return 0, err
	}
	t := 1 / e.B
	first := math.Log(a/(2*a-1)) + (a-1)*t
	second := math.Log((a-1)/(2*a-1)) - a*t
	return (first + math.Log1p(math.Exp(second-first))) / (a - 1), nil
}

// Pure DP exactly: randomised response dominates it (Kairouz, Oh, Viswanath,
// arXiv 1311.0776, Theorem 3.1), so with p = e^eps/(1 + e^eps)
//
//	log( p e^((a-1) eps) + (1-p) e^(-(a-1) eps) ) / (a-1)
//
// which is below both epsilon and epsilon^2 a/2.
func (e PureDP) rdp(a float64) (float64, error) {
	value, err := rhoCurve(e, a)
	if x := (a - 1) * e.Epsilon; err == nil && x > 1e-4 { // below, a/2 epsilon^2 is as good
		value = min(value, (x+math.Log1p(math.Expm1(-2*x)/(1+math.Exp(e.Epsilon))))/(a-1))
	}
	return value, err
}

func (e Composed) rdp(a float64) (float64, error) {
	sum := 0.0
	for _, part := range e.Events {
		value, err := divergence(part, a)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

func (e SelfComposed) rdp(a float64) (float64, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	value, err := divergence(e.Event, a)
	return value * float64(e.Count), err
}

// maxTerms bounds the sum of a discrete Gaussian sum's tau.
const maxTerms = 1000

// The distributed discrete Gaussian: with r2 = L2/(sqrt(n) sigma), r1 the
// same for the L1 norm (at most min(sqrt(D) L2, L2^2) for integers) and
// tau = 10 sum over k < n of exp(-2 pi^2 sigma^2 k/(k+1)), the least of
//
//	a/2 r2^2 + tau D
//	a/2 (r2^2 + 2 r1 tau + tau^2 D)
//	a/2 (r2 + sqrt(D) tau)^2
func (e DiscreteGaussianSum) rdp(a float64) (float64, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	l2, _ := e.L2.Float64()
	sigma2, _ := e.Sigma2.Float64()
	d, tau := float64(e.Dim), 0.0
	for k := 1; k < e.Shares; k++ {
		term := 10 * math.Exp(-2*math.Pi*math.Pi*sigma2*float64(k)/float64(k+1))
		if k == maxTerms { // all later ones are smaller
			tau += term * float64(e.Shares-k)
			break
		}
		tau += term
	}
	unit := math.Sqrt(float64(e.Shares) * sigma2)
	r2, r1 := l2/unit, min(math.Sqrt(d)*l2, l2*l2)/unit
	joint := r2 + math.Sqrt(d)*tau
	return a / 2 * min(r2*r2+2*tau*d/a, r2*r2+2*r1*tau+tau*tau*d, joint*joint), nil
}
