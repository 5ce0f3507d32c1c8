package central

import (
	"errors"
	"fmt"
	"math"

	"github.com/google/differential-privacy/go/v3/noise"
)

// ErrInput is behind every refusal; nothing of the sum was used then.
var ErrInput = errors.New("central noise")

// Bounds of everything that is computed here.
const (
	maxDim   = 1 << 24 // coordinates of a sum
	maxBound = 1 << 30 // B
	minZ     = 1e-3
	maxZ     = 1e6
	maxSigma = 1 << 40
	maxSum   = 1 << 52 // of a coordinate
)

// Deviation is the standard deviation of the noise on each coordinate: z times the bound on one device's L2 norm.
func Deviation(bound int64, z float64) float64 { return z * float64(bound) }

// Gaussian returns the sum with Gaussian noise of standard deviation z*bound on each coordinate, rounded to integers:
// bound is the L2 sensitivity of the sum, in its own units. The argument stays as it is; whoever opened the sum erases it.
// It takes some five microseconds a coordinate.
func Gaussian(sum []int64, bound int64, z float64) ([]int64, error) {
	sigma, err := sigmaOf(bound, z)
	if err != nil {
		return nil, err
	}
	drawn, err := draw(len(sum), sigma)
	if err != nil {
		return nil, err
	}
	return add(sum, drawn)
}

func sigmaOf(bound int64, z float64) (float64, error) {
	if bound < 1 || bound > maxBound || !(z >= minZ && z <= maxZ) || !(Deviation(bound, z) <= maxSigma) {
		return 0, fmt.Errorf("%w: a multiplier of %g of a bound of %d", ErrInput, z, bound)
	}
	return Deviation(bound, z), nil
}

// The library takes no standard deviation but an epsilon, a delta and a sensitivity, in which its standard deviation is
// linear: with these two fixed, the sensitivity chooses it.
const libraryEpsilon, libraryDelta = 1, 1e-5

// sensitivityFor is the library's sensitivity by which its noise has a standard deviation of sigma, or at most a few units
// in the last place more, by its own account.
func sensitivityFor(sigma float64) (float64, error) {
	s := sigma / noise.SigmaForGaussian(1, 1, libraryEpsilon, libraryDelta)
	for range 64 {
		if have := noise.SigmaForGaussian(1, s, libraryEpsilon, libraryDelta); have >= sigma && have <= sigma*(1+1e-12) {
			return s, nil
		}
		s = math.Nextafter(s, math.Inf(1))
	}
	return 0, fmt.Errorf("%w: the library does not reach a standard deviation of %g", ErrInput, sigma)
}

// draw gives n independent Gaussians of standard deviation sigma, one call of the library each. It is serial: the library
// draws its bits behind one lock, and two goroutines on two cores took as long as one.
func draw(n int, sigma float64) ([]float64, error) {
	if n < 1 || n > maxDim {
		return nil, fmt.Errorf("%w: %d coordinates", ErrInput, n)
	}
	s, err := sensitivityFor(sigma)
	if err != nil {
		return nil, err
	}
	out := make([]float64, n)
	for i := range out {
		if out[i], err = noise.Gaussian().AddNoiseFloat64(0, 1, s, libraryEpsilon, libraryDelta); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		if !(math.Abs(out[i]) <= maxSum) { // NaN too
			return nil, fmt.Errorf("%w: noise out of range", ErrInput)
		}
	}
	return out, nil
}

// add is the sum plus the noise, each rounded to the nearest integer.
func add(sum []int64, noise []float64) ([]int64, error) {
	out := make([]int64, len(sum))
	for i, v := range sum {
		if v > maxSum || v < -maxSum || !(math.Abs(noise[i]) <= maxSum) {
			return nil, fmt.Errorf("%w: coordinate %d is out of range", ErrInput, i)
		}
		out[i] = v + int64(math.Floor(noise[i]+0.5))
	}
	return out, nil
}
