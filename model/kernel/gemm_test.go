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

// product is a multiplication that a test or the fuzzer chose. What lies between
// the rows of A and B is not a number, so that reading it shows.
type product struct {
	m, n, k            int
	rsa, csa, ldb, ldc int
	acc                bool
	seed               uint64
}

func spaced(rng *rand.Rand, size int, fill func(set func(at int))) []float32 {
	x := make([]float32, size)
	for i := range x {
		x[i] = float32(math.NaN())
	}
	fill(func(at int) { x[at] = float32(rng.NormFloat64()) })
	return x
}

func (p product) check(t *testing.T, s set) {
	t.Helper()
	rng := rand.New(rand.NewPCG(p.seed, 1))
	a := spaced(rng, (p.m-1)*p.rsa+max(0, p.k-1)*p.csa+1, func(set func(int)) {
		for i := range p.m {
			for q := range p.k {
				set(i*p.rsa + q*p.csa)
			}
		}
	})
	b := spaced(rng, max(0, p.k-1)*p.ldb+p.n, func(set func(int)) {
		for q := range p.k {
			for j := range p.n {
				set(q*p.ldb + j)
			}
		}
	})
	c, intact := guarded(rng, (p.m-1)*p.ldc+p.n)
	before, bias := slices.Clone(c), random(rng, p.n)
	want := gemmNaive(p.m, p.n, p.k, a, p.rsa, p.csa, b, p.ldb, c, p.ldc, p.acc)
	chosen := active
	active = s
	defer func() { active = chosen }()
	Gemm(p.m, p.n, p.k, a, p.rsa, p.csa, b, p.ldb, c, p.ldc, p.acc)
	p.compare(t, s.name, c, before, want)
	if p.csa == 1 {
		for i := range want {
			want[i] += float64(bias[i%p.n])
			if p.acc {
				want[i] -= float64(before[i/p.n*p.ldc+i%p.n])
			}
		}
		copy(c, before)
		GemmBias(p.m, p.n, p.k, a, p.rsa, b, p.ldb, c, p.ldc, bias)
		p.compare(t, s.name+" with bias", c, before, want)
	}
	if !intact() {
		t.Fatalf("%s: %+v: wrote around C", s.name, p)
	}
}

func (p product) compare(t *testing.T, name string, c, before []float32, want []float64) {
	t.Helper()
	for at, got := range c {
		i, j := at/p.ldc, at%p.ldc
		if j >= p.n {
			if got != before[at] {
				t.Fatalf("%s: %+v: wrote between the rows of C at (%d,%d)", name, p, i, j)
			}
		} else if diff := math.Abs(float64(got) - want[i*p.n+j]); !(diff <= 1e-6*float64(p.k+4)) {
			t.Fatalf("%s: %+v: C(%d,%d) = %v, want %v", name, p, i, j, got, want[i*p.n+j])
		}
	}
}

func newProduct(m, n, k, layout, gap int, acc bool, seed uint64) product {
	p := product{m: m, n: n, k: k, rsa: k + gap, csa: 1, ldb: n + gap, ldc: n + gap, acc: acc, seed: seed}
	switch layout {
	case 1: // transposed
		p.rsa, p.csa = 1, m+gap
	case 2: // neither rows nor columns contiguous
		p.rsa, p.csa = 2*k+1+gap, 2
	}
	p.rsa, p.csa = max(1, p.rsa), max(1, p.csa)
	return p
}

func TestGemmAgainstDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	deep := []int{0, 1, 3, 8, 9, 50, 255, 256, 257, 383, 384, 385, 800}
	for range 500 {
		m, n, k := 1+rng.IntN(30), 1+rng.IntN(80), deep[rng.IntN(len(deep))]
		switch rng.IntN(40) {
		case 0:
			m = blockRows + rng.IntN(40)
		case 1:
			n = 130 + rng.IntN(80)
		}
		p := newProduct(m, n, k, rng.IntN(3), rng.IntN(5), rng.IntN(2) == 0, rng.Uint64())
		for _, s := range sets() {
			p.check(t, s)
		}
	}
}

// Every height and width of tile, exactly.
func TestGemmTiles(t *testing.T) {
	for m := 1; m <= 26; m++ {
		for n := 1; n <= 70; n++ {
			p := newProduct(m, n, 3, (m+n)%3, n%2, m%2 == 0, uint64(m*100+n))
			for _, s := range sets() {
				p.check(t, s)
			}
		}
	}
}

func FuzzGemm(f *testing.F) {
	f.Add(uint8(12), uint8(32), uint16(64), uint8(0), uint8(0), false, uint64(1))
	f.Add(uint8(1), uint8(63), uint16(400), uint8(1), uint8(3), true, uint64(2))
	f.Fuzz(func(t *testing.T, m, n uint8, k uint16, layout, gap uint8, acc bool, seed uint64) {
		if m == 0 || n == 0 || k > 1000 {
			t.Skip()
		}
		p := newProduct(int(m), int(n), int(k), int(layout%3), int(gap%8), acc, seed)
		for _, s := range sets() {
			p.check(t, s)
		}
	})
}

func TestGemmRefusesShortSlices(t *testing.T) {
	full := make([]float32, 16)
	for name, call := range map[string]func(){
		"a":   func() { Gemm(4, 4, 4, full[:15], 4, 1, full, 4, make([]float32, 16), 4, false) },
		"b":   func() { Gemm(4, 4, 4, full, 4, 1, full[:15], 4, make([]float32, 16), 4, false) },
		"c":   func() { Gemm(4, 4, 4, full, 4, 1, full, 4, make([]float32, 15), 4, false) },
		"ldb": func() { Gemm(4, 4, 4, full, 4, 1, full, 3, make([]float32, 16), 4, false) },
		// The last element lies inside, others before the first.
		"rsa": func() { Gemm(4, 4, 4, full, -1, 4, full, 4, make([]float32, 16), 4, false) },
		"csa": func() { Gemm(4, 4, 4, full, 4, -1, full, 4, make([]float32, 16), 4, false) },
		"lda": func() { MatVec(make([]float32, 2), full, -1, full[:4]) },
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
			if !(math.Abs(float64(y[i])-want[i]) <= 1e-6*float64(n)) {
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
			{24, 50, 32, false}, {24, 32, 50, false}, {1, 16, 1, false}, {1, 64, 64, false}, {1, 256, 64, false}, {1, 192, 64, false}, {5, 64, 64, false},
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
