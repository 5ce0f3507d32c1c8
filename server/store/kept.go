package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Keep writes small named state of a task. Change.Keep writes it with a transition.
func (s *SQL) Keep(ctx context.Context, fence Fence, task, name string, value []byte) error {
	return s.db.do(ctx, func(tx *Tx) error {
		if err := fenced(tx, fence); err != nil {
			return err
		}
		return keep(tx, task, name, value)
	})
}

func keep(tx *Tx, task, name string, value []byte) error {
	_, err := tx.Exec(`INSERT INTO kept VALUES (?, ?, ?) ON CONFLICT (task, name) DO UPDATE SET value = excluded.value`, task, name, notNull(value))
	return err
}

// Kept reads what Keep wrote; false if there is none.
func (s *SQL) Kept(ctx context.Context, task, name string) (value []byte, found bool, err error) {
	found, err = s.db.Row(ctx, `SELECT value FROM kept WHERE task = ? AND name = ?`, []any{task, name}, &value)
	return value, found, err
}

// States of a task.
const (
	TaskRunning = "running"
	TaskPaused  = "paused"
	TaskStopped = "stopped"
)

// ErrTaskState refuses what is no state of a task, and to start a stopped one.
var ErrTaskState = errors.New("a task is running, paused or stopped, and stopped for good")

// SetTaskState is the operator's word, which needs no fence, or the driver's.
func (s *SQL) SetTaskState(ctx context.Context, fence Fence, task, state string) error {
	if !slices.Contains([]string{TaskRunning, TaskPaused, TaskStopped}, state) {
		return fmt.Errorf("%w: not %q", ErrTaskState, state)
	}
	return s.db.do(ctx, func(tx *Tx) error {
		if err := fencedUnlessOperator(tx, fence); err != nil {
			return err
		}
		n, err := affected(tx.Exec(`INSERT INTO tasks VALUES (?, ?) ON CONFLICT (task) DO UPDATE SET state = excluded.state WHERE tasks.state <> ?`, task, state, TaskStopped))
		if err == nil && n == 0 && state != TaskStopped {
			err = fmt.Errorf("%w: task %s was stopped", ErrTaskState, task)
		}
		return err
	})
}

// TaskState is the newest; a task that nobody said anything of is running.
func (s *SQL) TaskState(ctx context.Context, task string) (string, error) {
	state := TaskRunning
	_, err := s.db.Row(ctx, `SELECT state FROM tasks WHERE task = ?`, []any{task}, &state)
	return state, err
}

// Happened is something that a person may want to see, as every replica's dashboard shows it. It names no device.
type Happened struct {
	Seq   uint64    // 1, 2, ... of its task; set by the store
	At    time.Time // to the millisecond
	Task  string
	Round uint64
	Shard uint32
	Name  string
	Data  []byte // JSON
}

// happeningsKept of a task are the newest that stay.
const happeningsKept = 20_000

// Tell writes what happened, in order.
func (s *SQL) Tell(ctx context.Context, hs []Happened) error {
	if len(hs) == 0 {
		return nil
	}
	return s.db.do(ctx, func(tx *Tx) error {
		last := map[string]int64{}
		for _, h := range hs {
			seq, known := last[h.Task]
			if !known {
				if err := tx.QueryRow(`SELECT coalesce(max(seq), 0) FROM happenings WHERE task = ?`, h.Task).Scan(&seq); err != nil {
					return err
				}
			}
			seq++
			last[h.Task] = seq
			_, err := tx.Exec(`INSERT INTO happenings VALUES (?, ?, ?, ?, ?, ?, ?)`, h.Task, seq, h.At.UnixMilli(), int64(h.Round), int64(h.Shard), h.Name, notNull(h.Data))
			if err != nil {
				return err
			}
		}
		for task, seq := range last {
			if _, err := tx.Exec(`DELETE FROM happenings WHERE task = ? AND seq <= ?`, task, seq-happeningsKept); err != nil {
				return err
			}
		}
		return nil
	})
}

// Happenings reads at most limit of a task's, oldest first, from behind after on.
func (s *SQL) Happenings(ctx context.Context, task string, after uint64, limit int) ([]Happened, error) {
	var out []Happened
	err := s.db.Query(ctx, `SELECT seq, at, round, shard, name, data FROM happenings WHERE task = ? AND seq > ? ORDER BY seq LIMIT ?`, []any{task, int64(after), limit}, func(rows *sql.Rows) error {
		h := Happened{Task: task}
		var at int64
		err := rows.Scan(&h.Seq, &at, &h.Round, &h.Shard, &h.Name, &h.Data)
		h.At = time.UnixMilli(at)
		out = append(out, h)
		return err
	})
	return out, err
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
