package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/round"
)

// Key names a group of a round; where the whole round is meant, Shard is 0.
type Key struct {
	Task  string
	Round uint64
	Shard uint32 // group, from 0
}

// Store is the server's durable state. Its methods are safe for concurrent use.
type Store struct {
	dir string
	db  *DB

	mu    sync.Mutex // guards what follows; whoever holds it does not wait for the database, except the writer
	log   *ledger.State
	stale bool   // log holds records that were not written: rebuild it
	size  uint64 // records that are durable
}

// Open opens or creates the data directory, takes it for this process, and removes what a crash left over.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o700); err != nil {
		return nil, Explain(dir, err)
	}
	if err := probe(dir); err != nil {
		return nil, err
	}
	db, err := OpenDB(filepath.Join(dir, "tutti.db"), schema...)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, db: db}
	if err := s.start(); err != nil {
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

func (s *Store) start() error {
	ctx := context.Background()
	var version string
	if _, err := s.db.Row(ctx, `SELECT value FROM meta WHERE name = 'schema'`, nil, &version); err != nil {
		return err
	}
	if version != "2" {
		return fmt.Errorf("%s: the data directory has format %s, this program reads format 2: use the program that wrote it", s.dir, version)
	}
	if err := s.db.Update(ctx, func(tx *sql.Tx) error { _, err := tx.Exec(placeIndex); return err }); err != nil {
		return err
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
func (s *Store) Close() error { return s.db.Close() }

// Dir is the data directory.
func (s *Store) Dir() string { return s.dir }

// update runs a write that may append records. A write that fails after it moved the log's state in memory leaves it
// stale; it is rebuilt before anything else is judged or answered by it.
func (s *Store) update(ctx context.Context, now time.Time, bodies []ledger.Body, do func(*sql.Tx) error) error {
	moved := false
	return s.db.update(ctx, func(tx *sql.Tx) error {
		if err := do(tx); err != nil || len(bodies) == 0 {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stale {
			if err := s.rebuild(func(query string, scan func(*sql.Rows) error) error { return queryTx(tx, query, scan) }); err != nil {
				return err
			}
		}
		moved = true
		err := s.appendRecords(tx, now.Unix(), bodies)
		s.stale = err != nil
		return err
	}, func(err error) { // on the writer's goroutine, behind the commit: what is in the database is the truth
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stale = s.stale || moved && err != nil; s.stale {
			_ = s.rebuild(func(query string, scan func(*sql.Rows) error) error {
				return s.db.Query(context.Background(), query, nil, scan)
			}) // fails: the log stays stale, and the next write tries again
		}
		if !s.stale {
			s.size = s.log.Size()
		}
	})
}

// Append writes records that belong to no round: a task's opening, telemetry.
func (s *Store) Append(ctx context.Context, now time.Time, bodies ...ledger.Body) error {
	return s.update(ctx, now, bodies, func(*sql.Tx) error { return nil })
}

// BudgetState is what became of the rho that a round reserved.
type BudgetState int

const (
	Reserved BudgetState = iota + 1 // the round is under way
	Charged                         // a certificate exists
	Freed                           // nothing can have been opened, and no device is charged
	Held                            // abandoned without a certificate: devices keep their charge, so the server does
)

// Budget is what a task has reserved, charged and held by the server's own books, beside which the log keeps the public
// ones. Rounds without noise are not in it.
func (s *Store) Budget(ctx context.Context, task string) (map[BudgetState]*big.Rat, error) {
	out := map[BudgetState]*big.Rat{Reserved: new(big.Rat), Charged: new(big.Rat), Freed: new(big.Rat), Held: new(big.Rat)}
	err := s.db.Query(ctx, `SELECT rho, state FROM budget WHERE task = ?`, []any{task}, func(rows *sql.Rows) error {
		var text string
		var state int
		if err := rows.Scan(&text, &state); err != nil || text == "" {
			return err
		}
		rho, ok := new(big.Rat).SetString(text)
		if !ok || out[BudgetState(state)] == nil {
			return fmt.Errorf("budget of task %s: %w", task, ErrCorrupt)
		}
		out[BudgetState(state)].Add(out[BudgetState(state)], rho)
		return nil
	})
	return out, err
}

func rhoText(rho *big.Rat) string {
	if rho == nil {
		return ""
	}
	return rho.RatString()
}

// endedStates leaves out the states in which a round needs nothing more, as SQL reads them.
var endedStates = fmt.Sprintf("state NOT IN (%d, %d)", round.Published, round.Lost)
