package silo

import (
	"math"
	"math/big"
	"testing"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
)

// The flood is one integer of [-2^f, 2^f) under all primes, uniform in its top bits and its lowest bit.
// χ² with 255 degrees of freedom over 2^16 samples below 400: false rejection below 2^-25 for each of the six.
func TestFloodIsUniform(t *testing.T) {
	p, r, _ := libraryRing(t)
	q := p.literal.product()
	for _, f := range []int{12, 63, 82} {
		src, pol := newSource([32]byte{byte(f)}), r.NewPoly()
		width := new(big.Int).Lsh(big.NewInt(1), uint(f+1))
		var high, low [256]int
		values := make([]*big.Int, r.N())
		for i := range values {
			values[i] = new(big.Int)
		}
		for range 8 {
			src.flood(r, pol, f)
			r.PolyToBigint(pol, 1, values)
			for _, v := range values {
				v.Add(v, new(big.Int).Rsh(width, 1))
				v.Mod(v, q)
				if v.Cmp(width) >= 0 {
					t.Fatalf("flood outside [-2^%d, 2^%d)", f, f)
				}
				low[v.Uint64()&255]++
				high[new(big.Int).Rsh(v, uint(f-7)).Uint64()]++
			}
		}
		for name, counts := range map[string][256]int{"top": high, "low": low} {
			var chi float64
			for _, c := range counts {
				chi += (float64(c) - 256) * (float64(c) - 256) / 256
			}
			if chi > 400 {
				t.Errorf("f = %d, %s byte: χ² = %.0f", f, name, chi)
			}
		}
	}
}

// A ternary key has each value a third of the time. Over 2^16 draws a deviation of 1000 lies at 8.3 standard deviations: 2^-53.
func TestTernary(t *testing.T) {
	p, r, _ := libraryRing(t)
	src := newSource([32]byte{3})
	counts := map[uint64]int{}
	q := p.literal.Moduli
	for range 8 {
		sk := rlwe.NewSecretKey(p.bgv)
		src.ternary(r, sk)
		r.IMForm(sk.Value.Q, sk.Value.Q)
		r.INTT(sk.Value.Q, sk.Value.Q)
		for i, v := range sk.Value.Q.Coeffs[0] {
			value := uint64(2)
			if v <= 1 {
				value = v
			} else if v != q[0]-1 {
				t.Fatalf("%d is not ternary", v)
			}
			if w := sk.Value.Q.Coeffs[1][i]; v <= 1 && w != v || v == q[0]-1 && w != q[1]-1 {
				t.Fatal("not one integer under both primes")
			}
			counts[value]++
		}
	}
	for v, n := range counts {
		if math.Abs(float64(n)-65536./3) > 1000 {
			t.Errorf("%d came %d times of 65536", v, n)
		}
	}
}

// Uniform residues: mean of q/2, and reaching the top. 2^16 draws: 0.5 ± 0.01 lies at 8.8 standard deviations.
func TestUniform(t *testing.T) {
	p, r, _ := libraryRing(t)
	src, pol := newSource([32]byte{4}), r.NewPoly()
	for j, q := range p.literal.Moduli {
		var sum float64
		for range 8 {
			src.uniform(r, pol)
			for _, v := range pol.Coeffs[j] {
				if v >= q {
					t.Fatal("not reduced")
				}
				sum += float64(v) / float64(q)
			}
		}
		if mean := sum / 65536; math.Abs(mean-0.5) > 0.01 {
			t.Errorf("mean %.3f q", mean)
		}
	}
}

// Two sources under different keys have nothing in common, one key gives one stream, and read words leave the buffer.
func TestSource(t *testing.T) {
	a, b, c := newSource([32]byte{1}), newSource([32]byte{1}), newSource([32]byte{2})
	seen := map[uint64]bool{}
	for range 4096 {
		x := a.uint64()
		if x != b.uint64() {
			t.Fatal("one key, two streams")
		}
		if y := c.uint64(); seen[x] || seen[y] || x == y {
			t.Fatal("a word came twice")
		} else {
			seen[x], seen[y] = true, true
		}
	}
	a.uint64()
	for _, x := range a.buffer[:a.used] {
		if x != 0 {
			t.Fatal("a used word is still in the buffer")
		}
	}
	if _, err := drawSource(chacha(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := drawSource(empty{}); err == nil {
		t.Fatal("a source without randomness")
	}
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, errSecret }
