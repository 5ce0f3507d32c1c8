package optim

import (
	"math"

	"tutti/model/kernel"
)

// adam is Adam and AdamW: m <- b1 m + (1-b1) g; v <- b2 v + (1-b2) g^2;
// params <- params - rate*mHat/(sqrt(vHat) + eps), which AdamW lowers further by
// rate*WeightDecay*params.
type adam struct {
	memory // first: m; second: v
	cfg    Config
	sum    []float32 // grad + WeightDecay*params; Adam with a decay only
}

// Step implements Optimizer.
func (a *adam) Step(params, grad []float32, rate float64) {
	m, v := a.reserveFirst(len(params)), a.reserveSecond(len(params))
	decoupled := a.cfg.WeightDecay
	if a.cfg.Rule == Adam && a.cfg.WeightDecay != 0 {
		a.sum = kernel.Grow(a.sum, len(grad))
		copy(a.sum, grad)
		kernel.Axpy(a.sum, float32(a.cfg.WeightDecay), params)
		grad, decoupled = a.sum, 0
	}
	a.steps++
	kernel.Adam(params, grad, m, v, adamConstants(a.steps, rate, a.cfg, decoupled))
}

// adamConstants folds the bias corrections of step t >= 1 into the kernel's
// constants: mHat = m/(1-b1^t), vHat = v/(1-b2^t). They are those of the float32
// betas that the kernel works with: 1-b2 rounded is off by 1e-5 of itself, and
// would be so in every vHat.
func adamConstants(t uint64, rate float64, c Config, decay float64) kernel.AdamStep {
	b1, b2 := float32(c.Beta1), float32(c.Beta2)
	return kernel.AdamStep{
		Beta1: b1, Beta2: b2, Epsilon: float32(c.Epsilon),
		Rate:         float32(rate / (1 - math.Pow(float64(b1), float64(t)))),
		SecondScale:  float32(1 / (1 - math.Pow(float64(b2), float64(t)))),
		DecayPerStep: float32(rate * decay),
	}
}
