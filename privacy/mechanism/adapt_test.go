package mechanism

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestNextClipIsTheFormulaWithinItsBounds(t *testing.T) {
	for _, test := range []struct{ clip, eta, gamma, fraction, want float64 }{
		{1, 0.2, 0.5, 0.5, 1},
		{1, 0.2, 0.5, 1, math.Exp(-0.1)},
		{1, 0.2, 0.5, 0, math.Exp(0.1)},
		{0.5, 0.2, 0.5, 7, 0.5 * math.Exp(-0.1)}, // noise beyond 1 moves no further
		{0.5, 0.2, 0.5, math.Inf(-1), 0.5 * math.Exp(0.1)},
		{1e9, 1, 1, 0, 1e9},
		{1e-9, 1, 0, 1, 1e-9},
	} {
		got, err := NextClip(test.clip, test.eta, test.gamma, test.fraction)
		if err != nil || math.Abs(got/test.want-1) > 1e-12 {
			t.Errorf("%+v: %g, %v", test, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		clip := rapid.Float64Range(minClip, maxClip).Draw(t, "clip")
		eta := rapid.Float64Range(1e-6, 1).Draw(t, "eta")
		gamma := rapid.Float64Range(0, 1).Draw(t, "gamma")
		next, err := NextClip(clip, eta, gamma, rapid.Float64Range(-10, 10).Draw(t, "fraction"))
		if err != nil {
			t.Fatal(err)
		}
		low, high := max(minClip, clip*math.Exp(-eta*(1-gamma))), min(maxClip, clip*math.Exp(eta*gamma))
		if next < low*(1-1e-12) || next > high*(1+1e-12) {
			t.Fatalf("%g moved to %g, beyond [%g, %g]", clip, next, low, high)
		}
	})
}

// It finds the median of fixed norms from far away on both sides.
func TestNextClipConverges(t *testing.T) {
	for _, start := range []float64{1e-3, 1e3} {
		clip, norms := start, testVector(1001, 3)
		for range 400 {
			below := 0.0
			for _, v := range norms {
				if math.Exp(float64(v)) <= clip {
					below++
				}
			}
			var err error
			if clip, err = NextClip(clip, 0.2, 0.5, below/float64(len(norms))); err != nil {
				t.Fatal(err)
			}
		}
		if clip < 0.9 || clip > 1.1 { // the median of exp(normal) is 1; fixed sample
			t.Errorf("from %g to %g, want about 1", start, clip)
		}
	}
}

func TestSplitMultiplierIsFormula26(t *testing.T) {
	for _, test := range []struct{ z, sigmaB, want float64 }{
		{1, 50, 1.0000500037503126}, {0.6, 5, 0.6010829247756457}, // adaptive_clip_split-002, -003
	} {
		got, err := SplitMultiplier(test.z, test.sigmaB)
		if err != nil || math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%+v: %.16g, %v", test, got, err)
		}
	}
}

func TestAdaptRefuses(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, bad := range [][4]float64{
		{nan, .2, .5, .5}, {0, .2, .5, .5}, {-1, .2, .5, .5}, {inf, .2, .5, .5}, {5e-324, .2, .5, .5},
		{1, nan, .5, .5}, {1, 0, .5, .5}, {1, -1, .5, .5}, {1, 1.1, .5, .5}, {1, inf, .5, .5},
		{1, .2, nan, .5}, {1, .2, -.1, .5}, {1, .2, 1.1, .5}, {1, .2, .5, nan},
	} {
		if got, err := NextClip(bad[0], bad[1], bad[2], bad[3]); !errors.Is(err, ErrAdapt) || got != 0 {
			t.Errorf("%v: %g, %v", bad, got, err)
		}
	}
	for _, bad := range [][2]float64{
		{0, 1}, {nan, 1}, {1, nan}, {inf, inf}, {1, inf}, {1, 0.5}, {1, 0.4}, {1, 0}, {1, -3}, {-1, 3}, {5e-324, 1}, {1e200, 1e300},
		{1, math.Nextafter(0.5, 0)},
	} {
		if got, err := SplitMultiplier(bad[0], bad[1]); !errors.Is(err, ErrAdapt) || got != 0 {
			t.Errorf("%v: %g, %v", bad, got, err)
		}
	}
}
