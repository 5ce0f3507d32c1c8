package mask

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/ring"
)

func seedOf(values ...uint64) (seed [32]byte) {
	for i, v := range values {
		binary.LittleEndian.PutUint64(seed[8*i:], v)
	}
	return seed
}

// cohort masks n vectors and returns the sum of the keys, of the wires, and of the inputs.
func cohort(t testing.TB, p *Params, n int, input func(device, j int) int32) (key []int64, sums []uint64, want []int64) {
	t.Helper()
	key, sums, want = make([]int64, p.n), make([]uint64, p.literal.Dim), make([]int64, p.literal.Dim)
	x := make([]int32, p.literal.Dim)
	wire := make([]byte, p.PackedLen())
	for i := range n {
		s := NewSecret(p, seedOf(1, uint64(i)))
		for j := range x {
			x[j] = input(i, j)
			want[j] += int64(x[j])
		}
		if err := errors.Join(p.Mask(wire, [32]byte{9}, s, seedOf(2, uint64(i)), x), p.Fold(sums, wire)); err != nil {
			t.Fatal(err)
		}
		for j, c := range s.Coefficients() {
			key[j] += c
		}
		s.Erase()
	}
	return key, sums, want
}

func params(t testing.TB, profile Profile, dim, count int, bound int64) *Params {
	t.Helper()
	l, err := Choose(profile, dim, count, bound)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewParams(l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Sums are exact for every wire width, for dimensions that end inside a block, a group of eight words and a byte, and at the bound.
func TestSumsAreExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, c := range []struct {
		profile    Profile
		dim, count int
		bound      int64
	}{
		{Standard, 1, 2, 1}, {Standard, 7, 3, 5}, {Standard, 2047, 5, 100}, {Standard, 2049, 16, 1 << 12}, {Standard, 4096, 100, 1000},
		{Standard, 5001, 40, 1<<20 + 1}, {Standard, 3000, 1 << 14, 1<<15 - 1}, {Standard, 3000, 1 << 16, 1<<15 - 1},
		{Standard, 2050, 1 << 20, 1<<13 - 1}, {High, 4097, 1 << 20, 1<<20 - 1}, {High, 5003, 7, MaxBound},
		{Paired, 2, 2, 1}, {Paired, 8190, 3, 5}, {Paired, 8194, 16, 1 << 12}, {Paired, 20_002, 1 << 14, 1<<15 - 1}, {Paired, 10_000, 1 << 16, 1<<15 - 1},
		{Paired, 10_000, 1 << 20, 1<<11 - 1}, {Paired, 10_000, 100, 1 << 18},
	} {
		p := params(t, c.profile, c.dim, c.count, c.bound)
		n := min(c.count, 12)
		key, sums, want := cohort(t, p, n, func(i, j int) int32 {
			switch j % 3 {
			case 0:
				return int32(c.bound)
			case 1:
				return int32(-c.bound)
			}
			return int32(rng.Int64N(2*c.bound+1) - c.bound)
		})
		got, err := p.Unmask([32]byte{9}, key, sums, n)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v: sum differs (%v)", p.literal, err)
		}
	}
}

// T3.20, the part that fits a unit test: as many devices as the round allows, all at the bound.
func TestT3_20_FullCohortAtTheBound(t *testing.T) {
	t.Parallel()
	for profile, signs := range map[Profile][][2]int32{Standard: {{1, 1}, {-1, -1}}, Paired: {{-1, -1}, {-1, 1}}} {
		p := params(t, profile, 64, 1<<9, 1<<20-1) // NMax·Bound = 2^29 - 2^9
		if p.literal.LogT != 30 {
			t.Fatal("not at the edge of the sum domain")
		}
		for _, sign := range signs {
			key, sums, want := cohort(t, p, 1<<9, func(_, j int) int32 { return sign[j%2] * (1<<20 - 1) })
			got, err := p.Unmask([32]byte{9}, key, sums, 1<<9)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("profile %d, sign %d: %v", profile, sign, err)
			}
		}
	}
}

func TestT1_7_OverflowEdge(t *testing.T) {
	p := profileS(t, 2048)
	for _, c := range []struct{ sum, want int64 }{
		{536879102, 536879102}, {-536879102, -536879102}, {536879106, -536879101}, {1<<29 - 1, 1<<29 - 1}, {0, 0}, {-1, -1},
	} {
		v := (int64(p.delta)*c.sum%profileSQ + profileSQ) % profileSQ
		out := make([]int64, 1)
		p.decode(out, []uint64{p.modSwitch(uint64(v))}, []uint64{0})
		if out[0] != c.want {
			t.Errorf("a sum of %d decodes as %d, want %d", c.sum, out[0], c.want)
		}
	}
}

// decode against integers of any length, around every kind of boundary and over the whole sum domain, for UnmaskProven takes any sum:
// the floating point of the quotient never decides. The longest T that Choose takes is among them.
func TestDecodeIsDivision(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	for _, p := range []*Params{profileS(t, 1), params(t, Standard, 1, 1, 1), params(t, High, 1, 1<<12, MaxBound), params(t, High, 1, 1<<20, 1<<19), params(t, Standard, 1, 1<<20, 1<<12-1), params(t, High, 1, 4130, MaxBound)} {
		q, pd := new(big.Int).SetUint64(p.literal.Q), new(big.Int).Lsh(new(big.Int).SetUint64(p.delta), uint(p.literal.LogP))
		limit := int64(1) << (p.literal.LogT - 1)
		for i := range 20_000 {
			m := rng.Int64N(2*limit+1) - limit
			if i%3 == 0 {
				m = limit - rng.Int64N(min(limit, 1000)) // where floating point is coarsest
			}
			u := big.NewInt(2*m + 1 - int64(i%2)) // twice the nearest point, or the boundary above it
			u.Mul(u, pd).Quo(u, new(big.Int).Lsh(q, 1)).Add(u, big.NewInt(int64(i%5-2)))
			sum, out := u.Int64(), make([]int64, 1)
			if half := int64(1) << (p.literal.LogP - 1); sum < -half || sum >= half {
				continue
			}
			squares := p.decode(out, []uint64{uint64(sum)}, []uint64{0})
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(u, q), pd)
			rest, _ := exact.Sub(exact, new(big.Rat).SetInt64(out[0])).Float64()
			if math.Abs(rest) > 0.5 || math.Abs(math.Sqrt(squares)*p.scale-math.Abs(rest)) > math.Ldexp(1, p.literal.LogT-51) {
				t.Fatalf("%+v: %d decodes as %d, off by %v (%v)", p.literal, sum, out[0], rest, math.Sqrt(squares)*p.scale)
			}
		}
	}
}

// reversed feeds our AES-CTR words to lattigo, which reads big-endian ones.
type reversed struct{ stream }

func (r reversed) Read(b []byte) (int, error) {
	r.read(b)
	for i := 0; i+8 <= len(b); i += 8 {
		slices.Reverse(b[i : i+8])
	}
	return len(b), nil
}

// Oracle 8a: the same keys, seed and messages through lattigo's rlwe.Encryptor.WithPRNG and Decryptor. The public polynomial is
// the same, so a single wire before rounding differs by the two noises only; the decoded sums are equal.
func TestT1_8a_LattigoOracle(t *testing.T) {
	t.Parallel()
	p := profileS(t, 2048)
	theirs, err := rlwe.NewParametersFromLiteral(rlwe.ParametersLiteral{
		LogN: 11, Q: []uint64{profileSQ}, NTTFlag: true,
		Xs: ring.DiscreteGaussian{Sigma: 6.5, Bound: 87}, Xe: ring.DiscreteGaussian{Sigma: 6.5, Bound: 87},
	})
	if err != nil {
		t.Fatal(err)
	}
	public := [32]byte{9}
	for _, n := range []int{1, 2, 1000} {
		rng := rand.New(rand.NewPCG(8, uint64(n)))
		sum := rlwe.NewCiphertext(theirs, 1)
		key, sums, want := cohort(t, p, n, func(_, _ int) int32 { return int32(rng.IntN(1<<16-1) - 1<<15 + 1) })
		rng = rand.New(rand.NewPCG(8, uint64(n)))
		keySum := rlwe.NewSecretKey(theirs)
		for i := range n {
			s := NewSecret(p, seedOf(1, uint64(i)))
			sk := rlwe.NewSecretKey(theirs)
			p.ring.Neg(s.ntt, sk.Value.Q.Coeffs[0]) // they compute -a·sk; ours is a·s in the same Montgomery convention
			pt := rlwe.NewPlaintext(theirs)
			for j := range p.n {
				m := int64(p.delta) * int64(rng.IntN(1<<16-1)-1<<15+1)
				pt.Value.Coeffs[0][j] = uint64(m + profileSQ&(m>>63))
			}
			p.ring.NTT(pt.Value.Coeffs[0], pt.Value.Coeffs[0])
			ct := rlwe.NewCiphertext(theirs, 1)
			if err := rlwe.NewEncryptor(theirs, sk).WithPRNG(reversed{newStream(public)}).Encrypt(pt, ct); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				sum.Value[1].Copy(ct.Value[1]) // one public polynomial for all
				checkSameMask(t, p, public, s, ct, pt)
			}
			p.ring.Add(sum.Value[0].Coeffs[0], ct.Value[0].Coeffs[0], sum.Value[0].Coeffs[0])
			p.ring.Add(keySum.Value.Q.Coeffs[0], sk.Value.Q.Coeffs[0], keySum.Value.Q.Coeffs[0])
		}
		plain := rlwe.NewDecryptor(theirs, keySum).DecryptNew(sum)
		p.ring.INTT(plain.Value.Coeffs[0], plain.Value.Coeffs[0])
		ours, err := p.Unmask(public, key, sums, n)
		if err != nil {
			t.Fatal(err)
		}
		for j, v := range plain.Value.Coeffs[0] {
			c := int64(v)
			if v > profileSQ/2 {
				c -= profileSQ
			}
			half := int64(p.delta / 2)
			if c < 0 {
				half = -half
			}
			if decoded := (c + half) / int64(p.delta); decoded != ours[j] || decoded != want[j] {
				t.Fatalf("n = %d, coordinate %d: lattigo %d, ours %d, true %d", n, j, decoded, ours[j], want[j])
			}
		}
	}
}

// checkSameMask compares a·s of both paths: what remains of lattigo's ciphertext is its noise, |e| <= 87.
func checkSameMask(t *testing.T, p *Params, public [32]byte, s *Secret, ct *rlwe.Ciphertext, pt *rlwe.Plaintext) {
	t.Helper()
	block := make([]uint64, p.n)
	newExpander(p, public).next(block, p.literal.Q)
	if !slices.Equal(block, ct.Value[1].Coeffs[0]) {
		t.Fatal("the public polynomials differ")
	}
	p.ring.MulCoeffsMontgomery(block, s.ntt, block)
	rest := make([]uint64, p.n)
	p.ring.Sub(ct.Value[0].Coeffs[0], block, rest)
	p.ring.Sub(rest, pt.Value.Coeffs[0], rest)
	p.ring.INTT(rest, rest)
	for j, v := range rest {
		if v > 87 && v < profileSQ-87 {
			t.Fatalf("coefficient %d: the masks differ by %d", j, v)
		}
	}
}

// A sum never comes out wrong: a lost or doubled wire, another public seed, a wrong key word, a vector that was never masked.
func TestUnmaskRefusesGarbledSums(t *testing.T) {
	for _, profile := range []Profile{Standard, High, Paired} {
		testGarbledSums(t, params(t, profile, 4096, 100, 1000))
	}
}

func testGarbledSums(t *testing.T, p *Params) {
	t.Helper()
	key, sums, want := cohort(t, p, 10, func(i, j int) int32 { return int32(i * j % 1000) })
	if got, err := p.Unmask([32]byte{9}, key, sums, 10); err != nil || !slices.Equal(got, want) {
		t.Fatal(err)
	}
	wire := make([]byte, p.PackedLen())
	if err := p.Mask(wire, [32]byte{9}, NewSecret(p, seedOf(1, 3)), seedOf(2, 3), make([]int32, 4096)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(key []int64, sums []uint64, public *[32]byte){
		"one wire left out":    func(_ []int64, sums []uint64, _ *[32]byte) { p.Unfold(sums, wire) },
		"one wire twice":       func(_ []int64, sums []uint64, _ *[32]byte) { p.Fold(sums, wire) },
		"other public seed":    func(_ []int64, _ []uint64, public *[32]byte) { public[0]++ },
		"one key word off":     func(key []int64, _ []uint64, _ *[32]byte) { key[77]++ },
		"a key word too large": func(key []int64, _ []uint64, _ *[32]byte) { key[0] = 10*87 + 1 },
		"a key word too small": func(key []int64, _ []uint64, _ *[32]byte) { key[0] = -10*87 - 1 },
		"noise of others": func(_ []int64, sums []uint64, _ *[32]byte) {
			for j := 0; j < len(sums); j += 4 { // one deviation more in every coefficient of a pair, in every other one else
				sums[j]++
				sums[j+2]--
			}
		},
		"a sum beyond n·Bound":  func(_ []int64, sums []uint64, _ *[32]byte) { sums[0] += uint64(float64(10_001-want[0]) / p.scale) },
		"a sum beyond -n·Bound": func(_ []int64, sums []uint64, _ *[32]byte) { sums[0] -= uint64(float64(10_001+want[0]) / p.scale) },
	} {
		k, s, public := slices.Clone(key), slices.Clone(sums), [32]byte{9}
		change(k, s, &public)
		got, err := p.Unmask(public, k, s, 10)
		if !errors.Is(err, ErrGarbled) || got != nil || strings.Contains(err.Error(), "key word") != strings.Contains(name, "a key word too") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, n := range map[string]int{"no device": 0, "n_max + 1": 101} {
		if _, err := p.Unmask([32]byte{9}, key, sums, n); !errors.Is(err, ErrDimension) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPackFoldUnfold(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for width := minLogP; width <= 54; width++ {
		for _, dim := range []int{1, 2, 7, 8, 9, 64, 1001} {
			p := &Params{literal: Literal{LogP: width, Dim: dim}, shape: shape{perCoefficient: 1}}
			words, sums, before := make([]uint64, dim), make([]uint64, dim), make([]uint64, dim)
			for i := range words {
				words[i], sums[i] = rng.Uint64(), rng.Uint64()
			}
			copy(before, sums)
			packed := make([]byte, p.PackedLen())
			p.Pack(packed, words)
			for i, w := range words { // the definition: word j lies in bits [j·width, (j+1)·width)
				for b := range width {
					at := i*width + b
					if uint64(packed[at/8]>>(at%8)&1) != w>>b&1 {
						t.Fatalf("width %d, dim %d: bit %d of word %d", width, dim, b, i)
					}
				}
			}
			if err := p.Fold(sums, packed); err != nil {
				t.Fatal(err)
			}
			for i := range sums {
				if (sums[i]-before[i]-words[i])<<(64-width) != 0 {
					t.Fatalf("width %d, dim %d: word %d", width, dim, i)
				}
			}
			if err := p.Unfold(sums, packed); err != nil || !slices.Equal(sums, before) {
				t.Fatalf("width %d, dim %d: Unfold is not the inverse (%v)", width, dim, err)
			}
			if pad := p.PaddingBits(); pad > 0 {
				packed[len(packed)-1] |= 0x80
				if err := p.Fold(sums, packed); !errors.Is(err, ErrPacking) || !slices.Equal(sums, before) {
					t.Fatalf("width %d, dim %d: padding accepted", width, dim)
				}
			}
			if err := p.Fold(sums, packed[1:]); !errors.Is(err, ErrPacking) {
				t.Fatalf("width %d, dim %d: short vector accepted", width, dim)
			}
		}
	}
}

// What Fold takes, Pack gives back: every vector has one encoding.
func FuzzFold(f *testing.F) {
	f.Add(uint8(0), []byte{1, 2, 3})
	f.Add(uint8(1), bytes.Repeat([]byte{255}, 35))
	f.Add(uint8(2), bytes.Repeat([]byte{255}, 13))
	all := foldParams(f)
	f.Fuzz(func(t *testing.T, which uint8, packed []byte) { tryVector(t, all[int(which)%len(all)], packed) })
}

func foldParams(t testing.TB) []*Params {
	return []*Params{params(t, Standard, 1, 2, 1), params(t, Paired, 8, 1<<14, 1<<15-1), params(t, Paired, 4, 3, 1)}
}

// tryVector demands of any bytes that they are refused without a trace, or come back byte for byte.
func tryVector(t testing.TB, p *Params, packed []byte) {
	sums, again := make([]uint64, p.literal.Dim), make([]byte, p.PackedLen())
	err := p.Fold(sums, packed)
	if p.Pack(again, sums); err == nil && !bytes.Equal(again, packed) || err != nil && slices.Max(sums) > 0 {
		t.Fatalf("%x comes back as %x (%v)", packed, again, err)
	}
}
