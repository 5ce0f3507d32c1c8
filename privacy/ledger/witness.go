package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
)

// Origin is the name of a task's log. Devices hold an operator to it, so that a task has one log.
func Origin(task string) string { return "tutti/" + task }

// ErrNotLogged says that a plan is not proven to stand in the log.
var ErrNotLogged = errors.New("the plan is not proven to stand in the log")

// Logged proves that a plan stands in a log. With the signed plan, which its reader has, it gives the canonical record;
// the three proofs lead to one checkpoint, the newest.
type Logged struct {
	Checkpoint []byte // signed note of a log that holds the plan
	Seq        uint64 // of the plan's record
	Time       int64
	Prev       Digest

	Inclusion   [][]byte // of the record
	Consistency [][]byte // from the state that the reader keeps
	Extension   [][]byte // from the checkpoint in the plan
}

// Witness is what somebody keeps of one log: its newest state that extended all that were kept before. The zero Witness
// has seen nothing.
type Witness struct {
	Last Checkpoint
	Note []byte // the signed note that says so; nil before the first
}

// Follow gives the witness of a newer state. An error that is ErrFork comes with the two notes that do not go together.
func (w Witness) Follow(note []byte, origin string, operator ed25519.PublicKey, consistency [][]byte) (Witness, *Fork, error) {
	newer, err := OpenCheckpoint(note, origin, operator)
	if err != nil {
		return w, nil, err
	}
	if w.Note != nil {
		if err := CheckConsistency(w.Last, newer, consistency); err != nil {
			if errors.Is(err, ErrFork) {
				return w, NewFork(w.Last, w.Note, newer, note, consistency), err
			}
			return w, nil, err
		}
	}
	return Witness{newer, bytes.Clone(note)}, nil, nil
}

// FollowPlan is Follow for a plan that is shown to devices or to the committee: the log must extend what the witness
// keeps and what the plan's own checkpoint says, and hold the plan. planned is the plan's checkpoint, a signed note.
//
// When the log is sound and the plan is not in it (ErrNotLogged), the witness returned has moved on all the same.
func (w Witness) FollowPlan(l Logged, p *Plan, planned []byte, origin string, operator ed25519.PublicKey) (Witness, *Fork, error) {
	before, err := OpenCheckpoint(planned, origin, operator)
	if err != nil {
		return w, nil, err
	}
	next, fork, err := w.Follow(l.Checkpoint, origin, operator, l.Consistency)
	if err != nil {
		return w, fork, err
	}
	if err := CheckConsistency(before, next.Last, l.Extension); err != nil {
		if errors.Is(err, ErrFork) {
			fork = NewFork(before, planned, next.Last, next.Note, l.Extension)
		}
		return next, fork, err
	}
	record, err := Record{Seq: l.Seq, Time: l.Time, Prev: l.Prev, Body: p}.Encode()
	if err == nil {
		err = CheckInclusion(next.Last, l.Seq, record, l.Inclusion)
	}
	if err != nil {
		return next, nil, fmt.Errorf("%w: %w", ErrNotLogged, err)
	}
	return next, nil, nil
}

// ProvePlan makes what FollowPlan reads: record is the plan's, note is signed over size records, from and planned are the
// sizes of the states that the reader and the plan know.
func ProvePlan(record Record, note []byte, size, from, planned uint64, stored Hashes) (Logged, error) {
	l := Logged{Checkpoint: note, Seq: record.Seq, Time: record.Time, Prev: record.Prev}
	var err error
	if l.Inclusion, err = ProveInclusion(size, record.Seq, stored); err != nil {
		return l, err
	}
	if l.Extension, err = ProveConsistency(planned, size, stored); err != nil {
		return l, err
	}
	l.Consistency, err = ProveConsistency(min(from, size), size, stored)
	return l, err
}
