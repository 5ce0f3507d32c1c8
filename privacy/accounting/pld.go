package accounting

import (
	"fmt"
	"math"
)

// PLD is a discretised privacy loss distribution of a composition, in both
// directions (a record's part present against absent, and the reverse). It
// is pessimistic: its epsilon and delta are not below the true ones. For the
// rounding of float64 transforms it adds 8.9e-16 to delta for each release,
// five times what was measured, so that it says nothing about a delta below
// that (8.9e-12 at 10,000 releases). Immutable.
type PLD struct {
	remove, add *losses
}

// defaultStep is the grid's step, as in the reference implementation.
const defaultStep = 1e-4

// tailMass is what each end of a composition may lose to infinite loss.
const tailMass = 1e-15

// NewPLD returns the loss distribution of e. The grid starts at 1e-4; it is
// finer where single releases lose less than that, coarser where it would
// exceed 2^21 points, which stays pessimistic. The error wraps ErrEvent for
// events that have no loss distribution here (zCDP, sums of discrete
// Gaussians and Skellam, samples without replacement), ErrRange for
// compositions that are too wide for any grid.
func NewPLD(e Event) (*PLD, error) {
	leaves, err := flatten(e)
	if err != nil {
		return nil, err
	}
	step, coarser := defaultStep, false
	for {
		kinds, finest, err := discretiseAll(leaves, step)
		if err == nil && finest < step && !coarser {
			step, coarser = finest, true // from here on only coarser
			continue
		}
		var remove, add *losses
		if err == nil {
			remove, add, err = composeBoth(kinds, step)
		}
		switch {
		case err == nil:
			return &PLD{remove, add}, nil
		case err != errPoints || step > 4:
			return nil, err
		}
		step, coarser = 2*step, true
	}
}

// Step returns the grid's step.
func (p *PLD) Step() float64 { return p.remove.step }

// Epsilon returns the epsilon at delta of the worse direction; +Inf where
// the mass at infinite loss alone exceeds delta, and at delta 0.
func (p *PLD) Epsilon(delta float64) (float64, error) {
	if delta == 0 {
		return math.Inf(1), nil
	}
	if err := checkDelta(delta); err != nil {
		return 0, err
	}
	return max(p.remove.epsilon(delta), p.add.epsilon(delta)), nil
}

// Delta returns the delta at eps >= 0 of the worse direction.
func (p *PLD) Delta(eps float64) (float64, error) {
	if !(eps >= 0) || math.IsInf(eps, 1) {
		return 0, fmt.Errorf("%w: an epsilon of %g", ErrRange, eps)
	}
	return min(1, max(p.remove.delta(eps), p.add.delta(eps))), nil
}

// MaxTPR returns the largest true-positive rate of any membership test of
// false-positive rate fpr, 0 < fpr < 1, in the worse direction: the least of
// e^eps fpr + delta(eps) over the grid, below zero as well (Kairouz, Oh,
// Viswanath, arXiv 1311.0776, Theorem 2.1). fpr over (0, 1) gives the
// trade-off curve.
func (p *PLD) MaxTPR(fpr float64) (float64, error) {
	if !(fpr > 0 && fpr < 1) {
		return 0, fmt.Errorf("%w: a false-positive rate of %g is not between 0 and 1", ErrRange, fpr)
	}
	return max(fpr, p.remove.maxTPR(fpr), p.add.maxTPR(fpr)), nil
}

// delta returns the sum over the points above eps of mass (1 - e^(eps-loss)),
// and the mass at infinity.
func (d *losses) delta(eps float64) float64 {
	sum := 0.0
	from := int(min(float64(len(d.mass)), max(0, math.Floor(eps/d.step)+1-float64(d.first))))
	for i := len(d.mass) - 1; i >= from; i-- { // from the small tail on
		sum -= d.mass[i] * math.Expm1(eps-d.point(i))
	}
	return max(0, sum) + d.infinity
}

// epsilon finds the segment of the grid in which delta is reached; in it,
// delta(eps) = infinity + above - e^(eps-point) weighted.
func (d *losses) epsilon(delta float64) float64 {
	if d.infinity > delta {
		return math.Inf(1)
	}
	above, weighted := 0.0, 0.0 // mass over the point, and the same times e^(point-loss)
	shrink := math.Exp(-d.step)
	for i := len(d.mass) - 1; i >= 0; i-- {
		point := d.point(i)
		if d.infinity+above-weighted > delta {
			return max(0, point+math.Log((d.infinity+above-delta)/weighted))
		}
		if point <= 0 {
			return 0
		}
		above += d.mass[i]
		weighted = (weighted + d.mass[i]) * shrink
	}
	point := d.point(-1) // all losses are above 0
	if d.infinity+above-weighted <= delta || above == 0 {
		return max(0, point)
	}
	return max(0, point+math.Log((d.infinity+above-delta)/weighted))
}

// maxTPR walks the points as epsilon does.
func (d *losses) maxTPR(fpr float64) float64 {
	above, weighted, least := 0.0, 0.0, 1.0
	shrink := math.Exp(-d.step)
	for i := len(d.mass) - 1; i >= 0; i-- {
		point := d.point(i)
		if point < 700 {
			least = min(least, math.Exp(point)*fpr+max(0, above-weighted)+d.infinity)
		}
		above += d.mass[i]
		weighted = (weighted + d.mass[i]) * shrink
	}
	return least
}
