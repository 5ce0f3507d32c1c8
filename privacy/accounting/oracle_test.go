//go:build amd64 || arm64

package accounting

import (
	"testing"

	"github.com/google/differential-privacy/go/v3/noise"
)

// Google's analytic Gaussian, an independent implementation that is at most
// 0.1 % above tight (and does not build on 32-bit machines).
func TestMuAgainstGoogle(t *testing.T) {
	for _, eps := range []float64{0.1, 1, 4, 8} {
		for _, delta := range []float64{1e-5, 1e-6, 1e-10} {
			mu, err := MuForEpsilon(eps, delta)
			if err != nil {
				t.Fatal(err)
			}
			if ratio := noise.SigmaForGaussian(1, 1, eps, delta) * mu; ratio < 1-1e-9 || ratio > 1.001 {
				t.Errorf("eps %g delta %g: their sigma is %.6f of ours", eps, delta, ratio)
			}
		}
	}
}
