package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/big"

	"tutti/server/round"
)

// UploadState is what became of a staged upload.
type UploadState int

const (
	StagedUpload UploadState = iota + 1
	CountedUpload
	LateUpload
	RefusedUpload
	UnsoundUpload   // its key shares were not shares of one key
	OversizedUpload // its vector was longer than the round allows
)

// Staged is a staged upload.
type Staged struct {
	round.Upload
	Slot   int
	Header int         // bytes of its header
	Millis int64       // how long its transfer took
	State  UploadState // set by the store
	Shard  uint32      // its group; set by the store
}

// Stage writes uploads whose files are durable. An upload that is already there with another digest is an error.
func (s *Store) Stage(ctx context.Context, k Key, us []Staged) error {
	return s.db.Update(ctx, func(tx *sql.Tx) error {
		insert, err := tx.Prepare(`INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, u := range us {
			if _, err := insert.Exec(k.Task, int64(k.Round), int64(k.Shard), u.ID[:], u.Digest[:], u.Slot, u.Header, int(StagedUpload), u.Millis); err != nil {
				return err
			}
		}
		return nil
	})
}

func scanStaged(rows *sql.Rows) (Staged, error) {
	var u Staged
	var id, digest []byte
	if err := rows.Scan(&id, &digest, &u.Slot, &u.Header, &u.State, &u.Millis, &u.Shard); err != nil {
		return u, err
	}
	if len(id) != len(u.ID) || len(digest) != len(u.Digest) {
		return u, fmt.Errorf("upload: %w", ErrCorrupt)
	}
	copy(u.ID[:], id)
	copy(u.Digest[:], digest)
	return u, nil
}

// Uploads lists the uploads of a group of a round in the order of their ids.
func (s *Store) Uploads(ctx context.Context, k Key) ([]Staged, error) {
	var out []Staged
	err := s.db.Query(ctx, `SELECT device, digest, slot, header, state, millis, shard FROM uploads WHERE task = ? AND round = ? AND shard = ?`, []any{k.Task, int64(k.Round), int64(k.Shard)}, func(rows *sql.Rows) error {
		u, err := scanStaged(rows)
		out = append(out, u)
		return err
	})
	return out, err
}

// Upload reads a device's upload, whatever its group; false if the device has none in the round.
func (s *Store) Upload(ctx context.Context, k Key, id round.ID) (Staged, bool, error) {
	var u Staged
	found := false
	err := s.db.Query(ctx, `SELECT device, digest, slot, header, state, millis, shard FROM uploads WHERE task = ? AND round = ? AND device = ?`, []any{k.Task, int64(k.Round), id[:]}, func(rows *sql.Rows) (err error) {
		found = true
		u, err = scanStaged(rows)
		return err
	})
	return u, found, err
}

// DeviceSpent is what certified rounds have charged a device by the server's books, and in how many rounds it was counted.
func (s *Store) DeviceSpent(ctx context.Context, task string, id round.ID) (rho *big.Rat, rounds int, err error) {
	rho = new(big.Rat)
	err = s.db.Query(ctx, `SELECT b.rho FROM uploads u JOIN budget b ON b.task = u.task AND b.round = u.round
		WHERE u.task = ? AND u.device = ? AND u.state = ?`, []any{task, id[:], int(CountedUpload)}, func(rows *sql.Rows) error {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		rounds++
		if text == "" {
			return nil
		}
		x, ok := new(big.Rat).SetString(text)
		if !ok {
			return fmt.Errorf("budget of task %s: %w", task, ErrCorrupt)
		}
		rho.Add(rho, x)
		return nil
	})
	return rho, rounds, err
}

// Participation counts, over all devices of a task, in how many rounds they were counted: most and sum.
func (s *Store) Participation(ctx context.Context, task string) (devices, most, total int, err error) {
	_, err = s.db.Row(ctx, `SELECT count(*), coalesce(max(n), 0), coalesce(sum(n), 0) FROM
		(SELECT count(*) AS n FROM uploads WHERE task = ? AND state = ? GROUP BY device)`, []any{task, int(CountedUpload)}, &devices, &most, &total)
	return devices, most, total, err
}

// Uploaded lists the devices that an upload was staged of in the rounds from first to last, both counted.
func (s *Store) Uploaded(ctx context.Context, task string, first, last uint64) (map[round.ID]bool, error) {
	out := map[round.ID]bool{}
	err := s.db.Query(ctx, `SELECT DISTINCT device FROM uploads WHERE task = ? AND round >= ? AND round <= ?`, []any{task, int64(first), int64(last)}, func(rows *sql.Rows) error {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return err
		}
		var id round.ID
		if len(b) != len(id) {
			return fmt.Errorf("upload: %w", ErrCorrupt)
		}
		copy(id[:], b)
		out[id] = true
		return nil
	})
	return out, err
}
