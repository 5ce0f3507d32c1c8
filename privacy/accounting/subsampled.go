package accounting

import (
	"fmt"
	"math"
	"math/big"
)

// PoissonSampled runs Event on a sample that every record enters with
// probability Q, independently and unseen by the adversary, 0 <= Q <= 1.
// What is sampled must be one release: a Gaussian (exact), or another
// mechanism with a Renyi curve (Zhu and Wang), or repetitions of one on the
// same sample. Trees, factorisations, samples of samples and compositions of
// different releases are refused.
type PoissonSampled struct {
	Q     float64
	Event Event
}

// SampledWithoutReplacement runs a Gaussian on Sample records drawn
// uniformly, without replacement and unseen, of Population. A record that is
// not drawn makes room for another one, so the sum moves by up to twice a
// record's norm: with Z relative to one record's norm, as everywhere, the
// theorem holds at Z/2, for a zeroed record and a replaced one alike.
type SampledWithoutReplacement struct {
	Population, Sample int
	Event              Event
}

// maxPopulation bounds the population of a sampled event.
const maxPopulation = 1 << 30

func (e PoissonSampled) check() error {
	if !(e.Q >= 0 && e.Q <= 1) {
		return fmt.Errorf("%w: a sampling rate of %g", ErrEvent, e.Q)
	}
	return checkSampled(e.Event)
}

// checkSampled refuses what a sample cannot be taken of.
func checkSampled(e Event) error {
	switch part := e.(type) {
	case nil:
		return fmt.Errorf("%w: a sample of nothing", ErrEvent)
	case Gaussian, Laplace, PureDP, ZCDP, DiscreteGaussian, DiscreteLaplace, DiscreteGaussianSum, SkellamSum:
		return e.check()
	case SelfComposed:
		if err := checkSampled(part.Event); err != nil {
			return err
		}
		return e.check()
	}
	return fmt.Errorf("%w: no theorem for a sample of %T", ErrEvent, e)
}

// Sampling has no useful zCDP: the divergence of a sampled Gaussian is small
// at low orders and that of the whole at high ones.
func (e PoissonSampled) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: sampling amplifies no zCDP; use a Renyi curve or a loss distribution", ErrEvent)
}

func (e PoissonSampled) rdp(a float64) (float64, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	whole, err := divergence(e.Event, a)
	if err != nil || e.Q == 1 {
		return whole, err
	}
	if e.Q == 0 {
		return 0, nil
	}
	if gaussian, ok := e.Event.(Gaussian); ok {
		return min(whole, sampledGaussian(e.Q, gaussian.Z, a)), nil
	}
	if a > maxSumOrder {
		return whole, nil
	}
	sampled, err := betweenOrders(a, func(order int) (float64, error) { return e.zhuWang(order) })
	return min(whole, sampled), err
}

// maxSumOrder is the highest order at which sums over all lower ones are
// taken.
const maxSumOrder = 1024

// betweenOrders returns the divergence at a from bounds cgf(n) of (n-1) times
// the divergence at the integers n next to it: that product is convex in
// the order and 0 at 1 (Wang, Balle, Kasiviswanathan, arXiv 1808.00087,
// Corollary 10).
func betweenOrders(a float64, cgf func(order int) (float64, error)) (float64, error) {
	below := math.Floor(a)
	t := a - below
	sum := 0.0
	if below > 1 {
		value, err := cgf(int(below))
		if err != nil {
			return 0, err
		}
		sum = (1 - t) * value
	}
	if t > 0 {
		value, err := cgf(int(below) + 1)
		if err != nil {
			return 0, err
		}
		sum += t * value
	}
	return sum / (a - 1), nil
}

// zhuWang returns (n-1) times the divergence at the integer order n >= 2 of
// a Poisson sample of any mechanism with a Renyi curve eps (Zhu and Wang,
// "Poisson subsampled Renyi differential privacy", ICML 2019, Theorem 5):
//
//	log( (1-q)^(n-1) (n q - q + 1) + C(n,2) q^2 (1-q)^(n-2) e^eps(2)
//	     + 3 sum over l = 3..n of C(n,l) (1-q)^(n-l) q^l e^((l-1) eps(l)) )
func (e PoissonSampled) zhuWang(n int) (float64, error) {
	logQ, logRest, order := math.Log(e.Q), math.Log1p(-e.Q), float64(n)
	sum := (order-1)*logRest + math.Log(order*e.Q-e.Q+1)
	for l := 2; l <= n; l++ {
		eps, err := divergence(e.Event, float64(l))
		if err != nil {
			return 0, err
		}
		term := logChoose(order, l) + (order-float64(l))*logRest + float64(l)*logQ + (float64(l)-1)*eps
		if l > 2 {
			term += math.Log(3)
		}
		sum = logAdd(sum, term)
	}
	return max(0, sum), nil
}

// sampledGaussian returns the divergence at order a > 1 of the Poisson
// sampled Gaussian, 0 < q < 1 (Mironov, Talwar, Zhang, arXiv 1908.10530):
// the closed form of section 3.3 at integers, the two series of its
// fractional case otherwise, and the bound between integers where those
// converge too slowly.
func sampledGaussian(q, sigma, a float64) float64 {
	if a == math.Floor(a) && a <= 1<<16 {
		return max(0, sampledGaussianAt(q, sigma, int(a))/(a-1))
	}
	if logA, ok := sampledGaussianSeries(q, sigma, a); ok {
		return max(0, logA/(a-1))
	}
	if a > 1<<16 {
		return math.Inf(1) // the caller takes that of the whole
	}
	value, _ := betweenOrders(a, func(order int) (float64, error) { return sampledGaussianAt(q, sigma, order), nil })
	return value
}

// sampledGaussianAt returns log A_n = log sum over i of
// C(n,i) (1-q)^(n-i) q^i exp((i^2-i)/(2 sigma^2)).
func sampledGaussianAt(q, sigma float64, n int) float64 {
	sum, logQ, logRest := math.Inf(-1), math.Log(q), math.Log1p(-q)
	for i := 0; i <= n; i++ {
		k := float64(i)
		sum = logAdd(sum, logChoose(float64(n), i)+k*logQ+(float64(n)-k)*logRest+(k*k-k)/(2*sigma*sigma))
	}
	return sum
}

// sampledGaussianSeries sums the absolute values of the two series, which
// bounds log A_a from above, up to the first term below 1e-13 of them; ok is
// false if they do not settle.
func sampledGaussianSeries(q, sigma, a float64) (logA float64, ok bool) {
	left, right := math.Inf(-1), math.Inf(-1)
	logQ, logRest := math.Log(q), math.Log1p(-q)
	z0 := sigma*sigma*(logRest-logQ) + 0.5
	lastLeft, lastRight := math.Inf(-1), math.Inf(-1)
	for i := range 1000 {
		k := float64(i)
		j := a - k
		choose := logChoose(a, i)
		s0 := choose + k*logQ + j*logRest + (k*k-k)/(2*sigma*sigma) + logPhi((z0-k)/sigma)
		s1 := choose + j*logQ + k*logRest + (j*j-j)/(2*sigma*sigma) + logPhi((j-z0)/sigma)
		left, right = logAdd(left, s0), logAdd(right, s1)
		total := logAdd(left, right)
		if s0 < lastLeft && s1 < lastRight && max(s0, s1) < total-30 {
			return total, true
		}
		lastLeft, lastRight = s0, s1
	}
	return 0, false
}

// logChoose returns log |C(a, k)| for real a > 0 and an integer k >= 0.
func logChoose(a float64, k int) float64 {
	top, _ := math.Lgamma(a + 1)
	bottom, _ := math.Lgamma(float64(k) + 1)
	rest, _ := math.Lgamma(a - float64(k) + 1)
	return top - bottom - rest
}

// logAdd returns log(e^x + e^y).
func logAdd(x, y float64) float64 {
	if x < y {
		x, y = y, x
	}
	if math.IsInf(y, -1) {
		return x
	}
	return x + math.Log1p(math.Exp(y-x))
}

func (e SampledWithoutReplacement) check() error {
	if e.Population < 1 || e.Population > maxPopulation || e.Sample < 0 || e.Sample > e.Population {
		return fmt.Errorf("%w: a sample of %d from %d", ErrEvent, e.Sample, e.Population)
	}
	gaussian, ok := e.Event.(Gaussian)
	if !ok {
		return fmt.Errorf("%w: no theorem for a sample without replacement of %T", ErrEvent, e.Event)
	}
	return gaussian.check()
}

func (e SampledWithoutReplacement) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: sampling amplifies no zCDP; use a Renyi curve", ErrEvent)
}

// Wang, Balle, Kasiviswanathan (arXiv 1808.00087, Theorem 27): with
// B(l) = E (P/Q - 1)^l,
//
//	log( 1 + q^2 C(n,2) min(4 (e^eps(2) - 1), 2 e^eps(2))
//	       + sum over l = 3..n of q^l C(n,l) min(4 sqrt(B(2 floor(l/2)) B(2 ceil(l/2))), 2 e^((l-1) eps(l))) )
func (e SampledWithoutReplacement) rdp(a float64) (float64, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	z := e.Event.(Gaussian).Z / 2
	whole, err := divergence(Gaussian{z}, a)
	q := float64(e.Sample) / float64(e.Population)
	if q == 0 {
		return 0, err
	}
	if err != nil || q == 1 || a > maxSumOrder {
		return whole, err
	}
	sampled, err := betweenOrders(a, func(order int) (float64, error) { return withoutReplacementAt(q, z, order), nil })
	return min(whole, sampled), err
}

func withoutReplacementAt(q, z float64, n int) float64 {
	const exact = 256 // above, only the second argument of the minimum
	unit := 1 / (2 * z * z)
	sum, logQ := 0.0, math.Log(q)
	low, high := 0.0, lognormalMoment(z, 2)
	for l := 2; l <= n; l++ {
		k := float64(l)
		term := math.Ln2 + k*(k-1)*unit
		switch {
		case l == 2:
			term = min(math.Log(4)+math.Log(math.Expm1(2*unit)), term)
		case n <= exact:
			if l%2 == 1 {
				low, high = high, lognormalMoment(z, l+1)
				term = min(math.Log(4)+(low+high)/2, term)
			} else {
				term = min(math.Log(4)+high, term)
			}
		}
		sum = logAdd(sum, term+k*logQ+logChoose(float64(n), l))
	}
	return sum
}

// lognormalMoment returns log E (e^(x/z - 1/(2 z^2)) - 1)^l for a standard
// normal x and an even l, by the trapezoid rule, which for an integrand of
// this kind errs by less than exp(-2 pi^2/step^2).
func lognormalMoment(z float64, l int) float64 {
	const step = 0.2
	order := float64(l)
	reach := math.Sqrt(order) + 12
	sum := math.Inf(-1)
	for x := -reach; x <= reach+order/z; x += step {
		loss := x/z - 1/(2*z*z)
		if loss == 0 {
			continue
		}
		magnitude := math.Log(math.Abs(math.Expm1(min(loss, 500)))) // log |e^loss - 1|
		if loss > 500 {
			magnitude = loss
		}
		sum = logAdd(sum, order*magnitude-x*x/2)
	}
	return sum + math.Log(step) - math.Log(2*math.Pi)/2
}
