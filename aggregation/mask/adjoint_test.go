package mask

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

func opened(t *testing.T, dim int, x []int32) (*Params, []int64, *Secret, [32]byte, []byte) {
	t.Helper()
	chosen, err := Choose(Standard, dim, 10_000, 1<<15)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewParams(chosen)
	if err != nil {
		t.Fatal(err)
	}
	public := [32]byte{1, byte(dim)}
	s := NewSecret(p, [32]byte{2})
	packed := make([]byte, p.PackedLen())
	if err := p.Mask(packed, public, s, [32]byte{3}, x); err != nil {
		t.Fatal(err)
	}
	got := make([]int64, dim)
	if err := p.Open(got, public, s, packed); err != nil {
		t.Fatal(err)
	}
	return p, got, s, public, packed
}

// What Open leaves is Δ·m, noise within its tail, and the rounding of the wire.
func TestOpenIsTheMessageAndNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]int32, 5000)
	for i := range x {
		x[i] = int32(rng.IntN(1<<16+1) - 1<<15)
	}
	p, got, s, public, packed := opened(t, len(x), x)
	limit := int64(p.literal.Sigma.Tail()) + int64(p.literal.Q>>p.literal.LogP)/2 + 2
	for i, v := range got {
		if d := v - int64(p.delta)*int64(x[i]); d > limit || d < -limit {
			t.Fatalf("coordinate %d: %d over %d·%d", i, d, p.delta, x[i])
		}
	}
	if err := p.Open(got[1:], public, s, packed); !errors.Is(err, ErrPacking) {
		t.Errorf("a coordinate short: %v", err)
	}
}

// What Open leaves of garbage is centred, and congruent to the lifted words less the mask.
func TestOpenCentres(t *testing.T) {
	const dim = 3000
	p, _, s, public, packed := opened(t, dim, make([]int32, dim))
	zero := make([]byte, len(packed)) // lifted to zero, so that Open leaves -a·s
	mask, got, lifted := make([]int64, dim), make([]int64, dim), make([]uint64, dim)
	rand.NewChaCha8([32]byte{5}).Read(packed)
	packed[len(packed)-1] &= 0xff >> p.PaddingBits()
	if err := errors.Join(p.Open(mask, public, s, zero), p.Open(got, public, s, packed), p.Lift(lifted, packed)); err != nil {
		t.Fatal(err)
	}
	q := int64(p.literal.Q)
	for i, v := range got {
		if v > q/2 || v < -q/2 || mask[i] > q/2 || mask[i] < -q/2 {
			t.Fatalf("coordinate %d: %d and %d are not centred", i, v, mask[i])
		}
		if (v-mask[i]-int64(lifted[i]))%q != 0 {
			t.Fatalf("coordinate %d: %d is not %d%+d mod q", i, v, lifted[i], mask[i])
		}
	}
}

// Turned zeros stay zero: q in their place would leave the field on the wire.
func TestTurnKeepsZero(t *testing.T) {
	p, _, _, _, _ := opened(t, 1, make([]int32, 1))
	dst := make([]uint64, p.n)
	p.turn(dst, make([]uint64, p.n))
	if slices.Max(dst) != 0 {
		t.Error("-0 became q")
	}
}

func TestLiftRoundsToNearest(t *testing.T) {
	p, _, _, _, packed := opened(t, 3000, make([]int32, 3000))
	words, lifted := make([]uint64, 3000), make([]uint64, 3000)
	if err := errors.Join(p.Fold(words, packed), p.Lift(lifted, packed)); err != nil {
		t.Fatal(err)
	}
	q := new(big.Int).SetUint64(p.literal.Q)
	for i, w := range words {
		v := new(big.Int).Mul(new(big.Int).SetUint64(w), q)
		v.Rsh(v.Add(v, big.NewInt(1<<(p.literal.LogP-1))), uint(p.literal.LogP))
		if lifted[i] != v.Uint64() {
			t.Fatalf("%d became %d, want %v", w, lifted[i], v)
		}
		if p.modSwitch(lifted[i]) != w {
			t.Fatalf("%d does not come back", w)
		}
	}
}

// <r, A·s> = <Aᵀ·r, s>, with A·s taken from what Open removes.
func TestAdjoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, dim := range []int{1, 2047, 2048, 2049, 6000} {
		p, x, s, public, packed := opened(t, dim, make([]int32, dim))
		lifted := make([]uint64, dim)
		if err := p.Lift(lifted, packed); err != nil {
			t.Fatal(err)
		}
		rows := [][]uint64{make([]uint64, dim), make([]uint64, dim)}
		for _, row := range rows {
			for i := range row {
				row[i] = rng.Uint64N(p.literal.Q)
			}
		}
		adjoint, err := p.NewAdjoint(public, 2)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < dim; at += p.n {
			end := min(at+p.n, dim)
			adjoint.Add([][]uint64{rows[0][at:end], rows[1][at:end]})
		}
		q := new(big.Int).SetUint64(p.literal.Q)
		for k, alpha := range adjoint.Sums() {
			left, right := new(big.Int), new(big.Int)
			for i, r := range rows[k] {
				left.Add(left, new(big.Int).Mul(new(big.Int).SetUint64(r), big.NewInt(int64(lifted[i])-x[i])))
			}
			for i, c := range s.Coefficients() {
				right.Add(right, new(big.Int).Mul(new(big.Int).SetUint64(alpha[i]), big.NewInt(c)))
			}
			if left.Sub(left, right).Mod(left, q).Sign() != 0 {
				t.Errorf("dimension %d, row %d", dim, k)
			}
		}
	}
}

func TestAdjointRefusesPairs(t *testing.T) {
	chosen, err := Choose(Paired, 4096, 100, 1000)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewParams(chosen)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.NewAdjoint([32]byte{}, 1); !errors.Is(err, ErrModulus) {
		t.Error(err)
	}
	if err := p.Lift(make([]uint64, 4096), make([]byte, p.PackedLen())); !errors.Is(err, ErrModulus) {
		t.Error(err)
	}
}

// A vector masked under a key that no sampler gives, with something between two multiples of Δ in it, voids a sum for Unmask; for
// UnmaskProven it is one more vector, wrong by its own rounding at most.
func TestUnmaskProvenReadsAnySum(t *testing.T) {
	const dim = 3000
	x := make([]int32, dim)
	for i := range x {
		x[i] = int32(i%201) - 100
	}
	p, _, s, public, packed := opened(t, dim, x)
	strange := &Secret{coeffs: make([]int64, p.n), ntt: make([]uint64, p.blockDim())}
	rng := rand.New(rand.NewPCG(8, 8))
	for i := range strange.coeffs {
		strange.coeffs[i] = rng.Int64N(int64(p.literal.Q)-1) - int64(p.literal.Q)/2
	}
	p.toNTT(strange.ntt, strange.coeffs)
	second := make([]byte, p.PackedLen())
	if err := p.Mask(second, public, strange, [32]byte{4}, make([]int32, dim)); err != nil {
		t.Fatal(err)
	}
	sums := make([]uint64, dim)
	if err := errors.Join(p.Fold(sums, packed), p.Fold(sums, second)); err != nil {
		t.Fatal(err)
	}
	between := p.delta * 3 / 4 >> (6) // three quarters of a unit, in wire units of q/P = 64
	for i := range 10 {
		sums[i] += between
	}
	key := make([]int64, p.n)
	for i := range key {
		q := int64(p.literal.Q)
		key[i] = (s.coeffs[i]+strange.coeffs[i]+q/2+q)%q - q/2
	}
	if _, err := p.Unmask(public, key, sums, 2); !errors.Is(err, ErrGarbled) {
		t.Errorf("Unmask: %v", err)
	}
	got, err := p.UnmaskProven(public, key, sums)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		want := int64(x[i])
		if i < 10 {
			want++
		}
		if v != want {
			t.Fatalf("coordinate %d: %d, want %d", i, v, want)
		}
	}
	for _, v := range []int64{int64(p.literal.Q/2) + 1, -int64(p.literal.Q/2) - 1} {
		key[7] = v
		if _, err := p.UnmaskProven(public, key, sums); !errors.Is(err, ErrGarbled) {
			t.Errorf("a key word of %d: %v", v, err)
		}
	}
	if _, err := p.UnmaskProven(public, key[1:], sums); !errors.Is(err, ErrDimension) {
		t.Errorf("a short key: %v", err)
	}
}
