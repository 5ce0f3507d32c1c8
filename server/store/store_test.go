package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
)

// TestMain waits for goroutines that end by themselves: on a machine under load those of database/sql take their time.
func TestMain(m *testing.M) {
	code := m.Run()
	err := goleak.Find()
	for range 10 {
		if err != nil {
			time.Sleep(time.Second)
			err = goleak.Find()
		}
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

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
	return openWith(t, Options{Dir: dir})
}

func openWith(t testing.TB, o Options) *SQL {
	t.Helper()
	s, err := Open(ctx, o)
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

var plainPlan = plan.Signed{Bytes: []byte("plan 1"), Signature: []byte("s")}

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
	must(t, os.WriteFile(s.blobs.(dirBlobs).path(digest), []byte("hellO"), 0o600))
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
