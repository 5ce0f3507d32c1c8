package committee

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/api"
	"tutti/server/store"
)

// witness demands that a plan stands in the operator's log before the node makes a key for its round, and that the log
// extends what the node has seen of it, which it keeps durably.
func (n *Node) witness(ctx context.Context, p plan.Plan, signed plan.Signed, l ledger.Logged) error {
	kept := n.logs[p.Task]
	record := &ledger.Plan{Task: p.Task, Round: p.Round, What: p.Kind.String(), Rho: p.Rho(), Stream: p.Stream(), Bytes: signed.Bytes, Signature: signed.Signature}
	next, fork, err := kept.FollowPlan(l, record, p.Checkpoint, ledger.Origin(p.Task), n.cfg.Operator)
	if errors.Is(err, ledger.ErrNotLogged) && record.Stream != (ledger.Digest{}) { // a round of a stream that is paid for costs less
		record.Rho = p.Cost(record.Stream)
		next, fork, err = kept.FollowPlan(l, record, p.Checkpoint, ledger.Origin(p.Task), n.cfg.Operator)
	}
	if next.Last != kept.Last {
		if err := n.keepLog(ctx, p.Task, next); err != nil {
			return err
		}
	}
	if fork != nil {
		n.evidence(fork)
	}
	if err != nil {
		return &Refused{aggregation.RefusePlan, err.Error()}
	}
	return nil
}

// evidence writes down what convicts the operator, or would with the hashes of its log; tutti verify fork reads it.
func (n *Node) evidence(fork *ledger.Fork) {
	path := filepath.Join(n.cfg.Dir, "evidence.fork")
	data, err := fork.Encode()
	if err == nil {
		err = store.WriteFile(path, data)
	}
	n.log.Error("two states of the log that the operator signed do not go together", "evidence", path, "error", err)
}

func (n *Node) keepLog(ctx context.Context, task string, w ledger.Witness) error {
	err := n.db.Update(context.WithoutCancel(ctx), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT OR REPLACE INTO logs VALUES (?, ?, ?, ?)`, task, int64(w.Last.Size), w.Last.Root[:], w.Note)
		return err
	})
	if err == nil {
		n.logs[task] = w
	}
	return err
}

func (n *Node) restoreLogs(ctx context.Context) error {
	return n.db.Query(ctx, `SELECT task, size, root, note FROM logs`, nil, func(rows *sql.Rows) error {
		var task string
		var size int64
		var root []byte
		var w ledger.Witness
		if err := rows.Scan(&task, &size, &root, &w.Note); err != nil {
			return err
		}
		if len(root) != len(w.Last.Root) {
			return store.ErrCorrupt
		}
		w.Last = ledger.Checkpoint{Origin: ledger.Origin(task), Size: uint64(size), Root: ledger.Digest(root)}
		n.logs[task] = w
		return nil
	})
}

// loggedOf is a plan's place in the log as it came in; proofs are bounded where they are read.
func loggedOf(l *api.Logged) ledger.Logged {
	out := ledger.Logged{Checkpoint: l.GetCheckpoint(), Seq: l.GetSeq(), Time: l.GetTimeUnix(),
		Inclusion: l.GetInclusion(), Consistency: l.GetConsistency(), Extension: l.GetExtension()}
	copy(out.Prev[:], l.GetPrev())
	return out
}

func loggedTo(l ledger.Logged) *api.Logged {
	return &api.Logged{Checkpoint: l.Checkpoint, Seq: l.Seq, TimeUnix: l.Time, Prev: l.Prev[:],
		Inclusion: l.Inclusion, Consistency: l.Consistency, Extension: l.Extension}
}
