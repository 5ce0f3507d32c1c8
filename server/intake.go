package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"tutti/aggregation"
	wire "tutti/server/grpc"
	"tutti/server/round"
	"tutti/server/store"
)

// intake takes the uploads of one round: judged by their header, written into their slot while they stream, verified,
// and made durable in groups, one fsync and one transaction for all that are complete at the same time.
type intake struct {
	a         *active
	cfg       *aggregation.Config
	staging   *store.Staging
	vectorLen int

	mu     sync.Mutex
	staged map[round.ID]store.Staged
	under  map[round.ID]*upload   // uploads under way
	offers map[round.ID]time.Time // devices that were shown the round and have not uploaded yet
	drops  map[round.DropReason]int
	closed bool

	complete chan *upload
}

// slack is how many uploads beyond n_max may be under way: some of them die.
const slack = 256

// openIntake opens the round to devices. staged are the uploads of an earlier process.
func (a *active) openIntake(staged []store.Staged) error {
	in := &intake{
		a: a, cfg: a.cfg, vectorLen: a.params.VectorLen(), staged: map[round.ID]store.Staged{}, under: map[round.ID]*upload{},
		offers: map[round.ID]time.Time{}, drops: map[round.DropReason]int{}, complete: make(chan *upload),
	}
	taken := make([]int, len(staged))
	for i, u := range staged {
		in.staged[u.ID] = u
		taken[i] = u.Slot
	}
	var err error
	in.staging, err = a.s.st.OpenStaging(a.key, a.headerCap(), in.vectorLen, a.params.NMax()+slack, taken)
	if err != nil {
		return err
	}
	checkpoint, err := a.checkpointSize()
	if err != nil {
		in.staging.Close()
		return err
	}
	f := newFolder(a, in)
	a.mu.Lock()
	a.intake, a.folder = in, f
	a.offer = &offer{config: a.cfg.Marshal(), checkpoint: checkpoint}
	a.mu.Unlock()
	a.spawn(in.group)
	a.spawn(f.run)
	return nil
}

// headerCap is the room for the member headers of one upload: each has the same envelope and a path of at most
// log2(m)+1 digests.
func (a *active) headerCap() int {
	path := int(math.Ceil(math.Log2(float64(a.params.Members())))) + 1
	one := 4 + 512 + a.params.EnvelopeLen(a.cfg.Suite()) + 32*path
	return a.params.Members() * one
}

// taking is the intake while there is one.
func (a *active) taking() *intake {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.intake
}

// closeOffer ends the intake: what is under way is late.
func (a *active) closeOffer() {
	a.mu.Lock()
	a.offer = nil
	in := a.intake
	a.mu.Unlock()
	if in != nil {
		in.mu.Lock()
		in.closed = true
		in.mu.Unlock()
	}
}

func (a *active) drops() map[string]int {
	in := a.taking()
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	out := map[string]int{}
	for r, n := range in.drops {
		out[r.String()] = n
	}
	return out
}

func (in *intake) drop(r round.DropReason) {
	in.mu.Lock()
	in.drops[r]++
	in.mu.Unlock()
}

// rejected counts a drop and answers it.
func (in *intake) rejected(r round.DropReason) wire.Receipt {
	in.drop(r)
	return wire.Receipt{State: wire.Rejected, Reason: r}
}

// upload is one upload under way.
type upload struct {
	in      *intake
	entry   round.Upload
	slot    int
	headers []byte // the member headers, packed
	check   *aggregation.VectorCheck
	at      int
	began   time.Time
	left    chan struct{} // closed when another stream takes over
	gone    chan struct{} // closed when this upload holds its place no longer
	outcome chan error    // of the group commit
}

// begin judges a header; with a nil upload the receipt is the answer.
func (in *intake) begin(ctx context.Context, raw []byte, vectorBytes uint64) (*upload, wire.Receipt, error) {
	h, err := aggregation.ParseHeader(raw)
	if err != nil {
		return nil, in.rejected(round.DropHeader), nil
	}
	if err := aggregation.VerifyHeader(in.cfg, h); err != nil {
		return nil, in.rejected(dropOf(err)), nil
	}
	if vectorBytes != uint64(in.vectorLen) {
		return nil, in.rejected(round.DropVector), nil
	}
	u := &upload{in: in, entry: h.Entry(), check: aggregation.NewVectorCheck(in.cfg, h), began: in.a.s.cfg.Clock(),
		left: make(chan struct{}), gone: make(chan struct{}), outcome: make(chan error, 1)}
	if u.headers, err = packHeaders(h); err != nil {
		return nil, wire.Receipt{}, err
	}
	for {
		receipt, before := in.reserve(u)
		if receipt != nil {
			return nil, *receipt, nil
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
		in.drops[round.DropConflict]++
		return &wire.Receipt{State: wire.Rejected, Reason: round.DropConflict}, nil
	}
	if in.closed {
		in.drops[round.DropClosed]++
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
	if len(in.staged)+len(in.under) >= in.a.params.NMax() {
		in.drops[round.DropFull]++
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
	if err := u.in.staging.PutHeader(u.slot, u.headers); err != nil {
		u.Abort(round.DropStorage)
		return wire.Receipt{}, err
	}
	select {
	case u.in.complete <- u:
	case <-u.in.a.ctx.Done():
		u.Abort(round.DropClosed)
		return u.in.a.tooLate()
	case <-ctx.Done():
		u.Abort(round.DropDied)
		return wire.Receipt{}, ctx.Err()
	}
	err := <-u.outcome // group always answers what it took
	switch {
	case errors.Is(err, errLate):
		return wire.Receipt{State: wire.Late, Reason: round.DropClosed}, nil
	case err != nil && u.in.a.ctx.Err() != nil:
		return u.in.a.tooLate()
	case err != nil:
		return wire.Receipt{}, err
	}
	return wire.Receipt{State: wire.Staged}, nil
}

// tooLate answers an upload whose round is no longer driven: late if the round is over, otherwise the device tries again
// when the server is back.
func (a *active) tooLate() (wire.Receipt, error) {
	if a.err != nil || a.s.ctx.Err() != nil {
		return wire.Receipt{}, store.ErrClosed
	}
	return wire.Receipt{State: wire.Late, Reason: round.DropClosed}, nil
}

// Abort gives the upload up.
func (u *upload) Abort(why round.DropReason) {
	u.in.staging.Give(u.slot)
	u.in.drop(why)
	u.in.forget(u)
}

// Left is closed when another stream takes this upload's place.
func (u *upload) Left() <-chan struct{} { return u.left }

var errLate = errors.New("the round closed before the upload was stored")

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
			in.settle(group, in.store(group))
		case <-in.a.ctx.Done():
			return
		}
	}
}

func (in *intake) store(group []*upload) error {
	in.mu.Lock()
	closed := in.closed
	in.mu.Unlock()
	if closed {
		return errLate
	}
	if err := in.staging.Sync(); err != nil {
		return err
	}
	now := in.a.s.cfg.Clock()
	rows := make([]store.Staged, len(group))
	for i, u := range group {
		rows[i] = u.row(now)
	}
	return in.a.s.st.Stage(in.a.ctx, in.a.key, rows)
}

func (u *upload) row(now time.Time) store.Staged {
	return store.Staged{Upload: u.entry, Slot: u.slot, Header: len(u.headers), Millis: now.Sub(u.began).Milliseconds(), State: store.StagedUpload}
}

// settle tells everybody what became of a group.
func (in *intake) settle(group []*upload, err error) {
	if err == nil {
		entries := make([]round.Upload, len(group))
		in.mu.Lock()
		for i, u := range group {
			entries[i] = u.entry
			in.staged[u.entry.ID] = u.row(u.began)
			delete(in.offers, u.entry.ID)
			delete(in.under, u.entry.ID)
		}
		in.mu.Unlock()
		in.a.tell(round.Staged{Uploads: entries})
	}
	for _, u := range group {
		switch {
		case err == nil:
			close(u.gone)
		case errors.Is(err, errLate):
			u.Abort(round.DropClosed)
		default:
			u.Abort(round.DropStorage)
		}
		u.outcome <- err
	}
}

// slot finds a staged upload.
func (in *intake) slot(id round.ID) (store.Staged, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s, ok := in.staged[id]
	return s, ok
}

// room says whether the round has room for a device that asks, and keeps a place for it for a while: more offers than
// n_max would make devices train and seal for nothing.
func (in *intake) room(id round.ID, now time.Time, hold time.Duration) (ok, counted bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if _, known := in.staged[id]; known {
		return false, true
	}
	if in.closed {
		return false, false
	}
	if _, had := in.offers[id]; !had && len(in.staged)+len(in.offers) >= in.a.params.NMax() {
		for other, at := range in.offers {
			if now.Sub(at) > hold {
				delete(in.offers, other)
			}
		}
		if len(in.staged)+len(in.offers) >= in.a.params.NMax() {
			return false, false
		}
	}
	in.offers[id] = now
	return true, false
}

// dropOf maps the protocol's reason to the server's.
func dropOf(err error) round.DropReason {
	var r aggregation.Reason
	if !errors.As(err, &r) {
		return round.DropHeader
	}
	switch r {
	case aggregation.ReasonConfig, aggregation.ReasonBase:
		return round.DropConfig
	case aggregation.ReasonEnrolment, aggregation.ReasonIdentity:
		return round.DropNotEnrolled
	case aggregation.ReasonVector:
		return round.DropVector
	}
	return round.DropHeader
}
