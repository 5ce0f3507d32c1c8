package mask

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"testing"
)

const profileSQ = 70368744067073

// profileS is the default profile of section 2: T = 2^30, P = 2^40, n = 2^14.
func profileS(t testing.TB, dim int) *Params {
	t.Helper()
	l, err := Choose(Standard, dim, 1<<14, 1<<15-1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewParams(l)
	if err != nil {
		t.Fatal(err)
	}
	if l.Q != profileSQ || l.LogT != 30 || l.LogP != 40 || p.delta != 65535 || p.n != 2048 || l.Sigma != Sigma65 {
		t.Fatalf("the general rule does not give profile S: %+v, delta %d", l, p.delta)
	}
	return p
}

func TestT1_1_Modulus(t *testing.T) {
	p := profileS(t, 2048)
	if !new(big.Int).SetUint64(profileSQ).ProbablyPrime(40) || profileSQ%4096 != 1 {
		t.Fatal("q")
	}
	for v, want := range map[uint64]uint64{0: 0, 1: 0, profileSQ / 2: 549755813888, profileSQ - 1: 0} {
		if got := p.modSwitch(v); got != want {
			t.Errorf("modSwitch(%d) = %d, want %d", v, got, want)
		}
	}
}

func TestT1_1_ModSwitchIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		profile Profile
		count   int
		bound   int64
	}{{Standard, 1 << 14, 1<<15 - 1}, {Standard, 2, 1}, {Standard, 1 << 20, 1 << 11}, {Standard, 1 << 16, 1 << 15}, {High, 1 << 14, 1<<15 - 1}, {High, 1 << 20, 1 << 19}} {
		l, err := Choose(c.profile, 2048, c.count, c.bound)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewParams(l)
		if err != nil {
			t.Fatal(err)
		}
		q := new(big.Int).SetUint64(l.Q)
		modP := new(big.Int).Lsh(big.NewInt(1), uint(l.LogP))
		for i := range 100_000 {
			v := rng.Uint64N(l.Q)
			if i < 1000 { // the neighbourhood of rounding boundaries
				k := new(big.Int).SetUint64(rng.Uint64N(1 << l.LogP))
				k.Mul(k.Lsh(k, 1).Add(k, big.NewInt(1)), q).Rsh(k, uint(l.LogP)+1)
				v = (k.Uint64() + uint64(i%3) + l.Q - 1) % l.Q
			}
			want := new(big.Int).SetUint64(v)
			want.Mul(want, modP).Lsh(want, 1).Add(want, q) // (2vP + q) / 2q
			want.Div(want, new(big.Int).Lsh(q, 1)).Mod(want, modP)
			if got := p.modSwitch(v); got != want.Uint64() {
				t.Fatalf("%+v: modSwitch(%d) = %d, want %v", l, v, got, want)
			}
		}
	}
}

func TestT1_2_Ring(t *testing.T) {
	p := profileS(t, 2048)
	a, b := make([]uint64, p.n), make([]uint64, p.n)
	a[2047], b[1] = 1, 1
	p.ring.NTT(a, a)
	p.ring.NTT(b, b)
	p.ring.MForm(a, a)
	p.ring.MulCoeffsMontgomery(a, b, a)
	p.ring.INTT(a, a)
	for i, v := range a {
		if want := uint64(0); i == 0 && v != profileSQ-1 || i > 0 && v != want {
			t.Fatalf("X^2047·X: coefficient %d is %d", i, v)
		}
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for i := range a {
		a[i] = rng.Uint64N(profileSQ)
	}
	copy(b, a)
	p.ring.NTT(a, a)
	p.ring.INTT(a, a)
	for i := range a {
		if a[i] != b[i] {
			t.Fatal("INTT after NTT is not the identity")
		}
	}
}

func hashWords(words []uint64) string {
	h := sha256.New()
	for _, v := range words {
		h.Write(binary.LittleEndian.AppendUint64(nil, v))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestT1_3_ExpandA(t *testing.T) {
	p := profileS(t, 4096)
	x := newExpander(p, [32]byte{})
	a := make([]uint64, 2*p.n)
	x.next(a[:p.n], profileSQ)
	x.next(a[p.n:], profileSQ)
	for i, want := range []uint64{697810589148, 5025457916077, 6356476759891, 12940496626601} {
		if a[i] != want {
			t.Errorf("word %d of block 0 is %d, want %d", i, a[i], want)
		}
	}
	if got := hashWords(a); got != "de5137a89812a3b22a1cc4940d4890dff323ed26eaee3b52214b38d4489a5e7c" {
		t.Errorf("blocks 0 and 1 hash to %s", got)
	}
}

func TestT1_4_Wire(t *testing.T) {
	p := profileS(t, 2048)
	s := &Secret{coeffs: make([]int64, p.n), ntt: make([]uint64, p.n)}
	m := make([]int32, p.n)
	for i := range m {
		s.coeffs[i] = int64(i%7) - 3
		m[i] = int32(i) - 1024
	}
	p.toNTT(s.ntt, s.coeffs)
	block := make([]uint64, p.n)
	newExpander(p, [32]byte{}).next(block, p.literal.Q)
	p.ring.MulCoeffsMontgomery(block, s.ntt, block)
	p.ring.INTT(block, block)
	for i, want := range []uint64{5052488384613, 47021062638693, 50587470017446, 2866378242995} {
		if block[i] != want {
			t.Errorf("a·s[%d] = %d, want %d", i, block[i], want)
		}
	}
	p.addAndSwitch(block, make([]int64, p.n), m)
	for i, want := range []uint64{78944082574, 734703057348, 790428173753, 44786114629} {
		if block[i] != want {
			t.Errorf("wire[%d] = %d, want %d", i, block[i], want)
		}
	}
	if got := hashWords(block); got != "2f212a9e6e8e6693af9bd6ee4c5dabe0ff462a0888be3432aa92e1da55c47dd4" {
		t.Errorf("wire hashes to %s", got)
	}
}

func BenchmarkMask(b *testing.B) {
	p := profileS(b, 1<<20)
	x := make([]int32, 1<<20)
	dst := make([]byte, p.PackedLen())
	s := NewSecret(p, [32]byte{1})
	for b.Loop() {
		p.Mask(dst, [32]byte{2}, s, [32]byte{3}, x)
	}
}

func BenchmarkSampler(b *testing.B) {
	s := newSampler(Sigma65, [32]byte{1})
	dst := make([]int64, 1<<14)
	for b.Loop() {
		s.fill(dst)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(dst)), "ns/sample")
}

func BenchmarkFold(b *testing.B) {
	p := profileS(b, 1<<20)
	sums := make([]uint64, 1<<20)
	dst := make([]byte, p.PackedLen())
	for b.Loop() {
		p.Fold(sums, dst)
	}
}

func BenchmarkPaired(b *testing.B) {
	p := params(b, Paired, 1<<20, 1<<14, 1<<15-1)
	x := make([]int32, 1<<20)
	dst := make([]byte, p.PackedLen())
	s := NewSecret(p, [32]byte{1})
	sums := make([]uint64, 1<<20)
	b.Run("Mask", func(b *testing.B) {
		for b.Loop() {
			p.Mask(dst, [32]byte{2}, s, [32]byte{3}, x)
		}
	})
	b.Run("Fold", func(b *testing.B) {
		for b.Loop() {
			p.Fold(sums, dst)
		}
	})
	b.Run("Unmask", func(b *testing.B) {
		clear(sums)
		p.Mask(dst, [32]byte{2}, s, [32]byte{3}, x)
		p.Fold(sums, dst)
		for b.Loop() {
			if _, err := p.Unmask([32]byte{2}, s.coeffs, sums, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUnmask(b *testing.B) {
	p := profileS(b, 1<<20)
	dst := make([]byte, p.PackedLen())
	s := NewSecret(p, [32]byte{1})
	p.Mask(dst, [32]byte{2}, s, [32]byte{3}, make([]int32, 1<<20))
	sums := make([]uint64, 1<<20)
	p.Fold(sums, dst)
	for b.Loop() {
		if _, err := p.Unmask([32]byte{2}, s.coeffs, sums, 1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNewParams is what every configuration that is parsed pays.
func BenchmarkNewParams(b *testing.B) {
	for b.Loop() {
		params(b, Standard, 1<<20, 1<<14, 1<<15-1)
	}
}

// ExpandA leaves words >= q out and nothing else, also over the end of its buffer.
func TestExpanderRejects(t *testing.T) {
	p := profileS(t, 2048)
	for _, q := range []uint64{5, 12289, 1<<40 + 1} {
		x, raw := newExpander(p, [32]byte{7}), newStream([32]byte{7})
		a := make([]uint64, 5000)
		x.next(a[:3], q)
		x.next(a[3:], q)
		for i := 0; i < len(a); {
			var word [8]byte
			raw.read(word[:])
			if v := binary.LittleEndian.Uint64(word[:]) % (1 << bits.Len64(q)); v < q {
				if a[i] != v {
					t.Fatalf("q = %d: word %d is %d, want %d", q, i, a[i], v)
				}
				i++
			}
		}
	}
}
