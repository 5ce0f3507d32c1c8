package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tutti/privacy/ledger"
)

// appendRecords judges bodies against the log so far and writes them with their hashes. It runs on the writer's
// goroutine.
func (s *SQL) appendRecords(tx *Tx, now int64, bodies []ledger.Body) error {
	for _, body := range bodies {
		rec := s.log.Next(body, now)
		data, err := s.log.Add(rec)
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		hashes, err := ledger.Append(rec.Seq, data, hashReader{tx: tx})
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		if _, err := tx.Exec(`INSERT INTO records VALUES (?, ?)`, int64(rec.Seq), data); err != nil {
			return err
		}
		at := tlog.StoredHashIndex(0, int64(rec.Seq))
		for i, h := range hashes {
			if _, err := tx.Exec(`INSERT INTO hashes VALUES (?, ?)`, at+int64(i), h[:]); err != nil {
				return err
			}
		}
	}
	return nil
}

const recordsFrom = `SELECT seq, record FROM records WHERE seq >= ? ORDER BY seq`

// rebuild makes the log's state from the records.
func (s *SQL) rebuild(query func(query string, args []any, scan func(*sql.Rows) error) error) error {
	state := new(ledger.State)
	err := query(recordsFrom, []any{0}, func(rows *sql.Rows) error { return addRow(state, rows) })
	if err == nil {
		s.log, s.stale = state, false
	}
	return err
}

func addRow(state *ledger.State, rows *sql.Rows) error {
	var seq int64
	var data []byte
	if err := rows.Scan(&seq, &data); err != nil {
		return err
	}
	return addRecord(state, seq, data)
}

func addRecord(state *ledger.State, seq int64, data []byte) error {
	rec, err := ledger.Decode(data)
	if err != nil {
		return fmt.Errorf("log: record %d: %w", seq, err)
	}
	if _, err := state.Add(rec); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// catchUpTx adds what other replicas appended, in a write, which they wait for.
func (s *SQL) catchUpTx(tx *Tx) error {
	if s.stale {
		return s.rebuild(tx.Query)
	}
	if !s.Shared() {
		return nil
	}
	err := tx.Query(recordsFrom, []any{int64(s.log.Size())}, func(rows *sql.Rows) error { return addRow(s.log, rows) })
	s.stale = err != nil
	return err
}

// catchUp adds what other replicas appended before the log is read. Where the database cannot be reached, or a write of
// our own is under way, which others wait for, the log stays as it is known.
func (s *SQL) catchUp() {
	if !s.Shared() {
		return
	}
	s.mu.Lock()
	from := s.size
	s.mu.Unlock()
	type row struct {
		seq  int64
		data []byte
	}
	var rows []row
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.db.Query(ctx, recordsFrom, []any{int64(from)}, func(r *sql.Rows) error {
		var x row
		err := r.Scan(&x.seq, &x.data)
		rows = append(rows, x)
		return err
	})
	if err != nil || len(rows) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rows {
		if s.stale || s.log.Size() != s.size || uint64(r.seq) > s.size {
			return
		}
		if uint64(r.seq) < s.size {
			continue
		}
		if err := addRecord(s.log, r.seq, r.data); err != nil {
			s.stale = true
			return
		}
		s.size = s.log.Size()
	}
}

// Totals is what the log says a task has spent; false if it was never opened.
func (s *SQL) Totals(task string) (ledger.Totals, bool) {
	s.catchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Task(task)
}

// With is ledger.State.With.
func (s *SQL) With(task string, round uint64, rho *big.Rat, stream ledger.Digest) (*big.Rat, bool) {
	s.catchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.With(task, round, rho, stream)
}

// PlanRecord reads the durable record of a round's plan; false if there is none.
func (s *SQL) PlanRecord(ctx context.Context, task string, round uint64) (ledger.Record, bool, error) {
	s.catchUp()
	s.mu.Lock()
	seq, ok := s.log.PlanAt(task, round)
	ok = ok && seq < s.size
	s.mu.Unlock()
	return s.record(ctx, seq, ok)
}

// EndRecord reads the durable record that says who was in the sum of a group of a round; false if there is none yet.
func (s *SQL) EndRecord(ctx context.Context, k Key) (ledger.Record, bool, error) {
	s.catchUp()
	s.mu.Lock()
	seq, ok := s.log.EndAt(k.Task, k.Round, k.Shard)
	ok = ok && seq < s.size
	s.mu.Unlock()
	return s.record(ctx, seq, ok)
}

func (s *SQL) record(ctx context.Context, seq uint64, ok bool) (ledger.Record, bool, error) {
	var data []byte
	if !ok {
		return ledger.Record{}, false, nil
	}
	found, err := s.db.Row(ctx, `SELECT record FROM records WHERE seq = ?`, []any{int64(seq)}, &data)
	if err == nil && !found {
		err = fmt.Errorf("log: record %d: %w", seq, ErrCorrupt)
	}
	if err != nil {
		return ledger.Record{}, false, err
	}
	rec, err := ledger.Decode(data)
	return rec, err == nil, err
}

// LogSize is the number of durable records.
func (s *SQL) LogSize() uint64 {
	s.catchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Records calls each with every record from seq on, in order, until it returns an error.
func (s *SQL) Records(ctx context.Context, from uint64, each func(seq uint64, record []byte) error) error {
	const page = 64 // the one connection is not held while a slow reader takes its time
	for {
		type row struct {
			seq    uint64
			record []byte
		}
		var rows []row
		err := s.db.Query(ctx, `SELECT seq, record FROM records WHERE seq >= ? ORDER BY seq LIMIT ?`, []any{int64(from), page}, func(r *sql.Rows) error {
			var x row
			err := r.Scan(&x.seq, &x.record)
			rows = append(rows, x)
			return err
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, x := range rows {
			if err := each(x.seq, x.record); err != nil {
				return err
			}
		}
		from = rows[len(rows)-1].seq + 1
	}
}

// Hashes reads the stored hashes of the log's tree.
func (s *SQL) Hashes() ledger.Hashes { return hashReader{db: s.db} }

// hashReader is tlog.HashReader over the table, within a transaction or outside.
type hashReader struct {
	tx *Tx
	db *DB
}

func (h hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		var b []byte
		var err error
		if h.tx != nil {
			err = h.tx.QueryRow(`SELECT hash FROM hashes WHERE position = ?`, at).Scan(&b)
		} else {
			var found bool
			if found, err = h.db.Row(context.Background(), `SELECT hash FROM hashes WHERE position = ?`, []any{at}, &b); err == nil && !found {
				err = sql.ErrNoRows
			}
		}
		if err != nil {
			return nil, fmt.Errorf("log: hash %d: %w", at, err)
		}
		if len(b) != tlog.HashSize {
			return nil, fmt.Errorf("log: hash %d: %w", at, ErrCorrupt)
		}
		copy(out[i][:], b)
	}
	return out, nil
}

// Root is the tree's root over the first size records.
func (s *SQL) Root(size uint64) (ledger.Digest, error) { return ledger.Root(size, s.Hashes()) }

// Proof proves that the log of to records extends that of from.
func (s *SQL) Proof(from, to uint64) ([][]byte, error) {
	proof, err := ledger.ProveConsistency(from, to, s.Hashes())
	return slices.Clip(proof), err
}
