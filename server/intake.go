package server

import (
	"errors"
	"sync"
	"time"

	"tutti/aggregation"
	wire "tutti/server/grpc"
	"tutti/server/round"
	"tutti/server/store"
)

// intake takes the uploads of one group of a round: judged by their header, written into their slot while they stream, verified,
// and made durable in groups, one fsync and one transaction for all that are complete at the same time.
type intake struct {
	g         *group
	cfg       *aggregation.Config
	staging   *store.Staging
	vectorLen int

	mu     sync.Mutex
	staged map[round.ID]store.Staged
	under  map[round.ID]*upload          // uploads under way
	offers map[round.ID]time.Time        // devices that were shown the round and have not uploaded yet
	drops  map[round.ID]round.DropReason // devices that were turned away and are not staged, with the first reason
	seen   uint64                        // how far the uploads of all replicas are known
	closed bool

	complete chan *upload
}

// slack is how many uploads beyond n_max may be under way: some of them die.
const slack = 256

// openIntake opens the round to devices. staged are the uploads so far: of an earlier process, and of other replicas.
func (g *group) openIntake(staged []store.Staged) error {
	in := &intake{
		g: g, cfg: g.cfg, vectorLen: g.params.VectorLen(), staged: map[round.ID]store.Staged{}, under: map[round.ID]*upload{},
		offers: map[round.ID]time.Time{}, drops: map[round.ID]round.DropReason{}, complete: make(chan *upload),
	}
	var taken []int
	for _, u := range staged {
		in.staged[u.ID] = u
		in.seen = max(in.seen, u.Seq)
		if in.own(u) {
			taken = append(taken, u.Slot)
		}
	}
	var err error
	in.staging, err = g.s.st.OpenStaging(g.key, g.headerCap(), in.vectorLen, g.params.NMax()+slack, taken)
	if err != nil {
		return err
	}
	f := newFolder(g, in)
	g.mu.Lock()
	g.intake, g.folder = in, f
	g.offer = &offer{config: g.cfg.Marshal()}
	g.lot = g.cfg
	g.mu.Unlock()
	g.spawn(in.group)
	g.spawn(f.run)
	return nil
}

// headerCap is the room for the header of one upload.
func (g *group) headerCap() int {
	return 4<<10 + g.params.StatementLen() + g.params.Members()*(4+g.params.EnvelopeLen(g.cfg.Suite()))
}

// taking is the intake while there is one.
func (g *group) taking() *intake {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.intake
}

// folding is the folder while there is an intake.
func (g *group) folding() *folder {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.folder
}

// closeOffer ends the intake: what is under way is late.
func (g *group) closeOffer() {
	g.mu.Lock()
	g.offer = nil
	in := g.intake
	g.mu.Unlock()
	if in != nil {
		in.mu.Lock()
		in.closed = true
		in.mu.Unlock()
	}
}

// over says that the intake takes nothing any more: the round does not, or this server stops or no longer takes part in it.
func (in *intake) over() error {
	in.mu.Lock()
	closed := in.closed
	in.mu.Unlock()
	switch {
	case closed:
		return wire.ErrOver
	case in.g.ctx.Err() == nil:
		return nil
	case in.g.cause() != nil:
		return store.ErrClosed
	}
	return wire.ErrOver
}

func (g *group) drops() map[string]int {
	in := g.taking()
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	out := map[string]int{}
	for _, r := range in.drops {
		out[r.String()]++
	}
	return out
}

// drop notes why a device was turned away. What is said of drops, with noise, is sized for one of each device and round,
// so a device counts once, whatever it sends and however often, and not at all once it is staged. Uploads whose header
// cannot be read are nobody's, and count as one.
func (in *intake) drop(id round.ID, r round.DropReason) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.dropLocked(id, r)
}

func (in *intake) dropLocked(id round.ID, r round.DropReason) {
	_, staged := in.staged[id]
	_, known := in.drops[id]
	if !staged && !known && len(in.drops) < 4*(in.g.params.NMax()+slack) {
		in.drops[id] = r
	}
}

// rejected counts a drop and answers it.
func (in *intake) rejected(id round.ID, r round.DropReason) wire.Receipt {
	in.drop(id, r)
	return wire.Receipt{State: wire.Rejected, Reason: r}
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
	if _, had := in.offers[id]; !had && len(in.staged)+len(in.offers) >= in.g.params.NMax() {
		for other, at := range in.offers {
			if now.Sub(at) > hold {
				delete(in.offers, other)
			}
		}
		if len(in.staged)+len(in.offers) >= in.g.params.NMax() {
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
	case aggregation.ReasonNotEligible, aggregation.ReasonShard:
		return round.DropNotEligible
	case aggregation.ReasonVector:
		return round.DropVector
	}
	return round.DropHeader
}
