package accounting

import (
	"fmt"
	"math/big"

	"gonum.org/v1/gonum/mathext"
)

// PoissonReplaced is a Poisson sampled Gaussian under the adjacency of a
// replaced record, Z relative to one record's norm: the pair (1-Q) N(0) +
// Q N(1) and (1-Q) N(0) + Q N(-1). It has a loss distribution only.
type PoissonReplaced struct{ Q, Z float64 }

// TruncatedPoisson is a Gaussian on a Poisson sample of rate Q from a
// Population of known size, of which at most Batch records are kept, drawn
// uniformly. It has a loss distribution only.
type TruncatedPoisson struct {
	Q                 float64
	Population, Batch int
	Z                 float64
}

func (e PoissonReplaced) check() error {
	if !(e.Q >= 0 && e.Q <= 1) {
		return fmt.Errorf("%w: a sampling rate of %g", ErrEvent, e.Q)
	}
	return checkPositive("noise multiplier", e.Z)
}

func (e TruncatedPoisson) check() error {
	if e.Population < 1 || e.Population > 1<<24 || e.Batch < 1 || e.Batch > e.Population {
		return fmt.Errorf("%w: at most %d records of %d", ErrEvent, e.Batch, e.Population)
	}
	return PoissonReplaced{e.Q, e.Z}.check()
}

func (e PoissonReplaced) rho() (*big.Rat, error)          { return nil, onlyLosses(e) }
func (e PoissonReplaced) rdp(float64) (float64, error)    { return 0, onlyLosses(e) }
func (e TruncatedPoisson) rho() (*big.Rat, error)         { return nil, onlyLosses(e) }
func (e TruncatedPoisson) rdp(a float64) (float64, error) { return 0, onlyLosses(e) }

func onlyLosses(e Event) error {
	if err := e.check(); err != nil {
		return err
	}
	return fmt.Errorf("%w: %T has a loss distribution only", ErrEvent, e)
}

// ReplaceOne returns the events of the same mechanisms under the adjacency
// of one replaced record: a record moves a sum by twice its norm. It refuses
// events of which it does not know what a replacement does.
func ReplaceOne(e Event) (Event, error) {
	if err := checkEvent(e); err != nil {
		return nil, err
	}
	switch e := e.(type) {
	case Gaussian:
		return Gaussian{e.Z / 2}, nil
	case Laplace:
		return Laplace{e.B / 2}, nil
	case DiscreteGaussian:
		return DiscreteGaussian{e.Sigma, 2 * e.Sensitivity}, nil
	case DiscreteLaplace:
		return DiscreteLaplace{e.A, 2 * e.Sensitivity}, nil
	case TreeSingleEpoch:
		return TreeSingleEpoch{e.Z / 2, e.Steps}, nil
	case ToeplitzMF:
		e.Z /= 2
		return e, nil
	case BLTMF:
		e.Z /= 2
		return e, nil
	case SampledWithoutReplacement: // counts as much for a zeroed record
		return e, nil
	case PoissonSampled:
		if gaussian, ok := e.Event.(Gaussian); ok {
			return PoissonReplaced{e.Q, gaussian.Z}, nil
		}
	case SelfComposed:
		inner, err := ReplaceOne(e.Event)
		return SelfComposed{inner, e.Count}, err
	case Composed:
		parts := make([]Event, len(e.Events))
		for i, part := range e.Events {
			var err error
			if parts[i], err = ReplaceOne(part); err != nil {
				return nil, err
			}
		}
		return Composed{parts}, nil
	}
	return nil, fmt.Errorf("%w: what a replaced record does to %T is not known here", ErrEvent, e)
}

// split returns the probability that the sample is cut, given that the
// record in question is in it, and that record's probability of being kept,
// given that it is cut.
func (e TruncatedPoisson) split() (cut, kept float64) {
	cut = binomialAbove(e.Population-1, e.Q, e.Batch-1)
	if cut > 0 {
		kept = binomialAbove(e.Population, e.Q, e.Batch) / cut * float64(e.Batch) / float64(e.Population)
	}
	return cut, min(1, kept)
}

// binomialAbove returns P[Bin(n, q) > k], the regularised incomplete beta
// function I_q(k+1, n-k).
func binomialAbove(n int, q float64, k int) float64 {
	if k >= n {
		return 0
	}
	return mathext.RegIncBeta(float64(k+1), float64(n-k), q)
}
