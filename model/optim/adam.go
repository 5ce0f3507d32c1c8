package optim

import (
	"math"

	"tutti/model/kernel"
)

// adamConstants folds the bias corrections of step t >= 1 into the kernel's
// constants: mHat = m/(1-b1^t), vHat = v/(1-b2^t).
func adamConstants(t int, rate, b1, b2, eps, decay float64) kernel.AdamStep {
	return kernel.AdamStep{
		Beta1: float32(b1), Beta2: float32(b2), Epsilon: float32(eps),
		Rate:         float32(rate / (1 - math.Pow(b1, float64(t)))),
		SecondScale:  float32(1 / (1 - math.Pow(b2, float64(t)))),
		DecayPerStep: float32(rate * decay),
	}
}
