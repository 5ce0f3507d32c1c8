package store

import (
	"context"
	"fmt"
)

// Stream is the state of a task's newest stream of central noise: as secret as the noise, and gone when the next one begins.
type Stream struct {
	ID    [32]byte // plan.Stream of its rounds
	State []byte   // central.Stream, marshalled
}

// String redacts.
func (Stream) String() string { return "store.Stream(redacted)" }

// GoString redacts.
func (s Stream) GoString() string { return s.String() }

func putStream(tx *Tx, task string, s Stream) error {
	_, err := tx.Exec(`INSERT INTO streams VALUES (?, ?, ?) ON CONFLICT (task) DO UPDATE SET stream = excluded.stream, state = excluded.state`, task, s.ID[:], s.State)
	return err
}

// Stream reads it; false before the first.
func (s *SQL) Stream(ctx context.Context, task string) (Stream, bool, error) {
	var out Stream
	var id []byte
	found, err := s.db.Row(ctx, `SELECT stream, state FROM streams WHERE task = ?`, []any{task}, &id, &out.State)
	if err != nil || !found {
		return out, false, err
	}
	if len(id) != len(out.ID) {
		return out, false, fmt.Errorf("stream of task %s: %w", task, ErrCorrupt)
	}
	copy(out.ID[:], id)
	return out, true, nil
}
