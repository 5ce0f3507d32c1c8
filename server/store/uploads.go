package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
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
	Slot    int         // in the staging file of Replica
	Header  int         // bytes of its header
	Millis  int64       // how long its transfer took
	Raw     []byte      // its header, to be kept where the store is shared; not read back: see Header
	State   UploadState // set by the store
	Shard   uint32      // its group; set by the store
	Seq     uint64      // 1, 2, ... of its group, in the order in which they became durable; set by the store
	Replica string      // which has the vector; set by the store
}

// Outcomes of Stage.
var (
	ErrSame        = errors.New("the device has staged this upload")
	ErrOther       = errors.New("the device has staged another upload")
	ErrFullRound   = errors.New("the round has as many uploads as it takes")
	ErrRoundClosed = errors.New("the round takes no uploads")
)

// Stage writes uploads whose files are durable, while the round is COLLECTING and its group has fewer than most. There is
// one outcome for each: nil, ErrSame, ErrOther, ErrFullRound or ErrRoundClosed; the error is of all of them.
func (s *SQL) Stage(ctx context.Context, k Key, replica string, most int, us []Staged) ([]error, error) {
	outcomes := make([]error, len(us))
	err := s.db.do(ctx, func(tx *Tx) error {
		clear(outcomes)
		var state, seq int64
		err := tx.QueryRow(`SELECT state FROM rounds WHERE task = ? AND round = ? AND shard = ?`, k.Task, int64(k.Round), int64(k.Shard)).Scan(&state)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := tx.QueryRow(`SELECT coalesce(max(seq), 0) FROM uploads WHERE task = ? AND round = ? AND shard = ?`, k.Task, int64(k.Round), int64(k.Shard)).Scan(&seq); err != nil {
			return err
		}
		insert, err := tx.Prepare(`INSERT INTO uploads (task, round, shard, device, digest, slot, header, state, millis, seq, replica, raw)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (task, round, device) DO NOTHING`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for i, u := range us {
			switch {
			case round.State(state) != round.Collecting:
				outcomes[i] = ErrRoundClosed
			case seq >= int64(most):
				outcomes[i] = ErrFullRound
			default:
				n, err := affected(insert.Exec(k.Task, int64(k.Round), int64(k.Shard), u.ID[:], u.Digest[:], u.Slot, u.Header, int(StagedUpload), u.Millis, seq+1, replica, orNull(u.Raw)))
				if err != nil {
					return err
				}
				if seq += n; n == 1 {
					continue
				}
			}
			if err := stagedBefore(tx, k, u, &outcomes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return outcomes, err
}

// stagedBefore sets the outcome of an upload whose device has one in the round.
func stagedBefore(tx *Tx, k Key, u Staged, outcome *error) error {
	var digest []byte
	err := tx.QueryRow(`SELECT digest FROM uploads WHERE task = ? AND round = ? AND device = ?`, k.Task, int64(k.Round), u.ID[:]).Scan(&digest)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case bytes.Equal(digest, u.Digest[:]):
		*outcome = ErrSame
	default:
		*outcome = ErrOther
	}
	return nil
}

const stagedColumns = `device, digest, slot, header, state, millis, shard, seq, replica`

func (s *SQL) staged(ctx context.Context, which string, args ...any) ([]Staged, error) {
	var out []Staged
	err := s.db.Query(ctx, `SELECT `+stagedColumns+` FROM uploads WHERE `+which, args, func(rows *sql.Rows) error {
		var u Staged
		var id, digest []byte
		if err := rows.Scan(&id, &digest, &u.Slot, &u.Header, &u.State, &u.Millis, &u.Shard, &u.Seq, &u.Replica); err != nil {
			return err
		}
		if len(id) != len(u.ID) || len(digest) != len(u.Digest) {
			return fmt.Errorf("upload: %w", ErrCorrupt)
		}
		copy(u.ID[:], id)
		copy(u.Digest[:], digest)
		out = append(out, u)
		return nil
	})
	return out, err
}

// Uploads lists the uploads of a group of a round in the order of their ids.
func (s *SQL) Uploads(ctx context.Context, k Key) ([]Staged, error) {
	return s.staged(ctx, `task = ? AND round = ? AND shard = ? ORDER BY device`, k.Task, int64(k.Round), int64(k.Shard))
}

// UploadsSince lists those of a group that became durable behind seq, in that order.
func (s *SQL) UploadsSince(ctx context.Context, k Key, seq uint64) ([]Staged, error) {
	return s.staged(ctx, `task = ? AND round = ? AND shard = ? AND seq > ? ORDER BY seq`, k.Task, int64(k.Round), int64(k.Shard), int64(seq))
}

// Upload reads a device's upload, whatever its group; false if the device has none in the round.
func (s *SQL) Upload(ctx context.Context, k Key, id round.ID) (Staged, bool, error) {
	us, err := s.staged(ctx, `task = ? AND round = ? AND device = ?`, k.Task, int64(k.Round), id[:])
	if err != nil || len(us) == 0 {
		return Staged{}, false, err
	}
	return us[0], true, nil
}

// ErrNoHeader says that a header is not kept here: its round has ended, or it lies with another replica.
var ErrNoHeader = errors.New("the upload's header is not here")

// Header reads the header of a staged upload: from the database, or from the staging files that are open here.
func (s *SQL) Header(ctx context.Context, k Key, id round.ID) ([]byte, error) {
	var raw []byte
	var slot, size int
	found, err := s.db.Row(ctx, `SELECT raw, slot, header FROM uploads WHERE task = ? AND round = ? AND shard = ? AND device = ?`, []any{k.Task, int64(k.Round), int64(k.Shard), id[:]}, &raw, &slot, &size)
	if err != nil || raw != nil {
		return raw, err
	}
	if st := s.open.find(k); found && st != nil {
		return st.Header(slot, size)
	}
	return nil, fmt.Errorf("%s/%d/%d: %w", k.Task, k.Round, k.Shard, ErrNoHeader)
}

// DeviceSpent is what certified rounds have charged a device by the server's books, and in how many rounds it was counted.
func (s *SQL) DeviceSpent(ctx context.Context, task string, id round.ID) (rho *big.Rat, rounds int, err error) {
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
func (s *SQL) Participation(ctx context.Context, task string) (devices, most, total int, err error) {
	_, err = s.db.Row(ctx, `SELECT count(*), coalesce(max(n), 0), coalesce(sum(n), 0) FROM
		(SELECT count(*) AS n FROM uploads WHERE task = ? AND state = ? GROUP BY device) AS counts`, []any{task, int(CountedUpload)}, &devices, &most, &total)
	return devices, most, total, err
}

// Uploaded lists the devices that an upload was staged of in the rounds from first to last, both counted.
func (s *SQL) Uploaded(ctx context.Context, task string, first, last uint64) (map[round.ID]bool, error) {
	out := map[round.ID]bool{}
	err := s.db.Query(ctx, `SELECT DISTINCT device FROM uploads WHERE task = ? AND round >= ? AND round <= ?`, []any{task, int64(first), int64(last)}, func(rows *sql.Rows) error {
		id, err := scanID(rows)
		if err != nil {
			return err
		}
		out[id] = true
		return nil
	})
	return out, err
}

// scanID reads a row that is a device's name.
func scanID(rows *sql.Rows) (id round.ID, err error) {
	var b []byte
	if err := rows.Scan(&b); err != nil {
		return id, err
	}
	if len(b) != len(id) {
		return id, fmt.Errorf("device: %w", ErrCorrupt)
	}
	copy(id[:], b)
	return id, nil
}
