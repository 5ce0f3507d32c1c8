package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/gob"
	"fmt"
	"math"
	"math/big"
	"time"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
)

// Round is one row of rounds: a round, or one of its groups.
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
func (s *SQL) Begin(ctx context.Context, fence Fence, now time.Time, r Round, rho *big.Rat, log ledger.Body) error {
	return s.update(ctx, fence, now, []ledger.Body{log}, func(tx *Tx) error {
		if err := insertRound(tx, now, r); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO budget VALUES (?, ?, ?, ?)`, r.Task, int64(r.Round), rhoText(rho), int(Reserved))
		return err
	})
}

func insertRound(tx *Tx, now time.Time, r Round) error {
	durable, err := encodeDurable(r.Durable)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO rounds (task, round, shard, kind, state, settled, freed, version, durable, plan, signature, config, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Task, int64(r.Round), int64(r.Shard), r.Kind, int(r.Durable.State), flag(r.Durable.Settled), flag(r.Durable.Freed), int64(r.Durable.Version), durable,
		r.Plan.Bytes, r.Plan.Signature, orNull(r.Config), now.UnixMilli(), now.UnixMilli())
	return err
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
	Stream      *Stream           // of central noise, behind the row that this round drew
	Drops       map[string]int    // drop reasons of uploads that never were staged
	Groups      []Round           // rows of the round's other groups, written with the first one's configuration
	Keep        map[string][]byte // small named state of the task
}

// SignedVersion is a published model version.
type SignedVersion struct {
	Number    uint64
	Digest    [32]byte
	Version   []byte // canonical model.Version
	Signature []byte
}

// Move writes transitions, all of them or none: each if its round's version is the one before it, else ErrConflict.
func (s *SQL) Move(ctx context.Context, fence Fence, now time.Time, changes ...Change) error {
	var log []ledger.Body
	for _, c := range changes {
		log = append(log, c.Log...)
	}
	return s.update(ctx, fence, now, log, func(tx *Tx) error {
		for _, c := range changes {
			if err := moveOne(tx, now, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func moveOne(tx *Tx, now time.Time, c Change) error {
	t := c.Transition
	durable, err := encodeDurable(t.Durable)
	if err != nil {
		return err
	}
	res, err := tx.Exec(`UPDATE rounds SET state = ?, settled = ?, freed = ?, version = ?, durable = ?, changed = ?,
		config = coalesce(?, config), certificate = coalesce(?, certificate), result = coalesce(?, result)
		WHERE task = ? AND round = ? AND shard = ? AND version = ?`,
		int(t.Durable.State), flag(t.Durable.Settled), flag(t.Free || t.Durable.Freed), int64(t.Durable.Version), durable, now.UnixMilli(), orNull(c.Config), orNull(c.Certificate), orNull(c.Result),
		c.Task, int64(c.Round), int64(c.Shard), int64(t.Durable.Version)-1)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("%w: %s/%d/%d, version %d", ErrConflict, c.Task, c.Round, c.Shard, t.Durable.Version)
	}
	if err := moveUploads(tx, c); err != nil {
		return err
	}
	if err := moveBudget(tx, c); err != nil {
		return err
	}
	for reason, n := range c.Drops {
		if _, err := tx.Exec(`INSERT INTO drops VALUES (?, ?, ?, ?, ?) ON CONFLICT (task, round, shard, reason) DO UPDATE SET count = excluded.count`, c.Task, int64(c.Round), int64(c.Shard), reason, n); err != nil {
			return err
		}
	}
	for _, r := range c.Groups {
		if err := insertRound(tx, now, r); err != nil {
			return err
		}
	}
	for name, value := range c.Keep {
		if err := keep(tx, c.Task, name, value); err != nil {
			return err
		}
	}
	if t.To == round.Published || t.To == round.Lost || t.To == round.Abandoned && t.Durable.Settled {
		if err := clearGroup(tx, c.Key); err != nil {
			return err
		}
	}
	if c.Stream != nil {
		if err := putStream(tx, c.Task, *c.Stream); err != nil {
			return err
		}
	}
	if c.Version != nil {
		return putVersion(tx, c.Task, *c.Version)
	}
	return nil
}

// moveBudget charges a round with its first certificate, whichever of its groups brings it: the groups are disjoint, so
// that more of them cost no device more (rule 11 of secure-aggregation.md). It frees or holds what no group charged, when
// the last one has ended.
func moveBudget(tx *Tx, c Change) error {
	t := c.Transition
	to := Charged
	if !t.Charge {
		if t.To != round.Abandoned || !t.Durable.Settled {
			return nil
		}
		var others, held int
		err := tx.QueryRow(`SELECT coalesce(sum(1 - settled), 0), coalesce(sum(settled * (1 - freed)), 0) FROM rounds WHERE task = ? AND round = ?`,
			c.Task, int64(c.Round)).Scan(&others, &held)
		switch {
		case err != nil:
			return err
		case others > 0: // a group is under way, or charged the round: it decides
			return nil
		case held > 0:
			to = Held
		default:
			to = Freed
		}
	}
	res, err := tx.Exec(`UPDATE budget SET state = ? WHERE task = ? AND round = ? AND state = ?`, int(to), c.Task, int64(c.Round), int(Reserved))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	if to == Charged {
		if others, err := chargedBefore(tx, c.Key); err != nil || others {
			return err
		}
	}
	return fmt.Errorf("%w: the budget of %s/%d is not reserved", ErrConflict, c.Task, c.Round)
}

// chargedBefore says whether another group charged the round.
func chargedBefore(tx *Tx, k Key) (bool, error) {
	var n int
	err := tx.QueryRow(`SELECT count(*) FROM rounds r JOIN budget b ON b.task = r.task AND b.round = r.round
		WHERE r.task = ? AND r.round = ? AND r.shard <> ? AND r.state >= ? AND r.state <> ? AND b.state = ?`,
		k.Task, int64(k.Round), int64(k.Shard), int(round.Certified), int(round.Abandoned), int(Charged)).Scan(&n)
	return n > 0, err
}

// moveUploads writes what became of the uploads: at FROZEN the refused and the late, at CERTIFIED the counted.
func moveUploads(tx *Tx, c Change) error {
	t := c.Transition
	switch t.To {
	case round.Frozen:
		in := make(map[round.ID]bool, len(t.Durable.Set))
		for _, u := range t.Durable.Set {
			in[u.ID] = true
		}
		for _, r := range t.Refused {
			in[r.ID] = true
			if _, err := tx.Exec(`UPDATE uploads SET state = ? WHERE task = ? AND round = ? AND device = ?`, int(refusedState(r.Reason)), c.Task, int64(c.Round), r.ID[:]); err != nil {
				return err
			}
		}
		return markLate(tx, c.Key, in)
	case round.Certified:
		for _, u := range t.Durable.Set { // an upload may have been staged after the set was frozen: it is not in it
			if _, err := tx.Exec(`UPDATE uploads SET state = ? WHERE task = ? AND round = ? AND device = ? AND state = ?`, int(CountedUpload), c.Task, int64(c.Round), u.ID[:], int(StagedUpload)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE uploads SET state = ? WHERE task = ? AND round = ? AND shard = ? AND state = ?`, int(LateUpload), c.Task, int64(c.Round), int64(c.Shard), int(StagedUpload))
		return err
	}
	return nil
}

func refusedState(why round.DropReason) UploadState {
	switch why {
	case round.DropSharing:
		return UnsoundUpload
	case round.DropNorm:
		return OversizedUpload
	}
	return RefusedUpload
}

func markLate(tx *Tx, k Key, settled map[round.ID]bool) error {
	var late []round.ID
	err := tx.Query(`SELECT device FROM uploads WHERE task = ? AND round = ? AND shard = ?`, []any{k.Task, int64(k.Round), int64(k.Shard)}, func(rows *sql.Rows) error {
		id, err := scanID(rows)
		if !settled[id] {
			late = append(late, id)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range late {
		if _, err := tx.Exec(`UPDATE uploads SET state = ? WHERE task = ? AND round = ? AND device = ?`, int(LateUpload), k.Task, int64(k.Round), id[:]); err != nil {
			return err
		}
	}
	return nil
}

const roundColumns = `task, round, shard, kind, durable, plan, signature, config, certificate, result, created`

func scanRound(scan func(...any) error) (Round, error) {
	var r Round
	var durable []byte
	var number, created int64
	err := scan(&r.Task, &number, &r.Shard, &r.Kind, &durable, &r.Plan.Bytes, &r.Plan.Signature, &r.Config, &r.Certificate, &r.Result, &created)
	if err != nil {
		return r, err
	}
	r.Round, r.Created = uint64(number), time.UnixMilli(created)
	r.Durable, err = decodeDurable(durable)
	return r, err
}

// Round reads a group of a round; false if there is none.
func (s *SQL) Round(ctx context.Context, k Key) (Round, bool, error) {
	var r Round
	found := false
	err := s.db.Query(ctx, `SELECT `+roundColumns+` FROM rounds WHERE task = ? AND round = ? AND shard = ?`, []any{k.Task, int64(k.Round), int64(k.Shard)}, func(rows *sql.Rows) (err error) {
		found = true
		r, err = scanRound(rows.Scan)
		return err
	})
	return r, found, err
}

// RoundGroups reads all groups of a round, in their order.
func (s *SQL) RoundGroups(ctx context.Context, k Key) ([]Round, error) {
	var out []Round
	err := s.db.Query(ctx, `SELECT `+roundColumns+` FROM rounds WHERE task = ? AND round = ? ORDER BY shard`, []any{k.Task, int64(k.Round)}, func(rows *sql.Rows) error {
		r, err := scanRound(rows.Scan)
		out = append(out, r)
		return err
	})
	return out, err
}

// RoundsBefore reads the newest limit rounds below before, of which 0 is beyond all, newest first, each with all of its groups.
func (s *SQL) RoundsBefore(ctx context.Context, task string, before uint64, limit int) ([]Round, error) {
	var out []Round
	below := below(before)
	err := s.db.Query(ctx, `SELECT `+roundColumns+` FROM rounds WHERE task = ? AND round < ? AND round >=
		(SELECT coalesce(min(n), 0) FROM (SELECT DISTINCT round AS n FROM rounds WHERE task = ? AND round < ? ORDER BY n DESC LIMIT ?) AS page) ORDER BY round DESC, shard`,
		[]any{task, below, task, below, limit}, func(rows *sql.Rows) error {
			r, err := scanRound(rows.Scan)
			out = append(out, r)
			return err
		})
	return out, err
}

// below is the bound of a page that ends before n; 0 ends it nowhere.
func below(n uint64) int64 {
	if n == 0 || n > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(n)
}

// flag is a truth as both databases keep it.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Groups counts them.
func (s *SQL) Groups(ctx context.Context, k Key) (uint32, error) {
	var n int64
	_, err := s.db.Row(ctx, `SELECT count(*) FROM rounds WHERE task = ? AND round = ?`, []any{k.Task, int64(k.Round)}, &n)
	return uint32(n), err
}

// Unfinished lists the rounds that still want something, oldest first, with all of their groups: of a round, one ended group
// may wait for the others.
func (s *SQL) Unfinished(ctx context.Context) ([]Round, error) {
	var out []Round
	err := s.db.Query(ctx, `SELECT `+roundColumns+` FROM rounds o WHERE EXISTS (SELECT 1 FROM rounds i
		WHERE i.task = o.task AND i.round = o.round AND i.`+endedStates+` AND i.settled = 0) ORDER BY task, round, shard`, nil, func(rows *sql.Rows) error {
		r, err := scanRound(rows.Scan)
		out = append(out, r)
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
func (s *SQL) Fate(ctx context.Context, k Key) (Fate, bool, error) {
	var f Fate
	var state int
	found, err := s.db.Row(ctx, `SELECT state, settled, CASE WHEN state = ? THEN certificate END FROM rounds WHERE task = ? AND round = ? AND shard = ?`,
		[]any{int(round.Abandoned), k.Task, int64(k.Round), int64(k.Shard)}, &state, &f.Settled, &f.Abandon)
	f.State = round.State(state)
	return f, found, err
}

// LastRound is the newest round of a task, 0 if there was none.
func (s *SQL) LastRound(ctx context.Context, task string) (uint64, error) {
	var n int64
	_, err := s.db.Row(ctx, `SELECT coalesce(max(round), 0) FROM rounds WHERE task = ?`, []any{task}, &n)
	return uint64(n), err
}

// Drops is how many uploads of a round were dropped before they were staged, by reason.
func (s *SQL) Drops(ctx context.Context, k Key) (map[string]int, error) {
	out := map[string]int{}
	err := s.db.Query(ctx, `SELECT reason, count FROM drops WHERE task = ? AND round = ? AND shard = ?`, []any{k.Task, int64(k.Round), int64(k.Shard)}, func(rows *sql.Rows) error {
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
