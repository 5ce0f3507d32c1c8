package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// operatorKey is a fixed key of the tests.
func operatorKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func publicKey(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// branch is a log of n versions that agrees with other branches in its first common records.
func branch(t fataler, n, common int, name string) *Log {
	l := new(Log)
	add := func(b Body) {
		if _, err := l.Append(b, int64(l.Size())); err != nil {
			t.Fatal(err)
		}
	}
	add(&Task{Task: "films", Operator: publicKey(operatorKey(1)), Unit: "device"})
	var parent Digest
	for i := 1; i < n; i++ {
		in := name
		if i < common {
			in = "all"
		}
		d := digestOf(fmt.Sprint(in, i))
		add(&Version{Task: "films", Number: uint64(i), Parent: parent, Digest: d, Cause: "start"})
		parent = d
	}
	return l
}

type fataler interface{ Fatal(...any) }

// signedState is the note over the first size records of a log.
func signedState(t fataler, l *Log, size uint64, key ed25519.PrivateKey) (Checkpoint, []byte) {
	root, err := Root(size, l.Hashes)
	if err != nil {
		t.Fatal(err)
	}
	c := Checkpoint{Origin("films"), size, root}
	note, err := SignCheckpoint(key, c)
	if err != nil {
		t.Fatal(err)
	}
	return c, note
}

// TestForks: two branches of every length and every common beginning. The proof convicts if and only if the states
// contradict each other, survives its file, and no other key or name is convicted by it.
func TestForks(t *testing.T) {
	key := operatorKey(1)
	for common := 1; common < 9; common++ {
		longer, other := branch(t, 9, common, "ours"), branch(t, 9, common, "theirs")
		for size := uint64(1); size <= 9; size++ {
			a, noteA := signedState(t, other, size, key)
			b, noteB := signedState(t, longer, 9, key)
			f, err := ProveFork(a, noteA, b, noteB, longer.Hashes)
			if err != nil {
				t.Fatal(err)
			}
			data, err := f.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if f, err = ParseFork(data); err != nil {
				t.Fatal(err)
			}
			forked := size > uint64(common)
			if err := f.Verify(publicKey(key), Origin("films")); (err == nil) != forked {
				t.Errorf("%d records of a log that leaves the other after %d: %v", size, common, err)
			}
			if f.Verify(publicKey(operatorKey(2)), Origin("films")) == nil || f.Verify(publicKey(key), Origin("news")) == nil {
				t.Error("somebody else is convicted")
			}
			f.A, f.B = f.B, f.A
			if size < 9 && f.Verify(publicKey(key), Origin("films")) == nil {
				t.Error("the notes stand in another order")
			}
		}
	}
}

// TestForkNeedsItsHashes: any change of a hash leaves two signed notes and no case, whoever they accuse.
func TestForkNeedsItsHashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := operatorKey(1)
		n := rapid.IntRange(2, 40).Draw(t, "records")
		size := rapid.Uint64Range(1, uint64(n-1)).Draw(t, "smaller")
		log := branch(t, n, 1, "ours")
		a, noteA := signedState(t, log, size, key) // honest: the larger extends it
		b, noteB := signedState(t, log, uint64(n), key)
		f, err := ProveFork(a, noteA, b, noteB, log.Hashes)
		if err != nil {
			t.Fatal(err)
		}
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			f.Proof[rapid.IntRange(0, len(f.Proof)-1).Draw(t, "which")][rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		case 1:
			f.Proof = f.Proof[:len(f.Proof)-1]
		case 2:
			f.Proof = append(f.Proof, make([]byte, 32))
		}
		if f.Verify(publicKey(key), Origin("films")) == nil {
			t.Fatal("an honest operator is convicted")
		}
	})
}

func TestForkOfAnEmptyLog(t *testing.T) {
	key := operatorKey(1)
	log := branch(t, 3, 1, "ours")
	b, noteB := signedState(t, log, 3, key)
	for root, want := range map[Digest]bool{sha256.Sum256(nil): false, {1}: true} {
		a := Checkpoint{Origin: Origin("films"), Root: root}
		noteA, err := SignCheckpoint(key, a)
		if err != nil {
			t.Fatal(err)
		}
		if err := NewFork(a, noteA, b, noteB, nil).Verify(publicKey(key), Origin("films")); (err == nil) != want {
			t.Errorf("an empty log of root %x: %v", root[:2], err)
		}
	}
}

// plannedLog is a log with versions around one plan.
func plannedLog(t testing.TB, before, after int) (*Log, Record) {
	l := branch(t, before, 1, "ours")
	plan, err := l.Append(&Plan{Task: "films", Round: 7, What: "model", Rho: rho(1, 10), Bytes: []byte("plan"), Signature: []byte("signed")}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range after {
		if _, err := l.Append(&Note{Task: "films", Topic: "eval", Text: fmt.Sprint(i)}, 2000); err != nil {
			t.Fatal(err)
		}
	}
	return l, plan
}

// TestFollowPlan shows a plan to a witness in every way in which a log can be wrong.
func TestFollowPlan(t *testing.T) {
	key, origin := operatorKey(1), Origin("films")
	log, record := plannedLog(t, 6, 4)
	_, planned := signedState(t, log, 6, key)
	kept, keptNote := signedState(t, log, 5, key)
	_, note := signedState(t, log, 11, key)
	logged, err := ProvePlan(record, note, 11, 5, 6, log.Hashes)
	if err != nil {
		t.Fatal(err)
	}
	plan := record.Body.(*Plan)
	fresh, old := Witness{}, Witness{kept, keptNote}
	for name, w := range map[string]Witness{"a fresh witness": fresh, "one who saw five records": old} {
		next, fork, err := w.FollowPlan(logged, plan, planned, origin, publicKey(key))
		if err != nil || fork != nil || next.Last.Size != 11 || !bytes.Equal(next.Note, note) {
			t.Fatalf("%s: %v", name, err)
		}
	}

	forked := branch(t, 9, 1, "theirs")
	_, shortNote := signedState(t, log, 4, key)
	for name, c := range map[string]struct {
		change func(l *Logged, p *Plan, planned *[]byte)
		want   error
		moved  bool
	}{
		"another plan in its place":   {func(_ *Logged, p *Plan, _ *[]byte) { p.Bytes = []byte("another plan") }, ErrNotLogged, true},
		"another cost":                {func(_ *Logged, p *Plan, _ *[]byte) { p.Rho = rho(1, 11) }, ErrNotLogged, true},
		"another time":                {func(l *Logged, _ *Plan, _ *[]byte) { l.Time++ }, ErrNotLogged, true},
		"the place of another record": {func(l *Logged, _ *Plan, _ *[]byte) { l.Seq-- }, ErrNotLogged, true},
		"a place beyond the log":      {func(l *Logged, _ *Plan, _ *[]byte) { l.Seq = 11 }, ErrNotLogged, true},
		"the proof of another record": {func(l *Logged, _ *Plan, _ *[]byte) { l.Inclusion, _ = ProveInclusion(11, 3, log.Hashes) }, ErrNotLogged, true},
		"no proof":                    {func(l *Logged, _ *Plan, _ *[]byte) { l.Inclusion = nil }, ErrNotLogged, true},
		"a checkpoint before the plan": {func(l *Logged, _ *Plan, _ *[]byte) {
			l.Checkpoint, l.Consistency, l.Extension = planned, nil, nil
			l.Consistency, _ = ProveConsistency(5, 6, log.Hashes)
		}, ErrNotLogged, true},
		"a log cut short":        {func(l *Logged, _ *Plan, _ *[]byte) { l.Checkpoint = shortNote }, ErrFork, false},
		"a forked log":           {func(l *Logged, _ *Plan, _ *[]byte) { _, l.Checkpoint = signedState(t, forked, 9, key) }, ErrFork, false},
		"a plan of a forked log": {func(_ *Logged, _ *Plan, p *[]byte) { _, *p = signedState(t, forked, 6, key) }, ErrFork, true},
		"no consistency":         {func(l *Logged, _ *Plan, _ *[]byte) { l.Consistency = nil }, ErrFork, false},
		"somebody else's log":    {func(l *Logged, _ *Plan, _ *[]byte) { _, l.Checkpoint = signedState(t, log, 11, operatorKey(2)) }, errCheckpoint, false},
		"another task's log": {func(l *Logged, _ *Plan, _ *[]byte) {
			root, _ := Root(11, log.Hashes)
			l.Checkpoint, _ = SignCheckpoint(key, Checkpoint{Origin("news"), 11, root})
		}, errCheckpoint, false},
		"no checkpoint in the plan": {func(_ *Logged, _ *Plan, p *[]byte) { *p = nil }, errCheckpoint, false},
	} {
		l, p, in := logged, *plan, planned
		c.change(&l, &p, &in)
		next, fork, err := old.FollowPlan(l, &p, in, origin, publicKey(key))
		if !errors.Is(err, c.want) || (fork != nil) != (c.want == ErrFork) || (next.Last != kept) != c.moved {
			t.Errorf("%s: %v (a fork: %v, moved: %v)", name, err, fork != nil, next.Last != kept)
		}
	}
}

// TestWitnessKeepsTheWholeCase: an honest proof of a forked log, which the server sends with it, is all that is needed.
func TestWitnessKeepsTheWholeCase(t *testing.T) {
	key := operatorKey(1)
	ours, theirs := branch(t, 12, 3, "ours"), branch(t, 12, 3, "theirs")
	for size := uint64(4); size < 12; size++ {
		a, noteA := signedState(t, ours, size, key)
		_, noteB := signedState(t, theirs, 12, key)
		proof, err := ProveConsistency(size, 12, theirs.Hashes)
		if err != nil {
			t.Fatal(err)
		}
		_, fork, err := Witness{a, noteA}.Follow(noteB, Origin("films"), publicKey(key), proof)
		if !errors.Is(err, ErrFork) {
			t.Fatal(err)
		}
		want := error(nil)
		if size&(size-1) == 0 { // RFC 6962 leaves out the one hash that would convict
			want = ErrUnproven
		}
		if err := fork.Verify(publicKey(key), Origin("films")); !errors.Is(err, want) {
			t.Errorf("%d records: %v, want %v", size, err, want)
		}
	}
}

func FuzzParseFork(f *testing.F) {
	key := operatorKey(1)
	log := branch(f, 7, 1, "ours")
	a, noteA := signedState(f, branch(f, 7, 1, "theirs"), 5, key)
	b, noteB := signedState(f, log, 7, key)
	fork, err := ProveFork(a, noteA, b, noteB, log.Hashes)
	if err != nil {
		f.Fatal(err)
	}
	data, _ := fork.Encode()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		fork, err := ParseFork(data)
		if err != nil {
			return
		}
		if again, err := fork.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("the file writes back to other bytes: %v", err)
		}
		_ = fork.Verify(publicKey(key), Origin("films"))
	})
}
