package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ctx = context.Background()
	now = time.Unix(1_800_000_000, 0)
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *SQL {
	t.Helper()
	s, err := Open(ctx, Options{Dir: dir})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// withTask is a store whose log has opened a task with a budget of 1.
func withTask(t testing.TB) *SQL {
	t.Helper()
	s := open(t, t.TempDir())
	must(t, s.Append(ctx, lead(t, s), now, &ledger.Task{Task: "t", Operator: make([]byte, 32), Delta: "1e-06", Budget: big.NewRat(1, 1)}))
	return s
}

// lead takes the lease of the task's driver, again if it is held.
func lead(t testing.TB, s Store) Fence {
	t.Helper()
	l, won, err := s.Acquire(ctx, DriverLease("t"), "test", time.Hour)
	must(t, err)
	if !won {
		t.Fatalf("%s has the lease", l.Holder)
	}
	return l.Fence()
}

func key(n uint64) Key { return Key{Task: "t", Round: n} }

// begin writes a round that costs rho.
func begin(t testing.TB, s Store, n uint64, rho *big.Rat) error {
	t.Helper()
	signed := plan.Signed{Bytes: fmt.Appendf(nil, "plan %d", n), Signature: []byte("s")}
	body := &ledger.Plan{Task: "t", Round: n, What: "popularity", Rho: rho, Bytes: signed.Bytes, Signature: signed.Signature}
	return s.Begin(ctx, lead(t, s), now, Round{Key: key(n), Kind: "popularity", Durable: round.Durable{State: round.Created, Since: now}, Plan: signed}, rho, body)
}

func move(from, to round.State, version uint64, change func(*Change)) Change {
	c := Change{Key: key(1), Transition: round.Transition{From: from, To: to, Durable: round.Durable{State: to, Version: version, Since: now}}}
	if change != nil {
		change(&c)
	}
	return c
}

func upload(i byte) Staged {
	return Staged{Upload: round.Upload{ID: round.ID{i}, Digest: [32]byte{i, i}}, Slot: int(i), Header: 3, Millis: int64(i), State: StagedUpload}
}

func TestRoundLives(t *testing.T) {
	s := withTask(t)
	rho := big.NewRat(1, 3)
	must(t, begin(t, s, 1, rho))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, func(c *Change) { c.Config = []byte("cfg") })))
	us := []Staged{upload(1), upload(2), upload(3), upload(4), upload(5)}
	for _, want := range []error{nil, ErrSame} {
		outcomes, err := s.Stage(ctx, key(1), "r", 6, us)
		must(t, err)
		for i, got := range outcomes {
			if got != want {
				t.Errorf("upload %d: %v, want %v", i, got, want)
			}
		}
	}
	set := []round.Upload{us[0].Upload, us[1].Upload}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, round.Frozen, 2, func(c *Change) {
		c.Transition.Durable.Set, c.Transition.Refused, c.Drops = set, []round.Refusal{{ID: us[2].ID, Reason: round.DropCommittee}, {ID: us[3].ID, Reason: round.DropSharing}}, map[string]int{"died": 2}
	})))
	us = append(us, upload(6))
	if late, err := s.Stage(ctx, key(1), "r", 6, us[5:]); err != nil || late[0] != ErrRoundClosed {
		t.Errorf("an upload that was on its way when the set was frozen: %v, %v", late, err)
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Frozen, round.Certified, 3, func(c *Change) {
		c.Transition.Charge, c.Certificate, c.Transition.Durable.Set = true, []byte("cert"), set
	})))
	uploads, err := s.Uploads(ctx, key(1))
	must(t, err)
	for i, want := range []UploadState{CountedUpload, CountedUpload, RefusedUpload, UnsoundUpload, LateUpload} {
		if uploads[i].State != want || uploads[i].Upload != us[i].Upload || uploads[i].Slot != us[i].Slot {
			t.Errorf("upload %d is %+v, want state %d", i, uploads[i], want)
		}
	}
	spent, n, err := s.DeviceSpent(ctx, "t", us[0].ID)
	if err != nil || n != 1 || spent.Cmp(rho) != 0 {
		t.Errorf("a counted device has spent %v in %d rounds, %v", spent, n, err)
	}
	if spent, n, _ := s.DeviceSpent(ctx, "t", us[2].ID); n != 0 || spent.Sign() != 0 {
		t.Errorf("a refused device has spent %v in %d rounds", spent, n)
	}
	devices, most, total, err := s.Participation(ctx, "t")
	if err != nil || devices != 2 || most != 1 || total != 2 {
		t.Errorf("participation: %d devices, most %d, total %d, %v", devices, most, total, err)
	}
	got, found, err := s.Round(ctx, key(1))
	if err != nil || !found || string(got.Config) != "cfg" || string(got.Certificate) != "cert" || !reflect.DeepEqual(got.Durable.Set, set) {
		t.Errorf("the round reads as %+v, %v, %v", got, found, err)
	}
	drops, err := s.Drops(ctx, key(1))
	if err != nil || drops["died"] != 2 {
		t.Errorf("drops: %v, %v", drops, err)
	}
	books, err := s.Budget(ctx, "t")
	if err != nil || books[Charged].Cmp(rho) != 0 || books[Reserved].Sign() != 0 {
		t.Errorf("budget: %v, %v", books, err)
	}
}

func TestCompareAndSet(t *testing.T) {
	s := withTask(t)
	must(t, begin(t, s, 1, nil))
	must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, nil)))
	size := s.LogSize()
	for _, version := range []uint64{0, 1, 3} {
		c := move(round.Collecting, round.Abandoned, version, func(c *Change) {
			c.Transition.Free = true
			c.Log = []ledger.Body{&ledger.Abandon{Task: "t", Round: 1, Plan: (&ledger.Plan{Bytes: []byte("plan 1")}).Digest(), Reason: "stopped"}}
		})
		if err := s.Move(ctx, lead(t, s), now, c); !errors.Is(err, ErrConflict) {
			t.Errorf("version %d over 1: %v", version, err)
		}
	}
	if s.LogSize() != size {
		t.Error("a conflict left a record in the log")
	}
}

func TestBudgetBooks(t *testing.T) {
	s := withTask(t)
	third := big.NewRat(1, 3)
	for n := range uint64(3) {
		must(t, begin(t, s, n+1, third))
	}
	var v *ledger.Violation
	if err := begin(t, s, 4, third); !errors.As(err, &v) || v.Fault != ledger.FaultBudget {
		t.Errorf("a fourth third: %v", err)
	}
	if _, found, _ := s.Round(ctx, key(4)); found {
		t.Error("a round that was refused is there")
	}
	free := func(n uint64, settled, freed bool) Change {
		c := move(round.Created, round.Abandoned, 1, func(c *Change) { c.Key = key(n) })
		c.Transition.Durable.Settled, c.Transition.Free = settled, freed
		return c
	}
	must(t, s.Move(ctx, lead(t, s), now, free(1, true, true)))
	must(t, s.Move(ctx, lead(t, s), now, free(2, true, false)))
	must(t, s.Move(ctx, lead(t, s), now, free(3, false, false)))
	books, err := s.Budget(ctx, "t")
	must(t, err)
	for state, want := range map[BudgetState]*big.Rat{Freed: third, Held: third, Reserved: third, Charged: new(big.Rat)} {
		if books[state].Cmp(want) != 0 {
			t.Errorf("books %d: %v, want %v", state, books[state], want)
		}
	}
	twice := free(1, true, true)
	twice.Transition.Durable.Version = 2
	if err := s.Move(ctx, lead(t, s), now, twice); !errors.Is(err, ErrConflict) {
		t.Errorf("a budget was freed twice: %v", err)
	}
}

// TestLogSurvivesFailedWrites: a transaction that fails after its records were judged leaves no trace, on disk or in
// memory, and the log of a reopened store is the same.
func TestLogSurvivesFailedWrites(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	task := &ledger.Task{Task: "t", Operator: make([]byte, 32), Budget: big.NewRat(1, 1)}
	must(t, s.Append(ctx, lead(t, s), now, task))
	bad := []ledger.Body{&ledger.Version{Task: "t", Number: 1, Digest: [32]byte{1}}, &ledger.Version{Task: "t", Number: 2, Parent: [32]byte{9}, Digest: [32]byte{2}}}
	if err := s.Append(ctx, lead(t, s), now, bad...); err == nil {
		t.Fatal("a version that follows nothing was logged")
	}
	good := &ledger.Version{Task: "t", Number: 1, Digest: [32]byte{1}}
	must(t, s.Append(ctx, lead(t, s), now, good))
	root, err := s.Root(s.LogSize())
	must(t, err)
	must(t, s.Close())
	s = open(t, dir)
	again, err := s.Root(s.LogSize())
	if err != nil || again != root || s.LogSize() != 2 {
		t.Errorf("reopened: %d records, root %x, %v; want 2, %x", s.LogSize(), again[:4], err, root[:4])
	}
	totals, _ := s.Totals("t")
	if totals.Head != good.Digest {
		t.Errorf("the newest version is %x", totals.Head[:4])
	}
}

// TestGroupCommit: concurrent writes share commits, and one that fails takes none of the others along.
func TestGroupCommit(t *testing.T) {
	s := withTask(t)
	var wg sync.WaitGroup
	errs := make([]error, 200)
	for i := range errs {
		wg.Go(func() {
			errs[i] = s.db.Update(ctx, func(tx *sql.Tx) error {
				if _, err := tx.Exec(`INSERT INTO meta VALUES (?, 'x')`, fmt.Sprint("m", i)); err != nil {
					return err
				}
				if i%7 == 0 {
					return errors.New("no")
				}
				return nil
			})
		})
	}
	wg.Wait()
	for i, err := range errs {
		n := 0
		_, qerr := s.db.Row(ctx, `SELECT count(*) FROM meta WHERE name = ?`, []any{fmt.Sprint("m", i)}, &n)
		must(t, qerr)
		if (err == nil) != (i%7 != 0) || (n == 1) != (err == nil) {
			t.Errorf("write %d: error %v, %d rows", i, err, n)
		}
	}
}

func TestStagingSlots(t *testing.T) {
	s := withTask(t)
	must(t, begin(t, s, 1, nil))
	st, err := s.OpenStaging(key(1), 8, 100, 3, nil)
	must(t, err)
	vector := make([]byte, 100)
	rand.Read(vector)
	var slots []int
	for range 3 {
		slot, err := st.Take()
		must(t, err)
		slots = append(slots, slot)
		must(t, st.PutHeader(slot, []byte{byte(slot), 2, 3}))
		must(t, st.PutVector(slot, 0, vector[:60]))
		must(t, st.PutVector(slot, 60, vector[60:]))
	}
	if _, err := st.Take(); !errors.Is(err, ErrNoSlot) {
		t.Errorf("a fourth slot of three: %v", err)
	}
	for _, wrong := range []error{st.PutHeader(0, make([]byte, 9)), st.PutVector(0, 60, make([]byte, 41)), st.PutVector(0, -1, nil)} {
		if wrong == nil {
			t.Error("a write beyond the slot")
		}
	}
	must(t, st.Sync())
	st.Give(slots[1])
	must(t, st.Close())
	st, err = s.OpenStaging(key(1), 8, 100, 3, []int{slots[0], slots[2]})
	must(t, err)
	defer st.Close()
	if slot, err := st.Take(); err != nil || slot != slots[1] {
		t.Errorf("the free slot after a restart is %d, %v, want %d", slot, err, slots[1])
	}
	got := make([]byte, 100)
	must(t, st.Vector(slots[2], got))
	header, err := st.Header(slots[2], 3)
	if err != nil || !bytes.Equal(got, vector) || !bytes.Equal(header, []byte{byte(slots[2]), 2, 3}) {
		t.Errorf("slot %d reads back as %x, %v", slots[2], header, err)
	}
	must(t, st.DropVectors())
	if _, err := st.Header(slots[0], 3); err != nil {
		t.Errorf("headers went with the vectors: %v", err)
	}
}

// TestOpenSweeps: files of rounds that have ended go, those of the open round stay.
func TestOpenSweeps(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Append(ctx, lead(t, s), now, &ledger.Task{Task: "t", Operator: make([]byte, 32)}))
	for n := range uint64(2) {
		must(t, begin(t, s, n+1, nil))
		st, err := s.OpenStaging(key(n+1), 8, 8, 1, nil)
		must(t, err)
		must(t, st.Close())
	}
	must(t, s.Move(ctx, lead(t, s), now, move(round.Applied, round.Published, 1, nil)))
	must(t, s.Close())
	s = open(t, dir)
	if _, err := os.Stat(s.roundDir(key(1))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the ended round's files: %v", err)
	}
	if _, err := os.Stat(s.roundDir(key(2))); err != nil {
		t.Errorf("the open round's files: %v", err)
	}
	left, err := s.Unfinished(ctx)
	if err != nil || len(left) != 1 || left[0].Key != key(2) {
		t.Errorf("unfinished: %v, %v", left, err)
	}
}

func TestBlobs(t *testing.T) {
	s := withTask(t)
	digest, err := s.PutBlob([]byte("hello"))
	must(t, err)
	again, err := s.PutBlob([]byte("hello"))
	if err != nil || again != digest {
		t.Errorf("the same blob again: %v", err)
	}
	if b, err := s.Blob(digest); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := s.Blob([32]byte{1}); !errors.Is(err, ErrNoBlob) {
		t.Errorf("a missing blob: %v", err)
	}
	must(t, os.WriteFile(s.blobPath(digest), []byte("hellO"), 0o600))
	if _, err := s.Blob(digest); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged blob: %v", err)
	}
}

// TestFullDisk: SQLite's own limit stands for the disk's. What was written stays, and writing goes on when there is room.
func TestFullDisk(t *testing.T) {
	s := withTask(t)
	var pages int
	_, err := s.db.Row(ctx, `PRAGMA page_count`, nil, &pages)
	must(t, err)
	limit := func(n int) {
		var got int
		_, err := s.db.Row(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, n), nil, &got)
		must(t, err)
	}
	limit(pages + 2)
	var full error
	n := uint64(0)
	for full == nil && n < 1000 {
		n++
		full = s.Append(ctx, lead(t, s), now, &ledger.Plan{Task: "t", Round: n, What: "popularity", Bytes: make([]byte, 4000), Signature: []byte("s")})
	}
	if !errors.Is(full, ErrFull) {
		t.Fatalf("write %d of a full disk: %v", n, full)
	}
	if got := s.LogSize(); got != n {
		t.Errorf("%d records are there, %d were acknowledged", got, n)
	}
	limit(pages + 1000)
	must(t, s.Append(ctx, lead(t, s), now, &ledger.Plan{Task: "t", Round: n, What: "popularity", Bytes: make([]byte, 4000), Signature: []byte("s")}))
}

func TestDirectoriesThatAreNotOurs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := Open(ctx, Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("two processes on one directory: %v", err)
	}
	must(t, s.Close())
	if runtime.GOOS != "windows" {
		for _, path := range []string{"tutti.db"} {
			if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s is readable by others: %v, %v", path, info.Mode(), err)
			}
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "tutti.db"), bytes.Repeat([]byte("not a database. "), 1000), 0o600))
	if _, err := Open(ctx, Options{Dir: dir}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a file that is no database: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(ctx, Options{Dir: filepath.Join(file, "data")}); err == nil {
		t.Error("a directory below a file was opened")
	}
}

func TestVersions(t *testing.T) {
	s := withTask(t)
	if _, found, err := s.LatestVersion(ctx, "t"); found || err != nil {
		t.Errorf("before the first: %v, %v", found, err)
	}
	for n := range uint64(2) {
		v := SignedVersion{Number: n + 1, Digest: [32]byte{byte(n + 1)}, Version: []byte{1}, Signature: []byte{2}}
		must(t, s.PutVersion(ctx, lead(t, s), now, "t", v, &ledger.Version{Task: "t", Number: n + 1, Parent: [32]byte{byte(n)}, Digest: v.Digest}))
	}
	v, found, err := s.LatestVersion(ctx, "t")
	if err != nil || !found || v.Number != 2 || v.Digest != [32]byte{2} {
		t.Errorf("newest: %+v, %v, %v", v, found, err)
	}
}

func TestEnrol(t *testing.T) {
	s := withTask(t)
	hash := TokenHash("t", "token")
	must(t, s.AddTokens(ctx, now, "t", [][32]byte{hash}))
	a, b := round.ID{1}, round.ID{2}
	for range 2 {
		must(t, s.Enrol(ctx, now, "t", hash, a, []byte("key")))
	}
	for _, c := range []struct {
		task string
		hash [32]byte
		want error
	}{{"t", hash, ErrTokenUsed}, {"else", hash, ErrToken}, {"t", TokenHash("t", "other"), ErrToken}} {
		if err := s.Enrol(ctx, now, c.task, c.hash, b, []byte("key")); !errors.Is(err, c.want) {
			t.Errorf("task %s: %v, want %v", c.task, err, c.want)
		}
	}
	if n, err := s.Enrolled(ctx, "t"); err != nil || n != 1 {
		t.Errorf("%d devices, %v", n, err)
	}
}

// TestFailedWriteReservesNothing: a round whose records could not be written has reserved nothing, neither in the
// database nor in what Totals says until the next write.
func TestFailedWriteReservesNothing(t *testing.T) {
	s := withTask(t)
	run := func(statement string) {
		t.Helper()
		must(t, s.db.Update(ctx, func(tx *sql.Tx) error { _, err := tx.Exec(statement); return err }))
	}
	run(`CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'no room'); END`)
	if err := begin(t, s, 1, big.NewRat(3, 4)); err == nil {
		t.Fatal("the record was written")
	}
	run(`DROP TRIGGER full`)
	if totals, known := s.Totals("t"); !known || totals.Reserved.Sign() != 0 || s.LogSize() != 1 {
		t.Errorf("%v is reserved for a round that does not exist; %d records", totals.Reserved, s.LogSize())
	}
	must(t, begin(t, s, 1, big.NewRat(3, 4)))
}

// TestBudgetOfGroups: of a round in three groups, the first certificate charges and no other does; what is not charged is free only
// when all groups are abandoned by certificate, and held when one of them is without.
func TestBudgetOfGroups(t *testing.T) {
	third := big.NewRat(1, 3)
	type end struct{ certified, freed bool }
	for name, c := range map[string]struct {
		ends []end
		want BudgetState
	}{
		"all certified":         {[]end{{certified: true}, {certified: true}, {certified: true}}, Charged},
		"the last certified":    {[]end{{freed: true}, {}, {certified: true}}, Charged},
		"the first certified":   {[]end{{certified: true}, {freed: true}, {freed: true}}, Charged},
		"all freed":             {[]end{{freed: true}, {freed: true}, {freed: true}}, Freed},
		"one has no one's word": {[]end{{freed: true}, {}, {freed: true}}, Held},
	} {
		s := withTask(t)
		must(t, begin(t, s, 1, third))
		must(t, s.Move(ctx, lead(t, s), now, move(round.Created, round.Collecting, 1, func(c *Change) {
			for shard := uint32(1); shard < 3; shard++ {
				row := Round{Key: Key{"t", 1, shard}, Kind: "popularity", Config: []byte("cfg"), Plan: plan.Signed{Bytes: []byte("plan 1"), Signature: []byte("s")}}
				row.Durable.State = round.Collecting
				row.Durable.Version = 1
				c.Groups = append(c.Groups, row)
			}
		})))
		for shard, e := range c.ends {
			books, err := s.Budget(ctx, "t")
			must(t, err)
			if shard > 0 && c.want != Charged && books[Reserved].Cmp(third) != 0 {
				t.Errorf("%s: after %d groups the budget is not reserved any more", name, shard)
			}
			to := round.Abandoned
			if e.certified {
				to = round.Certified
			}
			must(t, s.Move(ctx, lead(t, s), now, move(round.Collecting, to, 2, func(c *Change) {
				c.Key = Key{"t", 1, uint32(shard)}
				c.Transition.Charge, c.Transition.Free = e.certified, e.freed
				c.Transition.Durable.Settled, c.Transition.Durable.Freed = !e.certified, e.freed
			})))
		}
		books, err := s.Budget(ctx, "t")
		must(t, err)
		for state, rho := range books {
			if want := map[bool]*big.Rat{true: third, false: new(big.Rat)}[state == c.want]; rho.Cmp(want) != 0 {
				t.Errorf("%s: books %d: %v, want %v", name, state, rho, want)
			}
		}
		rows, err := s.RoundGroups(ctx, key(1))
		if n, err2 := s.Groups(ctx, key(1)); err != nil || err2 != nil || n != 3 || len(rows) != 3 || rows[2].Shard != 2 {
			t.Errorf("%s: %d rows, %v, %v", name, len(rows), err, err2)
		}
	}
}
