package mask

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// specimen is one masked upload as an attacker sees it who also knows the input: the public seed, the wires, x,
// and, beyond what any server sees, the masked values before rounding.
type specimen struct {
	public [32]byte
	wires  []uint64
	values []uint64 // v = a·s + e + Δ·x mod q
	x      []int32
}

// Thresholds. Each test rejects a specimen that hides x perfectly with probability at most e^-24 < 2^-34; a battery over
// k specimens runs at most 4k + k(k-1)/2 tests, so over the 3 times 8 real uploads below it rejects falsely with probability < 2^-26.
const batteryX = 24

// battery returns what betrays the inputs of the specimens, nothing if they show no trace.
func battery(p *Params, list []specimen) (findings []string) {
	found := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	for i, s := range list {
		if chi, limit := topByteChi(s.wires, p.literal.LogP); chi > limit {
			found("specimen %d: top bytes are not uniform: %.0f > %.0f", i, chi, limit)
		}
		if c, limit := correlation(s.wires, s.x, p.literal.LogP); math.Abs(c) > limit {
			found("specimen %d: wires correlate with the input: %.4f", i, c)
		}
		if chi, limit := topByteChi(p.residual(s, specimen{}), p.literal.LogP); chi > limit {
			found("specimen %d: what is left without the input is not uniform: %.0f > %.0f", i, chi, limit)
		}
		if n := p.solveByDivision(s); n > 1 {
			found("specimen %d: division by a gives %d small key words", i, n)
		}
		for k := range i {
			if list[k].public != s.public {
				continue
			}
			if chi, limit := topByteChi(p.residual(s, list[k]), p.literal.LogP); chi > limit {
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
	out := make([]uint64, len(s.wires))
	for i, w := range s.wires {
		m := int64(p.delta) * int64(s.x[i])
		if other.wires != nil {
			w -= other.wires[i]
			m -= int64(p.delta) * int64(other.x[i])
		}
		q := int64(p.literal.Q)
		out[i] = (w - p.modSwitch(uint64((m%q+q)%q))) & (1<<p.literal.LogP - 1)
	}
	return out
}

// solveByDivision computes s = (v - Δ·x)/a in the NTT domain of the first block and counts |s_i| <= tail. Noise makes s uniform:
// two or more of N small words then have probability below (N·175/q)^2/2 < 2^-55.
func (p *Params) solveByDivision(s specimen) int {
	a := make([]uint64, p.n)
	newExpander(p, s.public).next(a, p.literal.Q)
	v := make([]uint64, p.n)
	q := int64(p.literal.Q)
	for i := range v {
		m := int64(p.delta) * int64(s.x[i])
		v[i] = uint64(((int64(s.values[i])-m)%q + q) % q)
	}
	p.ring.NTT(v, v)
	for i := range v { // a is in Montgomery form with respect to the product
		v[i] = p.power(a[i], p.literal.Q-2, v[i])
	}
	p.ring.INTT(v, v)
	small := 0
	for _, c := range v {
		if tail := uint64(p.literal.Sigma.Tail()); c <= tail || c >= p.literal.Q-tail {
			small++
		}
	}
	return small
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

// mask makes a specimen, real or flawed. The real one's wires are those of Params.Mask, checked byte for byte against the
// values that the textbook formula gives.
func maskSpecimen(t *testing.T, p *Params, public, key, noise [32]byte, x []int32, f flaw) specimen {
	t.Helper()
	s := NewSecret(p, key)
	if f == zeroKey {
		s.Erase()
	}
	out := specimen{public: public, x: x, wires: make([]uint64, len(x)), values: make([]uint64, len(x))}
	expand, draw := newExpander(p, public), newSampler(p.literal.Sigma, noise)
	block, e := make([]uint64, p.n), make([]int64, p.n)
	q := int64(p.literal.Q)
	for at := 0; at < len(x); at += p.n {
		expand.next(block, p.literal.Q)
		p.ring.MulCoeffsMontgomery(block, s.ntt, block)
		p.ring.INTT(block, block)
		draw.fill(e)
		for i := range block {
			v := int64(p.delta)*int64(x[at+i]) + e[i] + int64(block[i])
			switch f {
			case noNoise:
				v -= e[i]
			case noMask:
				v -= int64(block[i])
			}
			out.values[at+i] = uint64((v%q + q) % q)
			out.wires[at+i] = p.modSwitch(out.values[at+i])
		}
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

func TestT2_8_RealUploadsShowNoTrace(t *testing.T) {
	for _, p := range []*Params{params(t, Standard, 8192, 1<<14, 1<<15-1), params(t, Standard, 8192, 2, 1<<28-1), params(t, High, 8192, 1<<14, 1<<15-1)} {
		public := fresh(t)
		var list []specimen
		for _, x := range batteryInputs(p.literal.Dim, int32(p.literal.Bound)) {
			list = append(list, maskSpecimen(t, p, public, fresh(t), fresh(t), x, none))
		}
		if findings := battery(p, list); len(findings) > 0 {
			t.Errorf("%+v: %q", p.literal, findings)
		}
	}
}

// The battery finds every flaw in every one of 20 attempts.
func TestT2_8_BatteryRejectsItsControls(t *testing.T) {
	p := params(t, Standard, 8192, 1<<14, 1<<15-1)
	inputs := batteryInputs(p.literal.Dim, int32(p.literal.Bound))
	for name, f := range map[string]flaw{"s = 0": zeroKey, "s reused": reusedKey, "e = 0": noNoise, "mask removed": noMask} {
		for attempt := range 20 {
			public, key := fresh(t), fresh(t)
			list := []specimen{maskSpecimen(t, p, public, key, fresh(t), inputs[attempt%8], f)}
			if f == reusedKey {
				list = append(list, maskSpecimen(t, p, public, key, fresh(t), inputs[(attempt+3)%8], f))
			}
			if findings := battery(p, list); len(findings) == 0 {
				t.Errorf("%s: attempt %d passes the battery", name, attempt)
			}
		}
	}
}

// T2.10: the released key sum of U opens U only. One upload, or U less one device, decoded under it gives numbers that lie within
// the input range no oftener than chance: 65535/2^30 of 2048, so 3 or more have probability below 2^-11 for one attempt; the keys are fixed.
func TestT2_10_KeySumOpensNothingElse(t *testing.T) {
	p := profileS(t, 2048)
	const n = 20
	key, sums, _ := cohort(t, p, n, func(i, j int) int32 { return int32(i+j)%1000 - 500 })
	x := make([]int32, p.n)
	for j := range x {
		x[j] = int32(5+j)%1000 - 500
	}
	wire := make([]byte, p.PackedLen())
	if err := p.Mask(wire, [32]byte{9}, NewSecret(p, seedOf(1, 5)), seedOf(2, 5), x); err != nil {
		t.Fatal(err)
	}
	single := make([]uint64, p.n)
	p.Fold(single, wire)
	p.Unfold(sums, wire)
	for name, s := range map[string][]uint64{"one upload": single, "U less one": sums} {
		if got, err := p.Unmask([32]byte{9}, key, s, n); err == nil {
			t.Errorf("%s opens: %v", name, got[:4])
		}
		if small := decodeSmall(p, key, s, 1<<15); small > 2 {
			t.Errorf("%s: %d of %d coefficients in the input range", name, small, p.n)
		}
	}
}

// decodeSmall decodes without Unmask's checks and counts |M| <= bound.
func decodeSmall(p *Params, key []int64, sums []uint64, bound int64) (small int) {
	s, block, out := make([]uint64, p.n), make([]uint64, p.n), make([]int64, p.n)
	p.toNTT(s, key)
	newExpander(p, [32]byte{9}).next(block, p.literal.Q)
	p.ring.MulCoeffsMontgomery(block, s, block)
	p.ring.INTT(block, block)
	p.decode(out, sums, block)
	for _, v := range out {
		if v <= bound && v >= -bound {
			small++
		}
	}
	return small
}

// T2.11: the same input twice gives different wires; two devices with swapped inputs give the server the same sum, and no statistic
// of their wires that could name the pairing: over 1,000 runs the sign of (wire_1 - wire_2)·(x_1 - x_2) is right 500 times,
// off by more than 110 with probability below 2^-34 (7 standard deviations).
func TestT2_11_SwappedInputs(t *testing.T) {
	p := params(t, Standard, 2048, 4, 1000)
	rng := rand.New(rand.NewPCG(2, 11))
	random := func() (seed [32]byte) {
		for i := range 4 {
			binary.LittleEndian.PutUint64(seed[8*i:], rng.Uint64())
		}
		return seed
	}
	xs := [2][]int32{make([]int32, 2048), make([]int32, 2048)}
	for j := range xs[0] {
		xs[0][j], xs[1][j] = int32(j%2001-1000), int32(1000-j%2001)
	}
	right := 0
	for run := range 1000 {
		public := random()
		swap := rng.IntN(2)
		var wires [2][]uint64
		for i := range wires {
			s := NewSecret(p, random())
			packed := make([]byte, p.PackedLen())
			if err := p.Mask(packed, public, s, random(), xs[i^swap]); err != nil {
				t.Fatal(err)
			}
			wires[i] = make([]uint64, 2048)
			p.Fold(wires[i], packed)
		}
		statistic := 0.0
		for j := range xs[0] {
			d := int64((wires[0][j]-wires[1][j])<<(64-p.literal.LogP)) >> (64 - p.literal.LogP)
			statistic += float64(d) * float64(xs[0][j]-xs[1][j])
		}
		if (statistic > 0) == (swap == 0) {
			right++
		}
		if run == 0 {
			again := make([]byte, p.PackedLen())
			if err := p.Mask(again, public, NewSecret(p, random()), random(), xs[swap]); err != nil {
				t.Fatal(err)
			}
			other := make([]uint64, 2048)
			p.Fold(other, again)
			for j := range other {
				if other[j] == wires[0][j] && other[(j+1)%2048] == wires[0][(j+1)%2048] {
					t.Fatal("two seals of one input share wires")
				}
			}
		}
	}
	if right < 390 || right > 610 {
		t.Errorf("the pairing is guessed %d times of 1000", right)
	}
}

func TestEraseOverwritesTheKey(t *testing.T) {
	p := profileS(t, 2048)
	s := NewSecret(p, [32]byte{1})
	coeffs := s.Coefficients()
	s.Erase()
	for i := range coeffs {
		if coeffs[i] != 0 || s.ntt[i] != 0 {
			t.Fatal("the key survives Erase")
		}
	}
	if text := fmt.Sprintf("%v %+v %#v %s %d", s, s, s, s, s); text != "mask.Secret(redacted) mask.Secret(redacted) mask.Secret(redacted) mask.Secret(redacted) mask.Secret(redacted)" {
		t.Errorf("a key prints as %s", text)
	}
}
