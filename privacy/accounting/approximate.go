package accounting

import (
	"fmt"
	"math/big"
)

// EpsilonDelta is any release of which (Epsilon, Delta)-DP is known, Epsilon
// >= 0 and 0 <= Delta < 1. It has no Renyi curve: EpsilonByRDP sets its
// Delta aside, a loss distribution counts it as certain loss.
type EpsilonDelta struct{ Epsilon, Delta float64 }

func (e EpsilonDelta) check() error {
	if !(e.Delta >= 0 && e.Delta < 1) {
		return fmt.Errorf("%w: a delta of %g", ErrEvent, e.Delta)
	}
	return PureDP{e.Epsilon}.check()
}

func (e EpsilonDelta) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if e.Delta == 0 {
		return PureDP{e.Epsilon}.rho()
	}
	return nil, fmt.Errorf("%w: approximate DP has no zCDP", ErrEvent)
}

func (e EpsilonDelta) rdp(a float64) (float64, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	if e.Delta == 0 {
		return PureDP{e.Epsilon}.rdp(a)
	}
	return 0, fmt.Errorf("%w: approximate DP has no Renyi curve", ErrEvent)
}

// setAside returns e with every (epsilon, delta) part replaced by epsilon-DP
// and the sum of the deltas: but for events of that probability, each part
// is indistinguishable as a pure one is (Kairouz, Oh, Viswanath, arXiv
// 1311.0776, Theorem 3.2: the pair that dominates it leaks everything with
// probability delta and is randomised response otherwise).
func setAside(e Event) (pure Event, delta float64) {
	switch e := e.(type) {
	case EpsilonDelta:
		return PureDP{e.Epsilon}, e.Delta
	case SelfComposed:
		pure, delta = setAside(e.Event)
		return SelfComposed{pure, e.Count}, delta * float64(e.Count)
	case Composed:
		parts := make([]Event, len(e.Events))
		for i, part := range e.Events {
			pure, one := setAside(part)
			parts[i], delta = pure, delta+one
		}
		return Composed{parts}, delta
	}
	return e, 0
}
