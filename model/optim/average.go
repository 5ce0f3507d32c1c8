package optim

import (
	"fmt"
	"math"

	"tutti/model/kernel"
)

// Average is the exponential moving average of the iterates, with the start-up
// bias taken out as in Adam: after one Add it is the iterate itself.
type Average struct {
	decay float64
	steps int
	sum   []float32
}

// NewAverage wants a decay in [0, 1): 0 is the last iterate.
func NewAverage(decay float64) (*Average, error) {
	if !(decay >= 0 && decay < 1) {
		return nil, fmt.Errorf("average: decay %v outside [0, 1)", decay)
	}
	return &Average{decay: decay}, nil
}

// Add takes in the next iterate.
func (a *Average) Add(weights []float32) {
	if a.sum == nil {
		a.sum = make([]float32, len(weights))
	}
	a.steps++
	kernel.Scale(a.sum, float32(a.decay))
	kernel.Axpy(a.sum, float32(1-a.decay), weights)
}

// Read writes the average into out, as long as the iterates. Before the first
// Add it returns false and leaves out alone.
func (a *Average) Read(out []float32) bool {
	if a.steps == 0 {
		return false
	}
	copy(out, a.sum)
	kernel.Scale(out, float32(1/(1-math.Pow(a.decay, float64(a.steps)))))
	return true
}
