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

// A softmax block by block, from the highest block to the lowest and back, is
// the softmax of the whole rows.
func TestOnlineSoftmax(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 13))
	const rows, cols = 4, 21
	for _, lift := range []float32{-10, 0, 10} {
		top, sum, want := make([]float32, rows), make([]float32, rows), make([]float64, rows)
		for r := range top {
			top[r] = float32(math.Inf(-1))
		}
		for block := range 5 {
			x := random(rng, rows*cols)
			logits := make([]float64, len(x))
			for i := range x {
				x[i] += lift * float32(block)
				logits[i] = float64(x[i])
				want[i/cols] += math.Exp(logits[i])
			}
			OnlineSoftmax(x, cols, top, sum)
			for i, e := range x {
				if w := math.Exp(logits[i] - float64(top[i/cols])); !(math.Abs(float64(e)-w) <= 3e-6*w+1e-37) {
					t.Errorf("lift %v block %d: exponential %d is %v, want %v", lift, block, i, e, w)
				}
			}
			for r := range top {
				got, whole := float64(top[r])+math.Log(float64(sum[r])), math.Log(want[r])
				if !(math.Abs(got-whole) <= 1e-6*math.Max(1, math.Abs(whole))) {
					t.Errorf("lift %v block %d: log-sum-exp of row %d is %v, want %v", lift, block, r, got, whole)
				}
			}
		}
	}
	OnlineSoftmax(nil, 3, nil, nil)
}

func TestScaleRows(t *testing.T) {
	x, sum := []float32{1, 2, 3, 4, 5, 6}, []float32{10, 20}
	ScaleRows(x, []float32{1, 0, -2}, sum)
	for i, want := range []float32{1, 2, 0, 0, -10, -12} {
		if x[i] != want {
			t.Errorf("x[%d] = %v, want %v", i, x[i], want)
		}
	}
	if sum[0] != 1 || sum[1] != 10 {
		t.Errorf("sums %v, want 1 and 10", sum)
	}
	ScaleRows(nil, nil, sum)
}
