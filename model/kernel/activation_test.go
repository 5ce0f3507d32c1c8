package kernel

import (
	"math"
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
		if want := siluGateOracle(a64, b64); !(math.Abs(float64(y[0])-want) <= 1e-6*math.Max(1, math.Abs(want))) {
			t.Errorf("silu(%v)*%v = %v, want %v", a64, b64, y[0], want)
		}
		SiLUGateBackward(da, db, []float32{2}, a, b)
		wantA := 1 + 2*(siluGateOracle(a64+step, b64)-siluGateOracle(a64-step, b64))/(2*step)
		wantB := -1 + 2*siluGateOracle(a64, 1)
		if !(math.Abs(float64(da[0])-wantA) <= 3e-6) || !(math.Abs(float64(db[0])-wantB) <= 1e-6*math.Max(4, math.Abs(wantB))) {
			t.Errorf("a = %v: gradients %v and %v, want %v and %v", a64, da[0], db[0], wantA, wantB)
		}
	}
}
