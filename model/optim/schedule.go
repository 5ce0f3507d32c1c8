package optim

import "math"

// Schedule gives the learning rate of a step; steps count from 0.
type Schedule func(step int) float64

// Constant is the same rate for ever.
func Constant(rate float64) Schedule {
	return func(int) float64 { return rate }
}

// Cosine falls from peak at step 0 to final at step steps and stays there
// (Loshchilov & Hutter 2017, SGDR, eq. 5, one period).
func Cosine(peak, final float64, steps int) Schedule {
	return func(step int) float64 {
		if step >= steps {
			return final
		}
		turn := math.Pi * float64(step) / float64(steps)
		return final + (peak-final)*(1+math.Cos(turn))/2
	}
}

// WarmUp rises linearly over the first steps of next: the rate of step s is
// (s+1)/steps of what next gives, until s+1 reaches steps.
func WarmUp(steps int, next Schedule) Schedule {
	return func(step int) float64 {
		rate := next(step)
		if step+1 < steps {
			rate *= float64(step+1) / float64(steps)
		}
		return rate
	}
}
