package validity

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

func TestHonestUploadPasses(t *testing.T) {
	for _, s := range []shape{small, {1, 5, 1, 2}, {2048, 7, 2, 2}, {4100, 16, 5, 4}, {100, 9, 2, 1}} {
		w := newWorld(t, s)
		u := w.honest()
		st, answers := w.answers(u)
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
		for n := w.check.Need(); n <= len(answers); n++ {
			if wrong, err := w.check.Verify(st, answers[:n], 0); err != nil || wrong != nil {
				t.Errorf("%+v, %d answers: %v, %v", s, n, wrong, err)
			}
		}
		if _, err := w.check.Verify(st, answers[:w.check.Need()-1], 0); !errors.Is(err, ErrTooFew) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// The same with q of 60 bits and of 30 bits, where K = 4.
func TestOtherRings(t *testing.T) {
	for _, ring := range []struct {
		profile mask.Profile
		count   int
		bound   int64
		norm    float64
		bits, k int
	}{{mask.High, 10_000, 1 << 15, 1e5, 60, 2}, {mask.Standard, 100, 10, 4, 30, 4}} {
		w := newWorld(t, small)
		chosen, err := mask.Choose(ring.profile, 5000, ring.count, ring.bound)
		if err != nil {
			t.Fatal(err)
		}
		if w.mask, err = mask.NewParams(chosen); err != nil {
			t.Fatal(err)
		}
		f, err := share.NewField(chosen.Q)
		if err != nil {
			t.Fatal(err)
		}
		if w.key, err = share.New(f, 9, 2, 2); err != nil {
			t.Fatal(err)
		}
		if w.check, err = New(Literal{Mask: w.mask, Shares: w.key, Norm: ring.norm}); err != nil {
			t.Fatal(err)
		}
		u := w.maskOf(w.gaussian(ring.norm))
		if err := w.prove(u); err != nil {
			t.Fatal(err)
		}
		if wrong, err := w.verify(u); err != nil || wrong != nil || f.Bits() != ring.bits || w.check.AnswerWords() != 3*ring.k {
			t.Errorf("q of %d bits, %d words: %v, %v", f.Bits(), w.check.AnswerWords(), wrong, err)
		}
		for j := range u.proof { // the first bit becomes another
			u.proof[j][0] = f.Plus(u.proof[j][0], 1)
		}
		if _, err := w.verify(u); !errors.Is(err, ErrProof) {
			t.Errorf("q of %d bits, broken: %v", f.Bits(), err)
		}
	}
}

// entries spells the projections out, as rows of {-1, 0, 1}.
func entries(first [32]byte, dim int) [Projections][]int64 {
	var r [Projections][]int64
	s := newSigns(first)
	for at := 0; at < dim; at += signsAtOnce {
		n := min(signsAtOnce, dim-at)
		b := s.next(n)
		for j := range n {
			for t := range r {
				u, v := b[j*groups+t/8]>>(t%8)&1, b[j*groups+groups/2+t/8]>>(t%8)&1
				r[t] = append(r[t], int64(u)-int64(v))
			}
		}
	}
	return r
}

func TestProjectionsAreInnerProducts(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 7))
	for _, dim := range []int{1, 255, 256, 257, 1000} {
		x := make([]int64, dim)
		for i := range x {
			x[i] = rng.Int64() // wraps mod 2^64 like the reference
		}
		first := [32]byte{byte(dim)}
		got := project(first, x)
		for k, row := range entries(first, dim) {
			want := int64(0)
			for j, r := range row {
				want += r * x[j]
			}
			if got[k] != want {
				t.Fatalf("%d coordinates, projection %d: %d, want %d", dim, k, got[k], want)
			}
		}
	}
}

// Zero half of the time, either sign a quarter: 10^6 entries, six standard deviations (false rejection 10^-8).
func TestEntriesOfProjections(t *testing.T) {
	var count [3]float64
	n := 0.0
	for _, row := range entries([32]byte{9}, 8000) {
		for _, r := range row {
			count[r+1]++
			n++
		}
	}
	for i, p := range []float64{0.25, 0.5, 0.25} {
		if d := count[i] - n*p; d*d > 36*n*p*(1-p) {
			t.Errorf("%d: %v of %v", i-1, count[i], n)
		}
	}
}

// The statement's value and its α, against sums of big integers: target = Σ χ_t (V_t + B), <α*, s> = Σ χ_t <r_t, A·s>.
func TestStatement(t *testing.T) {
	w := newWorld(t, shape{2500, 5, 1, 2})
	u := w.honest()
	st, _ := w.answers(u)
	dim := w.mask.Literal().Dim
	lifted, x := make([]uint64, dim), make([]int64, dim)
	if err := w.mask.Lift(lifted, u.packed); err != nil {
		t.Fatal(err)
	}
	if err := w.mask.Open(x, w.public, u.secret, u.packed); err != nil {
		t.Fatal(err)
	}
	q := new(big.Int).SetUint64(w.check.q)
	rows := entries(u.first, dim)
	for k, chi := range w.check.coefficients(u.second).chi {
		target, product := new(big.Int), new(big.Int)
		for p, row := range rows {
			v, masked := new(big.Int).SetUint64(w.check.bound), new(big.Int)
			for j, r := range row {
				v.Add(v, big.NewInt(r*int64(lifted[j])))
				masked.Add(masked, big.NewInt(r*(int64(lifted[j])-x[j])))
			}
			c := new(big.Int).SetUint64(chi[p])
			target.Add(target, v.Mul(v, c))
			product.Add(product, masked.Mul(masked, c))
		}
		if target.Mod(target, q).Uint64() != st.target[k] {
			t.Errorf("repetition %d: target %d, want %v", k, st.target[k], target)
		}
		got := uint64(0)
		for i, s := range u.secret.Coefficients() {
			at := st.alpha[(2*k+i%2)*w.check.KeyWords()+i/2]
			got = w.check.field.Plus(got, w.check.field.Mul(at, w.check.field.Of(s)))
		}
		if product.Mod(product, q).Uint64() != got {
			t.Errorf("repetition %d: <alpha, s> = %d, want %v", k, got, product)
		}
	}
}

// Each repetition weighs every bit by its own ψ and every projection by its own χ: one bit's share changed, at both ends and between.
func TestAnswersWeighEveryBit(t *testing.T) {
	w := newWorld(t, small)
	u := w.honest()
	st, answers := w.answers(u)
	f, k, n := w.check.field, w.check.coefficients(u.second), len(w.check.weights)
	for _, at := range []int{0, 1, 1000, w.check.Bits() - 1} {
		proof := slices.Clone(u.proof[3])
		old := proof[at]
		proof[at] = f.Plus(old, 7)
		got, err := w.check.Answer(u.second, 4, st.Alpha(), u.key[3], proof)
		if err != nil {
			t.Fatal(err)
		}
		square := f.Minus(f.Minus(f.Mul(proof[at], proof[at]), proof[at]), f.Minus(f.Mul(old, old), old))
		for r := range w.check.repeat {
			linear := f.Mul(f.Mul(w.check.rows[3][0], k.chi[r][at/n]), f.Mul(w.check.weights[at%n], 7))
			for kind, want := range []uint64{linear, f.Mul(k.psi[r][at], square), f.Mul(k.psi[r][at], 7)} {
				word := kind*w.check.repeat + r
				if f.Minus(got[word], answers[3].Words[word]) != want {
					t.Errorf("bit %d, word %d: off by %d, want %d", at, word, f.Minus(got[word], answers[3].Words[word]), want)
				}
			}
		}
	}
}

// Every number in 0..2B has bits, and they reach nothing else: exhaustively for small B, at the edges for random ones.
func TestWeights(t *testing.T) {
	value := func(c *Check, bits []int64) (sum uint64) {
		for i, b := range bits {
			if b != 0 && b != 1 {
				t.Fatalf("B=%d: bit %d is %d", c.bound, i, b)
			}
			sum += c.weights[i] * uint64(b)
		}
		return sum
	}
	for bound := uint64(1); bound < 300; bound++ {
		c := &Check{bound: bound}
		c.weigh()
		total := uint64(0)
		for _, weight := range c.weights {
			total += weight
		}
		if total != 2*bound {
			t.Fatalf("B=%d: weights sum to %d", bound, total)
		}
		for v := range 2*bound + 1 {
			if got := value(c, c.appendBits(nil, v)); got != v {
				t.Fatalf("B=%d: %d became %d", bound, v, got)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c := &Check{bound: rapid.Uint64Range(1, 1<<54).Draw(t, "B")}
		c.weigh()
		v := rapid.Uint64Max(2*c.bound).Draw(t, "v")
		for _, v := range []uint64{v, 0, 2 * c.bound, 1<<(len(c.weights)-1) - 1, 1 << (len(c.weights) - 1)} {
			if v <= 2*c.bound && value(c, c.appendBits(nil, v)) != v {
				t.Fatalf("B=%d: %d", c.bound, v)
			}
		}
	})
}

// A device refuses its own vector on either side of the bound, at the last number inside and the first outside.
func TestTheDeviceRefusesBothSigns(t *testing.T) {
	w := newWorld(t, small)
	b := int64(w.check.bound)
	for l, want := range map[int64]bool{
		0: true, b: true, -b: true, b + 1: false, -b - 1: false, 5 * b: false, -5 * b: false, math.MaxInt64: false, math.MinInt64: false,
	} {
		for _, at := range []int{0, Projections - 1} {
			var projections [Projections]int64
			projections[at] = l
			if bits, ok := w.check.bitsOf(&projections); ok != want || len(bits) != w.check.Bits() {
				t.Errorf("a projection of %d for B = %d: %v", l, b, ok)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, small)
	other, err := share.New(share.Default(), 9, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	few, err := share.New(w.key.Field(), 4, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]Literal{
		"another field":    {Mask: w.mask, Shares: other, Norm: 1000},
		"small committee":  {Mask: w.mask, Shares: few, Norm: 1000},
		"no norm":          {Mask: w.mask, Shares: w.key},
		"norm beyond q":    {Mask: w.mask, Shares: w.key, Norm: 1 << 22},
		"slack too small":  {Mask: w.mask, Shares: w.key, Norm: 1000, Slack: 2.9},
		"slack too large":  {Mask: w.mask, Shares: w.key, Norm: 1000, Slack: 17},
		"not even a slack": {Mask: w.mask, Shares: w.key, Norm: 1000, Slack: nan()},
	} {
		if _, err := New(l); !errors.Is(err, ErrLiteral) {
			t.Errorf("%s: %v", name, err)
		}
	}
	u := w.honest()
	st, answers := w.answers(u)
	for name, c := range map[string]struct {
		member            int
		alpha, key, proof []uint64
	}{
		"alpha":  {1, st.Alpha()[1:], u.key[0], u.proof[0]},
		"key":    {1, st.Alpha(), u.key[0][1:], u.proof[0]},
		"proof":  {1, st.Alpha(), u.key[0], append(slices.Clone(u.proof[0]), 0)},
		"member": {10, st.Alpha(), u.key[0], u.proof[0]},
	} {
		if _, err := w.check.Answer(u.second, c.member, c.alpha, c.key, c.proof); !errors.Is(err, ErrLength) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, a := range map[string]share.Share{
		"twice": answers[0], "member 10": {X: 10, Words: answers[1].Words}, "short": {X: 2, Words: answers[1].Words[1:]},
		"outside": {X: 2, Words: append(slices.Clone(answers[1].Words[1:]), w.check.q)},
	} {
		if _, err := w.check.Verify(st, append(append([]share.Share{}, answers[0], a), answers[2:]...), 0); !errors.Is(err, ErrLength) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.check.Prove(newStream(u.first), w.public, u.first, u.secret, u.packed[1:]); !errors.Is(err, mask.ErrPacking) {
		t.Errorf("short vector: %v", err)
	}
	if _, err := w.check.State(w.public, u.first, u.second, u.packed[1:]); !errors.Is(err, mask.ErrPacking) {
		t.Errorf("short vector: %v", err)
	}
}

func nan() float64 { z := 0.0; return z / z }
