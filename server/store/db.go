package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What a caller can do something about. Every error of this package that has one of these causes wraps it.
var (
	ErrFull     = errors.New("the disk of the data directory or of the database is full: free space and start again, nothing was lost")
	ErrReadOnly = errors.New("the data directory or the database cannot be written: check owner, permissions and mount")
	ErrInUse    = errors.New("another process is using the data directory: stop it or choose another directory")
	ErrCorrupt  = errors.New("the database is damaged: restore it from a backup")
	ErrConflict = errors.New("the round was changed by somebody else")
	ErrClosed   = errors.New("the store is closed")
)

// DB is a database with one writer and group commit: writes that arrive while a commit is under way share the next one.
// OpenDB opens one SQLite file, which it has for itself.
type DB struct {
	sql    *sql.DB
	writes *sql.DB // the writer's own connection; nil: sql has but one
	d      dialect
	path   string // how messages call it
	jobs   chan job
	quit   chan struct{}
	done   chan struct{}
	after  func() // called behind every commit, on the writer's goroutine; may be nil
}

type job struct {
	do  func(*Tx) error
	end func(error) // told the outcome before the caller is, on the writer's goroutine; may be nil
	res chan error
}

// groupMost bounds the writes that share a commit.
const groupMost = 128

// OpenDB opens or creates the database, takes it for this process alone, and applies the schema, whose statements must
// bear repetition.
func OpenDB(path string, schema ...string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, Explain(path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, Explain(path, err)
	}
	f.Close()
	q := url.Values{"_pragma": {"busy_timeout(2000)", "locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, Explain(path, err)
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	db.SetConnMaxLifetime(0)
	d := newDB(db, dialect{}, path)
	for _, statement := range schema {
		if _, err := db.Exec(statement); err != nil {
			db.Close()
			return nil, Explain(path, err)
		}
	}
	// A write takes the lock, which this mode never gives back: a second process is told so here, and not in the middle
	// of a round.
	if _, err := db.Exec(`PRAGMA user_version = 1`); err != nil {
		db.Close()
		return nil, Explain(path, err)
	}
	go d.write()
	return d, nil
}

func newDB(db *sql.DB, d dialect, path string) *DB {
	return &DB{sql: db, d: d, path: path, jobs: make(chan job, groupMost), quit: make(chan struct{}), done: make(chan struct{})}
}

// Close ends the writer after the writes under way.
func (d *DB) Close() error {
	select {
	case <-d.quit:
		return nil
	default:
	}
	close(d.quit)
	<-d.done
	err := d.sql.Close()
	if d.writes != nil {
		err = errors.Join(err, d.writes.Close())
	}
	return err
}

// Update runs do in a transaction that is durable when Update returns nil. It must not keep tx.
func (d *DB) Update(ctx context.Context, do func(*sql.Tx) error) error {
	return d.do(ctx, func(tx *Tx) error { return do(tx.sql) })
}

// do is Update in either dialect. do may be called again after a connection was lost.
func (d *DB) do(ctx context.Context, do func(*Tx) error) error { return d.update(ctx, do, nil) }

func (d *DB) update(ctx context.Context, do func(*Tx) error, end func(error)) error {
	j := job{do: do, end: end, res: make(chan error, 1)}
	select {
	case d.jobs <- j:
	case <-d.quit:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.res:
		return Explain(d.path, err)
	case <-d.done:
		select {
		case err := <-j.res:
			return Explain(d.path, err)
		default:
			return ErrClosed
		}
	}
}

// again reads, and reads again after a connection was lost, unless rows were handed out.
func (d *DB) again(ctx context.Context, read func() (begun bool, err error)) error {
	for pause := 10 * time.Millisecond; ; pause *= 3 {
		begun, err := read()
		if d.d.pg == nil || begun || err == nil || ctx.Err() != nil || !lost(err) || pause > time.Second {
			return Explain(d.path, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		case <-d.quit:
			return ErrClosed
		}
	}
}

// Query reads; scan is called once per row.
func (d *DB) Query(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	return d.again(ctx, func() (bool, error) {
		rows, err := d.sql.QueryContext(ctx, d.d.bind(query), args...)
		if err != nil {
			return false, err
		}
		defer rows.Close()
		begun := false
		for rows.Next() {
			begun = true
			if err := scan(rows); err != nil {
				return true, err
			}
		}
		return begun, rows.Err()
	})
}

// Row reads one row into dest; false if there is none.
func (d *DB) Row(ctx context.Context, query string, args []any, dest ...any) (bool, error) {
	found := false
	err := d.again(ctx, func() (bool, error) {
		err := d.sql.QueryRowContext(ctx, d.d.bind(query), args...).Scan(dest...)
		if found = err == nil; errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return false, err
	})
	return found, err
}

// write is the one writer: it takes what is waiting into one transaction, each write behind a savepoint of its own.
func (d *DB) write() {
	defer close(d.done)
	for {
		select {
		case first := <-d.jobs:
			d.commit(d.gather(first))
		case <-d.quit:
			for {
				select {
				case first := <-d.jobs:
					d.commit(d.gather(first))
				default:
					return
				}
			}
		}
	}
}

func (d *DB) gather(first job) []job {
	group := []job{first}
	for len(group) < groupMost {
		select {
		case j := <-d.jobs:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

func (d *DB) commit(group []job) {
	errs := make([]error, len(group))
	var err error
	if d.d.pg != nil {
		err = d.commitPostgres(group, errs)
	} else {
		err = d.commitSQLite(group, errs)
	}
	if err == nil && d.after != nil {
		d.after()
	}
	for i, j := range group {
		if err != nil { // nothing of the group was written
			errs[i] = err
		}
		if j.end != nil {
			j.end(errs[i])
		}
		j.res <- errs[i]
	}
}

func (d *DB) commitSQLite(group []job, errs []error) error {
	begun, err := d.sql.Begin()
	if err != nil {
		return err
	}
	tx := &Tx{begun, d.d}
	for i, j := range group {
		if errs[i], err = inSavepoint(tx, j.do); err != nil {
			break
		}
	}
	if err == nil {
		err = begun.Commit()
	}
	if err != nil {
		begun.Rollback()
	}
	return err
}

// inSavepoint runs one write of a group. err is its own failure, which is undone; broken says that the whole
// transaction is gone, as after a full disk.
func inSavepoint(tx *Tx, do func(*Tx) error) (err, broken error) {
	if _, err := tx.Exec("SAVEPOINT one"); err != nil {
		return err, err
	}
	if err = do(tx); err != nil {
		if _, back := tx.Exec("ROLLBACK TO one"); back != nil {
			return err, errors.Join(err, back)
		}
	}
	if _, release := tx.Exec("RELEASE one"); release != nil {
		return release, release
	}
	return err, nil
}

// Explain names the cause of a storage error that an operator can remove.
func Explain(path string, err error) error {
	if err == nil {
		return nil
	}
	if cause := causeOf(err); cause != nil {
		return fmt.Errorf("%s: %w (%v)", path, cause, err)
	}
	return err
}

func causeOf(err error) error {
	for _, known := range []error{ErrFull, ErrReadOnly, ErrInUse, ErrCorrupt, ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return nil // explained before
		}
	}
	var s *sqlite.Error
	if errors.As(err, &s) {
		switch s.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			return ErrFull
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
			return ErrReadOnly
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return ErrInUse
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return ErrCorrupt
		}
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return ErrReadOnly
	}
	return pgCause(err)
}
