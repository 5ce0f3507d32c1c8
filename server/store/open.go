package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tutti/privacy/ledger"
)

// Options say where a store keeps what.
type Options struct {
	Dir   string           // this server's own directory: staged uploads; with SQLite also the database and the blobs
	DB    string           // "": SQLite in Dir; "postgres://user:password@host/database?search_path=schema": PostgreSQL, for any number of replicas
	Blobs string           // "": Dir/blobs with SQLite, the database with PostgreSQL; "dir:PATH", "db:", "s3://..."
	Clock func() time.Time // of leases and happenings where the database has none of its own [time.Now]
}

// SQL is a Store over a database.
type SQL struct {
	dir   string
	db    *DB
	clock func() time.Time
	bell  bell
	open  stagings
	blobs blobStore
	own   *DB // of the directory, where the database is elsewhere: no other process uses it
	stop  context.CancelFunc
	ends  sync.WaitGroup

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
	s, err := o.attach(ctx)
	if err != nil {
		return nil, err
	}
	s.db.after = s.bell.ring
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	var running context.Context
	running, s.stop = context.WithCancel(context.Background())
	if s.Shared() {
		s.ends.Go(func() { s.follow(running) })
	}
	s.ends.Go(func() { s.answerRequests(running) })
	return s, nil
}

func (s *SQL) connect(ctx context.Context, o Options) (err error) {
	switch {
	case o.DB == "":
		if s.db, err = OpenDB(filepath.Join(o.Dir, "tutti.db")); err == nil {
			s.db.d.clock = o.Clock
		}
		return err
	case strings.HasPrefix(o.DB, "postgres://"), strings.HasPrefix(o.DB, "postgresql://"):
		if s.own, err = OpenDB(filepath.Join(o.Dir, "replica.db")); err != nil {
			return err
		}
		if s.db, err = openPostgres(ctx, o.DB, o.Clock); err != nil {
			s.own.Close()
		}
		return err
	}
	return errors.New("store: a database is \"\", for SQLite in the data directory, or a postgres:// address")
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
	err := s.rebuild(func(query string, args []any, scan func(*sql.Rows) error) error {
		return s.db.Query(ctx, query, args, scan)
	})
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
		if err := s.adoptSum(ctx, r.Key); err != nil {
			return err
		}
	}
	return s.sweep(keep)
}

// adoptSum takes the sum of a group that was under way in format 2, where it lay in a file.
func (s *SQL) adoptSum(ctx context.Context, k Key) error {
	path := filepath.Join(s.roundDir(k), "partial")
	sum, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return Explain(s.dir, err)
	}
	err = s.db.do(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`INSERT INTO sums VALUES (?, ?, ?, ?) ON CONFLICT (task, round, shard) DO NOTHING`, k.Task, int64(k.Round), int64(k.Shard), sum)
		return err
	})
	if err != nil {
		return err
	}
	return Explain(s.dir, os.Remove(path))
}

// Close closes the database after the writes under way.
func (s *SQL) Close() error {
	s.stop()
	s.ends.Wait()
	if s.blobs != nil {
		s.blobs.close()
	}
	err := s.db.Close()
	if s.own != nil {
		err = errors.Join(err, s.own.Close())
	}
	return err
}

// Dir is this server's own directory.
func (s *SQL) Dir() string { return s.dir }

// Shared says whether other replicas may use the same database.
func (s *SQL) Shared() bool { return s.db.d.pg != nil }
