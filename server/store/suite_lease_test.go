package store

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/round"
)

func init() {
	suite["leases"] = suiteLeases
	suite["every write of a driver is fenced"] = suiteFences
	suite["a lease that ran out"] = suiteExpiry
	suite["crash without closing"] = suiteCrash
	shared["a lease passes to another replica"] = sharedLease
	shared["the log goes on"] = sharedLog
	shared["compare and set"] = sharedCompareAndSet
	shared["staging"] = sharedStaging
	shared["wake-ups"] = sharedWatch
}

// shared is what several handles on one place do, where a place takes them.
var shared = map[string]func(t *testing.T, a, b Store){}

func TestShared(t *testing.T) {
	for _, kind := range []string{"memory, shared", "postgres"} {
		for name, run := range shared {
			t.Run(kind+"/"+name, func(t *testing.T) {
				p := kinds[kind](t)
				a := taskIn(t, p)
				run(t, a, p(t))
			})
		}
	}
}

func suiteLeases(t *testing.T, p place) {
	s := p(t)
	a, won, err := s.Acquire(ctx, "x", "a", time.Hour)
	must(t, err)
	if !won || a.Token != 1 || a.Holder != "a" || time.Until(a.Until) > time.Hour || time.Until(a.Until) < time.Minute {
		t.Fatalf("the first lease is %+v, %v", a, won)
	}
	if l, won, err := s.Acquire(ctx, "x", "b", time.Hour); err != nil || won || l.Holder != "a" {
		t.Errorf("b gets %+v, %v, %v while a has the lease", l, won, err)
	}
	if _, won, err := s.Acquire(ctx, "y", "b", time.Hour); err != nil || !won {
		t.Errorf("another lease: %v, %v", won, err)
	}
	again, won, err := s.Acquire(ctx, "x", "a", time.Hour)
	if err != nil || !won || again.Token != 2 {
		t.Errorf("the holder's next process gets %+v, %v, %v", again, won, err)
	}
	if _, err := s.Renew(ctx, a, time.Hour); !errors.Is(err, ErrFenced) {
		t.Errorf("the process before renews: %v", err)
	}
	must(t, s.Release(ctx, a)) // not its to give
	if _, err := s.Renew(ctx, again, time.Hour); err != nil {
		t.Errorf("the holder cannot renew: %v", err)
	}
	must(t, s.Release(ctx, again))
	if _, err := s.Renew(ctx, again, time.Hour); !errors.Is(err, ErrFenced) {
		t.Errorf("what was given back is renewed: %v", err)
	}
	b, won, err := s.Acquire(ctx, "x", "b", time.Hour)
	if err != nil || !won || b.Token != 3 {
		t.Errorf("behind the release b gets %+v, %v, %v", b, won, err)
	}
}

// drives are all writes of a driver; each would succeed with the right fence, in this order.
func drives(t *testing.T, s Store) []func(Fence) error {
	version := SignedVersion{Number: 1, Digest: [32]byte{1}, Version: []byte{1}, Signature: []byte{2}}
	signed := Round{Key: key(1), Kind: "popularity", Durable: round.Durable{State: round.Created, Since: now}}
	signed.Plan.Bytes, signed.Plan.Signature = []byte("plan 1"), []byte("s")
	return []func(Fence) error{
		func(f Fence) error {
			body := &ledger.Plan{Task: "t", Round: 1, What: "popularity", Bytes: signed.Plan.Bytes, Signature: signed.Plan.Signature}
			return s.Begin(ctx, f, now, signed, nil, body)
		},
		func(f Fence) error { return s.Move(ctx, f, now, move(round.Created, round.Collecting, 1, nil)) },
		func(f Fence) error {
			if f.Token != 0 {
				_, err := s.Stage(ctx, key(1), "r", 5, []Staged{upload(1)})
				must(t, err)
			}
			return s.Fold(ctx, f, key(1), []round.ID{{1}}, true)
		},
		func(f Fence) error { return s.SaveSum(ctx, f, key(1), []byte("sum")) },
		func(f Fence) error {
			return s.PutVersion(ctx, f, now, "t", version, &ledger.Version{Task: "t", Number: 1, Digest: version.Digest})
		},
		func(f Fence) error { return s.Keep(ctx, f, "t", "name", []byte("value")) },
		func(f Fence) error {
			return s.Append(ctx, f, now, &ledger.Version{Task: "t", Number: 2, Parent: [32]byte{1}, Digest: [32]byte{2}})
		},
	}
}

func suiteFences(t *testing.T, p place) {
	s := taskIn(t, p)
	old := lead(t, s)
	good := lead(t, s)
	for i, write := range drives(t, s) {
		size := s.LogSize()
		for _, f := range []Fence{{}, old, {good.Name, good.Token + 1}, {"task/other", good.Token}} {
			if err := write(f); !errors.Is(err, ErrFenced) {
				t.Errorf("write %d with the fence %v: %v", i, f, err)
			}
		}
		if s.LogSize() != size {
			t.Errorf("write %d was refused and left a record", i)
		}
		if err := write(good); err != nil {
			t.Fatalf("write %d with the right fence: %v", i, err)
		}
	}
	for i, write := range []func(Fence) error{ // an operator's, or a driver's
		func(f Fence) error { return s.SetAlias(ctx, f, "t", Alias{Name: "stable", Number: 1, Percent: 100}) },
		func(f Fence) error { return s.SetTaskState(ctx, f, "t", TaskPaused) },
	} {
		if err := write(old); !errors.Is(err, ErrFenced) {
			t.Errorf("operator's write %d with an old fence: %v", i, err)
		}
		must(t, write(good))
		must(t, write(Fence{}))
	}
}

// suiteExpiry: a holder that was paused beyond its lease can write nothing, whether somebody took over or not.
func suiteExpiry(t *testing.T, p place) {
	s := taskIn(t, p)
	must(t, s.Release(ctx, Lease{Name: DriverLease("t"), Token: lead(t, s).Token}))
	l, won, err := s.Acquire(ctx, DriverLease("t"), "paused", 30*time.Millisecond)
	if err != nil || !won {
		t.Fatal(won, err)
	}
	time.Sleep(60 * time.Millisecond)                                               // the lease is the database's to end, by its own clock
	if err := drives(t, s)[0](Fence{l.Name, l.Token}); !errors.Is(err, ErrFenced) { // those behind it stand on what it did not write
		t.Fatalf("a write behind the lease's end: %v", err)
	}
	if _, err := s.Renew(ctx, l, time.Hour); !errors.Is(err, ErrFenced) {
		t.Errorf("a lease that ran out is renewed: %v", err)
	}
	next, won, err := s.Acquire(ctx, l.Name, "next", time.Hour)
	if err != nil || !won || next.Token <= l.Token {
		t.Fatalf("the next holder gets %+v, %v, %v", next, won, err)
	}
	for i, write := range drives(t, s) {
		if err := write(l.Fence()); !errors.Is(err, ErrFenced) {
			t.Errorf("write %d of the paused holder: %v", i, err)
		}
		must(t, write(next.Fence()))
	}
}

// suiteCrash: what was acknowledged is there for the next process, although nobody closed anything.
func suiteCrash(t *testing.T, p place) {
	s := taskIn(t, p)
	third := big.NewRat(1, 3)
	must(t, begin(t, s, 1, third))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, func(c *Change) { c.Keep = map[string][]byte{"k": []byte("v")} })))
	_, err := s.Stage(ctx, key(1), "r", 5, []Staged{upload(1), upload(2)})
	must(t, err)
	must(t, s.Fold(ctx, lead(t, s), key(1), []round.ID{{2}}, true))
	must(t, s.PutPartial(ctx, key(1), Partial{Replica: "r", Version: 1, IDs: []round.ID{{2}}, Sum: []byte("sum")}))
	size, was := s.LogSize(), fmt.Sprint(s.Root(s.LogSize()))
	crash(s)
	s = p(t)
	if is := fmt.Sprint(s.Root(size)); s.LogSize() != size || is != was {
		t.Errorf("%d records and root %s, were %d and %s", s.LogSize(), is, size, was)
	}
	totals, _ := s.Totals("t")
	if totals.Reserved.Cmp(third) != 0 {
		t.Errorf("the log reserves %v", totals.Reserved)
	}
	if us, err := s.UploadsSince(ctx, key(1), 0); err != nil || len(us) != 2 || us[1].ID != (round.ID{2}) {
		t.Errorf("uploads: %v, %v", us, err)
	}
	ps, err := s.Partials(ctx, key(1))
	if err != nil || len(ps) != 1 || ps[0].Version != 1 || !slices.Equal(ps[0].IDs, []round.ID{{2}}) || string(ps[0].Sum) != "sum" {
		t.Errorf("partials: %+v, %v", ps, err)
	}
	if v, found, err := s.Kept(ctx, "t", "k"); err != nil || !found || string(v) != "v" {
		t.Errorf("kept: %q, %v, %v", v, found, err)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, round.Abandoned, 2, func(c *Change) {
		c.Transition.Durable.Settled, c.Transition.Free = true, true
	})))
}

// crash leaves a handle as a process that dies does, as far as one process can: SQLite's file is let go of, with nothing
// written behind the last commit.
func crash(s Store) {
	if db, ok := s.(*SQL); ok {
		db.stop()
		db.ends.Wait()
		close(db.db.quit)
		<-db.db.done
		db.db.sql.Close()
		if db.db.writes != nil {
			db.db.writes.Close()
		}
		if db.own != nil {
			db.own.Close()
		}
	}
}

func sharedLease(t *testing.T, a, b Store) {
	must(t, a.Release(ctx, Lease{Name: DriverLease("t"), Token: lead(t, a).Token}))
	l, won, err := a.Acquire(ctx, DriverLease("t"), "a", time.Hour)
	if err != nil || !won {
		t.Fatal(won, err)
	}
	if other, won, err := b.Acquire(ctx, l.Name, "b", time.Hour); err != nil || won || other.Holder != "a" {
		t.Errorf("b gets %+v, %v, %v", other, won, err)
	}
	must(t, a.Keep(ctx, l.Fence(), "t", "n", []byte("1")))
	must(t, a.Release(ctx, l))
	next, won, err := b.Acquire(ctx, l.Name, "b", time.Hour)
	if err != nil || !won {
		t.Fatal(won, err)
	}
	if err := a.Keep(ctx, l.Fence(), "t", "n", []byte("2")); !errors.Is(err, ErrFenced) {
		t.Errorf("a writes behind b: %v", err)
	}
	must(t, b.Keep(ctx, next.Fence(), "t", "n", []byte("3")))
	if v, _, err := a.Kept(ctx, "t", "n"); err != nil || string(v) != "3" {
		t.Errorf("a reads %q, %v", v, err)
	}
}

// sharedLog: either handle appends behind the other's records, and both answer the same.
func sharedLog(t *testing.T, a, b Store) {
	parent := ledger.Digest{}
	for n := range uint64(10) {
		s := []Store{a, b}[n%2]
		digest := ledger.Digest{byte(n + 1)}
		must(t, s.Append(ctx, lead(t, s), now, &ledger.Version{Task: "t", Number: n + 1, Parent: parent, Digest: digest}))
		parent = digest
		for _, reader := range []Store{a, b} {
			if totals, _ := reader.Totals("t"); totals.Head != digest || reader.LogSize() != n+2 {
				t.Fatalf("behind version %d a handle knows %d records and version %x", n+1, reader.LogSize(), totals.Head[:2])
			}
		}
	}
	if x, y := fmt.Sprint(a.Root(11)), fmt.Sprint(b.Root(11)); x != y {
		t.Errorf("roots %s and %s", x, y)
	}
	if err := a.Append(ctx, lead(t, a), now, &ledger.Version{Task: "t", Number: 12, Parent: ledger.Digest{9}, Digest: ledger.Digest{12}}); err == nil {
		t.Error("a version that follows nothing was logged")
	}
	if a.LogSize() != 11 || b.LogSize() != 11 {
		t.Errorf("%d and %d records", a.LogSize(), b.LogSize())
	}
}

// sharedCompareAndSet: of two that move a round from the same version, one does.
func sharedCompareAndSet(t *testing.T, a, b Store) {
	must(t, begin(t, a, 1, nil))
	f := lead(t, a)
	errs := make(chan error, 2)
	for _, s := range []Store{a, b} {
		go func() { errs <- s.Move(ctx, f, now, move(round.Created, round.Collecting, 1, nil)) }()
	}
	x, y := <-errs, <-errs
	if (x == nil) == (y == nil) || !errors.Is(errors.Join(x, y), ErrConflict) {
		t.Errorf("two moves of one round: %v and %v", x, y)
	}
}

// sharedStaging: two replicas stage at once; every device is in once, in one order that both read.
func sharedStaging(t *testing.T, a, b Store) {
	must(t, begin(t, a, 1, nil))
	must(t, a.Move(ctx, lead(t, a), now, move(round.Created, round.Collecting, 1, nil)))
	type result struct {
		outcomes []error
		err      error
	}
	results := make(chan result, 2)
	for i, s := range []Store{a, b} {
		go func() {
			var all result
			for n := range byte(30) {
				one, err := s.Stage(ctx, key(1), fmt.Sprint("r", i), 25, []Staged{upload(n)})
				all.outcomes, all.err = append(all.outcomes, one...), errors.Join(all.err, err)
			}
			results <- all
		}()
	}
	x, y := <-results, <-results
	must(t, errors.Join(x.err, y.err))
	news := 0
	for i := range x.outcomes {
		pair := []error{x.outcomes[i], y.outcomes[i]}
		switch {
		case pair[0] == nil && pair[1] == ErrSame, pair[1] == nil && pair[0] == ErrSame:
			news++
		case pair[0] == ErrFullRound && pair[1] == ErrFullRound:
		default:
			t.Errorf("device %d: %v", i, pair)
		}
	}
	us, err := a.UploadsSince(ctx, key(1), 0)
	must(t, err)
	others, err := b.UploadsSince(ctx, key(1), 0)
	must(t, err)
	if news != 25 || len(us) != 25 || fmt.Sprint(us) != fmt.Sprint(others) {
		t.Errorf("%d new, %d and %d rows", news, len(us), len(others))
	}
	for i, u := range us {
		if u.Seq != uint64(i+1) {
			t.Errorf("row %d has place %d", i, u.Seq)
		}
	}
}

func sharedWatch(t *testing.T, a, b Store) {
	c := b.Watch(t.Context())
	must(t, a.Tell(ctx, []Happened{{At: now, Task: "t", Name: "x"}}))
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Error("b is not told that a has written")
	}
}
