package validity

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

// world is a round with one committee, and everything a test needs to play device, members and server.
type world struct {
	t      testing.TB
	rng    *rand.Rand
	mask   *mask.Params
	key    *share.Scheme
	check  *Check
	public [32]byte
}

// shape is a committee and a ring for 10^4 devices of 16 bits: q of 46 bits, Δ = 65535.
type shape struct{ dim, m, c, rho int }

var small = shape{dim: 3000, m: 9, c: 2, rho: 2} // a whole block and a part of one

const testNorm = 100_000

func newWorld(t testing.TB, s shape) *world {
	t.Helper()
	chosen, err := mask.Choose(mask.Standard, s.dim, 10_000, 1<<15)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, rng: rand.New(rand.NewPCG(uint64(s.dim), uint64(s.m)))}
	if w.mask, err = mask.NewParams(chosen); err != nil {
		t.Fatal(err)
	}
	f, err := share.NewField(chosen.Q)
	if err != nil {
		t.Fatal(err)
	}
	if w.key, err = share.New(f, s.m, s.c, s.rho); err != nil {
		t.Fatal(err)
	}
	if w.check, err = New(Literal{Mask: w.mask, Shares: w.key, Norm: testNorm}); err != nil {
		t.Fatal(err)
	}
	w.public = w.seed()
	return w
}

func (w *world) seed() (s [32]byte) {
	for i := range 4 {
		binary.LittleEndian.PutUint64(s[8*i:], w.rng.Uint64())
	}
	return s
}

// gaussian is a vector of the given Euclidean norm in a random direction.
func (w *world) gaussian(norm float64) []int32 {
	dim := w.mask.Literal().Dim
	v, sum := make([]float64, dim), 0.0
	for i := range v {
		v[i] = w.rng.NormFloat64()
		sum += v[i] * v[i]
	}
	x := make([]int32, dim)
	for i := range v {
		x[i] = int32(v[i] * norm / math.Sqrt(sum))
	}
	return x
}

// upload is one device's contribution, with the second challenge as hash of all that is sent.
type upload struct {
	secret        *mask.Secret
	packed        []byte
	key, proof    [][]uint64
	first, second [32]byte
}

// mask seals x but does not prove anything yet.
func (w *world) maskOf(x []int32) *upload {
	w.t.Helper()
	u := &upload{secret: mask.NewSecret(w.mask, w.seed()), packed: make([]byte, w.mask.PackedLen())}
	if err := w.mask.Mask(u.packed, w.public, u.secret, w.seed(), x); err != nil {
		w.t.Fatal(err)
	}
	w.shareKey(u, u.secret.Coefficients())
	return u
}

func (w *world) shareKey(u *upload, key []int64) {
	w.t.Helper()
	random := make([]uint64, w.key.Draws(len(key)))
	if err := w.key.Field().Draw(newStream(w.seed()), random); err != nil {
		w.t.Fatal(err)
	}
	var err error
	if u.key, err = w.key.Split(key, random); err != nil {
		w.t.Fatal(err)
	}
}

// commit draws challenge 1 from what has to be fixed by then.
func (w *world) commit(u *upload) {
	h := sha256.New()
	h.Write(u.packed)
	for j, words := range u.key {
		d := w.check.Commit(make([]uint64, w.check.SaltWords()), j+1, words)
		h.Write(d[:])
	}
	h.Sum(u.first[:0])
}

func (w *world) prove(u *upload) error {
	var err error
	w.commit(u)
	u.proof, err = w.check.Prove(newStream(w.seed()), w.public, u.first, u.secret, u.packed)
	return err
}

// honest is a proven upload of a vector within the norm.
func (w *world) honest() *upload {
	w.t.Helper()
	u := w.maskOf(w.gaussian(testNorm))
	if err := w.prove(u); err != nil {
		w.t.Fatal(err)
	}
	return u
}

// answers draws challenge 2 from the whole proof and lets every member answer.
func (w *world) answers(u *upload) (*Statement, []share.Share) {
	w.t.Helper()
	h := sha256.New()
	h.Write(u.first[:])
	for _, words := range u.proof {
		d := w.check.Commit(nil, 0, words)
		h.Write(d[:])
	}
	h.Sum(u.second[:0])
	st, err := w.check.State(w.public, u.first, u.second, u.packed)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []share.Share
	for j := range u.key {
		words, err := w.check.Answer(u.second, j+1, st.Alpha(), u.key[j], u.proof[j])
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, share.Share{X: j + 1, Words: words})
	}
	return st, out
}

// verify is everything after the proof.
func (w *world) verify(u *upload) ([]int, error) {
	w.t.Helper()
	st, answers := w.answers(u)
	return w.check.Verify(st, answers, 0)
}
