package aggregation

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// normParams is a ring with one prime of 46 bits, a committee with need 5 of 9, and a norm that a device may reach.
func normParams(dim int) ParamsLiteral {
	return ParamsLiteral{Dim: dim, Bound: 1 << 15, NMin: 2, NMax: 10_000, Members: 9, Corrupt: 2, Rho: 2, Norm: 100_000}
}

// A whole round with the norm check: honest devices pass, the sum is exact, and members repeat their answers after a restart.
func TestNormRound(t *testing.T) {
	w := newWorld(t, normParams(3000), 3)
	ups := w.sealUnits()
	ups[2] = w.seal(2, w.constant(1800)) // 1800·√3000 = 98,590
	for i, up := range ups {
		answers := w.checks(up.Header, all(9))
		if len(answers) != 9 || len(answers[0].Words) != w.cfg.params.CheckWords() {
			t.Fatalf("device %d: %d answers", i, len(answers))
		}
		for n := 9; n >= w.cfg.params.CheckNeed(); n-- {
			w.shuffle(answers)
			if wrong, err := CheckShares(w.cfg, up.Header, up.Vector, answers[:n]); err != nil || wrong != nil {
				t.Fatalf("device %d, %d answers: %d, %v", i, n, wrong, err)
			}
		}
		if _, err := CheckShares(w.cfg, up.Header, up.Vector, answers[:w.cfg.params.CheckNeed()-1]); !errors.Is(err, ErrTooFew) {
			t.Errorf("need-1 answers: %v", err)
		}
		at := slices.IndexFunc(answers, func(a CheckAnswer) bool { return a.Member == 1 })
		w.nodes[0].restart(t)
		if again := w.checks(up.Header, []int{0}); !slices.Equal(again[0].Words, answers[at].Words) {
			t.Errorf("device %d: other answers after a restart", i)
		}
	}
	w.nodes[0].restart(t)
	sum, err := w.open(ups, all(9), all(9), all(9))
	if err != nil {
		t.Fatal(err)
	}
	for j, v := range sum {
		want := int64(1800)
		if j < 2 {
			want++
		}
		if v != want {
			t.Fatalf("coordinate %d is %d", j, v)
		}
	}
	h, err := ups[0].Header.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseHeader(h)
	if err != nil || again.Digest() != ups[0].Header.Digest() {
		t.Fatal("the header does not come back", err)
	}
	b, err := again.Marshal()
	if err != nil || !bytes.Equal(b, h) {
		t.Error("the header's bytes do not come back", err)
	}
}

// constant is a vector of equal coordinates.
func (w *world) constant(v int32) []int32 {
	x := make([]int32, w.literal.Params.Dim)
	for i := range x {
		x[i] = v
	}
	return x
}

// What the norm check finds, and who says so; the device signs all of it.
func TestNormIsEnforced(t *testing.T) {
	w := newWorld(t, normParams(3000), 2)
	if _, err := w.devices[0].Seal(w.random, w.cfg, Digest{2}, w.constant(1826), 1<<15); !errors.Is(err, ErrNorm) { // 100,014
		t.Errorf("a device beyond the norm: %v", err)
	}
	if _, err := w.devices[0].seal(&sealSeeds{}, w.cfg, Digest{2}, w.constant(30_000)); !errors.Is(err, ErrNorm) { // 16 times the norm
		t.Errorf("a proof about a vector of 16 norms: %v", err)
	}
	for _, c := range []struct {
		name           string
		change         func(up *Upload)
		server, member Reason
		check          error
	}{
		{"untouched", func(*Upload) {}, Accepted, Accepted, nil},
		{"another vector under the old statement", func(up *Upload) { w.random.Read(up.Vector) }, Accepted, Accepted, ErrNorm},
		{"another vector, its statement recomputed", func(up *Upload) {
			w.random.Read(up.Vector)
			up.Header.VecHash = HashVector(up.Vector)
			w.restate(up)
		}, Accepted, Accepted, ErrNorm},
		{"zeros, never masked", func(up *Upload) {
			clear(up.Vector)
			up.Header.VecHash = HashVector(up.Vector)
			w.restate(up)
		}, Accepted, Accepted, ErrNorm},
		{"another alpha", func(up *Upload) { up.Header.Alpha[7] ^= 1 }, Accepted, Accepted, ErrNorm},
		{"a commitment to something else", func(up *Upload) { up.Header.Commits[0][0] ^= 1 }, Accepted, ReasonShare, nil},
		{"a commitment missing", func(up *Upload) { up.Header.Commits = up.Header.Commits[:8] }, ReasonEnvelopes, ReasonEnvelopes, nil},
		{"alpha short", func(up *Upload) { up.Header.Alpha = up.Header.Alpha[6:] }, ReasonEnvelopes, ReasonEnvelopes, nil},
		{"alpha beyond the field", func(up *Upload) { copy(up.Header.Alpha, bytes.Repeat([]byte{0xff}, 6)) }, Accepted, ReasonEnvelopes, nil},
		{"no statement", func(up *Upload) { up.Header.Statement = Statement{} }, ReasonEnvelopes, ReasonEnvelopes, nil},
	} {
		up := w.seal(0, w.unit(0))
		c.change(up)
		up.Header.VecHash = HashVector(up.Vector)
		resign(up.Header, w.devices[0].Key)
		server := Accepted
		errors.As(w.verify(up.Header), &server)
		n := &node{setup: w.nodes[0].setup, store: cloneStore(w.nodes[0].store)}
		n.restart(t)
		mh, err := up.Header.ForMember(1, w.path(up.Header.ID))
		if err != nil {
			t.Fatal(err)
		}
		if member := judged(t, n, w.cfg.Round(), []*MemberHeader{mh})[0].Reason; server != c.server || member != c.member {
			t.Errorf("%s: server says %v, member %v, want %v, %v", c.name, server, member, c.server, c.member)
		}
		if c.server != Accepted || c.member != Accepted {
			continue
		}
		fresh := newWorld(t, normParams(3000), 2) // members that have not seen the device
		if wrong, err := CheckShares(w.cfg, up.Header, up.Vector, fresh.checks(up.Header, all(9))); !errors.Is(err, c.check) || wrong != nil {
			t.Errorf("%s: %d, %v, want %v", c.name, wrong, err, c.check)
		}
	}
	plain := newWorld(t, testParams(64, 2, 20), 2)
	h := plain.seal(0, plain.unit(0)).Header
	h.Statement = Statement{Commits: make([]Digest, 5), Alpha: []byte{1}}
	resign(h, plain.devices[0].Key)
	if err := plain.verify(h); !errors.Is(err, ReasonEnvelopes) {
		t.Errorf("a statement where none is asked: %v", err)
	}
}

// restate computes the statement that fits a changed vector.
func (w *world) restate(up *Upload) {
	w.t.Helper()
	s, err := up.Header.state(w.cfg, up.Header.EnvRoot(), up.Vector)
	if err != nil {
		w.t.Fatal(err)
	}
	up.Header.Alpha = packWords(w.cfg.params.shares.Field(), s.Alpha())
}

// Members that lie about the norm are named like those that lie about the sharing, two of nine.
func TestNormLiarsAreNamed(t *testing.T) {
	w := newWorld(t, normParams(3000), 2)
	up := w.seal(0, w.unit(0))
	honest := w.checks(up.Header, all(9))
	for _, words := range [][2]int{{0, 0}, {2, 2}, {0, 3}, {7, 5}} {
		told := slices.Clone(honest)
		for i, j := range []int{8, 4} {
			told[j].Words = slices.Clone(told[j].Words)
			told[j].Words[words[i]] ^= 1
		}
		if wrong, err := CheckShares(w.cfg, up.Header, up.Vector, told); err != nil || !slices.Equal(wrong, []uint16{5, 9}) {
			t.Errorf("words %d: %d, %v", words, wrong, err)
		}
	}
}
