package kernel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func randomInt8(rng *rand.Rand, n int) []int8 {
	x := make([]int8, n)
	for i := range x {
		x[i] = int8(rng.Uint32())
	}
	return x
}

// checkInt8 compares one implementation with the definition in int64.
func checkInt8(t *testing.T, mul func(y []int32, a []int8, lda int, x []int8), rows int, a []int8, lda int, x []int8) {
	t.Helper()
	y := make([]int32, rows+2)
	y[0], y[rows+1] = 77, 77
	mul(y[1:rows+1], a, lda, x)
	for i := range rows {
		var want int64
		for j, v := range x {
			want += int64(a[i*lda+j]) * int64(v)
		}
		if int64(y[i+1]) != want {
			t.Fatalf("%d rows of %d, %d apart: y[%d] = %d, want %d", rows, len(x), lda, i, y[i+1], want)
		}
	}
	if y[0] != 77 || y[rows+1] != 77 {
		t.Fatalf("%d rows of %d: wrote outside y", rows, len(x))
	}
}

func TestMatVecInt8(t *testing.T) {
	for _, set := range int8Sets() {
		t.Run(set.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(8, 8))
			for n := 1; n <= 200; n++ {
				rows := 1 + rng.IntN(9)
				lda := n + rng.IntN(3)
				// Not one value more than the function may read.
				checkInt8(t, set.matVec, rows, randomInt8(rng, (rows-1)*lda+n), lda, randomInt8(rng, n))
			}
		})
	}
}

// The extremes: the largest sums, of either sign, at the greatest length.
func TestMatVecInt8AtItsBounds(t *testing.T) {
	filled := func(n int, v int8) []int8 { return slices.Repeat([]int8{v}, n) }
	for _, set := range int8Sets() {
		t.Run(set.name, func(t *testing.T) {
			for _, n := range []int{1, 63, 64, 1000, MaxInt8} {
				for _, u := range []int8{-128, 127} {
					for _, v := range []int8{-128, 127} {
						checkInt8(t, set.matVec, 5, filled(5*n, u), n, filled(n, v))
					}
				}
			}
		})
	}
}

func TestMatVecInt8OfNothing(t *testing.T) {
	MatVecInt8(nil, nil, 0, nil)
	y := []int32{3, 4}
	MatVecInt8(y, nil, 0, nil)
	if y[0] != 0 || y[1] != 0 {
		t.Errorf("sums of nothing are %v", y)
	}
}

func TestMatVecInt8Refuses(t *testing.T) {
	full := make([]int8, 4*(MaxInt8+1))
	for name, call := range map[string]func(){
		"a too short": func() { MatVecInt8(make([]int32, 3), full[:11], 4, full[:4]) },
		"rows meet":   func() { MatVecInt8(make([]int32, 3), full, 3, full[:4]) },
		"x too long":  func() { MatVecInt8(make([]int32, 1), full, MaxInt8+1, full[:MaxInt8+1]) },
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

func BenchmarkMatVecInt8(b *testing.B) {
	for _, set := range int8Sets() {
		b.Run(set.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(9, 9))
			const rows, n = 4000, 64
			a, x, y := randomInt8(rng, rows*n), randomInt8(rng, n), make([]int32, rows)
			for b.Loop() {
				set.matVec(y, a, n, x)
			}
			b.ReportMetric(float64(rows*n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gmac/s")
		})
	}
}
