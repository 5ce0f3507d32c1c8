package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"tutti/privacy/ledger"
	"tutti/server/store/pgtest"
)

func openPG(t testing.TB, dsn string) *SQL {
	t.Helper()
	return openWith(t, Options{Dir: t.TempDir(), DB: dsn})
}

// TestLostConnections: the database ends every connection at every write of a driver, wherever it is; each write happens once,
// and none fails.
func TestLostConnections(t *testing.T) {
	dsn := pgtest.DSN(t)
	s := openPG(t, dsn)
	must(t, s.Append(ctx, lead(t, s), now, &ledger.Task{Task: "t", Operator: make([]byte, 32)}))
	f, parent := lead(t, s), ledger.Digest{}
	const writes = 40
	for n := range uint64(writes) {
		killed := make(chan error)
		go func() {
			killed <- pgtest.Exec(dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tutti'`)
		}()
		digest := ledger.Digest{byte(n + 1)}
		err := s.Append(ctx, f, now, &ledger.Version{Task: "t", Number: n + 1, Parent: parent, Digest: digest})
		must(t, errors.Join(err, <-killed))
		parent = digest
	}
	totals, _ := s.Totals("t")
	if s.LogSize() != writes+1 || totals.Head != parent {
		t.Errorf("%d records behind %d writes", s.LogSize(), writes)
	}
}

// TestAPausedWriterIsCutOff: a replica that stands still in the middle of a write loses its connection, so that the others
// can go on, and its write has not happened.
func TestAPausedWriterIsCutOff(t *testing.T) {
	dsn := pgtest.DSN(t)
	a := openPG(t, dsn+"&idle_in_transaction_session_timeout=100")
	b := openPG(t, dsn)
	f := lead(t, a)
	first, paused, written := true, make(chan struct{}), make(chan error)
	go func() {
		written <- a.db.do(ctx, func(tx *Tx) error {
			if first {
				first = false
				close(paused)
				time.Sleep(time.Second)
			}
			if err := fenced(tx, f); err != nil {
				return err
			}
			return keep(tx, "t", "from", []byte("a"))
		})
	}()
	<-paused
	next := lead(t, b) // waits until the database cuts a off
	must(t, b.Keep(ctx, next, "t", "from", []byte("b")))
	if err := <-written; !errors.Is(err, ErrFenced) {
		t.Errorf("the paused write ends with %v", err)
	}
	if v, _, err := b.Kept(ctx, "t", "from"); err != nil || string(v) != "b" {
		t.Errorf("kept is %q, %v", v, err)
	}
}

// TestCauses: what PostgreSQL says becomes what an operator can do something about.
func TestCauses(t *testing.T) {
	for code, want := range map[string]error{
		"53100": ErrFull, "25006": ErrReadOnly, "42501": ErrReadOnly, "53300": ErrUnavailable, "57P01": ErrUnavailable, "57P03": ErrUnavailable,
		"08006": ErrUnavailable, "28P01": ErrUnavailable, "XX001": ErrCorrupt,
	} {
		err := Explain("db", fmt.Errorf("write: %w", &pgconn.PgError{Code: code}))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", code, err, want)
		}
	}
	if err := Explain("db", &pgconn.PgError{Code: "23505"}); errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull) {
		t.Errorf("a duplicate key: %v", err)
	}
}
