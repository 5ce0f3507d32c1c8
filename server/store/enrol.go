package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tutti/server/round"
)

// Errors of Enrol.
var (
	ErrToken     = errors.New("the token is unknown")
	ErrTokenUsed = errors.New("the token was used by another device")
)

// TokenHash is how a token is kept.
func TokenHash(task, token string) [32]byte {
	return sha256.Sum256([]byte("tutti/token/v1\x00" + task + "\x00" + token))
}

// AddTokens keeps the hashes of one-time tokens.
func (s *SQL) AddTokens(ctx context.Context, now time.Time, task string, hashes [][32]byte) error {
	return s.db.do(ctx, func(tx *Tx) error {
		for _, h := range hashes {
			if _, err := tx.Exec(`INSERT INTO tokens (hash, task, created) VALUES (?, ?, ?)`, h[:], task, now.Unix()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Enrol spends a token on a device's key. The same device may present its token again.
func (s *SQL) Enrol(ctx context.Context, now time.Time, task string, hash [32]byte, id round.ID, public []byte) error {
	return s.db.do(ctx, func(tx *Tx) error {
		var by []byte
		err := tx.QueryRow(`SELECT device FROM tokens WHERE hash = ? AND task = ?`, hash[:], task).Scan(&by)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrToken
		case err != nil:
			return err
		case by != nil && !bytes.Equal(by, id[:]):
			return ErrTokenUsed
		case by != nil:
			return nil
		}
		if _, err := tx.Exec(`UPDATE tokens SET device = ? WHERE hash = ?`, id[:], hash[:]); err != nil {
			return err
		}
		var place int64
		if err := tx.QueryRow(`SELECT 1 + coalesce(max(place), 0) FROM devices WHERE task = ?`, task).Scan(&place); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO devices VALUES (?, ?, ?, ?, ?) ON CONFLICT (task, device) DO NOTHING`, task, id[:], public, now.Unix(), place)
		return err
	})
}

// EnrolledIDs are the first n devices of a task, in the order in which they enrolled: a population that was frozen at n
// devices is found again whoever enrolled since.
func (s *SQL) EnrolledIDs(ctx context.Context, task string, n int) ([]round.ID, error) {
	ids := make([]round.ID, 0, n)
	err := s.db.Query(ctx, `SELECT device FROM devices WHERE task = ? AND place <= ? ORDER BY place`, []any{task, n}, func(rows *sql.Rows) error {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return err
		}
		if len(b) != len(round.ID{}) {
			return fmt.Errorf("device: %w", ErrCorrupt)
		}
		ids = append(ids, round.ID(b))
		return nil
	})
	if err == nil && len(ids) != n {
		err = fmt.Errorf("%d devices of %d: %w", len(ids), n, ErrCorrupt)
	}
	return ids, err
}

// Enrolled is the number of devices of a task.
func (s *SQL) Enrolled(ctx context.Context, task string) (n int, err error) {
	_, err = s.db.Row(ctx, `SELECT count(*) FROM devices WHERE task = ?`, []any{task}, &n)
	return n, err
}
