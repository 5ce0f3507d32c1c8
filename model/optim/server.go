package optim

import (
	"errors"
	"fmt"
	"math"

	"tutti/model/kernel"
)

// The rules a Server knows.
const (
	// FedAvg adds the mean: w <- w + rate*mean (McMahan et al. 2017).
	FedAvg Rule = "fedavg"
	// FedSGD follows the mean with momentum: v <- momentum*v + mean;
	// w <- w + rate*v (Hsu et al. 2019, FedAvgM). Use it under noise.
	FedSGD Rule = "fedsgd"
	// FedAdam is Algorithm 2 of Reddi et al. 2021. It divides by the second
	// moment, so it blows up coordinates that hold only noise.
	FedAdam Rule = "fedadam"
	// FedYogi is the same with a second moment that grows by a bounded step (Zaheer
	// et al. 2018): it forgets a burst of large updates slowly.
	FedYogi Rule = "fedyogi"
	// FedAdagrad is the same with the sum of squares as its second moment.
	FedAdagrad Rule = "fedadagrad"
)

// adaptive says whether a rule is a line of Algorithm 2 of Reddi et al. 2021.
func (r Rule) adaptive() bool { return r == FedAdam || r == FedYogi || r == FedAdagrad }

// ServerConfig chooses a rule and its constants.
type ServerConfig struct {
	Rule         Rule
	LearningRate float64 // > 0
	Momentum     float64 // FedSGD only, in [0, 1)
	// Beta1 and Beta2, in [0, 1), are the decays of the moments. FedAdam and
	// FedYogi: both 0 means .9 and .99. FedAdagrad has no Beta2, and a Beta1 of 0
	// as in the paper's experiments unless one is given.
	Beta1, Beta2 float64
	Tau          float64 // the adaptive rules, > 0; 0 means 1e-3
}

// Server applies the mean update of each round to the global weights. It draws
// nothing at random and reads no clock: its State and the means decide all.
type Server struct {
	cfg   ServerConfig
	state State
}

// NewServer checks cfg and returns an optimiser for size weights.
func NewServer(cfg ServerConfig, size int) (*Server, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, fmt.Errorf("server optimiser: %w", err)
	}
	if size <= 0 {
		return nil, fmt.Errorf("server optimiser: %d weights", size)
	}
	s := &Server{cfg: cfg, state: State{Rule: cfg.Rule}}
	if cfg.Rule != FedAvg {
		s.state.First = make([]float32, size)
	}
	if cfg.Rule.adaptive() {
		s.state.Second = make([]float32, size)
	}
	return s, nil
}

func (c ServerConfig) checked() (ServerConfig, error) {
	if !(c.LearningRate > 0) || math.IsInf(c.LearningRate, 0) {
		return c, fmt.Errorf("learning rate %v must be positive", c.LearningRate)
	}
	fraction := func(x float64) bool { return x >= 0 && x < 1 }
	switch c.Rule {
	case FedAvg:
	case FedSGD:
		if !fraction(c.Momentum) {
			return c, fmt.Errorf("momentum %v outside [0, 1)", c.Momentum)
		}
	case FedAdam, FedYogi, FedAdagrad:
		if c.Beta1 == 0 && c.Beta2 == 0 && c.Rule != FedAdagrad {
			c.Beta1, c.Beta2 = 0.9, 0.99
		}
		if c.Tau == 0 {
			c.Tau = 1e-3
		}
		if !fraction(c.Beta1) || !fraction(c.Beta2) || !(c.Tau > 0) || math.IsInf(c.Tau, 0) {
			return c, fmt.Errorf("betas %v and %v outside [0, 1), or tau %v not positive", c.Beta1, c.Beta2, c.Tau)
		}
		if c.Rule == FedAdagrad && c.Beta2 != 0 {
			return c, fmt.Errorf("%s has no second beta", c.Rule)
		}
	default:
		return c, fmt.Errorf("rule %q: want %s, %s, %s, %s or %s", c.Rule, FedAvg, FedSGD, FedAdam, FedYogi, FedAdagrad)
	}
	return c, nil
}

// ErrMean says that a mean update cannot be applied; nothing was changed.
var ErrMean = errors.New("unusable mean update")

// Step changes weights in place by the mean update of one round. A mean of the
// wrong length or with a value that is not finite is refused with ErrMean.
func (s *Server) Step(weights, mean []float32) error {
	if len(mean) != len(weights) || s.state.First != nil && len(mean) != len(s.state.First) {
		return fmt.Errorf("%w: %d values for %d weights", ErrMean, len(mean), len(weights))
	}
	if !kernel.Finite(mean) {
		return fmt.Errorf("%w: a value is not finite", ErrMean)
	}
	s.state.Steps++
	rate := float32(s.cfg.LearningRate)
	switch s.cfg.Rule {
	case FedAvg:
		kernel.Axpy(weights, rate, mean)
	case FedSGD:
		kernel.Scale(s.state.First, float32(s.cfg.Momentum))
		kernel.Axpy(s.state.First, 1, mean)
		kernel.Axpy(weights, rate, s.state.First)
	default:
		s.adapt(weights, mean)
	}
	return nil
}

// adapt is Algorithm 2 of Reddi et al. 2021: no bias correction, v_{-1} = tau^2.
func (s *Server) adapt(weights, mean []float32) {
	rate, tau := s.cfg.LearningRate, s.cfg.Tau
	b1, b2 := s.cfg.Beta1, s.cfg.Beta2
	m, v := s.state.First, s.state.Second
	if s.state.Steps == 1 {
		for i := range v {
			v[i] = float32(tau * tau)
		}
	}
	for i, d := range mean {
		m1 := b1*float64(m[i]) + (1-b1)*float64(d)
		v1, square := float64(v[i]), float64(d)*float64(d)
		switch s.cfg.Rule {
		case FedAdam:
			v1 = b2*v1 + (1-b2)*square
		case FedYogi:
			v1 -= (1 - b2) * square * sign(v1-square)
		case FedAdagrad:
			v1 += square
		}
		m[i], v[i] = float32(m1), float32(v1)
		weights[i] += float32(rate * m1 / (math.Sqrt(v1) + tau))
	}
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// State returns a copy of what the server must remember.
func (s *Server) State() State { return s.state.clone() }

// Restore continues from a state that State returned, under the same rule and
// size.
func (s *Server) Restore(state State) error {
	if state.Rule != s.cfg.Rule || len(state.First) != len(s.state.First) || len(state.Second) != len(s.state.Second) {
		return fmt.Errorf("server optimiser: state of %s with %d values does not fit %s with %d",
			state.Rule, len(state.First), s.cfg.Rule, len(s.state.First))
	}
	if err := state.check(); err != nil {
		return fmt.Errorf("server optimiser: %w", err)
	}
	s.state = state.clone()
	return nil
}
