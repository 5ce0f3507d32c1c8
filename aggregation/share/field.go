package share

import (
	"fmt"
	"math/big"
	"math/bits"
)

// P is the modulus of the default field, the Mersenne prime 2^31-1. Arithmetic mod P takes a path of its own.
const P = 1<<31 - 1

// MaxBits bounds the length of a modulus: eight products of two field elements and a carry stay inside 128 bits.
const MaxBits = 61

// Field is a prime field, checked and immutable. Elements are uint64 below the modulus. Times and memory accesses of the
// arithmetic, inverses and decoding excepted, do not depend on the elements. The zero Field is none; see NewField.
type Field struct {
	p       uint64
	inverse uint64 // -1/p mod 2^64
	square  uint64 // 2^128 mod p
}

// NewField requires an odd prime below 2^61 (ErrScheme).
func NewField(p uint64) (Field, error) {
	if p < 3 || bits.Len64(p) > MaxBits || !new(big.Int).SetUint64(p).ProbablyPrime(0) { // exact below 2^64
		return Field{}, fmt.Errorf("%w: %d is not an odd prime below 2^%d", ErrScheme, p, MaxBits)
	}
	inv := p // right in three bits; each step of Newton's doubles them
	for range 5 {
		inv *= 2 - p*inv
	}
	_, r := bits.Div64(1%p, 0, p)
	hi, lo := bits.Mul64(r, r)
	_, square := bits.Div64(hi, lo, p)
	return Field{p: p, inverse: -inv, square: square}, nil
}

// Default is the field of P.
func Default() Field {
	f, err := NewField(P)
	if err != nil {
		panic("share: " + err.Error())
	}
	return f
}

// Modulus is p.
func (f Field) Modulus() uint64 { return f.p }

// Bits is the length of the modulus in bits.
func (f Field) Bits() int { return bits.Len64(f.p) }

// reduce31 brings any 63-bit number below P, without a branch: 2^31 = 1 mod P.
func reduce31(v uint64) uint64 {
	v = v&P + v>>31
	v = v&P + v>>31
	v -= P
	return v + P&uint64(int64(v)>>63)
}

// redc is Montgomery's reduction: hi·2^64 + lo, hi < p, becomes that times 2^-64 mod p, below p.
func (f Field) redc(hi, lo uint64) uint64 {
	h, l := bits.Mul64(lo*f.inverse, f.p)
	_, carry := bits.Add64(lo, l, 0)
	return f.once(hi + h + carry)
}

// once brings a number below 2p under p.
func (f Field) once(v uint64) uint64 {
	v -= f.p
	return v + f.p&uint64(int64(v)>>63)
}

// reduce brings hi·2^64 + lo, hi < p, below p.
func (f Field) reduce(hi, lo uint64) uint64 {
	hi, lo = bits.Mul64(f.redc(hi, lo), f.square)
	return f.redc(hi, lo)
}

// Mul is a·b.
func (f Field) Mul(a, b uint64) uint64 {
	if f.p == P {
		return reduce31(a * b)
	}
	hi, lo := bits.Mul64(a, b)
	return f.reduce(hi, lo)
}

// Plus is a+b.
func (f Field) Plus(a, b uint64) uint64 { return f.once(a + b) }

// Minus is a-b.
func (f Field) Minus(a, b uint64) uint64 {
	v := a - b
	return v + f.p&uint64(int64(v)>>63)
}

// Of is the element congruent to v, |v| < p.
func (f Field) Of(v int64) uint64 { return uint64(v + int64(f.p)&(v>>63)) }

// Centre is the representative of v in (-p/2, p/2).
func (f Field) Centre(v uint64) int64 {
	return int64(v) - int64(f.p&-((f.p/2-v)>>63))
}

// dotBlock products and a reduced number before them, shifted down by 64 bits, stay below 4p < 2^63.
const dotBlock = 16

// Dot is Σ a_i·b_i over the length of a; b is at least as long. Up to 2^30 terms.
func (f Field) Dot(a, b []uint64) uint64 {
	b = b[:len(a)]
	if f.p == P {
		sum := uint64(0)
		for i, v := range a {
			v *= b[i]
			sum += v&P + v>>31
		}
		return reduce31(sum)
	}
	var hi, lo, carry uint64
	for len(a) > 0 {
		k := min(len(a), dotBlock)
		few := b[:k]
		for i, v := range a[:k] {
			h, l := bits.Mul64(v, few[i]) // h < p/8
			lo, carry = bits.Add64(lo, l, 0)
			hi += h + carry
		}
		hi -= 2 * f.p // was below 4p
		hi += 2 * f.p & uint64(int64(hi)>>63)
		hi = f.once(hi)
		a, b = a[k:], b[k:]
	}
	return f.reduce(hi, lo)
}

// Add adds src to dst, element by element.
func (f Field) Add(dst, src []uint64) {
	src = src[:len(dst)]
	for i, v := range dst {
		dst[i] = f.Plus(v, src[i])
	}
}

// Inverse is 1/a for a public a that is not zero: its time depends on p alone, yet it is slow.
func (f Field) Inverse(a uint64) uint64 {
	result := uint64(1)
	for e := f.p - 2; e > 0; e >>= 1 {
		if e&1 == 1 {
			result = f.Mul(result, a)
		}
		a = f.Mul(a, a)
	}
	return result
}

// nodes is the barycentric form of interpolation at distinct points (Berrut and Trefethen, SIAM Review 2004).
type nodes struct {
	f       Field
	xs      []uint64
	weights []uint64 // 1 / Π_{k≠i} (x_i - x_k)
}

func (f Field) interpolate(xs []uint64) nodes {
	n := nodes{f: f, xs: xs, weights: make([]uint64, len(xs))}
	for i, xi := range xs {
		product := uint64(1)
		for k, xk := range xs {
			if k != i {
				product = f.Mul(product, f.Minus(xi, xk))
			}
		}
		n.weights[i] = f.Inverse(product)
	}
	return n
}

// row gives the weights that take values at the nodes to the value at x, in time independent of which node x may be.
func (n nodes) row(x uint64) []uint64 {
	f, row := n.f, make([]uint64, len(n.xs))
	after := uint64(1)
	for i := len(row) - 1; i >= 0; i-- { // products of what follows
		row[i] = after
		after = f.Mul(after, f.Minus(x, n.xs[i]))
	}
	before := uint64(1)
	for i, xi := range n.xs {
		row[i] = f.Mul(f.Mul(row[i], before), n.weights[i])
		before = f.Mul(before, f.Minus(x, xi))
	}
	return row
}

// Weights are Lagrange's coefficients at the distinct points xs: Σ Weights(xs, x)_i·y_i is the value at x of the polynomial of degree below
// len(xs) with values y at xs.
func (f Field) Weights(xs []uint64, x uint64) []uint64 { return f.interpolate(xs).row(x) }
