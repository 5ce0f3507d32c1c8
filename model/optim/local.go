package optim

import (
	"fmt"
	"math"
)

// Optimizer changes weights by a gradient. It keeps its moments between steps
// and belongs to one weight vector.
type Optimizer interface {
	// Step changes params in place; grad is d(loss)/d(params), as long as params,
	// and stays as it is.
	Step(params, grad []float32, rate float64)
	// State returns a copy of what it remembers.
	State() State
	// Restore continues from a State of the same rule, for weights of its size.
	Restore(State) error
}

// The rules an Optimizer follows.
const (
	// SGD is stochastic gradient descent with heavy-ball or Nesterov momentum, in
	// the form of Sutskever et al. 2013 that PyTorch uses.
	SGD Rule = "sgd"
	// Adam is Algorithm 1 of Kingma & Ba 2015.
	Adam Rule = "adam"
	// AdamW is Adam with decoupled weight decay: Algorithm 2 of Loshchilov &
	// Hutter 2019.
	AdamW Rule = "adamw"
	// RMSprop divides by a running root mean square of the gradient (Tieleman &
	// Hinton 2012, lecture 6.5), with epsilon outside the root as in PyTorch.
	RMSprop Rule = "rmsprop"
	// Adagrad divides by the root of the sum of squares (Duchi et al. 2011, the
	// diagonal form).
	Adagrad Rule = "adagrad"
)

// Config chooses an Optimizer's rule and constants. A constant that the rule
// does not use is 0.
type Config struct {
	Rule     Rule
	Momentum float64 // SGD, RMSprop: in [0, 1); 0 keeps no velocity
	Nesterov bool    // SGD: look ahead along the velocity; wants a momentum
	Beta1    float64 // Adam, AdamW: decay of the first moment, in [0, 1)
	Beta2    float64 // Adam, AdamW, RMSprop: decay of the second moment, in [0, 1)
	Epsilon  float64 // all but SGD: > 0
	// WeightDecay, >= 0, is multiplied by the rate for AdamW, which takes it off
	// the weights (decoupled). For the others it is an L2 penalty: WeightDecay*w is
	// added to the gradient, and goes through the moments.
	WeightDecay float64
}

// Defaults are a rule's constants in its paper, or in PyTorch where the paper
// leaves them open.
func Defaults(rule Rule) (Config, error) {
	c := Config{Rule: rule}
	switch rule {
	case SGD:
	case Adam:
		c.Beta1, c.Beta2, c.Epsilon = 0.9, 0.999, 1e-8
	case AdamW:
		c.Beta1, c.Beta2, c.Epsilon, c.WeightDecay = 0.9, 0.999, 1e-8, 0.01
	case RMSprop:
		c.Beta2, c.Epsilon = 0.99, 1e-8
	case Adagrad:
		c.Epsilon = 1e-10
	default:
		return c, fmt.Errorf("optimiser %q: want %s, %s, %s, %s or %s", rule, SGD, Adam, AdamW, RMSprop, Adagrad)
	}
	return c, nil
}

// New returns an optimiser by the name of its rule, with the rule's Defaults.
func New(name string) (Optimizer, error) {
	c, err := Defaults(Rule(name))
	if err != nil {
		return nil, err
	}
	return NewOptimizer(c)
}

// NewOptimizer checks cfg.
func NewOptimizer(cfg Config) (Optimizer, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("optimiser: %w", err)
	}
	m := memory{rule: cfg.Rule}
	switch cfg.Rule {
	case SGD:
		return &sgd{memory: m, cfg: cfg}, nil
	case RMSprop:
		return &rmsprop{memory: m, cfg: cfg}, nil
	case Adagrad:
		return &adagrad{memory: m, cfg: cfg}, nil
	}
	return &adam{memory: m, cfg: cfg}, nil
}

func (c Config) check() error {
	known, err := Defaults(c.Rule)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		value float64
		used  bool
	}{
		{"momentum", c.Momentum, c.Rule == SGD || c.Rule == RMSprop},
		{"beta1", c.Beta1, known.Beta1 > 0},
		{"beta2", c.Beta2, known.Beta2 > 0},
	} {
		if !f.used && f.value != 0 {
			return fmt.Errorf("%s has no %s", c.Rule, f.name)
		}
		if !(f.value >= 0 && f.value < 1) {
			return fmt.Errorf("%s %v outside [0, 1)", f.name, f.value)
		}
	}
	if c.Nesterov && (c.Rule != SGD || c.Momentum == 0) {
		return fmt.Errorf("%s with momentum %v has no Nesterov step", c.Rule, c.Momentum)
	}
	switch wants := known.Epsilon > 0; {
	case wants && !(c.Epsilon > 0 && !math.IsInf(c.Epsilon, 0)):
		return fmt.Errorf("epsilon %v must be positive", c.Epsilon)
	case !wants && c.Epsilon != 0:
		return fmt.Errorf("%s has no epsilon", c.Rule)
	}
	if !(c.WeightDecay >= 0) || math.IsInf(c.WeightDecay, 0) {
		return fmt.Errorf("weight decay %v is negative or not finite", c.WeightDecay)
	}
	return nil
}
