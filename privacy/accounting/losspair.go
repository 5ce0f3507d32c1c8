package accounting

import (
	"fmt"
	"math"
)

// The privacy loss of a pair of distributions (P, Q) is log P/Q under P. A
// lossPair is discretised by "connect the dots" (Doroshenko, Ghazi, Kamath,
// Kumar, Manurangsi, arXiv 2207.04380, Algorithm 1): what lies between two
// points of the grid is split between them so that its mass under P and its
// mass under Q are both kept. The result dominates the pair: its delta is
// exact on the grid and never below between.
type lossPair interface {
	// span returns losses between which all but negligible mass lies; what
	// lies above becomes infinite loss, what lies below is raised.
	span() (low, high float64)
	// fill adds the mass to the points of an empty distribution.
	fill(d *losses)
}

// losses is a distribution over the loss first step, (first+1) step, ...,
// and infinity.
type losses struct {
	step     float64
	first    int64
	mass     []float64
	infinity float64
}

// point returns the loss of mass[i].
func (d *losses) point(i int) float64 { return float64(d.first+int64(i)) * d.step }

// maxPoints bounds the points of a distribution, and so all memory: eight
// bytes each, in a few copies.
const maxPoints = 1 << 21

// discretise refuses what needs more than maxPoints.
func discretise(pair lossPair, step float64) (*losses, error) {
	low, high := pair.span()
	first, last := math.Floor(low/step), math.Ceil(high/step)
	if !(last-first < maxPoints) || math.Abs(first) > 1<<40 {
		return nil, errPoints
	}
	d := &losses{step: step, first: int64(first), mass: make([]float64, int(last-first)+1)}
	pair.fill(d)
	return d, nil
}

var errPoints = fmt.Errorf("%w: a loss distribution of more than %d points", ErrRange, maxPoints)

// add splits the mass p at loss between the two points next to it.
func (d *losses) add(loss, p float64) {
	below := math.Floor(loss / d.step)
	i := int(below - float64(d.first))
	up := math.Expm1(below*d.step-loss) / math.Expm1(-d.step) // (1 - e^(below-loss))/(1 - e^-step)
	up = min(1, max(0, up))
	switch {
	case i < 0:
		d.mass[0] += p
	case i+1 < len(d.mass):
		d.mass[i] += p * (1 - up)
		d.mass[i+1] += p * up
	case i+1 == len(d.mass) && up < 1e-9: // the last point itself
		d.mass[i] += p
	default:
		d.infinity += p
	}
}

// symmetricNoise is a distribution symmetric about 0.
type symmetricNoise interface {
	// beyond returns the mass above x >= 0.
	beyond(x float64) float64
}

// tails are the masses up to a point and above it; the smaller is exact.
type tails struct{ below, above float64 }

func tailsAt(n symmetricNoise, x float64) tails {
	small := n.beyond(math.Abs(x))
	if x > 0 {
		return tails{1 - small, small}
	}
	return tails{small, 1 - small}
}

// between returns the mass of (x, y] from the tails at both.
func between(x, y tails) float64 {
	switch {
	case x.below > 0.5: // both above 0
		return x.above - y.above
	case y.below <= 0.5:
		return y.below - x.below
	}
	return 1 - x.below - y.above
}

// part is a share of two mixtures: noise about shift, weighing p and q.
type part struct{ shift, p, q float64 }

// continuousPair is a pair of mixtures of one noise whose loss does not fall
// in x.
type continuousPair struct {
	noise     symmetricNoise
	parts     []part
	low, high float64                    // the span
	at        func(loss float64) float64 // the greatest x whose loss is at most loss
}

func (c continuousPair) span() (low, high float64) { return c.low, c.high }

func (c continuousPair) fill(d *losses) {
	last := make([]tails, len(c.parts)) // of every part, at -infinity
	for i := range last {
		last[i] = tails{0, 1}
	}
	upTo := func(x float64) (p, q float64) { // the masses since the last x
		for i, part := range c.parts {
			next := tailsAt(c.noise, x-part.shift)
			mass := between(last[i], next)
			p, q, last[i] = p+part.p*mass, q+part.q*mass, next
		}
		return p, q
	}
	x := c.at(d.point(0))
	d.mass[0], _ = upTo(x)
	for i := 1; i < len(d.mass); i++ {
		y := c.at(d.point(i))
		if y > x {
			p, q := upTo(y)
			scaled := q * math.Exp(d.point(i-1))
			up := min(p, max(0, (p-scaled)/-math.Expm1(-d.step)))
			d.mass[i-1] += p - up
			d.mass[i] += up
			x = y
		}
	}
	d.infinity, _ = upTo(math.Inf(1))
}

type gaussianNoise struct{ sigma float64 }

func (g gaussianNoise) beyond(x float64) float64 { return math.Erfc(x/(g.sigma*math.Sqrt2)) / 2 }

// between returns the mass of (x, y].
func (g gaussianNoise) between(x, y float64) float64 { return between(tailsAt(g, x), tailsAt(g, y)) }

type laplaceNoise struct{ scale float64 }

func (l laplaceNoise) beyond(x float64) float64 { return math.Exp(-x/l.scale) / 2 }

// tailSigmas is where a Gaussian is cut: its mass beyond is 3e-20.
const tailSigmas = 9.2

// gaussianPairs returns the two directions of a Poisson sample of rate q of
// a Gaussian of sensitivity 1, 0 < q <= 1: the record removed, (1-q) N(0) +
// q N(1) against N(0), and added, N(0) against (1-q) N(0) + q N(-1). An add
// of nil says that it is as remove, by symmetry.
func gaussianPairs(q, sigma float64) (remove, add lossPair) {
	inner := func(x float64) float64 { return (2*x - 1) / (2 * sigma * sigma) }
	back := func(loss float64) float64 { return sigma*sigma*loss + 0.5 }
	far := tailSigmas * sigma
	removed := continuousPair{noise: gaussianNoise{sigma}, parts: []part{{0, 1 - q, 1}, {1, q, 0}},
		low: sampledLoss(q, inner(-far)), high: sampledLoss(q, inner(1+far)),
		at: func(loss float64) float64 { return back(innerLoss(q, loss)) }}
	if q == 1 {
		return removed, nil
	}
	return removed, continuousPair{noise: gaussianNoise{sigma}, parts: []part{{0, 1, 1 - q}, {-1, 0, q}},
		low: -sampledLoss(q, inner(far)), high: -sampledLoss(q, inner(-far)),
		at: func(loss float64) float64 { return -back(innerLoss(q, -loss)) }}
}

// laplacePairs is gaussianPairs for the Laplace distribution of the scale.
func laplacePairs(q, scale float64) (remove, add lossPair) {
	most := 1 / scale
	back := func(loss float64) float64 {
		switch {
		case loss >= most:
			return math.Inf(1)
		case loss < -most:
			return math.Inf(-1)
		}
		return (loss*scale + 1) / 2
	}
	removed := continuousPair{noise: laplaceNoise{scale}, parts: []part{{0, 1 - q, 1}, {1, q, 0}},
		low: sampledLoss(q, -most), high: sampledLoss(q, most),
		at: func(loss float64) float64 { return back(innerLoss(q, loss)) }}
	if q == 1 {
		return removed, nil
	}
	return removed, continuousPair{noise: laplaceNoise{scale}, parts: []part{{0, 1, 1 - q}, {-1, 0, q}},
		low: -sampledLoss(q, most), high: -sampledLoss(q, -most),
		at: func(loss float64) float64 { return -back(innerLoss(q, -loss)) }}
}

// replacedPair is the pair of PoissonReplaced, which is symmetric. With c =
// exp(-1/(2 sigma^2)) and y = exp(x/sigma^2) its loss is log((1-q + q c y) /
// (1-q + q c/y)), of which a quadratic equation in y is the inverse.
func replacedPair(q, sigma float64) lossPair {
	logQC := math.Log(q) - 1/(2*sigma*sigma)
	loss := func(x float64) float64 {
		y := x / (sigma * sigma)
		return logAdd(math.Log1p(-q), logQC+y) - logAdd(math.Log1p(-q), logQC-y)
	}
	far := 1 + tailSigmas*sigma
	return continuousPair{noise: gaussianNoise{sigma}, parts: []part{{0, 1 - q, 1 - q}, {1, q, 0}, {-1, 0, q}},
		low: loss(-far), high: loss(far),
		at: func(loss float64) float64 {
			half := math.Abs(loss) / 2
			y := half
			if half > 0 && q < 1 {
				logSinh := half + math.Log(-math.Expm1(-2*half)) - math.Ln2
				logRatio := math.Log1p(-q) + logSinh - logQC // asinh of its exponential follows
				if logRatio > 300 {
					y += math.Ln2 + logRatio
				} else {
					y += math.Asinh(math.Exp(logRatio))
				}
			}
			return math.Copysign(sigma*sigma*y, loss)
		}}
}

// sampledLoss is the loss log(1 - q + q e^loss) of a sample where that of
// the whole is loss; innerLoss is its inverse, -infinity below its range.
func sampledLoss(q, loss float64) float64 {
	if q == 1 {
		return loss
	}
	if loss > 500 {
		return loss + math.Log(q)
	}
	return math.Log1p(q * math.Expm1(loss))
}

func innerLoss(q, loss float64) float64 {
	switch {
	case q == 1:
		return loss
	case loss > 500:
		return loss - math.Log(q) // (1-q) e^-loss is nothing
	}
	ratio := math.Expm1(loss) / q
	if ratio <= -1 {
		return math.Inf(-1)
	}
	return math.Log1p(ratio)
}

// atoms is a pair given by its outcomes.
type atoms []atom

type atom struct{ loss, p float64 }

func (a atoms) span() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, x := range a {
		if !math.IsInf(x.loss, 1) {
			low, high = min(low, x.loss), max(high, x.loss)
		}
	}
	return low, high
}

func (a atoms) fill(d *losses) {
	for _, x := range a {
		if math.IsInf(x.loss, 1) {
			d.infinity += x.p
		} else {
			d.add(x.loss, x.p)
		}
	}
}

// integerPairs returns both directions of a Poisson sample of rate q of
// integer noise. noise[i] is its probability at i - len/2, whole is the loss
// of the output x, where the record contributes shift, against its absence.
func integerPairs(q float64, noise []float64, shift int, whole func(x int) float64) (remove, add lossPair) {
	edge := len(noise) / 2
	at := func(x int) float64 {
		if x += edge; x >= 0 && x < len(noise) {
			return noise[x]
		}
		return 0
	}
	var removed, added atoms
	for x := -edge; x <= edge+shift; x++ {
		without, with := at(x), at(x-shift)
		loss := sampledLoss(q, whole(x))
		if p := (1-q)*without + q*with; p > 0 {
			removed = append(removed, atom{loss, p})
		}
		if without > 0 {
			added = append(added, atom{-loss, without})
		}
	}
	if q == 1 {
		return removed, nil
	}
	return removed, added
}

// mixture is a pair of mixtures of which the adversary is told the part.
type mixture struct {
	weight    float64 // of one
	one, rest lossPair
}

func (m mixture) span() (low, high float64) {
	low, high = m.one.span()
	l, h := m.rest.span()
	return min(low, l), max(high, h)
}

func (m mixture) fill(d *losses) {
	m.rest.fill(d)
	one := &losses{step: d.step, first: d.first, mass: make([]float64, len(d.mass))}
	m.one.fill(one)
	for i, p := range one.mass {
		d.mass[i] += m.weight * (p - d.mass[i])
	}
	d.infinity += m.weight * (one.infinity - d.infinity)
}
