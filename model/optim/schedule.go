package optim

import (
	"fmt"
	"math"
)

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

// Exponential is peak*factor^step.
func Exponential(peak, factor float64) Schedule {
	return func(step int) float64 { return peak * math.Pow(factor, float64(step)) }
}

// Stairs is peak*factor^floor(step/every): the rate falls by factor every so many
// steps.
func Stairs(peak, factor float64, every int) Schedule {
	return func(step int) float64 { return peak * math.Pow(factor, float64(step/every)) }
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

// ScheduleConfig chooses a Schedule by name.
type ScheduleConfig struct {
	Kind   string  // "cosine" (also ""), "constant", "exponential" or "step"
	Rate   float64 // peak, > 0
	Steps  int     // of the whole run, >= 1
	WarmUp int     // steps of linear warm-up, which multiplies the rest, >= 0
	// Final is where the rate ends: for a cosine >= 0, for the falling kinds > 0
	// and below Rate, reached at step Steps; 0 means Rate/100 for the latter.
	Final float64
	Every int // "step": how many steps a stair is long; 0: a tenth of Steps
}

// NewSchedule checks cfg.
func NewSchedule(cfg ScheduleConfig) (Schedule, error) {
	if !(cfg.Rate > 0) || math.IsInf(cfg.Rate, 0) || cfg.Steps < 1 || cfg.WarmUp < 0 || cfg.Every < 0 ||
		!(cfg.Final >= 0) || math.IsInf(cfg.Final, 0) {
		return nil, fmt.Errorf("schedule: rate %v to %v over %d steps, warm-up %d, stairs of %d", cfg.Rate, cfg.Final, cfg.Steps, cfg.WarmUp, cfg.Every)
	}
	final, every := cfg.Final, cfg.Every
	if final == 0 {
		final = cfg.Rate / 100
	}
	if every == 0 {
		every = max(1, cfg.Steps/10)
	}
	fall := func(steps int) float64 { return math.Pow(final/cfg.Rate, 1/float64(max(1, steps))) }
	var s Schedule
	switch cfg.Kind {
	case "", "cosine":
		s = Cosine(cfg.Rate, cfg.Final, cfg.Steps)
	case "constant":
		s = Constant(cfg.Rate)
	case "exponential":
		s = Exponential(cfg.Rate, fall(cfg.Steps))
	case "step":
		s = Stairs(cfg.Rate, fall(cfg.Steps/every), every)
	default:
		return nil, fmt.Errorf("schedule %q: want cosine, constant, exponential or step", cfg.Kind)
	}
	return WarmUp(cfg.WarmUp, s), nil
}
