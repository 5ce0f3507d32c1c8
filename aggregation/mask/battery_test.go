package mask

import (
	crand "crypto/rand"
	"fmt"
	"math"
	"math/bits"
	"testing"
)

// specimen is one masked upload as an attacker sees it who also knows the input: the public seed, the words, x,
// and, beyond what any server sees, the masked values before rounding.
type specimen struct {
	public [32]byte
	wires  []uint64
	values []uint64 // v = a·s + e + Δ·x mod q; for Paired per block y_0, then y_1
	x      []int32
}

// Thresholds. Each test rejects a specimen that hides x perfectly with probability at most 2·e^-24 < 2^-33 (the correlation and the
// division: 2^-38); a battery over k specimens runs 4k + k(k-1)/2 tests, so over 5 times 8 real uploads it rejects falsely with
// probability below 300·2^-33 < 2^-24.
const batteryX = 24

// battery returns what betrays the inputs of the specimens, nothing if they show no trace.
func battery(p *Params, list []specimen) (findings []string) {
	found := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	for i, s := range list {
		if chi, limit := topByteChi(s.wires, p.WordBits()); chi > limit {
			found("specimen %d: top bytes are not uniform: %.0f > %.0f", i, chi, limit)
		}
		if c, limit := correlation(s.wires, s.x, p.WordBits()); math.Abs(c) > limit {
			found("specimen %d: wires correlate with the input: %.4f", i, c)
		}
		if chi, limit := topByteChi(p.residual(s, specimen{}), p.WordBits()); chi > limit {
			found("specimen %d: what is left without the input is not uniform: %.0f > %.0f", i, chi, limit)
		}
		if n := p.smallWords(p.solveByDivision(s)); n > 1 {
			found("specimen %d: division by a gives %d small key words", i, n)
		}
		for k := range i {
			if list[k].public != s.public {
				continue
			}
			if chi, limit := topByteChi(p.residual(s, list[k]), p.WordBits()); chi > limit {
				found("specimens %d and %d share a mask: %.0f > %.0f", k, i, chi, limit)
			}
		}
	}
	return findings
}

// topByteChi is Pearson's statistic of the top bytes, 255 degrees of freedom. The limit is Laurent and Massart's bound at e^-batteryX.
func topByteChi(wires []uint64, width int) (chi, limit float64) {
	var counts [256]float64
	for _, w := range wires {
		counts[w>>(width-8)&255]++
	}
	want := float64(len(wires)) / 256
	for _, c := range counts {
		chi += square(c-want) / want
	}
	return chi, 255 + 2*math.Sqrt(255*batteryX) + 2*batteryX
}

// correlation of wires with the input: 7/sqrt(D) is 7 standard deviations, two-sided 2^-38.
func correlation(wires []uint64, x []int32, width int) (c, limit float64) {
	var sw, sx, sww, sxx, swx float64
	for i, w := range wires {
		a, b := math.Ldexp(float64(w), -width), float64(x[i])
		sw, sx, sww, sxx, swx = sw+a, sx+b, sww+a*a, sxx+b*b, swx+a*b
	}
	n := float64(len(wires))
	variance := (sww - sw*sw/n) * (sxx - sx*sx/n)
	if variance <= 0 {
		return 0, 1 // a constant input correlates with nothing
	}
	return (swx - sw*sx/n) / math.Sqrt(variance), 7 / math.Sqrt(n)
}

// residual is w - w' - Δ·(x-x')·P/q mod P: uniform unless the masks are missing, or equal.
func (p *Params) residual(s, other specimen) []uint64 {
	out, width := make([]uint64, len(s.wires)), p.WordBits()
	x := make([]int64, len(s.x))
	for i := range x {
		x[i] = int64(s.x[i])
		out[i] = s.wires[i]
		if other.wires != nil {
			x[i] -= int64(other.x[i])
			out[i] -= other.wires[i]
		}
	}
	if p.pair != nil {
		for i := 0; i < len(out); i += 2 {
			var y [2]uint64
			for j, h := range p.pair.halves {
				y[j] = h.add(0, 0, x[i], x[i+1])
			}
			low, high := p.pair.wire(y[0], y[1])
			out[i] -= low
			out[i+1] += uint64(int64(out[i])>>width) - high
			out[i], out[i+1] = out[i]&(1<<width-1), out[i+1]&(1<<width-1)
		}
		return out
	}
	for i := range out {
		m, q := int64(p.delta)*x[i], int64(p.literal.Q)
		out[i] = (out[i] - p.modSwitch(uint64((m%q+q)%q))) & (1<<width - 1)
	}
	return out
}

// solveByDivision computes s = (v - Δ·x)/a in the NTT domain of the first block, for Paired under the first prime. With e = 0 it is
// the key. Noise makes it uniform.
func (p *Params) solveByDivision(s specimen) []int64 {
	a, v := make([]uint64, p.n), make([]uint64, p.n)
	q := p.literal.Q
	newExpander(p, s.public).next(a, q)
	for i := range v {
		if p.pair != nil {
			v[i] = s.values[i] + q - p.pair.halves[0].add(0, 0, int64(s.x[2*i]), int64(s.x[2*i+1]))
		} else {
			m := int64(p.delta) * int64(s.x[i]) % int64(q)
			v[i] = s.values[i] + uint64(int64(q)-m)
		}
		v[i] %= q
	}
	p.ring.NTT(v, v)
	for i := range v { // a is in Montgomery form with respect to the product
		v[i] = p.power(a[i], q-2, v[i])
	}
	p.ring.INTT(v, v)
	key := make([]int64, p.n)
	for i, c := range v {
		if p.pair != nil { // y carries the inverse of the other prime
			hi, lo := bits.Mul64(c, p.literal.Q2%q)
			_, c = bits.Div64(hi, lo, q)
		}
		key[i] = int64(c)
		if c > q/2 {
			key[i] -= int64(q)
		}
	}
	return key
}

// smallWords counts |s_i| <= tail: of a uniform key two or more have probability below (N·187/q)^2/2 < 2^-38.
func (p *Params) smallWords(key []int64) (small int) {
	for _, c := range key {
		if tail := int64(p.literal.Sigma.Tail()); c <= tail && c >= -tail {
			small++
		}
	}
	return small
}

// keyFindings judges a released sum of n keys: its words are sub-Gaussian with variance n·sigma², so their sum of squares
// stays within N·v ± 2v·sqrt(N·x), + 2v·x but for probability 2·e^-x (Laurent and Massart).
func (p *Params) keyFindings(sum []int64, n int) (findings []string) {
	squares, v, f := 0.0, float64(n)*square(p.literal.Sigma.Value()), float64(p.n)
	for _, c := range sum {
		squares += square(float64(c))
	}
	slack := 2 * v * math.Sqrt(f*batteryX)
	if squares < v*f-slack || squares > v*f+slack+2*v*batteryX {
		findings = append(findings, fmt.Sprintf("%d keys are too small or too large: %.2f instead of %.2f a word", n, squares/f, v))
	}
	return findings
}

// power solves Montgomery(a, z) = y for z, as y·a^e in Montgomery arithmetic with e = q-2.
func (p *Params) power(a, e, y uint64) uint64 {
	var one, base, result, in [8]uint64
	in[0] = 1
	p.ring.MForm(in[:], one[:])
	result, base = one, [8]uint64{a}
	for ; e > 0; e >>= 1 {
		if e&1 == 1 {
			p.ring.MulCoeffsMontgomery(result[:], base[:], result[:])
		}
		p.ring.MulCoeffsMontgomery(base[:], base[:], base[:])
	}
	in[0] = y
	p.ring.MulCoeffsMontgomery(result[:], in[:], in[:])
	return in[0]
}

// flaw is a way to mask wrongly.
type flaw int

const (
	none flaw = iota
	zeroKey
	reusedKey
	noNoise
	noMask
)

// maskSpecimen makes a specimen, real or flawed. The real one's words are those of Params.Mask, checked byte for byte.
func maskSpecimen(t *testing.T, p *Params, public, key, noise [32]byte, x []int32, f flaw) specimen {
	t.Helper()
	s := NewSecret(p, key)
	if f == zeroKey {
		s.Erase()
	}
	out := specimen{public: public, x: x, wires: make([]uint64, len(x)), values: make([]uint64, len(x))}
	expand, draw := newExpander(p, public), newSampler(p.literal.Sigma, noise)
	block, e := make([]uint64, p.blockDim()), make([]int64, p.n)
	for at := 0; at < len(x); at += len(block) {
		p.maskOf(block, expand, s.ntt)
		draw.fill(e)
		switch f {
		case noNoise:
			clear(e)
		case noMask:
			clear(block)
		}
		p.specify(out.values[at:], out.wires[at:], block, e, x[at:])
	}
	if f == none {
		packed, want := make([]byte, p.PackedLen()), make([]byte, p.PackedLen())
		if err := p.Mask(packed, public, s, noise, x); err != nil {
			t.Fatal(err)
		}
		if p.Pack(want, out.wires); string(packed) != string(want) {
			t.Fatal("the specimen is not what Mask sends")
		}
	}
	return out
}

// specify applies the textbook formula to one block.
func (p *Params) specify(values, wires, as []uint64, e []int64, x []int32) {
	for i := range p.n {
		if p.pair != nil {
			for j, h := range p.pair.halves {
				values[j*p.n+i] = h.add(as[j*p.n+i], e[i], int64(x[2*i]), int64(x[2*i+1]))
			}
			wires[2*i], wires[2*i+1] = p.pair.wire(values[i], values[p.n+i])
			continue
		}
		v, q := int64(p.delta)*int64(x[i])+e[i]+int64(as[i]), int64(p.literal.Q)
		values[i] = uint64((v%q + q) % q)
		wires[i] = p.modSwitch(values[i])
	}
}

func fresh(t *testing.T) (seed [32]byte) {
	t.Helper()
	if _, err := crand.Read(seed[:]); err != nil {
		t.Fatal(err)
	}
	return seed
}

// batteryInputs are 0, +max, -max, 2^29-1 spread over one device, and typical ones.
func batteryInputs(dim int, bound int32) [][]int32 {
	inputs := make([][]int32, 8)
	for k := range inputs {
		inputs[k] = make([]int32, dim)
		for j := range inputs[k] {
			inputs[k][j] = []int32{0, bound, -bound, bound / 2, int32(j%2)*2*bound - bound, int32(j) % bound, -int32(j*j) % bound, 1}[k]
		}
	}
	return inputs
}
