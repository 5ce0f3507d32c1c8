package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestReLU(t *testing.T) {
	x := []float32{-2, 0, 3, float32(math.NaN()), float32(math.Inf(-1)), float32(math.Inf(1))}
	got := make([]float32, len(x))
	ReLU(got, x)
	for i, want := range []float32{0, 0, 3, float32(math.NaN()), 0, float32(math.Inf(1))} {
		if got[i] != want && want == want || want != want && got[i] == got[i] {
			t.Errorf("relu(%v) = %v, want %v", x[i], got[i], want)
		}
	}
	dx := []float32{1, 1, 1}
	ReLUBackward(dx, []float32{5, 6, 7}, x[:3])
	if dx[0] != 1 || dx[1] != 1 || dx[2] != 8 {
		t.Errorf("gradient %v, want 1 1 8", dx)
	}
}

func siluGateOracle(a, b float64) float64 { return a / (1 + math.Exp(-a)) * b }

func TestSiLUGate(t *testing.T) {
	const step = 1e-5
	for x := -30.0; x < 30; x += 0.0371 {
		a, b := []float32{float32(x)}, []float32{1.7}
		y, da, db := make([]float32, 1), []float32{1}, []float32{-1}
		SiLUGate(y, a, b)
		a64, b64 := float64(a[0]), float64(b[0])
		if want := siluGateOracle(a64, b64); math.Abs(float64(y[0])-want) > 1e-6*math.Max(1, math.Abs(want)) {
			t.Errorf("silu(%v)*%v = %v, want %v", a64, b64, y[0], want)
		}
		SiLUGateBackward(da, db, []float32{2}, a, b)
		wantA := 1 + 2*(siluGateOracle(a64+step, b64)-siluGateOracle(a64-step, b64))/(2*step)
		wantB := -1 + 2*siluGateOracle(a64, 1)
		if math.Abs(float64(da[0])-wantA) > 3e-6 || math.Abs(float64(db[0])-wantB) > 1e-6*math.Max(4, math.Abs(wantB)) {
			t.Errorf("a = %v: gradients %v and %v, want %v and %v", a64, da[0], db[0], wantA, wantB)
		}
	}
}

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
			if want := math.Log(sum); math.Abs(float64(lse)-want) > 1e-6*want {
				t.Errorf("n=%d scale=%v: log-sum-exp %v, want %v", n, scale, lse, want)
			}
			for i, p := range x {
				if want := math.Exp(logits[i]) / sum; math.Abs(float64(p)-want) > 3e-6*want+1e-37 {
					t.Errorf("n=%d scale=%v: p[%d] = %v, want %v", n, scale, i, p, want)
				}
			}
			ds := random(rng, n)
			inner := Dot(ds, x)
			got := append([]float32(nil), ds...)
			SoftmaxBackward(got, x, inner, scale)
			for i := range got {
				if want := x[i] * (ds[i] - inner) * scale; math.Abs(float64(got[i]-want)) > 1e-6*math.Abs(float64(want))+1e-37 {
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
