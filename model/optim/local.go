package optim

import (
	"fmt"

	"tutti/model/kernel"
)

// Optimizer changes weights by a gradient. It keeps its moments between steps
// and belongs to one weight vector.
type Optimizer interface {
	// Step changes params in place; grad is d(loss)/d(params), as long as params.
	Step(params, grad []float32, rate float64)
}

// New returns an optimiser by name: "sgd", "adam" or "adamw", with the
// constants of its literature.
func New(name string) (Optimizer, error) {
	switch name {
	case "sgd":
		return &SGD{}, nil
	case "adam":
		return NewAdam(), nil
	case "adamw":
		a := NewAdam()
		a.WeightDecay = 0.01
		return a, nil
	}
	return nil, fmt.Errorf("optimiser %q: want sgd, adam or adamw", name)
}

// SGD is stochastic gradient descent with optional heavy-ball momentum:
// v <- Momentum*v + grad; params <- params - rate*v.
type SGD struct {
	Momentum float64 // in [0, 1); 0 keeps no velocity
	velocity []float32
}

// Step implements Optimizer.
func (s *SGD) Step(params, grad []float32, rate float64) {
	if s.Momentum == 0 {
		kernel.Axpy(params, float32(-rate), grad)
		return
	}
	if s.velocity == nil {
		s.velocity = make([]float32, len(params))
	}
	kernel.Scale(s.velocity, float32(s.Momentum))
	kernel.Axpy(s.velocity, 1, grad)
	kernel.Axpy(params, float32(-rate), s.velocity)
}

// Adam is Algorithm 1 of Kingma & Ba 2015; with a WeightDecay it is AdamW
// (Loshchilov & Hutter 2019, Algorithm 2): the decay bypasses the moments.
type Adam struct {
	Beta1, Beta2 float64 // decay of the moments, in [0, 1)
	Epsilon      float64 // > 0
	WeightDecay  float64 // >= 0, multiplied by the rate

	steps         int
	first, second []float32
}

// NewAdam returns Adam with the constants of the paper.
func NewAdam() *Adam { return &Adam{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8} }

// Step implements Optimizer.
func (a *Adam) Step(params, grad []float32, rate float64) {
	if a.first == nil {
		a.first = make([]float32, len(params))
		a.second = make([]float32, len(params))
	}
	a.steps++
	kernel.Adam(params, grad, a.first, a.second, adamConstants(a.steps, rate, a.Beta1, a.Beta2, a.Epsilon, a.WeightDecay))
}
