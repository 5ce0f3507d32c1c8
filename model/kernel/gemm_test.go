package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func random(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// gemmNaive is the definition, in float64.
func gemmNaive(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool) []float64 {
	out := make([]float64, m*n)
	for i := range m {
		for j := range n {
			sum := 0.0
			if acc {
				sum = float64(c[i*ldc+j])
			}
			for p := range k {
				sum += float64(a[i*rsa+p*csa]) * float64(b[p*ldb+j])
			}
			out[i*n+j] = sum
		}
	}
	return out
}

func TestGemmAgainstDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	sizes := []int{1, 2, 3, 4, 5, 7, 8, 9, 31, 64}
	deep := []int{0, 1, 3, 8, 9, 50, 255, 256, 257, 600}
	for range 600 {
		m, n, k := sizes[rng.IntN(len(sizes))], sizes[rng.IntN(len(sizes))], deep[rng.IntN(len(deep))]
		if rng.IntN(40) == 0 {
			m = blockRows + rng.IntN(40)
		}
		ldb, ldc := n+rng.IntN(5), n+rng.IntN(5)
		rsa, csa := k+rng.IntN(5), 1
		switch rng.IntN(3) {
		case 0: // transposed
			rsa, csa = 1, m+rng.IntN(5)
		case 1: // neither rows nor columns contiguous
			rsa, csa = 2*k+1, 2
		}
		a, b := random(rng, m*rsa+k*csa+1), random(rng, k*ldb+n)
		c := random(rng, m*ldc)
		acc := rng.IntN(2) == 0
		before := slices.Clone(c)
		want := gemmNaive(m, n, k, a, rsa, csa, b, ldb, c, ldc, acc)
		Gemm(m, n, k, a, rsa, csa, b, ldb, c, ldc, acc)
		name := fmt.Sprintf("m=%d n=%d k=%d rsa=%d csa=%d acc=%v", m, n, k, rsa, csa, acc)
		for i := range m {
			for j := range ldc {
				got := c[i*ldc+j]
				if j >= n {
					if got != before[i*ldc+j] {
						t.Fatalf("%s: wrote outside C at (%d,%d)", name, i, j)
					}
				} else if diff := math.Abs(float64(got) - want[i*n+j]); diff > 1e-6*float64(k+1) {
					t.Fatalf("%s: C(%d,%d) = %v, want %v", name, i, j, got, want[i*n+j])
				}
			}
		}
	}
}

func TestGemmRefusesShortSlices(t *testing.T) {
	full := make([]float32, 16)
	for name, call := range map[string]func(){
		"a":   func() { Gemm(4, 4, 4, full[:15], 4, 1, full, 4, make([]float32, 16), 4, false) },
		"b":   func() { Gemm(4, 4, 4, full, 4, 1, full[:15], 4, make([]float32, 16), 4, false) },
		"c":   func() { Gemm(4, 4, 4, full, 4, 1, full, 4, make([]float32, 15), 4, false) },
		"ldb": func() { Gemm(4, 4, 4, full, 4, 1, full, 3, make([]float32, 16), 4, false) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			call()
		})
	}
}

func TestGemmAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	a, b, c := random(rng, 64*64), random(rng, 64*64), make([]float32, 64*64)
	transposed := func() { Gemm(64, 64, 64, a, 1, 64, b, 64, c, 64, true) }
	transposed()
	if n := testing.AllocsPerRun(200, transposed); n != 0 {
		t.Errorf("%v allocations per multiplication", n)
	}
}

func TestMatVec(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int{1, 7, 8, 17, 64} {
		const rows = 5
		lda := n + 3
		a, x := random(rng, rows*lda), random(rng, n)
		y := random(rng, rows)
		want := gemmNaive(rows, 1, n, a, lda, 1, x, 1, y, 1, true)
		MatVec(y, a, lda, x)
		for i := range y {
			if math.Abs(float64(y[i])-want[i]) > 1e-6*float64(n) {
				t.Errorf("n=%d: y[%d] = %v, want %v", n, i, y[i], want[i])
			}
		}
	}
}

func TestTranspose(t *testing.T) {
	x := []float32{1, 2, 3, -1, 4, 5, 6, -1} // 2 x 3, rows 4 apart
	got := make([]float32, 9)
	Transpose(got, 3, x, 4, 2, 3)
	if want := []float32{1, 4, 0, 2, 5, 0, 3, 6, 0}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// eachSet runs f with every implementation that the machine offers.
func eachSet[T interface{ Run(string, func(T)) bool }](t T, f func(T)) {
	chosen := active
	defer func() { active = chosen }()
	for _, s := range sets() {
		active = s
		t.Run(s.name, f)
	}
}

// BenchmarkGemm has the shapes of the recommender's step, batch 1 and 32, and the
// rows of the design's table.
func BenchmarkGemm(b *testing.B) {
	eachSet(b, func(b *testing.B) {
		for _, s := range []struct {
			m, n, k int
			tn      bool
		}{
			{50, 64, 64, false}, {50, 192, 64, false}, {50, 256, 64, false}, {50, 64, 256, false}, {1600, 64, 64, false},
			{1600, 192, 64, false}, {6400, 64, 64, false}, {50, 128, 64, false}, {50, 64, 128, false}, {4000, 50, 64, false},
			{200, 200, 32, false}, {200, 32, 200, false}, {48, 64, 4000, false},
			{64, 64, 1600, true}, {64, 64, 50, true}, {64, 256, 50, true}, {128, 64, 50, true}, {4000, 64, 48, true},
			{24, 50, 32, false}, {24, 32, 50, false}, {1, 64, 64, false}, {1, 256, 64, false}, {1, 192, 64, false}, {5, 64, 64, false},
		} {
			layout := "NN"
			rsa, csa := s.k, 1
			if s.tn {
				layout, rsa, csa = "TN", 1, s.m
			}
			b.Run(fmt.Sprintf("%d,%d,%d_%s", s.m, s.n, s.k, layout), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(4, 4))
				a, bb, c := random(rng, s.m*s.k), random(rng, s.k*s.n), make([]float32, s.m*s.n)
				seconds := best(b, func() { Gemm(s.m, s.n, s.k, a, rsa, csa, bb, s.n, c, s.n, false) })
				flops := 2 * float64(s.m) * float64(s.n) * float64(s.k)
				b.ReportMetric(flops/seconds/1e9, "best-GFLOP/s")
			})
		}
	})
}
