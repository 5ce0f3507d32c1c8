package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tutti/aggregation"
	wire "tutti/server/grpc"
	"tutti/server/round"
	"tutti/server/store"
)

// upload is one upload under way.
type upload struct {
	in      *intake
	entry   round.Upload
	slot    int
	header  []byte // as it came
	check   *aggregation.VectorCheck
	at      int
	resting bool // nobody sends it at the moment; guarded by in.mu
	began   time.Time
	left    chan struct{} // closed when another stream takes over
	gone    chan struct{} // closed when this upload holds its place no longer
	outcome chan error    // of the group commit
}

// begin judges a header; with a nil upload the receipt is the answer.
func (in *intake) begin(ctx context.Context, raw []byte, vectorBytes uint64) (*upload, wire.Receipt, error) {
	h, err := aggregation.ParseHeader(raw)
	if err != nil {
		return nil, in.rejected(round.ID{}, round.DropHeader), nil
	}
	path, _ := in.g.people.Path(h.ID) // the zero path of a stranger leads nowhere
	if err := aggregation.VerifyHeader(in.cfg, h, path); err != nil {
		return nil, in.rejected(h.ID, dropOf(err)), nil
	}
	if vectorBytes != uint64(in.vectorLen) {
		return nil, in.rejected(h.ID, round.DropVector), nil
	}
	u := &upload{in: in, entry: h.Entry(), check: aggregation.NewVectorCheck(in.cfg, h), began: in.g.s.cfg.Clock(),
		header: raw, left: make(chan struct{}), gone: make(chan struct{}), outcome: make(chan error, 1)}
	for {
		receipt, before := in.reserve(u)
		if receipt != nil {
			sure, err := in.sure(ctx, u.entry.ID, *receipt)
			return nil, sure, err
		}
		if before == nil {
			break
		}
		select { // the same device's older stream gives its place up
		case <-before.gone:
		case <-ctx.Done():
			return nil, wire.Receipt{}, ctx.Err()
		}
	}
	if u.slot, err = in.staging.Take(); err != nil {
		in.forget(u)
		if errors.Is(err, store.ErrNoSlot) {
			return nil, wire.Receipt{}, fmt.Errorf("%w: %w", wire.ErrBusy, err)
		}
		return nil, wire.Receipt{}, err
	}
	return u, wire.Receipt{}, nil
}

// reserve gives u its device's place, or says why not, or who holds it.
func (in *intake) reserve(u *upload) (*wire.Receipt, *upload) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if s, known := in.staged[u.entry.ID]; known {
		if s.Digest == u.entry.Digest {
			return &wire.Receipt{State: wire.Staged}, nil
		}
		in.dropLocked(u.entry.ID, round.DropConflict)
		return &wire.Receipt{State: wire.Rejected, Reason: round.DropConflict}, nil
	}
	if in.closed {
		in.dropLocked(u.entry.ID, round.DropClosed)
		return &wire.Receipt{State: wire.Late, Reason: round.DropClosed}, nil
	}
	if before := in.under[u.entry.ID]; before != nil {
		select {
		case <-before.left:
		default:
			close(before.left)
		}
		return nil, before
	}
	if len(in.staged)+len(in.under) >= in.g.params.NMax() {
		for _, other := range in.under {
			if other.resting {
				other.resting = false
				close(other.left)
				return nil, other
			}
		}
		in.dropLocked(u.entry.ID, round.DropFull)
		return &wire.Receipt{State: wire.Rejected, Reason: round.DropFull}, nil
	}
	in.under[u.entry.ID] = u
	return nil, nil
}

// forget gives up u's place.
func (in *intake) forget(u *upload) {
	in.mu.Lock()
	delete(in.under, u.entry.ID)
	in.mu.Unlock()
	close(u.gone)
}

// Write takes the next piece of the vector.
func (u *upload) Write(p []byte) error {
	if err := u.in.over(); err != nil {
		return err
	}
	if _, err := u.check.Write(p); err != nil {
		return err
	}
	if err := u.in.staging.PutVector(u.slot, u.at, p); err != nil {
		return err
	}
	u.at += len(p)
	return nil
}

// Finish verifies the vector and makes the upload durable.
func (u *upload) Finish(ctx context.Context) (wire.Receipt, error) {
	if err := u.check.Close(); err != nil {
		u.Abort(round.DropVector)
		return wire.Receipt{State: wire.Rejected, Reason: round.DropVector}, nil
	}
	if err := u.in.staging.PutHeader(u.slot, u.header); err != nil {
		u.Abort(round.DropStorage)
		return wire.Receipt{}, err
	}
	select {
	case u.in.complete <- u:
	case <-u.in.g.ctx.Done():
		u.Abort(round.DropClosed)
		return u.tooLate(ctx)
	case <-ctx.Done():
		u.Abort(round.DropDied)
		return wire.Receipt{}, ctx.Err()
	}
	err := <-u.outcome // group always answers what it took
	switch {
	case errors.Is(err, store.ErrRoundClosed):
		return wire.Receipt{State: wire.Late, Reason: round.DropClosed}, nil
	case errors.Is(err, store.ErrOther):
		return wire.Receipt{State: wire.Rejected, Reason: round.DropConflict}, nil
	case errors.Is(err, store.ErrFullRound):
		return wire.Receipt{State: wire.Rejected, Reason: round.DropFull}, nil
	case err != nil && u.in.g.ctx.Err() != nil:
		return u.tooLate(ctx)
	case err != nil:
		return wire.Receipt{}, err
	}
	return wire.Receipt{State: wire.Staged}, nil
}

// tooLate answers an upload whose round is no longer driven: late if the round is over, otherwise the device tries again
// when the server is back.
func (g *group) tooLate() (wire.Receipt, error) {
	if g.cause() != nil {
		return wire.Receipt{}, store.ErrClosed
	}
	return wire.Receipt{State: wire.Late, Reason: round.DropClosed}, nil
}

func (u *upload) tooLate(ctx context.Context) (wire.Receipt, error) {
	r, err := u.in.g.tooLate()
	if err != nil {
		return r, err
	}
	return u.in.sure(ctx, u.entry.ID, r)
}

// sure makes sure that an answer that turns a device away stays true. Where replicas share the round, the same upload may be
// staged at another one that this one has not heard of, or that has yet to store it (server/simulation,
// testdata/found/late-and-counted.txt): until what is durable forbids that, the device tries again.
func (in *intake) sure(ctx context.Context, id round.ID, r wire.Receipt) (wire.Receipt, error) {
	s, k := in.g.s, in.g.key
	if !s.st.Shared() || r.Reason != round.DropClosed && r.Reason != round.DropFull {
		return r, nil
	}
	fate, _, err := s.st.Fate(ctx, k)
	if err != nil {
		return wire.Receipt{}, err
	}
	in.mu.Lock()
	full := len(in.staged) >= in.g.params.NMax()
	in.mu.Unlock()
	if fate.State <= round.Collecting && !(full && r.Reason == round.DropFull) {
		return wire.Receipt{}, fmt.Errorf("%w: the round is closing, or has no room for now", wire.ErrBusy)
	}
	now, err := backend{s}.Receipt(ctx, k.Task, k.Round, id, 0)
	if err != nil || now.State != wire.Unknown {
		return now, err
	}
	return r, nil
}

// Abort gives the upload up.
func (u *upload) Abort(why round.DropReason) {
	u.in.staging.Give(u.slot)
	u.in.drop(u.entry.ID, why)
	u.in.forget(u)
}

// Left is closed when another stream takes this upload's place.
func (u *upload) Left() <-chan struct{} { return u.left }

// Rest notes whether the upload is interrupted. A device that is gone counts as one that died until it comes back.
func (u *upload) Rest(resting bool) {
	u.in.mu.Lock()
	defer u.in.mu.Unlock()
	select {
	case <-u.left: // its place is taken already
	default:
		u.resting = resting
	}
	if resting {
		u.in.dropLocked(u.entry.ID, round.DropDied)
	}
}

// group makes complete uploads durable, as many at once as are there.
func (in *intake) group() {
	for {
		select {
		case first := <-in.complete:
			group := []*upload{first}
			for more := true; more && len(group) < 256; {
				select {
				case u := <-in.complete:
					group = append(group, u)
				default:
					more = false
				}
			}
			outcomes, err := in.store(group)
			in.settle(group, outcomes, err)
		case <-in.g.ctx.Done():
			return
		}
	}
}

// store makes a group durable: one outcome for each, or none of them is known to be stored.
func (in *intake) store(group []*upload) ([]error, error) {
	in.mu.Lock()
	closed := in.closed
	in.mu.Unlock()
	if closed && !in.g.s.st.Shared() { // else the row says whether the round takes uploads
		return slices.Repeat([]error{store.ErrRoundClosed}, len(group)), nil
	}
	if err := in.staging.Sync(); err != nil {
		return nil, err
	}
	now, s := in.g.s.cfg.Clock(), in.g.s
	rows := make([]store.Staged, len(group))
	for i, u := range group {
		rows[i] = u.row(now)
		if s.st.Shared() {
			rows[i].Raw = u.header
		}
	}
	return s.st.Stage(in.g.ctx, in.g.key, s.replica, in.g.params.NMax(), rows)
}

func (u *upload) row(now time.Time) store.Staged {
	return store.Staged{Upload: u.entry, Slot: u.slot, Header: len(u.header), Millis: now.Sub(u.began).Milliseconds(), State: store.StagedUpload, Replica: u.in.g.s.replica}
}

// settle tells everybody what became of a group.
func (in *intake) settle(group []*upload, outcomes []error, err error) {
	if err != nil {
		in.unsettled(group, err)
		return
	}
	var fresh []round.Upload
	in.mu.Lock()
	for i, u := range group {
		if outcomes[i] != nil {
			continue
		}
		fresh = append(fresh, u.entry)
		in.staged[u.entry.ID] = u.row(u.began)
		delete(in.offers, u.entry.ID)
		delete(in.drops, u.entry.ID)
		delete(in.under, u.entry.ID)
	}
	in.mu.Unlock()
	if len(fresh) > 0 && in.g.drives() {
		in.g.tell(round.Staged{Uploads: fresh})
	}
	for i, u := range group {
		switch err := outcomes[i]; {
		case err == nil:
			close(u.gone)
		case errors.Is(err, store.ErrSame): // it came twice, by two replicas
			outcomes[i] = nil
			in.staging.Give(u.slot)
			in.forget(u)
			in.learnAgain()
		case errors.Is(err, store.ErrOther):
			u.Abort(round.DropConflict)
		case errors.Is(err, store.ErrFullRound):
			u.Abort(round.DropFull)
		default:
			u.Abort(round.DropClosed)
		}
		u.outcome <- outcomes[i]
	}
}

// learnAgain has all rows of uploads looked at once more.
func (in *intake) learnAgain() {
	in.mu.Lock()
	in.seen = 0
	in.mu.Unlock()
}

// unsettled gives up a group of which nobody knows whether it was stored. Where it was, and the answer was lost on its way
// from the database, the rows name the slots: these are not used again, and what is in them is found again.
func (in *intake) unsettled(group []*upload, err error) {
	shared := in.g.s.st.Shared()
	for _, u := range group {
		if !shared {
			in.staging.Give(u.slot)
		}
		in.drop(u.entry.ID, round.DropStorage)
		in.forget(u)
	}
	if shared {
		in.learnAgain()
	}
	for _, u := range group {
		u.outcome <- err
	}
}
