package central

import (
	"errors"
	"math"
	"testing"

	"github.com/google/differential-privacy/go/v3/noise"
)

// The standard deviation that the library says it adds is the one that was asked for, never less.
func TestChosenDeviation(t *testing.T) {
	for _, sigma := range []float64{1e-3, 0.5, 1, math.Pi, 4, 1234.5, 1e6, 7.77e11} {
		s, err := sensitivityFor(sigma)
		if err != nil {
			t.Fatal(err)
		}
		if have := noise.SigmaForGaussian(1, s, libraryEpsilon, libraryDelta); have < sigma || have > sigma*(1+1e-12) {
			t.Errorf("the library adds %v where %v was asked for", have, sigma)
		}
	}
}

// The mean of n squares of standard Gaussians deviates from 1 by more than 6 sqrt(2/n), and the mean of n Gaussians from 0
// by more than 6/sqrt(n), with probability below 4e-9 together; so does the mean of products of neighbours.
func TestGaussian(t *testing.T) {
	const n, bound, z = 40_000, 1000, 0.75
	sum := make([]int64, n)
	for i := range sum {
		sum[i] = int64(i%7)*1_000_000 - 3_000_000
	}
	noised, err := Gaussian(sum, bound, z)
	if err != nil {
		t.Fatal(err)
	}
	var mean, square, pairs float64
	before := 0.0
	for i, v := range noised {
		x := float64(v-sum[i]) / Deviation(bound, z)
		mean, square, pairs, before = mean+x/n, square+x*x/n, pairs+x*before/n, x
	}
	want := 1 + 1/(12*Deviation(bound, z)*Deviation(bound, z)) // rounding
	if off := 6 / math.Sqrt(n); math.Abs(mean) > off || math.Abs(pairs) > off || math.Abs(square-want) > math.Sqrt2*off {
		t.Errorf("mean %.4f, variance %.4f of %.4f, neighbours %.4f", mean, square, want, pairs)
	}
	if sum[1] != -2_000_000 {
		t.Error("the sum itself was changed")
	}
}

func TestRefusedNoise(t *testing.T) {
	one := []int64{0}
	for name, call := range map[string]func() error{
		"no bound":                func() error { _, err := Gaussian(one, 0, 1); return err },
		"a bound too large":       func() error { _, err := Gaussian(one, maxBound+1, 1); return err },
		"no multiplier":           func() error { _, err := Gaussian(one, 1, 0); return err },
		"a negative one":          func() error { _, err := Gaussian(one, 1, -1); return err },
		"NaN":                     func() error { _, err := Gaussian(one, 1, math.NaN()); return err },
		"infinity":                func() error { _, err := Gaussian(one, 1, math.Inf(1)); return err },
		"too much noise":          func() error { _, err := Gaussian(one, maxBound, maxZ); return err },
		"no sum":                  func() error { _, err := Gaussian(nil, 1, 1); return err },
		"a sum out of range":      func() error { _, err := Gaussian([]int64{maxSum + 1}, 1, 1); return err },
		"below it":                func() error { _, err := Gaussian([]int64{math.MinInt64}, 1, 1); return err },
		"noise that is no number": func() error { _, err := add(one, []float64{math.NaN()}); return err },
		"noise out of range":      func() error { _, err := add(one, []float64{2 * maxSum}); return err },
	} {
		if err := call(); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Noise is rounded to the nearest integer, halves upwards for both signs, so that what is released is the rounding of sum
// plus noise whatever the sum is.
func TestRounding(t *testing.T) {
	out, err := add([]int64{10, 10, 10, 10, -10}, []float64{0.49, 0.5, -0.5, -0.51, 2.5})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{10, 11, 10, 9, -7} {
		if out[i] != want {
			t.Errorf("coordinate %d is %d, want %d", i, out[i], want)
		}
	}
}
