package mask

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// pairCases span log q = 54..84.
func pairCases(t *testing.T) []*Params {
	return []*Params{
		params(t, Paired, 2, 2, 1), params(t, Paired, 2, 1<<14, 1<<15-1), params(t, Paired, 2, 10_000, 1<<11-1),
		params(t, Paired, 2, 1<<16, 1<<15-1), params(t, Paired, 2, 1<<20, 1<<11-1), params(t, Paired, 2, 3, 1<<24),
	}
}

// add and wire against integers of any length: the wire of v = a·s + e + Δ·(low + T·high) mod q is P·v/q within 1/2 + 2^-6 of a unit.
func TestPairedWireIsRounding(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for _, p := range pairCases(t) {
		pair := p.pair
		q, _ := p.literal.modulus()
		bigP := new(big.Int).Lsh(big.NewInt(1), uint(p.literal.LogP))
		worst := 0.0
		for i := range 20_000 {
			as := new(big.Int).SetUint64(rng.Uint64())
			as.Mul(as, new(big.Int).SetUint64(rng.Uint64())).Mod(as, q)
			e := int64(rng.IntN(175) - 87)
			low, high := rng.Int64N(2*p.literal.Bound+1)-p.literal.Bound, rng.Int64N(2*p.literal.Bound+1)-p.literal.Bound
			switch i % 50 {
			case 0:
				low, high, e = p.literal.Bound, p.literal.Bound, 93
			case 1:
				low, high, e = -p.literal.Bound, -p.literal.Bound, -93
			case 2:
				as.SetInt64(0)
			}
			v := new(big.Int).Lsh(big.NewInt(high), uint(p.literal.LogT))
			v.Add(v, big.NewInt(low)).Mul(v, new(big.Int).SetUint64(p.delta)).Add(v, big.NewInt(e)).Add(v, as).Mod(v, q)
			var y [2]uint64
			for j, h := range pair.halves {
				own := new(big.Int).SetUint64(h.q)
				part := func(x *big.Int) uint64 {
					x = new(big.Int).Mul(x, new(big.Int).SetUint64(h.cofactor))
					return x.Mod(x, own).Uint64()
				}
				y[j] = h.add(part(as), e, low, high)
				if y[j] != part(v) {
					t.Fatalf("%+v: y_%d is %d, want %d", p.literal, j, y[j], part(v))
				}
			}
			lo, hi := pair.wire(y[0], y[1])
			if lo>>pair.half != 0 || hi>>pair.half != 0 {
				t.Fatal("a half is too long")
			}
			got := new(big.Int).SetUint64(hi)
			got.Lsh(got, uint(pair.half)).Add(got, new(big.Int).SetUint64(lo))
			exact := new(big.Rat).SetFrac(v.Mul(v, bigP), q)
			off, _ := exact.Sub(new(big.Rat).SetInt(got), exact).Float64()
			if off < -0.5-1.0/64 { // v near q goes to 0
				off += math.Ldexp(1, p.literal.LogP)
			}
			worst = max(worst, math.Abs(off))
		}
		if worst > 0.5+1.0/64 {
			t.Errorf("%+v: a wire is %v units off", p.literal, worst)
		}
	}
}

// decode against integers: any sum of halves, carried or not, any noise up to the limit.
func TestPairedDecodeIsDivision(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 2))
	for _, p := range pairCases(t) {
		q, _ := p.literal.modulus()
		scaled := new(big.Int).Lsh(new(big.Int).SetUint64(p.delta), uint(p.literal.LogP)) // P·Δ
		limit := int64(1)<<(p.literal.LogT-1) - 1
		zero := make([]uint64, 2*p.n)
		for i := range 20_000 {
			low, high := rng.Int64N(2*limit+1)-limit, rng.Int64N(2*limit+1)-limit
			if i%3 > 0 {
				low, high = limit*int64(i%3*2-3), limit*int64(i/3%3-1)
			}
			m := new(big.Int).Lsh(big.NewInt(high), uint(p.literal.LogT))
			m.Add(m, big.NewInt(low))
			u := new(big.Int).Mul(m, scaled) // u = round(m·P·Δ/q) + noise
			u.Lsh(u, 1).Add(u, q).Div(u, new(big.Int).Lsh(q, 1))
			noise := int64((rng.Float64()*2 - 1) * (1/(2*p.scale) - 1))
			u.Add(u, big.NewInt(noise))
			carry := rng.Uint64N(1 << 20) // halves of sums need no carry
			mask := new(big.Int).SetUint64(1<<p.pair.half - 1)
			sums := []uint64{new(big.Int).And(u, mask).Uint64() + carry<<p.pair.half, 0}
			sums[1] = new(big.Int).And(new(big.Int).Rsh(u, uint(p.pair.half)), mask).Uint64() - carry
			out := make([]int64, 2)
			squares := p.pair.decode(out, sums, zero)
			if out[0] != low || out[1] != high {
				t.Fatalf("%+v: (%d, %d) with noise %d decodes as %v", p.literal, low, high, noise, out)
			}
			if math.Abs(math.Sqrt(squares)-math.Abs(float64(noise))) > 0.51 {
				t.Fatalf("%+v: noise %d leaves %v", p.literal, noise, math.Sqrt(squares))
			}
		}
	}
}

// T1.1 for pairs: the modulus that the rule gives at n = 2^14 and 16-bit inputs.
func TestPairedModulus(t *testing.T) {
	p := params(t, Paired, 1<<20, 1<<14, 1<<15-1)
	l := p.Literal()
	q, logQ := l.modulus()
	if l.Q != 274877816833 || l.Q2 != 274877734913 || logQ != 76 || l.LogT != 30 || l.LogP != 70 || p.WordBits() != 35 || p.N() != 4096 || p.Blocks() != 128 {
		t.Errorf("%+v", l)
	}
	for _, prime := range []uint64{l.Q, l.Q2} {
		if !new(big.Int).SetUint64(prime).ProbablyPrime(40) || prime%8192 != 1 {
			t.Error(prime)
		}
	}
	if want := new(big.Int).Rsh(q, 60).Uint64(); p.delta != want || p.delta != 65535 {
		t.Errorf("delta %d, want %d", p.delta, want)
	}
	if p.PackedLen() != 4_587_520 {
		t.Errorf("%d bytes", p.PackedLen())
	}
}

// Sums of halves are mod P once they are packed: w and what is packed of -w add up to nothing, also through a full round of carries.
func TestPairedSumsCarry(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, p := range []*Params{params(t, Paired, 1000, 1<<14, 1<<15-1), params(t, Paired, 8, 1<<10, 1<<15-1)} {
		words, sums, rest := make([]uint64, p.literal.Dim), make([]uint64, p.literal.Dim), make([]uint64, p.literal.Dim)
		for i := range words {
			words[i] = rng.Uint64() >> (64 - p.WordBits())
		}
		packed, negative := make([]byte, p.PackedLen()), make([]byte, p.PackedLen())
		p.Pack(packed, words)
		for range 1000 {
			p.Unfold(rest, packed)
			p.Fold(sums, packed)
		}
		p.Pack(negative, rest)
		if err := p.Fold(sums, negative); err != nil {
			t.Fatal(err)
		}
		p.Pack(packed, sums)
		zero(t, "a sum", packed)
	}
}
