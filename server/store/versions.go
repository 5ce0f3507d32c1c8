package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"tutti/privacy/ledger"
)

func putVersion(tx *sql.Tx, task string, v SignedVersion) error {
	_, err := tx.Exec(`INSERT INTO versions VALUES (?, ?, ?, ?, ?)`, task, int64(v.Number), v.Digest[:], v.Version, v.Signature)
	return err
}

// PutVersion publishes a version that belongs to no round, with its log record.
func (s *Store) PutVersion(ctx context.Context, now time.Time, task string, v SignedVersion, log ledger.Body) error {
	return s.update(ctx, now, []ledger.Body{log}, func(tx *sql.Tx) error { return putVersion(tx, task, v) })
}

// LatestVersion reads the newest version; false before the first.
func (s *Store) LatestVersion(ctx context.Context, task string) (SignedVersion, bool, error) {
	var v SignedVersion
	var number int64
	var digest []byte
	found, err := s.db.Row(ctx, `SELECT number, digest, version, signature FROM versions WHERE task = ? ORDER BY number DESC LIMIT 1`, []any{task}, &number, &digest, &v.Version, &v.Signature)
	if err != nil || !found {
		return v, false, err
	}
	if len(digest) != len(v.Digest) {
		return v, false, fmt.Errorf("version %d: %w", number, ErrCorrupt)
	}
	v.Number = uint64(number)
	copy(v.Digest[:], digest)
	return v, true, nil
}
