package validity

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"tutti/aggregation/share"
)

// cheat proves whatever it is told: the device's true projections mod q go through lie before their bits are shared.
func (w *world) cheat(u *upload, lie func(l int64) int64) {
	w.t.Helper()
	w.commit(u)
	secrets := make([]int64, 0, w.check.Bits())
	for _, l := range w.projections(u) {
		secrets = w.check.appendBits(secrets, uint64(lie(l)+int64(w.check.bound)))
	}
	w.shareBits(u, secrets)
}

func (w *world) shareBits(u *upload, secrets []int64) {
	w.t.Helper()
	var err error
	if u.proof, err = w.check.shareProof(newStream(w.seed()), secrets); err != nil {
		w.t.Fatal(err)
	}
}

// projections are those of what the server will see, centred mod q.
func (w *world) projections(u *upload) []int64 {
	w.t.Helper()
	x := make([]int64, w.mask.Literal().Dim)
	if err := w.mask.Open(x, w.public, u.secret, u.packed); err != nil {
		w.t.Fatal(err)
	}
	out := make([]int64, 0, Projections)
	for _, l := range project(u.first, x) {
		q := int64(w.check.q)
		if l %= q; l > q/2 {
			l -= q
		} else if l < -(q / 2) {
			l += q
		}
		out = append(out, l)
	}
	return out
}

// clamp is the best that a device with too large a vector can claim.
func (w *world) clamp(l int64) int64 {
	b := int64(w.check.bound)
	return max(-b, min(l, b))
}

func (w *world) refuse(name string, u *upload) {
	w.t.Helper()
	if wrong, err := w.verify(u); !errors.Is(err, ErrProof) {
		w.t.Errorf("%s: %v, %v", name, wrong, err)
	}
}

// What the norm check refuses, and what it cannot: within the norm every vector is as good as another.
func TestVectors(t *testing.T) {
	w := newWorld(t, small)
	dim := w.mask.Literal().Dim
	large := func(at ...int) []int32 { // just beyond 2B/Δ, the largest value whose refusal is certain
		x := make([]int32, dim)
		for _, j := range at {
			x[j] = int32(2*w.check.bound>>16 + 1000)
		}
		return x
	}
	boosted := w.gaussian(testNorm)
	for i := range boosted {
		boosted[i] *= 100
	}
	flipped := w.gaussian(testNorm)
	for i := range flipped {
		flipped[i] = -flipped[i]
	}
	for name, c := range map[string]struct {
		x       []int32
		refused bool
	}{
		"boosted by 100":               {boosted, true},
		"sign flipped, within norm":    {flipped, false},
		"nothing":                      {make([]int32, dim), false},
		"everything in one coordinate": {one(dim, testNorm), false},
		"one large coordinate":         {large(7), true},
		"two that cancel":              {large(7, 2999), true},
		"boosted by 2, in the slack":   {scale(w.gaussian(testNorm), 2), false},
		"boosted by 12, a shade more":  {scale(w.gaussian(testNorm), 12), true},
	} {
		u := w.maskOf(c.x)
		if err := w.prove(u); errors.Is(err, ErrNorm) != c.refused {
			t.Errorf("%s: the device's own end: %v", name, err)
		}
		w.cheat(u, w.clamp)
		if _, err := w.verify(u); errors.Is(err, ErrProof) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func scale(x []int32, by int32) []int32 {
	for i := range x {
		x[i] *= by
	}
	return x
}

func one(dim int, v int32) []int32 {
	x := make([]int32, dim)
	x[dim/2] = v
	return x
}

// Rule 10's hole: a vector that is not what the shared key masks, or a key that is not the vector's.
func TestGarbageUnderAWellFormedKey(t *testing.T) {
	w := newWorld(t, small)
	other := w.maskOf(w.gaussian(testNorm))
	for name, spoil := range map[string]func(u *upload){
		"random vector":           func(u *upload) { newStream(w.seed()).Read(u.packed) },
		"zeros":                   func(u *upload) { clear(u.packed) },
		"another device's vector": func(u *upload) { copy(u.packed, other.packed) },
		"one word off":            func(u *upload) { u.packed[4] ^= 0x80 },
		"q/2 in one coordinate":   func(u *upload) { u.packed[9] ^= 0x80 },
		"another key":             func(u *upload) { w.shareKey(u, other.secret.Coefficients()) },
		"a key off by one":        func(u *upload) { k := slices.Clone(u.secret.Coefficients()); k[5]++; w.shareKey(u, k) },
	} {
		u := w.maskOf(w.gaussian(testNorm))
		spoil(u)
		u.packed[len(u.packed)-1] &= 0xff >> w.mask.PaddingBits()
		w.cheat(u, w.clamp)
		w.refuse(name, u)
	}
	// A vector that is a mask of another public A.
	u := w.maskOf(w.gaussian(testNorm))
	if err := w.mask.Mask(u.packed, w.seed(), u.secret, w.seed(), w.gaussian(testNorm)); err != nil {
		t.Fatal(err)
	}
	w.cheat(u, w.clamp)
	w.refuse("another round's A", u)
}

func TestProofsThatAreNone(t *testing.T) {
	w := newWorld(t, small)
	honest := func() (*upload, []int64) {
		u := w.maskOf(w.gaussian(testNorm))
		w.commit(u)
		var secrets []int64
		for _, l := range w.projections(u) {
			secrets = w.check.appendBits(secrets, uint64(l+int64(w.check.bound)))
		}
		return u, secrets
	}
	u, secrets := honest()
	secrets[77] ^= 1
	w.shareBits(u, secrets)
	w.refuse("one wrong bit", u)

	n := len(w.check.weights)
	u, secrets = honest() // the whole of L+B in the place of weight one: the linear check holds, and only that
	for t := range Projections {
		sum := int64(0)
		for i, weight := range w.check.weights {
			sum += int64(weight) * secrets[t*n+i]
			secrets[t*n+i] = 0
		}
		secrets[t*n] = sum
	}
	w.shareBits(u, secrets)
	w.refuse("numbers for bits", u)

	u, secrets = honest() // 2·1 + 1·0 = 2·0 + 1·2: one place that is no bit, the sum unchanged
	secrets[0] += 2
	secrets[1]--
	w.shareBits(u, secrets)
	w.refuse("a carry", u)

	for kind, name := range []string{"linear blinds that do not sum to zero", "square blinds that are not zero"} {
		for repetition := range w.check.repeat {
			u, secrets = honest()
			w.shareBits(u, secrets)
			for j := range u.proof {
				at := w.check.Bits() + kind*w.check.repeat + repetition
				u.proof[j][at] = w.check.field.Plus(u.proof[j][at], 1) // a constant polynomial added
			}
			w.refuse(name, u)
		}
	}

	u, secrets = honest()
	w.shareBits(u, secrets)
	for _, j := range []int{0, 3, 4} { // one more than is corrected
		u.proof[j][11] = w.check.field.Plus(u.proof[j][11], 1)
	}
	w.refuse("three members' shares of a bit", u)
}

// A "bit" whose shares are 0 and 1 at the members but lie on a cubic: members {1,5,6} have 0 and {2,3,7} have 1, for 1+5+6 = 2+3+7 and
// 1+25+36 = 4+9+49 (Prouhet, Tarry and Escott). Its square is itself at those six, and its degree 3 passes for that of H: the value that it
// stands for at -1 is no bit, and only R sees it.
func TestBitsOfTooHighDegree(t *testing.T) {
	w := newWorld(t, small)
	u := w.maskOf(w.gaussian(testNorm))
	w.commit(u)
	f := w.check.field
	at := func(x uint64, roots ...uint64) uint64 {
		v := uint64(1)
		for _, r := range roots {
			v = f.Mul(v, f.Minus(x, r))
		}
		return v
	}
	norm := f.Inverse(at(2, 1, 5, 6))
	cubic := func(x uint64) uint64 { return f.Mul(norm, at(x, 1, 5, 6)) }
	bit := cubic(w.check.q - 1)
	if bit <= 1 {
		t.Fatal("the cubic stands for a bit")
	}
	var secrets []int64
	for _, l := range w.projections(u) {
		secrets = w.check.appendBits(secrets, uint64(l+int64(w.check.bound)))
	}
	first := secrets[0]
	w.shareBits(u, secrets)
	for j := range u.proof {
		u.proof[j][0] = cubic(uint64(j + 1))
	}
	st, answers := w.answers(u)
	for k, chi := range w.check.coefficients(u.second).chi { // grant the sum, which the other bits could have made up for
		st.target[k] = f.Plus(st.target[k], f.Mul(chi[0], f.Minus(bit, uint64(first))))
	}
	var six []share.Share
	for _, x := range []int{1, 2, 3, 5, 6, 7} {
		six = append(six, answers[x-1])
	}
	if _, err := w.check.Verify(st, six, 0); !errors.Is(err, ErrProof) || !strings.Contains(err.Error(), "degree 2") {
		t.Errorf("%v", err)
	}
	for word := range 2 * w.check.repeat { // everything else is as it has to be
		if poly, wrong, err := w.check.decode(six, word); err != nil || wrong != nil || !w.check.holds(st, word, poly) {
			t.Errorf("word %d: the attack is not the one that R is for: %v, %v", word, wrong, err)
		}
	}
}

// Members who lie are corrected and named, whatever word they lie in; with two more than that, or when answers are few, it is ErrProof.
func TestLyingMembers(t *testing.T) {
	w := newWorld(t, small) // 9 members, Need 5: two liars
	u := w.honest()
	st, answers := w.answers(u)
	f := w.check.field
	for word := range w.check.AnswerWords() {
		for _, liars := range [][]int{{1}, {9}, {4, 7}, {2, 3, 8}} {
			lied := slices.Clone(answers)
			for i, x := range liars {
				words := slices.Clone(answers[x-1].Words)
				at := (word + 4*i) % len(words) // each in another word
				if len(liars) == 3 {
					at = word
				}
				words[at] = f.Plus(words[at], 1+w.rng.Uint64N(w.check.q-1))
				lied[x-1] = share.Share{X: x, Words: words}
			}
			wrong, err := w.check.Verify(st, lied, 0)
			if len(liars) <= 2 && (err != nil || !slices.Equal(wrong, liars)) {
				t.Errorf("word %d, liars %v: %v, %v", word, liars, wrong, err)
			}
			if len(liars) > 2 && !errors.Is(err, ErrProof) && w.check.degree(word) >= 3 {
				t.Errorf("word %d, liars %v: %v, %v", word, liars, wrong, err)
			}
		}
	}
	u.key[3][100] = f.Plus(u.key[3][100], 1) // a share other than the device's: the same as a lie
	st, answers = w.answers(u)
	if wrong, err := w.check.Verify(st, answers, 0); err != nil || !slices.Equal(wrong, []int{4}) {
		t.Errorf("tampered share: %v, %v", wrong, err)
	}
}

// Two colluding members can finish what four honest ones leave open, for Need is five: a device whose other three honest members were
// named, two by the sharing check and one here, would pass whatever it masks. So both checks share one allowance.
func TestBothChecksShareOneAllowance(t *testing.T) {
	w := newWorld(t, small)
	u := w.maskOf(scale(w.gaussian(testNorm), 100))
	w.cheat(u, w.clamp)
	st, answers := w.answers(u)
	f := w.check.field
	honest, points := answers[:4], []uint64{1, 2, 3, 4, 5}
	lie := make([][]uint64, 2) // of members 5 and 6
	for i := range lie {
		lie[i] = make([]uint64, w.check.AnswerWords())
	}
	for word := range w.check.AnswerWords() {
		values := make([]uint64, 5) // members 1..5; 5 is free where the degree is 4
		for i, a := range honest {
			values[i] = a.Words[word]
		}
		known := func(fifth uint64) (sum uint64) { // what the server looks at
			values[4] = fifth
			for _, x := range w.check.slots[:2-word/w.check.repeat] {
				sum = f.Plus(sum, f.Dot(f.Weights(points, x), values))
			}
			return sum
		}
		want := uint64(0)
		switch word / w.check.repeat {
		case 0:
			want = st.target[word]
			fallthrough
		case 1:
			base := known(0)
			known(f.Mul(f.Minus(want, base), f.Inverse(f.Minus(known(1), base))))
		default:
			values[4] = answers[4].Words[word]
		}
		lie[0][word], lie[1][word] = values[4], f.Dot(f.Weights(points, 6), values)
	}
	told := append(slices.Clone(honest), share.Share{X: 5, Words: lie[0]}, share.Share{X: 6, Words: lie[1]}, answers[6])
	if wrong, err := w.check.Verify(st, told, 0); err != nil || !slices.Equal(wrong, []int{7}) {
		t.Fatalf("the attack is none: %v, %v", wrong, err)
	}
	if wrong, err := w.check.Verify(st, told, 2); !errors.Is(err, ErrProof) {
		t.Errorf("three of nine named: %v, %v", wrong, err)
	}
	st, answers = w.answers(w.honest())
	answers[3].Words[0] = f.Plus(answers[3].Words[0], 1)
	if wrong, err := w.check.Verify(st, answers[1:], 1); err != nil || !slices.Equal(wrong, []int{4}) {
		t.Errorf("two of nine, one of them named already: %v, %v", wrong, err)
	}
	st, _ = w.answers(u)
	if wrong, err := w.check.Verify(st, told[:6], 3); err != nil || wrong != nil { // more than the allowance were named: none is left
		t.Errorf("named beyond the allowance: %v, %v", wrong, err)
	}
}

// A device cannot commit to a share that it does not send, nor one member's commitment serve another.
func TestCommitmentsBind(t *testing.T) {
	w := newWorld(t, small)
	key := make([]uint64, w.check.KeyWords())
	salt := make([]uint64, w.check.SaltWords())
	d := w.check.Commit(salt, 1, key)
	if w.check.Commit(salt, 257, key) == d {
		t.Error("the member is not bound")
	}
	for _, at := range []int{0, len(salt) - 1} {
		if salt[at]++; w.check.Commit(salt, 1, key) == d {
			t.Errorf("word %d of the salt is not bound", at)
		}
		salt[at]--
	}
	for _, at := range []int{0, len(key) - 1} {
		if key[at]++; w.check.Commit(salt, 1, key) == d {
			t.Errorf("word %d of the share is not bound", at)
		}
		key[at]--
	}
	if bits := w.check.SaltWords() * (w.check.field.Bits() - 1); bits < saltBits-w.check.field.Bits() {
		t.Errorf("a salt of %d bits", bits)
	}
}
