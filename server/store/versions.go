package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tutti/privacy/ledger"
)

func putVersion(tx *Tx, task string, v SignedVersion) error {
	_, err := tx.Exec(`INSERT INTO versions VALUES (?, ?, ?, ?, ?)`, task, int64(v.Number), v.Digest[:], v.Version, v.Signature)
	return err
}

// PutVersion publishes a version that belongs to no round, with its log record.
func (s *SQL) PutVersion(ctx context.Context, fence Fence, now time.Time, task string, v SignedVersion, log ledger.Body) error {
	return s.update(ctx, fence, now, []ledger.Body{log}, func(tx *Tx) error { return putVersion(tx, task, v) })
}

// LatestVersion reads the newest version; false before the first.
func (s *SQL) LatestVersion(ctx context.Context, task string) (SignedVersion, bool, error) {
	return first(s.Versions(ctx, task, 0, 1))
}

// Version reads one; false if there is none of this number.
func (s *SQL) Version(ctx context.Context, task string, number uint64) (SignedVersion, bool, error) {
	return first(s.versions(ctx, `task = ? AND number = ?`, task, int64(number)))
}

// Versions reads at most limit of them below before, of which 0 is beyond all, newest first.
func (s *SQL) Versions(ctx context.Context, task string, before uint64, limit int) ([]SignedVersion, error) {
	return s.versions(ctx, `task = ? AND number < ? ORDER BY number DESC LIMIT ?`, task, below(before), limit)
}

func (s *SQL) versions(ctx context.Context, which string, args ...any) ([]SignedVersion, error) {
	var out []SignedVersion
	err := s.db.Query(ctx, `SELECT number, digest, version, signature FROM versions WHERE `+which, args, func(rows *sql.Rows) error {
		var v SignedVersion
		var digest []byte
		if err := rows.Scan(&v.Number, &digest, &v.Version, &v.Signature); err != nil {
			return err
		}
		if len(digest) != len(v.Digest) {
			return fmt.Errorf("version %d: %w", v.Number, ErrCorrupt)
		}
		copy(v.Digest[:], digest)
		out = append(out, v)
		return nil
	})
	return out, err
}

func first(vs []SignedVersion, err error) (SignedVersion, bool, error) {
	if err != nil || len(vs) == 0 {
		return SignedVersion{}, false, err
	}
	return vs[0], true, nil
}

// Alias is a name that a version goes by, such as "latest", "stable" or "canary".
type Alias struct {
	Name    string
	Number  uint64    // of a version that is there
	Percent uint32    // of the devices that it is offered to, 0..100
	Since   time.Time // to the millisecond
	Note    string    // why, in words
}

// ErrAlias refuses an alias of a version that is not there, or of more than all devices.
var ErrAlias = errors.New("an alias wants a name, a published version and 0 to 100 percent")

// SetAlias writes an alias, in the place of what the name meant before. It needs no fence where an operator says so.
func (s *SQL) SetAlias(ctx context.Context, fence Fence, task string, a Alias) error {
	if a.Name == "" || a.Percent > 100 {
		return fmt.Errorf("%w: %q at %d %%", ErrAlias, a.Name, a.Percent)
	}
	return s.db.do(ctx, func(tx *Tx) error {
		if err := fencedUnlessOperator(tx, fence); err != nil {
			return err
		}
		n, err := affected(tx.Exec(`INSERT INTO aliases SELECT task, ?, number, ?, ?, ? FROM versions WHERE task = ? AND number = ?
			ON CONFLICT (task, name) DO UPDATE SET number = excluded.number, percent = excluded.percent, since = excluded.since, note = excluded.note`,
			a.Name, int64(a.Percent), a.Since.UnixMilli(), a.Note, task, int64(a.Number)))
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: task %s has no version %d", ErrAlias, task, a.Number)
		}
		return err
	})
}

// Aliases reads them by name.
func (s *SQL) Aliases(ctx context.Context, task string) ([]Alias, error) {
	var out []Alias
	err := s.db.Query(ctx, `SELECT name, number, percent, since, note FROM aliases WHERE task = ? ORDER BY name`, []any{task}, func(rows *sql.Rows) error {
		var a Alias
		var since int64
		err := rows.Scan(&a.Name, &a.Number, &a.Percent, &since, &a.Note)
		a.Since = time.UnixMilli(since)
		out = append(out, a)
		return err
	})
	return out, err
}
