package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// guarded returns n values that start at an odd place of a larger slice, and a
// check that nothing around them changed.
func guarded(rng *rand.Rand, n int) (x []float32, intact func() bool) {
	const guard = 12345.5
	before := 1 + rng.IntN(20)
	all := make([]float32, before+n+20)
	for i := range all {
		all[i] = guard
	}
	x = all[before : before+n : before+n]
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x, func() bool {
		for i, v := range all {
			if (i < before || i >= before+n) && v != guard {
				return false
			}
		}
		return true
	}
}

// A loop is one field of set on vectors that the test makes.
type loop struct {
	name string
	// sizes gives the lengths of the vectors for a length n; a loop over rows
	// takes rows of n.
	sizes func(n, rows int) []int
	run   func(s set, n, rows int, v [][]float32) float32
	// within bounds |got-want| by within*(1+|want|).
	within float64
	finite bool // is left without NaN and infinities
}

func flat(count int) func(n, rows int) []int {
	return func(n, _ int) []int {
		sizes := make([]int, count)
		for i := range sizes {
			sizes[i] = n
		}
		return sizes
	}
}

func absolute(x []float32) []float32 {
	for i, v := range x {
		x[i] = max(v, -v)
	}
	return x
}

var loops = []loop{
	{"dot", flat(2), func(s set, _, _ int, v [][]float32) float32 { return s.dot(v[0], v[1]) }, 1e-5, false},
	{"axpy", flat(2), func(s set, _, _ int, v [][]float32) float32 { s.axpy(v[0], 0.3, v[1]); return 0 }, 2e-7, false},
	{"add", flat(2), func(s set, _, _ int, v [][]float32) float32 { s.add(v[0], v[1]); return 0 }, 0, false},
	{"scale", flat(1), func(s set, _, _ int, v [][]float32) float32 { s.scale(v[0], -1.7); return 0 }, 0, false},
	{"max", flat(1), func(s set, _, _ int, v [][]float32) float32 { return s.max(v[0]) }, 0, false},
	{"finite", flat(1), func(s set, _, _ int, v [][]float32) float32 {
		if s.finite(v[0]) {
			return 1
		}
		return 0
	}, 0, false},
	{"adam", flat(4), func(s set, _, _ int, v [][]float32) float32 {
		s.adam(v[0], v[1], v[2], absolute(v[3]), AdamStep{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Rate: 0.01, SecondScale: 1.5, DecayPerStep: 0.001})
		return 0
	}, 1e-6, true},
	{"expShifted", flat(2), func(s set, _, _ int, v [][]float32) float32 { return s.expShifted(v[0], v[1], 0.7) }, 1e-6, false},
	{"expShifted in place", flat(1), func(s set, _, _ int, v [][]float32) float32 { return s.expShifted(v[0], v[0], -0.7) }, 1e-6, false},
	{"softmaxExp", flat(1), func(s set, _, _ int, v [][]float32) float32 { return s.softmaxExp(v[0], 1.5, 0.7) }, 1e-6, false},
	{"softmaxBackward", flat(2), func(s set, _, _ int, v [][]float32) float32 { s.softmaxBackward(v[0], v[1], 0.2, 0.7); return 0 }, 5e-7, false},
	{"gelu", flat(2), func(s set, _, _ int, v [][]float32) float32 { s.gelu(v[0], v[1]); return 0 }, 1e-6, false},
	{"geluBackward", flat(3), func(s set, _, _ int, v [][]float32) float32 { s.geluBackward(v[0], v[1], v[2]); return 0 }, 2e-6, true},
	{"relu", flat(2), func(s set, _, _ int, v [][]float32) float32 { s.relu(v[0], v[1]); return 0 }, 0, false},
	{"reluBackward", flat(3), func(s set, _, _ int, v [][]float32) float32 { s.reluBackward(v[0], v[1], v[2]); return 0 }, 0, false},
	{"siluGate", flat(3), func(s set, _, _ int, v [][]float32) float32 { s.siluGate(v[0], v[1], v[2]); return 0 }, 1e-6, false},
	{"siluGateBackward", flat(5), func(s set, _, _ int, v [][]float32) float32 {
		s.siluGateBackward(v[0], v[1], v[2], v[3], v[4])
		return 0
	}, 2e-6, true},
	{"dropout", flat(2), func(s set, _, _ int, v [][]float32) float32 {
		s.dropout(v[0], v[1], newMask(77, 1<<32-5, 0.4))
		return 0
	}, 0, false},

	{"addRows", func(n, rows int) []int { return []int{n * rows, n} }, func(s set, _, rows int, v [][]float32) float32 {
		s.addRows(v[0], v[1], rows)
		return 0
	}, 0, false},
	{"sumRows", func(n, rows int) []int { return []int{n, n * rows} }, func(s set, _, rows int, v [][]float32) float32 {
		s.sumRows(v[0], v[1], rows)
		return 0
	}, 0, false},
	{"expRows", func(n, rows int) []int { return []int{n * rows, rows, rows} }, func(s set, n, rows int, v [][]float32) float32 {
		s.expRows(v[0], n, v[1], v[2])
		return 0
	}, 1e-6, false},
	{"matVec", func(n, rows int) []int { return []int{rows, rows*(n+3) + n, n} }, func(s set, n, _ int, v [][]float32) float32 {
		if n > 0 {
			s.matVec(v[0], v[1], n+3, v[2])
		}
		return 0
	}, 1e-5, false},
	{"transpose", func(n, rows int) []int { return []int{n * (rows + 2), rows * (n + 3)} }, func(s set, n, rows int, v [][]float32) float32 {
		if n > 0 {
			s.transpose(v[0], rows+2, v[1], n+3, rows, n)
		}
		return 0
	}, 0, false},
	{"normForward", func(n, rows int) []int { return []int{n * rows, n * rows, n, n, rows, rows} }, func(s set, n, _ int, v [][]float32) float32 {
		if n > 1 { // a single value is its own mean: only rounding is left
			s.normForward(v[0], v[1], v[2], v[3], v[4], v[5])
		}
		return 0
	}, 1e-5, true},
	{"normBackward", func(n, rows int) []int { return []int{n * rows, n, n, n * rows, n * rows, n, rows, rows} }, func(s set, n, _ int, v [][]float32) float32 {
		if n > 0 {
			s.normBackward(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7])
		}
		return 0
	}, 2e-5, true},
}

func same(got, want float32, within float64) bool {
	g, w := float64(got), float64(want)
	if math.IsNaN(w) || math.IsInf(w, 0) {
		return math.IsNaN(w) && math.IsNaN(g) || g == w
	}
	return math.Abs(g-w) <= within*(1+math.Abs(w))
}

// Every set against the portable one, at every length to 130, on slices that no
// vector is aligned with; what lies around them must stay.
func TestSetsAgree(t *testing.T) {
	odd := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, -100, 100, 1e30, -1e30, 1e-40}
	for _, s := range sets() {
		for _, l := range loops {
			t.Run(s.name+"/"+l.name, func(t *testing.T) {
				for n := range 131 {
					for _, special := range []bool{false, true} {
						if special && l.finite {
							continue
						}
						rows := 1 + n%9
						if n > 64 && n%16 > 1 {
							rows = 2
						}
						name := fmt.Sprintf("n=%d rows=%d special=%v", n, rows, special)
						rng := rand.New(rand.NewPCG(uint64(n), 5))
						var want, got [][]float32
						var checks []func() bool
						for _, size := range l.sizes(n, rows) {
							x, intact := guarded(rng, size)
							if special && size > 0 {
								x[rng.IntN(size)] = odd[rng.IntN(len(odd))]
							}
							got, checks = append(got, x), append(checks, intact)
							want = append(want, append([]float32(nil), x...))
						}
						expect := l.run(portable, n, rows, want)
						if answer := l.run(s, n, rows, got); !same(answer, expect, l.within) {
							t.Fatalf("%s: answer %v, want %v", name, answer, expect)
						}
						for i := range got {
							if !checks[i]() {
								t.Fatalf("%s: wrote beside vector %d", name, i)
							}
							for j := range got[i] {
								if !same(got[i][j], want[i][j], l.within) {
									t.Fatalf("%s: vector %d[%d] = %v, want %v", name, i, j, got[i][j], want[i][j])
								}
							}
						}
					}
				}
			})
		}
	}
}

// The exponential of every set: relative error and edges.
func TestSetsExp(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	edges := []float32{
		-inf, -1e30, -88, math.Nextafter32(expLow, -inf), expLow, expLow + 1e-5, -1e-30, 0, 1e-30,
		88.7, math.Nextafter32(expHigh, 0), expHigh, 89, 1e30, inf, nan, -nan, math.Float32frombits(0x7f800001), math.Float32frombits(0xffc12345),
	}
	for _, s := range sets() {
		got := make([]float32, len(edges))
		s.expShifted(got, edges, 0)
		for i, x := range edges {
			if want := Exp(x); !same(got[i], want, 0) && !(relative(got[i], float64(want)) <= 5e-7) {
				t.Errorf("%s: exp(%v) = %v, want %v", s.name, x, got[i], want)
			}
		}
		copy(got, edges)
		s.expRows(got, len(edges), []float32{0}, []float32{0})
		for i, x := range edges {
			if x == expHigh {
				continue // the largest finite value, nearly, or Inf
			}
			if want := Exp(x); !same(got[i], want, 0) && !(relative(got[i], float64(want)) <= 5e-7) {
				t.Errorf("%s: exp(%v) in a row = %v, want %v", s.name, x, got[i], want)
			}
		}
		const n = 1 << 12
		x, y := make([]float32, n), make([]float32, n)
		worst := 0.0
		for at := float32(expLow) + 1e-4; at < expHigh-1e-4; {
			for i := range x {
				x[i] = min(at, expHigh-1e-4)
				at += 1.37e-4
			}
			s.expShifted(y, x, 0)
			for i := range x {
				worst = max(worst, relative(y[i], math.Exp(float64(x[i]))))
			}
		}
		t.Logf("%s: worst relative error %.3g", s.name, worst)
		if !(worst <= 5e-7) {
			t.Errorf("%s: relative error %g, want at most 5e-7", s.name, worst)
		}
		if s.expShifted(y[:1], []float32{0}, 0); y[0] != 1 {
			t.Errorf("%s: exp(0) = %v", s.name, y[0])
		}
	}
}

// Two calls with the same input give the same bits, wherever the slices lie.
func TestSetsRepeat(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 12))
	x := random(rng, 103)
	for _, s := range sets() {
		first := make([]float32, len(x))
		sum := s.expShifted(first, x, 1)
		for shift := range 17 {
			room := make([]float32, len(x)+shift)
			if again := s.expShifted(room[shift:], x, 1); again != sum {
				t.Errorf("%s: sum %v and %v", s.name, sum, again)
			}
			for i, v := range room[shift:] {
				if v != first[i] {
					t.Fatalf("%s: shifted by %d, y[%d] = %v and %v", s.name, shift, i, first[i], v)
				}
			}
		}
	}
}

// What is not a number neither becomes the maximum nor takes the place of what
// its lane held before: values fall, so that the largest stands in the first.
func TestSetsMaxPassesOverNaN(t *testing.T) {
	for _, s := range sets() {
		for n := 2; n <= 150; n++ {
			for at := range n {
				x := make([]float32, n)
				for i := range x {
					x[i] = float32(-i)
				}
				x[at] = float32(math.NaN())
				want := float32(0)
				if at == 0 {
					want = -1
				}
				if got := s.max(x); got != want {
					t.Fatalf("%s: %d values, no number at %d: maximum %v, want %v", s.name, n, at, got, want)
				}
			}
		}
	}
}
