package mask

import (
	"math"
	"math/big"
	"math/bits"

	"github.com/tuneinsight/lattigo/v5/ring"
)

// pairing is the arithmetic of Paired: q = q_0·q_1, and coefficients v mod q held as
//
//	y_j = v·(q/q_j)^-1 mod q_j        v/q = y_0/q_0 + y_1/q_1 mod 1
//
// (the Chinese remainder theorem in its fractional form). A block of 2N words holds the N of y_0, then those of y_1, or, once they are
// switched, the two halves of every wire.
type pairing struct {
	halves  [2]half
	n       int
	q       [2]uint64 // low and high word
	logT    int
	half    int       // log2 P / 2
	round   [2]uint64 // half a wire unit in units of 2^-128
	delta   uint64    // floor(q/T²)
	scale   float64   // q/(P·Δ)
	inverse float64   // 1/(P·Δ)
}

// half is one prime's constants.
type half struct {
	ring       *ring.SubRing
	q          uint64
	cofactor   uint64    // (q/q_j)^-1 mod q_j
	montgomery uint64    // the same in Montgomery form
	low, high  int64     // Δ and Δ·T times cofactor, mod q_j
	offset     uint64    // a multiple of q_j in [2^62, 2^62 + q_j)
	barrett    uint64    // floor(2^64/q_j)
	share      [2]uint64 // floor(2^128/q_j), low and high word
}

func newPairing(l Literal, delta uint64, rings []*ring.SubRing) *pairing {
	product, _ := l.modulus()
	t := &pairing{n: rings[0].N, logT: l.LogT, half: l.LogP / 2, delta: delta}
	t.q[1], t.q[0] = bits.Mul64(l.Q, l.Q2)
	if at := 127 - l.LogP; at < 64 {
		t.round[0] = 1 << at
	} else {
		t.round[1] = 1 << (at - 64)
	}
	q, _ := new(big.Float).SetInt(product).Float64()
	t.inverse = 1 / (math.Ldexp(1, l.LogP) * float64(delta))
	t.scale = q * t.inverse
	for j, r := range rings {
		own := new(big.Int).SetUint64(r.Modulus)
		other := new(big.Int).Quo(product, own)
		mod := func(x *big.Int) uint64 { return x.Mod(x, own).Uint64() }
		h := half{ring: r, q: r.Modulus, cofactor: mod(other.ModInverse(other, own))}
		h.montgomery = ring.MForm(h.cofactor, h.q, r.BRedConstant)
		low := new(big.Int).Mul(new(big.Int).SetUint64(delta), new(big.Int).SetUint64(h.cofactor))
		h.high = int64(mod(new(big.Int).Lsh(low, uint(l.LogT))))
		h.low = int64(mod(low))
		h.offset = (1<<62 + h.q - 1) / h.q * h.q
		h.barrett = math.MaxUint64 / h.q
		all := new(big.Int).Quo(new(big.Int).Lsh(big.NewInt(1), 128), own)
		h.share[0] = new(big.Int).And(all, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
		h.share[1] = all.Rsh(all, 64).Uint64()
		t.halves[j] = h
	}
	return t
}

func (t *pairing) toNTT(dst []uint64, coeffs []int64) {
	for j := range t.halves {
		h, d := &t.halves[j], dst[j*t.n:(j+1)*t.n]
		lift(d, coeffs, h.q)
		h.ring.MulScalarMontgomery(d, h.montgomery, d)
		h.ring.NTT(d, d)
	}
}

func (t *pairing) maskOf(block []uint64, expand *expander, ntt []uint64) {
	for j := range t.halves {
		h, y, s := &t.halves[j], block[j*t.n:(j+1)*t.n], ntt[j*t.n:(j+1)*t.n]
		expand.next(y, h.q)
		h.ring.MulCoeffsMontgomery(y, s, y)
		h.ring.INTT(y, y)
	}
}

// addAndSwitch turns the y of a·s into the wire halves of v = a·s + e + Δ·(m_2i + T·m_(2i+1)), words 2i and 2i+1,
// without a branch on any of them: as many words as there are m, twice as many as there are y_0 and y_1.
func (t *pairing) addAndSwitch(words, y0, y1 []uint64, e []int64, m []int32) {
	e, y1, words = e[:len(y0)], y1[:len(y0)], words[:len(m)]
	first, second := t.halves[0], t.halves[1]
	for i := range y0 {
		low, high := int64(m[2*i]), int64(m[2*i+1])
		words[2*i], words[2*i+1] = t.wire(first.add(y0[i], e[i], low, high), second.add(y1[i], e[i], low, high))
	}
}

// add is y + cofactor·(e + Δ·(low + T·high)) mod q_j.
func (h *half) add(y uint64, e, low, high int64) uint64 {
	z := y + h.offset + uint64(low*h.low+high*h.high+e*int64(h.cofactor)) // in [0, 2^63)
	t, _ := bits.Mul64(z, h.barrett)
	z -= t*h.q + h.q // in [-q, q)
	return z + h.q&uint64(int64(z)>>63)
}

// wire is round(P·(y_0/q_0 + y_1/q_1)) mod P in two halves. The fractions are 128 bits long and at most 2^43 units too small, together
// less than 2^-6 wire units at the longest P: the wire is a function of v alone and P·v/q rounded, but for that much.
func (t *pairing) wire(y0, y1 uint64) (low, high uint64) {
	hi0, lo0 := bits.Mul64(y0, t.halves[0].share[0])
	hi1, lo1 := bits.Mul64(y1, t.halves[1].share[0])
	lo, carry := bits.Add64(lo0, lo1, 0)
	hi := hi0 + hi1 + y0*t.halves[0].share[1] + y1*t.halves[1].share[1] + carry
	lo, carry = bits.Add64(lo, t.round[0], 0)
	hi += t.round[1] + carry
	rest := 64 - t.half
	return (hi<<(t.half&63) | lo>>(rest&63)) >> (rest & 63), hi >> (rest & 63)
}

// decode is Params.decode for pairs: as are the y of A·S. A multiple of P·Δ near u·q is found in floating point, the remainder
// in integers mod 2^128, and rounded off in floating point: |u·q| may pass 2^160, but the remainder is below 2^12·P·Δ < 2^110.
func (t *pairing) decode(out []int64, sums, as []uint64) float64 {
	k := len(out) / 2
	a0, a1, sums := as[:k], as[t.n:][:k], sums[:2*k]
	centre, power := 64-t.half, math.Ldexp(1, t.half)
	squares := 0.0
	for i := range a0 {
		low, high := t.wire(a0[i], a1[i])
		low, high = sums[2*i]-low, sums[2*i+1]-high
		high += uint64(int64(low) >> t.half)
		low &= 1<<t.half - 1
		top := int64(high<<centre) >> centre // u = top·2^half + low in [-P/2, P/2)
		m := int64((float64(top)*power + float64(low)) * t.scale)
		rest := float64(t.remainder(top, low, m) * t.inverse)
		more := rest + rounder - rounder
		m += int64(more)
		rest -= more
		squares += rest * rest
		first := int64(uint64(m)<<(64-t.logT)) >> (64 - t.logT)
		out[2*i], out[2*i+1] = first, (m-first)>>t.logT
	}
	return squares / (t.scale * t.scale)
}

// remainder is u·q - m·P·Δ, in integers mod 2^128.
func (t *pairing) remainder(top int64, low uint64, m int64) float64 {
	uHi, uLo := uint64(top>>(64-t.half)), uint64(top)<<t.half|low
	hi, lo := bits.Mul64(uLo, t.q[0])
	hi += uLo*t.q[1] + uHi*t.q[0]
	mHi, mLo := bits.Mul64(uint64(m), t.delta)
	mHi -= t.delta & uint64(m>>63) // m is signed
	if shift := 2 * t.half; shift >= 64 {
		mHi, mLo = mLo<<(shift-64), 0
	} else {
		mHi, mLo = mHi<<shift|mLo>>(64-shift), mLo<<shift
	}
	lo, borrow := bits.Sub64(lo, mLo, 0)
	hi, _ = bits.Sub64(hi, mHi, borrow)
	return float64(int64(hi))*0x1p64 + float64(lo)
}
