package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

func relative(got float32, want float64) float64 {
	return math.Abs(float64(got)-want) / math.Max(math.Abs(want), math.SmallestNonzeroFloat32)
}

func TestExpAccuracy(t *testing.T) {
	worst := 0.0
	for x := float32(expLow) + 1e-4; x < expHigh; x += 1.37e-4 {
		worst = max(worst, relative(Exp(x), math.Exp(float64(x))))
	}
	if !(worst <= 2e-7) {
		t.Errorf("relative error %g, want at most 2e-7", worst)
	}
	t.Logf("worst relative error %g", worst)
}

func TestExpEdges(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct{ x, want float32 }{
		{0, 1}, {-inf, 0}, {inf, inf}, {-88, 0}, {89, inf}, {-1e30, 0}, {1e30, inf},
	} {
		if got := Exp(c.x); got != c.want {
			t.Errorf("Exp(%v) = %v, want %v", c.x, got, c.want)
		}
	}
	if nan := Exp(float32(math.NaN())); nan == nan {
		t.Errorf("Exp(NaN) = %v", nan)
	}
}

func TestExpShifted(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	x := random(rng, 37)
	got := make([]float32, 37)
	sum := ExpShifted(got, x, 0.5)
	want := 0.0
	for i, v := range x {
		e := math.Exp(float64(v) - 0.5)
		want += e
		if !(relative(got[i], e) <= 1e-6) {
			t.Errorf("x = %v: got %v, want %v", v, got[i], e)
		}
	}
	if !(relative(sum, want) <= 1e-6) {
		t.Errorf("sum %v, want %v", sum, want)
	}
}

func geluOracle(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func TestGELU(t *testing.T) {
	const step = 1e-5
	for x := -12.0; x < 12; x += 0.0137 {
		y := make([]float32, 1)
		GELU(y, []float32{float32(x)})
		x32 := float64(float32(x))
		if want := geluOracle(x32); !(math.Abs(float64(y[0])-want) <= 1e-6*math.Max(1, math.Abs(want))) {
			t.Errorf("gelu(%v) = %v, want %v", x, y[0], want)
		}
		dx := []float32{1}
		GELUBackward(dx, []float32{2}, []float32{float32(x)})
		want := 1 + 2*(geluOracle(x32+step)-geluOracle(x32-step))/(2*step)
		if !(math.Abs(float64(dx[0])-want) <= 2e-6) {
			t.Errorf("gelu'(%v): gradient %v, want %v", x, dx[0], want)
		}
	}
}

func TestFinite(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for n := range 20 {
		x := make([]float32, n)
		for i := range x {
			x[i] = math.MaxFloat32
		}
		if !Finite(x) {
			t.Errorf("%d large values are called not finite", n)
		}
		for i := range x {
			for _, bad := range []float32{inf, -inf, nan} {
				x[i] = bad
				if Finite(x) {
					t.Errorf("%v at %d of %d goes unseen", bad, i, n)
				}
			}
			x[i] = 0
		}
	}
}

// adamOracle is Algorithm 1 of Kingma & Ba 2015 as printed, in float64, with
// the decoupled decay of Loshchilov & Hutter 2019.
func adamOracle(w, m, v, g float64, t int, rate, b1, b2, eps, decay float64) (w1, m1, v1 float64) {
	m1 = b1*m + (1-b1)*g
	v1 = b2*v + (1-b2)*g*g
	mHat := m1 / (1 - math.Pow(b1, float64(t)))
	vHat := v1 / (1 - math.Pow(b2, float64(t)))
	return w - rate*decay*w - rate*mHat/(math.Sqrt(vHat)+eps), m1, v1
}

func TestAdam(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	const n, rate, b1, b2, eps, decay = 9, 0.01, 0.9, 0.999, 1e-8, 0.1
	w, m, v := random(rng, n), make([]float32, n), make([]float32, n)
	w64, m64, v64 := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range w {
		w64[i] = float64(w[i])
	}
	for step := 1; step <= 50; step++ {
		g := random(rng, n)
		Adam(w, g, m, v, AdamStep{
			Beta1: b1, Beta2: b2, Epsilon: eps, DecayPerStep: rate * decay,
			Rate:        float32(rate / (1 - math.Pow(b1, float64(step)))),
			SecondScale: float32(1 / (1 - math.Pow(b2, float64(step)))),
		})
		for i := range w {
			w64[i], m64[i], v64[i] = adamOracle(w64[i], m64[i], v64[i], float64(g[i]), step, rate, b1, b2, eps, decay)
			if !(math.Abs(float64(w[i])-w64[i]) <= 1e-5) {
				t.Fatalf("step %d: w[%d] = %v, want %v", step, i, w[i], w64[i])
			}
		}
	}
}

func TestSmallOnes(t *testing.T) {
	x := []float32{1, -2, 3, 5, -7, 11, 13, -17, 19, 23}
	if got := Dot(x, x); got != 1+4+9+25+49+121+169+289+361+529 {
		t.Errorf("dot %v", got)
	}
	y := make([]float32, 10)
	Axpy(y, 2, x)
	Add(y, x)
	Scale(y, 0.5)
	for i := range y {
		if y[i] != 1.5*x[i] {
			t.Errorf("y[%d] = %v, want %v", i, y[i], 1.5*x[i])
		}
	}
	if got := Max(x); got != 23 {
		t.Errorf("max %v", got)
	}
	if got := Max(nil); !math.IsInf(float64(got), -1) {
		t.Errorf("max of nothing %v", got)
	}
	sum := []float32{1, 1}
	SumRows(sum, []float32{1, 2, 3, 4, 5, 6}, 3)
	AddRows(sum, []float32{10, 20}, 1)
	if sum[0] != 20 || sum[1] != 33 {
		t.Errorf("rows sum to %v", sum)
	}
}
