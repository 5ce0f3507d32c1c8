package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"tutti/privacy/ledger"
)

// Options say where a store keeps what.
type Options struct {
	Dir   string           // this server's own directory: staged uploads; with SQLite also the database and the blobs
	DB    string           // "": SQLite in Dir
	Blobs string           // "": Dir/blobs
	Clock func() time.Time // of leases and happenings where the database has none of its own [time.Now]
}

// SQL is a Store over a database.
type SQL struct {
	dir   string
	db    *DB
	clock func() time.Time
	bell  bell
	open  stagings

	mu    sync.Mutex // guards what follows; whoever holds it does not wait for the database, except the writer
	log   *ledger.State
	stale bool   // log holds records that were not written: rebuild it
	size  uint64 // records that are durable
}

// Open opens or creates a store, brings its schema up to date, and removes what a crash left over.
func Open(ctx context.Context, o Options) (*SQL, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.DB != "" || o.Blobs != "" {
		return nil, fmt.Errorf("store: only SQLite in the data directory is there yet, not %q with blobs in %q", o.DB, o.Blobs)
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "blobs"), 0o700); err != nil {
		return nil, Explain(o.Dir, err)
	}
	if err := probe(o.Dir); err != nil {
		return nil, err
	}
	db, err := OpenDB(filepath.Join(o.Dir, "tutti.db"))
	if err != nil {
		return nil, err
	}
	db.d.clock = o.Clock
	s := &SQL{dir: o.Dir, db: db, clock: o.Clock}
	db.after = s.bell.ring
	if err := s.start(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

// probe finds out that a directory cannot be written before anything depends on it.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return Explain(dir, err)
	}
	f.Close()
	return Explain(dir, os.Remove(f.Name()))
}

func (s *SQL) start(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if !s.Shared() { // this process has the file, so whoever held a lease is dead
		if err := s.db.do(ctx, func(tx *Tx) error { _, err := tx.Exec(`UPDATE leases SET until = 0`); return err }); err != nil {
			return err
		}
	}
	err := s.rebuild(func(query string, scan func(*sql.Rows) error) error { return s.db.Query(ctx, query, nil, scan) })
	if err != nil {
		return err
	}
	s.size = s.log.Size()
	open, err := s.Unfinished(ctx)
	if err != nil {
		return err
	}
	keep := map[Key]bool{}
	for _, r := range open {
		keep[r.Key] = true
	}
	return s.sweep(keep)
}

// Close closes the database after the writes under way.
func (s *SQL) Close() error { return s.db.Close() }

// Dir is this server's own directory.
func (s *SQL) Dir() string { return s.dir }

// Shared says whether other replicas may use the same database.
func (s *SQL) Shared() bool { return false }
