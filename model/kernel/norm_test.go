package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// normOracle is layer norm of one row in float64.
func normOracle(x, gain, bias []float32) (y []float64, mean, rstd float64) {
	for _, v := range x {
		mean += float64(v) / float64(len(x))
	}
	for _, v := range x {
		rstd += (float64(v) - mean) * (float64(v) - mean) / float64(len(x))
	}
	rstd = 1 / math.Sqrt(rstd+NormEpsilon)
	y = make([]float64, len(x))
	for j, v := range x {
		y[j] = (float64(v)-mean)*rstd*float64(gain[j]) + float64(bias[j])
	}
	return y, mean, rstd
}

func TestNormForward(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, d := range []int{1, 5, 64} {
		const rows = 3
		x, gain, bias := random(rng, rows*d), random(rng, d), random(rng, d)
		y, mean, rstd := make([]float32, rows*d), make([]float32, rows), make([]float32, rows)
		NormForward(y, x, gain, bias, rows, mean, rstd)
		for i := range rows {
			want, mu, inv := normOracle(x[i*d:(i+1)*d], gain, bias)
			if !(math.Abs(float64(mean[i])-mu) <= 1e-6) || !(relative(rstd[i], inv) <= 1e-6) {
				t.Errorf("d=%d row %d: mean %v, rstd %v, want %v, %v", d, i, mean[i], rstd[i], mu, inv)
			}
			for j, w := range want {
				if !(math.Abs(float64(y[i*d+j])-w) <= 2e-6*math.Max(1, math.Abs(w))) {
					t.Errorf("d=%d: y(%d,%d) = %v, want %v", d, i, j, y[i*d+j], w)
				}
			}
		}
	}
}

// The slope of <dy, y> along each input, by central differences in float64.
func TestNormBackward(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	const rows, d, step = 4, 7, 1.0 / 256
	x, gain, bias, dy := random(rng, rows*d), random(rng, d), random(rng, d), random(rng, rows*d)
	loss := func() (sum float64) {
		for i := range rows {
			y, _, _ := normOracle(x[i*d:(i+1)*d], gain, bias)
			for j, v := range y {
				sum += v * float64(dy[i*d+j])
			}
		}
		return sum
	}
	mean, rstd := make([]float32, rows), make([]float32, rows)
	NormForward(make([]float32, rows*d), x, gain, bias, rows, mean, rstd)
	dx, dGain, dBias := make([]float32, rows*d), make([]float32, d), make([]float32, d)
	NormBackward(dx, dGain, dBias, dy, x, gain, mean, rstd, rows)
	for name, pair := range map[string][2][]float32{"dx": {dx, x}, "dGain": {dGain, gain}, "dBias": {dBias, bias}} {
		got, at := pair[0], pair[1]
		for i, v := range at {
			at[i] = v + step
			up := loss()
			width := float64(at[i])
			at[i] = v - step
			width -= float64(at[i])
			want := (up - loss()) / width
			at[i] = v
			if !(math.Abs(float64(got[i])-want) <= 1e-3*math.Max(1, math.Abs(want))) {
				t.Errorf("%s[%d] = %v, want %v", name, i, got[i], want)
			}
		}
	}
}
