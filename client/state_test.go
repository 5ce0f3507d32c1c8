package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tutti/client/history"
	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

// fullState has every field set.
func fullState(t testing.TB) state {
	t.Helper()
	s := state{task: "films", seed: [32]byte{1, 2, 3}, enrolment: bytes.Repeat([]byte{4}, 64), spent: big.NewRat(7, 3), unnoised: 2,
		sealed: true, lastRound: 9, rounds: 4, seen: 1200, counted: 5, proven: 3, unproven: 1, receipts: [][]byte{{1}, {2, 3}},
		log: ledger.Witness{Last: ledger.Checkpoint{Origin: "tutti/films", Size: 12, Root: [32]byte{5}}, Note: []byte("note")}, logged: 8,
		fork: &ledger.Fork{A: []byte("note"), B: []byte("other note"), Proof: [][]byte{bytes.Repeat([]byte{1}, 32)}}, records: 77, delta: "1e-06",
		offered:  offered{kind: plan.Transitions, numbers: 6, padded: 33792, bytes: 200000, rho: big.NewRat(1, 9), cohort: 70, central: true},
		stream:   paidStream{id: plan.Digest{3}, first: 7, rho: big.NewRat(1, 3), rounds: 2},
		last:     lastOutcome{kind: Refused, reason: ReasonPolicy, policy: plan.ReasonBudget, round: 9, time: 1234},
		refusals: []refusalCount{{ReasonPolicy, plan.ReasonBudget, 3}, {ReasonServer, 0, 1}},
		charges:  []charge{{round: 8, phase: unproven, rho: big.NewRat(1, 2), config: []byte("cfg"), stream: plan.Digest{3}}, {round: 9, rho: new(big.Rat)}}}
	for number := uint64(2); number > 0; number-- {
		v := model.Version{Number: number, Items: model.Digest{6}, Blend: "0.5"}
		b, err := v.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		s.versions = append(s.versions, accepted{number: number, digest: v.Digest(), version: b, signature: []byte("signature"), doubted: number%2 == 0})
	}
	return s
}

func testSealer(t testing.TB) sealer {
	t.Helper()
	key, err := history.NewKey(bytes.Repeat([]byte{9}, history.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	x, err := newSealer(key, bytes.NewReader(make([]byte, 1<<16)))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestStateRoundTrip(t *testing.T) {
	x := testSealer(t)
	fresh, err := newState("films", bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []state{fullState(t), fresh} {
		sealed, err := x.seal(&want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.open(sealed)
		if err != nil {
			t.Fatal(err)
		}
		compare := cmp.Options{cmp.AllowUnexported(state{}, paidStream{}, charge{}, accepted{}, offered{}, lastOutcome{}, refusalCount{}),
			cmp.Comparer(func(a, b *big.Rat) bool { return a == b || a != nil && b != nil && a.Cmp(b) == 0 })}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestStateTamper(t *testing.T) {
	x := testSealer(t)
	s := fullState(t)
	sealed, err := x.seal(&s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := x.open(changed); !errors.Is(err, ErrTampered) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := x.open(sealed[:i]); !errors.Is(err, ErrTampered) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestStateDecoderIsStrict(t *testing.T) {
	s := fullState(t)
	good := s.encode()
	for i := range good {
		if _, err := decodeState(good[:i]); err == nil {
			t.Fatalf("a state cut at byte %d of %d was read", i, len(good))
		}
	}
	if _, err := decodeState(append(bytes.Clone(good), 0)); err == nil {
		t.Error("a byte after the end was accepted")
	}
	for name, spoil := range map[string]func(*state){
		"negative spending":          func(s *state) { s.spent = big.NewRat(-1, 2) },
		"no spending":                func(s *state) { s.spent = nil },
		"charge of the future":       func(s *state) { s.charges[0].round = 10 },
		"charge without a cost":      func(s *state) { s.charges[0].rho = nil },
		"unknown phase":              func(s *state) { s.charges[0].phase = 7 },
		"too many charges":           func(s *state) { s.charges = make([]charge, maxCharges+1) },
		"two equal versions":         func(s *state) { s.versions[1] = s.versions[0] },
		"a version's digest":         func(s *state) { s.versions[0].digest[0] ^= 1 },
		"a garbled version":          func(s *state) { s.versions[0].version = []byte("x") },
		"charges, never sealed":      func(s *state) { s.sealed = false },
		"rounds, never sealed":       func(s *state) { s.sealed, s.lastRound, s.charges = false, 0, nil },
		"a time before all":          func(s *state) { s.seen = -1 },
		"a log without a note":       func(s *state) { s.log.Note = nil },
		"too many receipts":          func(s *state) { s.receipts = make([][]byte, maxReceipts+1) },
		"no task":                    func(s *state) { s.task = "" },
		"a long task":                func(s *state) { s.task = strings.Repeat("x", maxTask+1) },
		"a stream that was not paid": func(s *state) { s.stream.rho = big.NewRat(8, 3) },
		"a stream of no round":       func(s *state) { s.stream.rounds = 0 },
		"a nameless stream":          func(s *state) { s.stream.id = plan.Digest{} },
		"a stream of the future":     func(s *state) { s.stream.first = 10 },
	} {
		s := fullState(t)
		spoil(&s)
		if _, err := decodeState(s.encode()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestStateShowsNothing(t *testing.T) {
	s := fullState(t)
	s.seed = [32]byte(bytes.Repeat([]byte{0x41}, 32))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, s); got != redactedState {
			t.Errorf("%s shows %.60s", verb, got)
		}
	}
	if _, err := json.Marshal(s); err == nil {
		t.Error("a state was written out as JSON")
	}
}

// TestStateOfTheFormatBefore: a state without the versions' doubts is read, and doubts none.
func TestStateOfTheFormatBefore(t *testing.T) {
	s := fullState(t)
	b := s.encode()
	b[4+len(stateDomain)] = 2
	old, err := decodeState(b[:len(b)-len(s.versions)])
	if err != nil || len(old.versions) != len(s.versions) || old.doubts() || !s.doubts() {
		t.Fatalf("%d versions, doubts %v, %v", len(old.versions), old.doubts(), err)
	}
	if serving := old.serving(); serving == nil || serving.number != old.versions[0].number {
		t.Fatal("the newest does not serve")
	}
	if _, err := decodeState(b); err == nil {
		t.Fatal("bytes after the end were taken")
	}
}

// TestSpentNeverShrinks adds many fractions of different denominators: the sum
// stays short enough to be saved and never falls below the true one.
func TestSpentNeverShrinks(t *testing.T) {
	s, err := newState("films", bytes.NewReader(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	exact := new(big.Rat)
	denominator := big.NewInt(1)
	for round := uint64(1); round <= 200; round++ {
		denominator.Lsh(denominator, 61).Add(denominator, big.NewInt(int64(2*round+1)))
		denominator.Rsh(denominator, uint(max(0, denominator.BitLen()-130)))
		rho := new(big.Rat).SetFrac(big.NewInt(1), denominator)
		exact.Add(exact, rho)
		s.addCharge(charge{round: round, rho: rho}, true)
	}
	if s.spent.Cmp(exact) < 0 {
		t.Fatal("less is booked than was spent")
	}
	excess := new(big.Rat).Sub(s.spent, exact)
	if excess.Cmp(new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 500))) > 0 {
		t.Fatalf("rounding cost %v", excess.FloatString(160))
	}
	if len(s.charges) != maxCharges || s.charges[0].round != 200-maxCharges+1 {
		t.Fatalf("%d charges are open, from round %d", len(s.charges), s.charges[0].round)
	}
	if _, err := decodeState(s.encode()); err != nil {
		t.Fatal(err)
	}
}

// FuzzDecodeState: any bytes give an error, or a state that writes back to the
// same bytes.
func FuzzDecodeState(f *testing.F) {
	s := fullState(f)
	f.Add(s.encode())
	empty, err := newState("a", bytes.NewReader(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(empty.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err == nil && b[4+len(stateDomain)] == stateVersion && !bytes.Equal(s.encode(), b) {
			t.Fatal("the state writes back to other bytes")
		}
	})
}

// FuzzDecodePending: any bytes give an error, or an upload that writes back to
// the same bytes.
func FuzzDecodePending(f *testing.F) {
	f.Add(encodePending(Upload{Task: "films", Round: 3, Header: []byte("head"), Vector: []byte("vector")}))
	f.Add(encodePending(Upload{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := decodePending("films", b)
		if err == nil && !bytes.Equal(encodePending(u), b) {
			t.Fatal("the upload writes back to other bytes")
		}
	})
}

func TestRecent(t *testing.T) {
	made := 0
	r := recent[int, int]{limit: 2}
	get := func(k int) int {
		v, err := r.get(k, func() (int, error) { made++; return 10 * k, nil })
		if err != nil || v != 10*k {
			t.Fatalf("%d is %d, %v", k, v, err)
		}
		return made
	}
	for _, c := range []struct{ key, made int }{{1, 1}, {1, 1}, {2, 2}, {1, 2}, {3, 3}, {1, 3}, {2, 4}} {
		if got := get(c.key); got != c.made {
			t.Fatalf("after %d, %d values were made, want %d", c.key, got, c.made)
		}
	}
	failure := errors.New("no")
	if _, err := r.get(9, func() (int, error) { return 0, failure }); err != failure {
		t.Fatal(err)
	}
	if v, err := r.get(9, func() (int, error) { return 90, nil }); err != nil || v != 90 {
		t.Fatalf("a failure was kept: %d, %v", v, err)
	}
}

func TestEveryReasonSpeaks(t *testing.T) {
	seen := map[string]bool{}
	for r := ReasonNone; r < reasons; r++ {
		if r.String() == "" || r.Sentence() == "" || seen[r.String()] || r != ReasonNone && r.RetryAfter() == 0 {
			t.Errorf("reason %d: %q, %q", r, r.String(), r.Sentence())
		}
		seen[r.String()] = true
	}
	for r := RejectUnspecified; r < rejectReasons; r++ {
		if r.String() == "" || !strings.HasSuffix(r.Sentence(), ".") {
			t.Errorf("reject %d: %q", r, r.Sentence())
		}
	}
	for r := WaitUnspecified; r < waitReasons; r++ {
		if r.String() == "" || !strings.HasSuffix(r.Sentence(), ".") {
			t.Errorf("wait %d: %q", r, r.Sentence())
		}
	}
	if Reason(200).String() == "" || RejectReason(200).Sentence() == "" || UploadState(9).String() == "" || OutcomeKind(9).String() == "" {
		t.Error("a value from a newer server has no name")
	}
}

// TestRecentPanics: where making a value panics and somebody above recovers,
// the next caller gets an error, not the zero value; for a verdict that would
// be consent.
func TestRecentPanics(t *testing.T) {
	r := recent[int, error]{limit: 2}
	func() {
		defer func() { _ = recover() }()
		_, _ = r.get(1, func() (error, error) { panic("a bug") })
	}()
	if _, err := r.get(1, func() (error, error) { return nil, nil }); err == nil {
		t.Error("a value that was never made was handed out")
	}
	refused := errors.New("refused")
	if verdict, err := r.get(1, func() (error, error) { return refused, nil }); err != nil || verdict != refused {
		t.Errorf("later: %v, %v", verdict, err)
	}
}

// TestStateOfVersion1: an older state is taken over; any round up to the last may be one that the device was in.
func TestStateOfVersion1(t *testing.T) {
	w := &stateWriter{}
	w.bytes([]byte(stateDomain))
	w.u8(1)
	w.bytes([]byte("films"))
	w.b = append(w.b, make([]byte, 32)...)
	w.bytes(nil)
	w.rational(big.NewRat(1, 2))
	w.u32(0)
	w.flag(true)
	w.u64(7) // the last round
	w.u8(1)
	w.u64(7)
	w.u8(byte(staged))
	w.rational(big.NewRat(1, 2))
	w.bytes([]byte("cfg"))
	w.u64(1)
	w.bytes([]byte("tutti/films"))
	w.u64(12)
	w.b = append(w.b, make([]byte, 32)...)
	w.bytes([]byte("note"))
	w.bytes([]byte("other note"))
	w.u8(0)
	w.u64(3)
	w.offered(offered{})
	w.bytes([]byte("1e-06"))
	w.b = append(w.b, make([]byte, 3+8+8)...)
	w.u8(0)
	s, err := decodeState(w.b)
	if err != nil {
		t.Fatal(err)
	}
	if s.rounds != 7 || s.seen != 0 || s.lastRound != 7 || len(s.charges) != 1 || s.log.Last.Size != 12 || s.fork == nil || s.records != 3 {
		t.Errorf("%d rounds, seen %d, %d charges, log %d", s.rounds, s.seen, len(s.charges), s.log.Last.Size)
	}
	if again, err := decodeState(s.encode()); err != nil || again.rounds != 7 {
		t.Errorf("written anew: %v", err)
	}
}
