package optim

import "math"

// rmsprop, with g = grad + WeightDecay*params: s <- b2 s + (1-b2) g^2;
// params <- params - rate*u with u = g/(sqrt(s) + eps), or with momentum
// v <- Momentum*v + u; params <- params - rate*v.
type rmsprop struct {
	memory // first: v; second: s
	cfg    Config
}

// Step implements Optimizer.
func (r *rmsprop) Step(params, grad []float32, rate float64) {
	s := r.reserveSecond(len(params))
	r.steps++
	keep, add := float32(r.cfg.Beta2), float32(1-r.cfg.Beta2)
	decay, epsilon, step := float32(r.cfg.WeightDecay), float32(r.cfg.Epsilon), float32(rate)
	grad, s = grad[:len(params)], s[:len(params)]
	if r.cfg.Momentum == 0 {
		for i, w := range params {
			g := grad[i] + decay*w
			s[i] = keep*s[i] + add*g*g
			params[i] = w - step*(g/(root(s[i])+epsilon))
		}
		return
	}
	v, momentum := r.reserveFirst(len(params)), float32(r.cfg.Momentum)
	for i, w := range params {
		g := grad[i] + decay*w
		s[i] = keep*s[i] + add*g*g
		v[i] = momentum*v[i] + g/(root(s[i])+epsilon)
		params[i] = w - step*v[i]
	}
}

// adagrad, with g = grad + WeightDecay*params: s <- s + g^2;
// params <- params - rate*g/(sqrt(s) + eps).
type adagrad struct {
	memory // second: s
	cfg    Config
}

// Step implements Optimizer.
func (a *adagrad) Step(params, grad []float32, rate float64) {
	s := a.reserveSecond(len(params))
	a.steps++
	decay, epsilon, step := float32(a.cfg.WeightDecay), float32(a.cfg.Epsilon), float32(rate)
	grad, s = grad[:len(params)], s[:len(params)]
	for i, w := range params {
		g := grad[i] + decay*w
		s[i] += g * g
		params[i] = w - step*(g/(root(s[i])+epsilon))
	}
}

func root(x float32) float32 { return float32(math.Sqrt(float64(x))) }
