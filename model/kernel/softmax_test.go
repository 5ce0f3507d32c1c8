package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSoftmax(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, n := range []int{1, 2, 17, 100} {
		for _, scale := range []float32{0.125, 1, 3} {
			x := random(rng, n)
			x[0] += 30
			logits := make([]float64, n)
			sum := 0.0
			for i, v := range x {
				logits[i] = float64(v) * float64(scale)
				sum += math.Exp(logits[i])
			}
			lse := Softmax(x, scale)
			if want := math.Log(sum); !(math.Abs(float64(lse)-want) <= 1e-6*want) {
				t.Errorf("n=%d scale=%v: log-sum-exp %v, want %v", n, scale, lse, want)
			}
			for i, p := range x {
				if want := math.Exp(logits[i]) / sum; !(math.Abs(float64(p)-want) <= 3e-6*want+1e-37) {
					t.Errorf("n=%d scale=%v: p[%d] = %v, want %v", n, scale, i, p, want)
				}
			}
			ds := random(rng, n)
			inner := Dot(ds, x)
			got := append([]float32(nil), ds...)
			SoftmaxBackward(got, x, inner, scale)
			for i := range got {
				if want := x[i] * (ds[i] - inner) * scale; !(math.Abs(float64(got[i]-want)) <= 1e-6*math.Abs(float64(want))+1e-37) {
					t.Errorf("n=%d scale=%v: ds[%d] = %v, want %v", n, scale, i, got[i], want)
				}
			}
		}
	}
	masked := []float32{0, float32(math.Inf(-1)), 0}
	if Softmax(masked, 1); masked[0] != 0.5 || masked[1] != 0 || masked[2] != 0.5 {
		t.Errorf("a masked position: %v, want 0.5 0 0.5", masked)
	}
	if lse := Softmax(nil, 1); !math.IsInf(float64(lse), -1) {
		t.Errorf("softmax of nothing: %v", lse)
	}
}
