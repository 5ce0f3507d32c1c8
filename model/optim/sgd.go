package optim

import "tutti/model/kernel"

// sgd, with g' = grad + WeightDecay*params and v the velocity:
// v <- Momentum*v + g'; params <- params - rate*v, or with Nesterov
// params <- params - rate*(g' + Momentum*v).
type sgd struct {
	memory // first: v
	cfg    Config
}

// Step implements Optimizer.
func (s *sgd) Step(params, grad []float32, rate float64) {
	decay, momentum := float32(s.cfg.WeightDecay), float32(s.cfg.Momentum)
	shrink := float32(1 - rate*s.cfg.WeightDecay)
	s.steps++
	if momentum == 0 {
		if decay != 0 {
			kernel.Scale(params, shrink)
		}
		kernel.Axpy(params, float32(-rate), grad)
		return
	}
	v := s.reserveFirst(len(params))
	kernel.Scale(v, momentum)
	kernel.Axpy(v, 1, grad)
	if decay != 0 {
		kernel.Axpy(v, decay, params)
	}
	if !s.cfg.Nesterov {
		kernel.Axpy(params, float32(-rate), v)
		return
	}
	if decay != 0 {
		kernel.Scale(params, shrink)
	}
	kernel.Axpy(params, float32(-rate), grad)
	kernel.Axpy(params, float32(-rate*s.cfg.Momentum), v)
}
