package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"tutti/server/round"
)

// Fold is the driver's word on which uploads the partial sums shall hold from now on, whichever replica has them.
// ErrConflict if one of them is not staged in the group.
func (s *SQL) Fold(ctx context.Context, fence Fence, k Key, ids []round.ID, want bool) error {
	return s.db.do(ctx, func(tx *Tx) error {
		if err := fenced(tx, fence); err != nil {
			return err
		}
		for _, id := range ids {
			n, err := affected(tx.Exec(`UPDATE uploads SET want = ? WHERE task = ? AND round = ? AND device = ? AND shard = ?`, flag(want), k.Task, int64(k.Round), id[:], int64(k.Shard)))
			if err != nil {
				return err
			}
			if n != 1 {
				return fmt.Errorf("%w: %s/%d/%d has no upload of %x to fold", ErrConflict, k.Task, k.Round, k.Shard, id[:4])
			}
		}
		return nil
	})
}

// FoldRow is an upload of a replica's own that its partial sum shall hold, or holds.
type FoldRow struct {
	ID     round.ID
	Slot   int
	Want   bool // the partial shall hold it
	Folded bool // the partial that is written holds it
}

// ToFold lists, in commit order, the uploads of a replica that are wanted or folded. Whatever is not in it has no place in
// the partial.
func (s *SQL) ToFold(ctx context.Context, k Key, replica string) ([]FoldRow, error) {
	var out []FoldRow
	err := s.db.Query(ctx, `SELECT device, slot, want, folded FROM uploads WHERE task = ? AND round = ? AND shard = ? AND replica = ? AND want + folded > 0 ORDER BY seq`,
		[]any{k.Task, int64(k.Round), int64(k.Shard), replica}, func(rows *sql.Rows) error {
			var f FoldRow
			var id []byte
			if err := rows.Scan(&id, &f.Slot, &f.Want, &f.Folded); err != nil {
				return err
			}
			if len(id) != len(f.ID) {
				return fmt.Errorf("device: %w", ErrCorrupt)
			}
			copy(f.ID[:], id)
			out = append(out, f)
			return nil
		})
	return out, err
}

// Partial is one replica's sum over some of its own uploads.
type Partial struct {
	Replica string
	Version uint64     // 1, 2, ...: PutPartial compares it with the one before
	IDs     []round.ID // exactly those that Sum holds, ascending when read
	Sum     []byte
}

// PutPartial writes a replica's partial sum and which uploads it holds, in one transaction, while the round is
// COLLECTING, else ErrRoundClosed. ErrConflict if the version is not the next, or if an upload is not this replica's: a
// row is in one partial only.
func (s *SQL) PutPartial(ctx context.Context, k Key, p Partial) error {
	return s.db.do(ctx, func(tx *Tx) error {
		if err := collecting(tx, k); err != nil {
			return err
		}
		var err error
		var n int64
		if p.Version == 1 {
			n, err = affected(tx.Exec(`INSERT INTO partials VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (task, round, shard, replica) DO NOTHING`, k.Task, int64(k.Round), int64(k.Shard), p.Replica, notNull(p.Sum)))
		} else {
			n, err = affected(tx.Exec(`UPDATE partials SET version = ?, sum = ? WHERE task = ? AND round = ? AND shard = ? AND replica = ? AND version = ?`,
				int64(p.Version), notNull(p.Sum), k.Task, int64(k.Round), int64(k.Shard), p.Replica, int64(p.Version)-1))
		}
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%w: version %d of the partial sum of %s/%d/%d at %s is not the next", ErrConflict, p.Version, k.Task, k.Round, k.Shard, p.Replica)
		}
		return markFolded(tx, k, p)
	})
}

func collecting(tx *Tx, k Key) error {
	var state int64
	err := tx.QueryRow(`SELECT state FROM rounds WHERE task = ? AND round = ? AND shard = ?`, k.Task, int64(k.Round), int64(k.Shard)).Scan(&state)
	if err == nil && round.State(state) != round.Collecting || errors.Is(err, sql.ErrNoRows) {
		return ErrRoundClosed
	}
	return err
}

// markFolded makes the rows say what the partial holds; only what changed is written.
func markFolded(tx *Tx, k Key, p Partial) error {
	had := map[round.ID]bool{}
	err := tx.Query(`SELECT device FROM uploads WHERE task = ? AND round = ? AND shard = ? AND replica = ? AND folded = 1`, []any{k.Task, int64(k.Round), int64(k.Shard), p.Replica}, func(rows *sql.Rows) error {
		id, err := scanID(rows)
		had[id] = true
		return err
	})
	if err != nil {
		return err
	}
	mark := func(id round.ID, folded bool) error {
		n, err := affected(tx.Exec(`UPDATE uploads SET folded = ? WHERE task = ? AND round = ? AND device = ? AND shard = ? AND replica = ? AND folded = ?`,
			flag(folded), k.Task, int64(k.Round), id[:], int64(k.Shard), p.Replica, flag(!folded)))
		if err == nil && n != 1 {
			err = fmt.Errorf("%w: %s has no upload of %x to hold, or holds it twice", ErrConflict, p.Replica, id[:4])
		}
		return err
	}
	for _, id := range p.IDs {
		if had[id] {
			delete(had, id)
		} else if err := mark(id, true); err != nil {
			return err
		}
	}
	for id := range had {
		if err := mark(id, false); err != nil {
			return err
		}
	}
	return nil
}

// Partials reads the partial sums of a group, by replica.
func (s *SQL) Partials(ctx context.Context, k Key) ([]Partial, error) {
	args := []any{k.Task, int64(k.Round), int64(k.Shard)}
	var out []Partial
	err := s.db.read(ctx, func(q querier) error {
		out = nil
		err := q.Query(`SELECT replica, version, sum FROM partials WHERE task = ? AND round = ? AND shard = ? ORDER BY replica`, args, func(rows *sql.Rows) error {
			var p Partial
			err := rows.Scan(&p.Replica, &p.Version, &p.Sum)
			out = append(out, p)
			return err
		})
		if err != nil {
			return err
		}
		return q.Query(`SELECT device, replica FROM uploads WHERE task = ? AND round = ? AND shard = ? AND folded = 1 ORDER BY device`, args, func(rows *sql.Rows) error {
			var id []byte
			var replica string
			if err := rows.Scan(&id, &replica); err != nil {
				return err
			}
			i := slices.IndexFunc(out, func(p Partial) bool { return p.Replica == replica })
			if i < 0 || len(id) != len(round.ID{}) {
				return fmt.Errorf("partial sum of %s: %w", replica, ErrCorrupt)
			}
			out[i].IDs = append(out[i].IDs, round.ID(id))
			return nil
		})
	})
	return out, err
}

// ErrNoSum says that a group has no sum over its set.
var ErrNoSum = errors.New("no sum is kept of this group")

// SaveSum keeps the sum over the set U of a group, before it is FROZEN; it is durable when it returns.
func (s *SQL) SaveSum(ctx context.Context, fence Fence, k Key, sum []byte) error {
	return s.db.do(ctx, func(tx *Tx) error {
		if err := fenced(tx, fence); err != nil {
			return err
		}
		if err := collecting(tx, k); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO sums VALUES (?, ?, ?, ?) ON CONFLICT (task, round, shard) DO UPDATE SET sum = excluded.sum`, k.Task, int64(k.Round), int64(k.Shard), notNull(sum))
		return err
	})
}

// Sum reads what SaveSum kept, until the group has ended.
func (s *SQL) Sum(ctx context.Context, k Key) ([]byte, error) {
	var sum []byte
	found, err := s.db.Row(ctx, `SELECT sum FROM sums WHERE task = ? AND round = ? AND shard = ?`, []any{k.Task, int64(k.Round), int64(k.Shard)}, &sum)
	if err == nil && !found {
		err = fmt.Errorf("%s/%d/%d: %w", k.Task, k.Round, k.Shard, ErrNoSum)
	}
	return bytes.Clone(sum), err
}

// clearGroup removes what only a group that is under way needs.
func clearGroup(tx *Tx, k Key) error {
	for _, statement := range []string{
		`DELETE FROM partials WHERE task = ? AND round = ? AND shard = ?`,
		`DELETE FROM sums WHERE task = ? AND round = ? AND shard = ?`,
		`UPDATE uploads SET raw = NULL, want = 0, folded = 0 WHERE task = ? AND round = ? AND shard = ? AND (raw IS NOT NULL OR want + folded > 0)`,
	} {
		if _, err := tx.Exec(statement, k.Task, int64(k.Round), int64(k.Shard)); err != nil {
			return err
		}
	}
	return nil
}
