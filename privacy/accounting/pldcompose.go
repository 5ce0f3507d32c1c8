package accounting

import (
	"fmt"
	"math"
	"math/bits"

	"gonum.org/v1/gonum/dsp/fourier"
)

// leaf is a release and how often it occurs in a composition.
type leaf struct {
	event Event
	count int
}

// maxReleases bounds the releases of a composition, maxKinds the different
// ones among them.
const (
	maxReleases = 1 << 30
	maxKinds    = 256
)

// flatten lists the different releases of e in the order of their first
// occurrence. All exact Gaussians become one, of the sum of their 1/z^2.
func flatten(e Event) ([]leaf, error) {
	if err := checkEvent(e); err != nil {
		return nil, err
	}
	f := flattener{at: map[string]int{}}
	if err := f.visit(e, 1); err != nil {
		return nil, err
	}
	if f.square > 0 {
		gaussian := Gaussian{1 / math.Sqrt(f.square)}
		if err := gaussian.check(); err != nil {
			return nil, err
		}
		f.leaves = append(f.leaves, leaf{event: gaussian, count: 1})
	}
	return f.leaves, nil
}

type flattener struct {
	leaves []leaf
	at     map[string]int
	square float64 // mu^2 of the Gaussians
}

func (f *flattener) visit(e Event, times int) error {
	if times == 0 {
		return nil
	}
	switch e := e.(type) {
	case SelfComposed:
		high, low := bits.Mul64(uint64(times), uint64(e.Count))
		if high != 0 || low > maxReleases {
			return fmt.Errorf("%w: a composition of more than %d releases", ErrEvent, maxReleases)
		}
		return f.visit(e.Event, int(low))
	case Composed:
		for _, part := range e.Events {
			if err := f.visit(part, times); err != nil {
				return err
			}
		}
		return nil
	case PoissonSampled:
		if e.Q == 1 {
			return f.visit(e.Event, times)
		}
	}
	if onlyGaussian(e) == nil {
		mu, err := Mu(e)
		f.square += mu * mu * float64(times)
		return err
	}
	raw, err := EncodeEvent(e)
	if err != nil {
		return err
	}
	i, known := f.at[string(raw)]
	if !known {
		if i = len(f.leaves); i == maxKinds {
			return fmt.Errorf("%w: more than %d different releases in a loss distribution", ErrEvent, maxKinds)
		}
		f.at[string(raw)] = i
		f.leaves = append(f.leaves, leaf{event: e})
	}
	if times > maxReleases-f.leaves[i].count { // an int has 32 bits on some devices
		return fmt.Errorf("%w: a composition of more than %d releases", ErrEvent, maxReleases)
	}
	f.leaves[i].count += times
	return nil
}

// kind is a leaf on the grid. An add of nil is as remove.
type kind struct {
	remove, add *losses
	count       int
}

// discretiseAll returns the leaves on a grid, and the step that the
// narrowest of the repeated ones asks for: an eighth of its deviation, where
// the grid's own adds less than 0.3 % to the variance.
func discretiseAll(leaves []leaf, step float64) (kinds []kind, finest float64, err error) {
	finest = math.Inf(1)
	for _, l := range leaves {
		remove, add, err := lossPairs(l.event)
		if err != nil {
			return nil, 0, err
		}
		k := kind{count: l.count}
		if k.remove, err = discretise(remove, step); err != nil {
			return nil, 0, err
		}
		if add != nil {
			if k.add, err = discretise(add, step); err != nil {
				return nil, 0, err
			}
		}
		if _, variance := k.remove.moments(); l.count > 1 && variance > 0 {
			finest = min(finest, max(1e-7, step*math.Sqrt(variance)/8))
		}
		kinds = append(kinds, k)
	}
	return kinds, finest, nil
}

// moments returns the mean and variance of the finite part, in steps.
func (d *losses) moments() (mean, variance float64) {
	total := 0.0
	for i, p := range d.mass {
		total += p
		mean += p * float64(i)
	}
	if total == 0 {
		return 0, 0
	}
	mean /= total
	for i, p := range d.mass {
		variance += p * (float64(i) - mean) * (float64(i) - mean)
	}
	return mean + float64(d.first), variance / total
}

// composeBoth convolves the kinds in both directions.
func composeBoth(kinds []kind, step float64) (remove, add *losses, err error) {
	symmetric := true
	forward, backward := make([]kind, len(kinds)), make([]kind, len(kinds))
	for i, k := range kinds {
		forward[i] = kind{remove: k.remove, count: k.count}
		backward[i] = forward[i]
		if k.add != nil {
			backward[i].remove, symmetric = k.add, false
		}
	}
	if remove, err = compose(forward, step); err != nil || symmetric {
		return remove, remove, err
	}
	add, err = compose(backward, step)
	return remove, add, err
}

// roundingMass is what one release's rounding errors are counted as, in
// infinite loss: five times the largest sum of an end of a distribution
// below zero, which only rounding can make, over sampled Gaussians of rates
// 1e-5 to 0.1, z 0.6 to 5, 10 to 100,000 releases (1.8e-16).
const roundingMass = 0x1p-50

// compose returns the distribution of the sum of count independent losses of
// each kind: by one discrete Fourier transform each, raised to the count, on
// a circle that holds all but 2e-15 of the sum. That is counted as infinite
// loss, for what the circle's ends may have exchanged, and so is rounding.
func compose(kinds []kind, step float64) (*losses, error) {
	if len(kinds) == 0 {
		return &losses{step: step, mass: []float64{1}}, nil
	}
	if len(kinds) == 1 && kinds[0].count == 1 {
		return kinds[0].remove, nil
	}
	first, last, err := window(kinds)
	if err != nil {
		return nil, err
	}
	if last-first >= maxPoints {
		return nil, errPoints
	}
	size := circleSize(int(last-first) + 1)
	if size > maxPoints {
		return nil, errPoints
	}
	transform := fourier.NewFFT(size)
	circle, product := make([]float64, size), make([]complex128, size/2+1)
	var factor []complex128
	base, logFinite, lost := int64(0), 0.0, 2*tailMass
	for i, k := range kinds {
		clear(circle)
		for mass := k.remove.mass; len(mass) > 0; mass = mass[min(size, len(mass)):] {
			for j, p := range mass[:min(size, len(mass))] {
				circle[j] += p
			}
		}
		factor = transform.Coefficients(factor, circle)
		for j, c := range factor {
			power := complexPower(c, k.count)
			if i == 0 {
				product[j] = power
			} else {
				product[j] *= power
			}
		}
		base += int64(k.count) * k.remove.first
		lost += float64(k.count) * roundingMass
		logFinite += float64(k.count) * math.Log1p(-k.remove.infinity)
	}
	circle = transform.Sequence(circle, product)
	sum := &losses{step: step, first: first, mass: make([]float64, int(last-first)+1), infinity: lost - math.Expm1(logFinite)}
	at := (int((first-base)%int64(size)) + size) % size
	for i := range sum.mass {
		sum.mass[i] = circle[at] / float64(size)
		if at++; at == size {
			at = 0
		}
	}
	return sum, nil
}

// circleSize returns the least 2^i, 3 2^i or 5 2^i that is not below n, for
// which transforms are fast.
func circleSize(n int) int {
	least := math.MaxInt
	for _, size := range []int{2, 6, 10} {
		for size < n {
			size *= 2
		}
		least = min(least, size)
	}
	return least
}

// complexPower returns c^n for n >= 1 by squaring.
func complexPower(c complex128, n int) complex128 {
	power := complex128(1)
	for ; ; c *= c {
		if n&1 == 1 {
			power *= c
		}
		if n >>= 1; n == 0 {
			return power
		}
	}
}

// window returns the points between which the sum of the losses lies but for
// tailMass at each end, by Chernoff's bound at several exponents.
func window(kinds []kind) (first, last int64, err error) {
	low, high, variance := 0.0, 0.0, 0.0
	for _, k := range kinds {
		n := float64(k.count)
		_, v := k.remove.moments()
		low += n * float64(k.remove.first)
		high += n * (float64(k.remove.first) + float64(len(k.remove.mass)-1))
		variance += n * v
	}
	if max(-low, high) > 1<<52 {
		return 0, 0, fmt.Errorf("%w: losses of %g steps", ErrRange, max(-low, high))
	}
	if variance == 0 {
		return int64(low), int64(high), nil
	}
	logTail := -math.Log(tailMass)
	typical := math.Sqrt(2 * logTail / variance)
	for power := -4.0; power <= 3; power += 0.5 {
		exponent := typical * math.Pow(2, power)
		up, down := logTail, logTail
		for _, k := range kinds {
			up += float64(k.count) * k.remove.logMoment(exponent)
			down += float64(k.count) * k.remove.logMoment(-exponent)
		}
		high, low = min(high, math.Ceil(up/exponent)), max(low, math.Floor(-down/exponent))
	}
	return int64(low), int64(high), nil
}

// logMoment returns log E e^(exponent loss/step) over the finite part.
func (d *losses) logMoment(exponent float64) float64 {
	sum, n := 0.0, len(d.mass)
	shrink, weight := math.Exp(-math.Abs(exponent)), 1.0
	for i := range n {
		if weight < 1e-300 { // all that is left weighs less
			sum += weight
			break
		}
		if exponent > 0 {
			sum += d.mass[n-1-i] * weight
		} else {
			sum += d.mass[i] * weight
		}
		weight *= shrink
	}
	end := d.first
	if exponent > 0 {
		end += int64(n) - 1
	}
	return math.Log(sum) + exponent*float64(end)
}
