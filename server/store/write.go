package store

import (
	"context"
	"database/sql"
	"time"

	"tutti/privacy/ledger"
)

// update runs a write that may append records. A write that fails after it moved the log's state in memory leaves it
// stale; it is rebuilt before anything else is judged or answered by it.
func (s *SQL) update(ctx context.Context, fence Fence, now time.Time, bodies []ledger.Body, do func(*Tx) error) error {
	moved := false
	return s.db.update(ctx, func(tx *Tx) error {
		if moved { // again, after a lost connection: nothing of the first time was written
			s.mu.Lock()
			s.stale, moved = true, false
			s.mu.Unlock()
		}
		if err := fenced(tx, fence); err != nil {
			return err
		}
		if err := do(tx); err != nil || len(bodies) == 0 {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.catchUpTx(tx); err != nil {
			return err
		}
		moved = true
		err := s.appendRecords(tx, now.Unix(), bodies)
		s.stale = err != nil
		return err
	}, func(err error) { // on the writer's goroutine, behind the commit: what is in the database is the truth
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stale = s.stale || moved && err != nil; s.stale {
			_ = s.rebuild(func(query string, args []any, scan func(*sql.Rows) error) error {
				return s.db.Query(context.Background(), query, args, scan)
			}) // fails: the log stays stale, and the next write tries again
		}
		if !s.stale {
			s.size = s.log.Size()
		}
	})
}

// Append writes records that belong to no round: a task's opening, telemetry.
func (s *SQL) Append(ctx context.Context, fence Fence, now time.Time, bodies ...ledger.Body) error {
	return s.update(ctx, fence, now, bodies, func(*Tx) error { return nil })
}
