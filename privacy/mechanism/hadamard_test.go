package mechanism

import (
	"math/bits"
	"math/rand/v2"
	"testing"
)

// The matrix is known in closed form: H[i][j] = (-1)^popcount(i AND j).
func TestHadamardIsSylvesterMatrix(t *testing.T) {
	for n := 1; n <= 256; n *= 2 {
		for j := range n {
			x := make([]float64, n)
			x[j] = 1
			hadamard(x)
			for i, v := range x {
				want := 1.0
				if bits.OnesCount(uint(i&j))%2 == 1 {
					want = -1
				}
				if v != want {
					t.Fatalf("n=%d: H[%d][%d] = %g, want %g", n, i, j, v, want)
				}
			}
		}
	}
}

// H H = n I, exactly on integers, on both sides of the cache blocking; and
// norms grow by exactly n.
func TestHadamardIsOrthogonal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := 1; n <= MaxBlock; n *= 2 {
		x := make([]float64, n)
		before, after := 0.0, 0.0
		for i := range x {
			x[i] = float64(r.IntN(2001) - 1000)
			before += x[i] * x[i]
		}
		y := append([]float64(nil), x...)
		hadamard(y)
		for _, v := range y {
			after += v * v
		}
		if after != before*float64(n) {
			t.Fatalf("n=%d: squared norm %g became %g", n, before, after)
		}
		hadamard(y)
		for i := range y {
			if y[i] != x[i]*float64(n) {
				t.Fatalf("n=%d: H H x differs at %d", n, i)
			}
		}
	}
}
