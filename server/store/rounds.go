package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/gob"
	"fmt"
	"math/big"
	"time"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
)

// Round is one row of rounds.
type Round struct {
	Key
	Kind        string
	Durable     round.Durable
	Plan        plan.Signed
	Config      []byte // canonical aggregation.Config, from COLLECTING on
	Certificate []byte // of the set, from CERTIFIED on; of the abandonment when it is settled with one
	Result      []byte // what the caller keeps beside a finished round
	Created     time.Time
}

// Begin reserves the budget, logs the plan and writes the round, in one transaction.
func (s *Store) Begin(ctx context.Context, now time.Time, r Round, rho *big.Rat, log ledger.Body) error {
	durable, err := encodeDurable(r.Durable)
	if err != nil {
		return err
	}
	return s.update(ctx, now, []ledger.Body{log}, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO rounds (task, round, kind, state, version, durable, plan, signature, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.Task, int64(r.Round), r.Kind, int(r.Durable.State), int64(r.Durable.Version), durable, r.Plan.Bytes, r.Plan.Signature, now.UnixMilli(), now.UnixMilli())
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO budget VALUES (?, ?, ?, ?)`, r.Task, int64(r.Round), rhoText(rho), int(Reserved))
		return err
	})
}

// Change is everything that one transition of a round writes. Zero fields change nothing.
type Change struct {
	Key
	Transition  round.Transition
	Config      []byte
	Certificate []byte
	Result      []byte
	Log         []ledger.Body
	Version     *SignedVersion
	Drops       map[string]int // drop reasons of uploads that never were staged
}

// SignedVersion is a published model version.
type SignedVersion struct {
	Number    uint64
	Digest    [32]byte
	Version   []byte // canonical model.Version
	Signature []byte
}

// Move writes a transition if the round's version is the one before it, else ErrConflict.
func (s *Store) Move(ctx context.Context, now time.Time, c Change) error {
	t := c.Transition
	durable, err := encodeDurable(t.Durable)
	if err != nil {
		return err
	}
	return s.update(ctx, now, c.Log, func(tx *sql.Tx) error {
		res, err := tx.Exec(`UPDATE rounds SET state = ?, settled = ?, version = ?, durable = ?, changed = ?,
			config = coalesce(?, config), certificate = coalesce(?, certificate), result = coalesce(?, result)
			WHERE task = ? AND round = ? AND version = ?`,
			int(t.Durable.State), t.Durable.Settled, int64(t.Durable.Version), durable, now.UnixMilli(), orNull(c.Config), orNull(c.Certificate), orNull(c.Result),
			c.Task, int64(c.Round), int64(t.Durable.Version)-1)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("%w: %s/%d, version %d", ErrConflict, c.Task, c.Round, t.Durable.Version)
		}
		if err := moveUploads(tx, c); err != nil {
			return err
		}
		if err := moveBudget(tx, c); err != nil {
			return err
		}
		for reason, n := range c.Drops {
			if _, err := tx.Exec(`INSERT INTO drops VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = excluded.count`, c.Task, int64(c.Round), reason, n); err != nil {
				return err
			}
		}
		if c.Version != nil {
			return putVersion(tx, c.Task, *c.Version)
		}
		return nil
	})
}

func moveBudget(tx *sql.Tx, c Change) error {
	t := c.Transition
	to := BudgetState(0)
	switch {
	case t.Charge:
		to = Charged
	case t.Free:
		to = Freed
	case t.To == round.Abandoned && t.Durable.Settled:
		to = Held
	default:
		return nil
	}
	res, err := tx.Exec(`UPDATE budget SET state = ? WHERE task = ? AND round = ? AND state = ?`, int(to), c.Task, int64(c.Round), int(Reserved))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("%w: the budget of %s/%d is not reserved", ErrConflict, c.Task, c.Round)
	}
	return nil
}

// moveUploads writes what became of the uploads: at FROZEN the refused and the late, at CERTIFIED the counted.
func moveUploads(tx *sql.Tx, c Change) error {
	t := c.Transition
	switch t.To {
	case round.Frozen:
		in := make(map[round.ID]bool, len(t.Durable.Set))
		for _, u := range t.Durable.Set {
			in[u.ID] = true
		}
		for _, r := range t.Refused {
			in[r.ID] = true
			state := RefusedUpload
			switch r.Reason {
			case round.DropSharing:
				state = UnsoundUpload
			case round.DropNorm:
				state = OversizedUpload
			}
			if _, err := tx.Exec(`UPDATE uploads SET state = ? WHERE task = ? AND round = ? AND device = ?`, int(state), c.Task, int64(c.Round), r.ID[:]); err != nil {
				return err
			}
		}
		return markLate(tx, c.Key, in)
	case round.Certified:
		_, err := tx.Exec(`UPDATE uploads SET state = ? WHERE task = ? AND round = ? AND state = ?`, int(CountedUpload), c.Task, int64(c.Round), int(StagedUpload))
		return err
	}
	return nil
}

func markLate(tx *sql.Tx, k Key, settled map[round.ID]bool) error {
	rows, err := tx.Query(`SELECT device FROM uploads WHERE task = ? AND round = ?`, k.Task, int64(k.Round))
	if err != nil {
		return err
	}
	var late []round.ID
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			rows.Close()
			return err
		}
		var id round.ID
		copy(id[:], b)
		if !settled[id] {
			late = append(late, id)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, id := range late {
		if _, err := tx.Exec(`UPDATE uploads SET state = ? WHERE task = ? AND round = ? AND device = ?`, int(LateUpload), k.Task, int64(k.Round), id[:]); err != nil {
			return err
		}
	}
	return nil
}

const roundColumns = `task, round, kind, durable, plan, signature, config, certificate, result, created`

func scanRound(scan func(...any) error) (Round, error) {
	var r Round
	var durable []byte
	var number, created int64
	err := scan(&r.Task, &number, &r.Kind, &durable, &r.Plan.Bytes, &r.Plan.Signature, &r.Config, &r.Certificate, &r.Result, &created)
	if err != nil {
		return r, err
	}
	r.Round, r.Created = uint64(number), time.UnixMilli(created)
	r.Durable, err = decodeDurable(durable)
	return r, err
}

// Round reads a round; false if there is none.
func (s *Store) Round(ctx context.Context, k Key) (Round, bool, error) {
	var r Round
	found := false
	err := s.db.Query(ctx, `SELECT `+roundColumns+` FROM rounds WHERE task = ? AND round = ?`, []any{k.Task, int64(k.Round)}, func(rows *sql.Rows) (err error) {
		found = true
		r, err = scanRound(rows.Scan)
		return err
	})
	return r, found, err
}

// Unfinished lists the rounds that still want something, oldest first.
func (s *Store) Unfinished(ctx context.Context) ([]Round, error) {
	var out []Round
	err := s.db.Query(ctx, `SELECT `+roundColumns+` FROM rounds WHERE NOT (`+endedStates+`) ORDER BY task, round`, nil, func(rows *sql.Rows) error {
		r, err := scanRound(rows.Scan)
		if err == nil && !r.Durable.Settled {
			out = append(out, r)
		}
		return err
	})
	return out, err
}

// Fate is what a device may learn of a round.
type Fate struct {
	State   round.State
	Settled bool   // abandoned, and no certificate will follow
	Abandon []byte // certificate of the abandonment
}

// Fate reads it; false if there is no such round.
func (s *Store) Fate(ctx context.Context, k Key) (Fate, bool, error) {
	var f Fate
	var state int
	found, err := s.db.Row(ctx, `SELECT state, settled, CASE WHEN state = ? THEN certificate END FROM rounds WHERE task = ? AND round = ?`,
		[]any{int(round.Abandoned), k.Task, int64(k.Round)}, &state, &f.Settled, &f.Abandon)
	f.State = round.State(state)
	return f, found, err
}

// LastRound is the newest round of a task, 0 if there was none.
func (s *Store) LastRound(ctx context.Context, task string) (uint64, error) {
	var n int64
	_, err := s.db.Row(ctx, `SELECT coalesce(max(round), 0) FROM rounds WHERE task = ?`, []any{task}, &n)
	return uint64(n), err
}

// Drops is how many uploads of a round were dropped before they were staged, by reason.
func (s *Store) Drops(ctx context.Context, k Key) (map[string]int, error) {
	out := map[string]int{}
	err := s.db.Query(ctx, `SELECT reason, count FROM drops WHERE task = ? AND round = ?`, []any{k.Task, int64(k.Round)}, func(rows *sql.Rows) error {
		var reason string
		var n int
		err := rows.Scan(&reason, &n)
		out[reason] = n
		return err
	})
	return out, err
}

func encodeDurable(d round.Durable) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(d); err != nil {
		return nil, fmt.Errorf("store: round: %w", err)
	}
	return b.Bytes(), nil
}

func decodeDurable(b []byte) (round.Durable, error) {
	var d round.Durable
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&d); err != nil {
		return d, fmt.Errorf("store: round: %w", err)
	}
	return d, nil
}

func orNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
