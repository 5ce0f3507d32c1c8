package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tutti/server/operator"
	"tutti/server/round"
	"tutti/server/store"
)

// What happens is told to the store, so that every replica can show it and a restart forgets nothing. Telling never holds a
// round up: it is queued within a bound, written in batches by one goroutine, and what does not fit is counted and let go.

const (
	newsQueue     = 1024
	newsBatch     = 128
	newsEvery     = 200 * time.Millisecond
	progressTold  = 2 * time.Second // between two tellings of how a collection goes
	repeatedAfter = 10 * time.Minute
)

// news tells the store what happens.
type news struct {
	s     *Server
	queue chan heard
	stop  chan struct{}
	done  chan struct{}
	once  sync.Once

	mu       sync.Mutex // what follows
	progress time.Time
	said     map[string]time.Time // what waits and fails is told again only after a while
	lost     int                  // did not fit into the queue
}

type heard struct {
	event Event
	at    time.Time
}

// startNews begins to tell.
func (s *Server) startNews() *news {
	n := &news{s: s, queue: make(chan heard, newsQueue), stop: make(chan struct{}), done: make(chan struct{}), said: map[string]time.Time{}}
	go n.run()
	return n
}

// hear queues an event.
func (n *news) hear(e Event) {
	if n == nil {
		return
	}
	now := n.s.cfg.Clock()
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := e.(type) {
	case Progress:
		if now.Sub(n.progress) < progressTold {
			return
		}
		n.progress = now
	case Opened:
		n.progress = time.Time{}
	case Waiting, Failing:
		words := e.String()
		if at, found := n.said[words]; found && now.Sub(at) < repeatedAfter {
			return
		}
		if len(n.said) > 64 {
			clear(n.said)
		}
		n.said[words] = now
	}
	select {
	case n.queue <- heard{e, now}:
	default:
		n.lost++
	}
}

// close writes what is queued.
func (n *news) close() {
	if n == nil {
		return
	}
	n.once.Do(func() { close(n.stop) })
	<-n.done
}

func (n *news) run() {
	defer close(n.done)
	alive := time.NewTicker(operator.SignOfLife)
	defer alive.Stop()
	n.sign(operator.ReplicaSeen)
	for {
		select {
		case h := <-n.queue:
			n.tell(n.gather(h))
		case <-alive.C:
			n.sign(operator.ReplicaSeen)
		case <-n.stop:
			for len(n.queue) > 0 {
				n.tell(n.gather(<-n.queue))
			}
			n.sign(operator.ReplicaLeft)
			return
		}
	}
}

// gather waits a moment for company, so that what happens together is one write.
func (n *news) gather(first heard) []heard {
	all := []heard{first}
	timer := time.NewTimer(newsEvery)
	defer timer.Stop()
	for len(all) < newsBatch {
		select {
		case h := <-n.queue:
			all = append(all, h)
		case <-timer.C:
			return all
		case <-n.stop:
			return all
		}
	}
	return all
}

// tell writes a batch, and after it what became of the rounds that ended with it.
func (n *news) tell(all []heard) {
	var out []store.Happened
	add := func(at time.Time, number uint64, name string, t operator.Told) {
		h, err := t.Happened(at, n.s.cfg.Task, number, name)
		if err != nil {
			n.s.log.Warn("an event cannot be told", "event", name, "error", err)
			return
		}
		out = append(out, h)
	}
	for _, h := range all {
		number, name, t := told(h.event)
		t.Words = h.event.String()
		add(h.at, number, name, t)
		n.s.cfg.Trace.Hear(h.at, number, name, t)
		if reason, ends := endOf(h.event); ends {
			if t, over := n.ended(number); over {
				t.Reason = reason
				add(h.at, number, operator.RoundEnded, t)
				n.s.cfg.Trace.Hear(h.at, number, operator.RoundEnded, t)
			}
		}
	}
	n.write(out)
}

func (n *news) write(out []store.Happened) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := n.s.st.Tell(ctx, out); err != nil {
		n.s.log.Warn("what happened is not told", "events", len(out), "error", err)
	}
	n.mu.Lock()
	lost := n.lost
	n.lost = 0
	n.mu.Unlock()
	if lost > 0 {
		n.s.log.Warn("more happened at once than can be told", "events", lost)
	}
}

// sign tells that this replica is there, and whether it drives.
func (n *news) sign(name string) {
	t := operator.Told{Replica: n.s.name(), Words: "Server " + n.s.name() + " is there"}
	if name == operator.ReplicaLeft {
		t.Words = "Server " + n.s.name() + " ended"
	} else if token, leads := n.s.leads(); leads {
		name, t.Token, t.Words = operator.ReplicaDrives, token, "Server "+n.s.name()+" drives the rounds"
	}
	h, err := t.Happened(n.s.cfg.Clock(), n.s.cfg.Task, 0, name)
	if err == nil {
		n.write([]store.Happened{h})
	}
}

// ended is what became of a round's uploads, if all of its groups have ended.
func (n *news) ended(number uint64) (operator.Told, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	groups, err := n.s.st.RoundGroups(ctx, store.Key{Task: n.s.cfg.Task, Round: number})
	for _, g := range groups {
		if !g.Durable.State.Ended() {
			return operator.Told{}, false
		}
	}
	t := operator.Told{Drops: map[string]int{}}
	for _, g := range groups {
		if err == nil {
			err = n.count(ctx, g.Key, &t)
		}
	}
	if err != nil || len(groups) == 0 {
		n.s.log.Warn("what became of a round's uploads is not told", "round", number, "error", err)
		return operator.Told{}, false
	}
	t.Words = fmt.Sprintf("Round %d ended: of %d uploads %d were counted and %d late", number, t.Staged, t.Devices, t.Late)
	return t, true
}

// refusedAs is why the committee refused an upload, by how it is stored.
var refusedAs = map[store.UploadState]round.DropReason{
	store.RefusedUpload: round.DropCommittee, store.UnsoundUpload: round.DropSharing, store.OversizedUpload: round.DropNorm,
}

// count adds what became of the uploads of a group.
func (n *news) count(ctx context.Context, k store.Key, t *operator.Told) error {
	uploads, err := n.s.st.Uploads(ctx, k)
	if err != nil {
		return err
	}
	t.Staged += len(uploads)
	for _, u := range uploads {
		switch reason, refused := refusedAs[u.State]; {
		case refused:
			t.Drops[reason.String()]++
		case u.State == store.CountedUpload:
			t.Devices++
		case u.State == store.LateUpload:
			t.Late++
		}
	}
	drops, err := n.s.st.Drops(ctx, k)
	for reason, k := range drops {
		t.Drops[reason] += k
	}
	return err
}

// endOf says whether an event may be the end of a round, and why it ended without a sum.
func endOf(e Event) (reason string, ends bool) {
	switch e := e.(type) {
	case Published:
		return "", e.Round > 0
	case Abandoned:
		return e.Reason.String(), true
	case Lost:
		return e.Reason.String(), true
	}
	return "", false
}

// told is an event as the store keeps it.
func told(e Event) (number uint64, name string, t operator.Told) {
	part := func(p Part) operator.Told { return operator.Told{Group: p.Group, Groups: p.Of} }
	switch e := e.(type) {
	case Opened:
		return e.Round, operator.RoundOpened, operator.Told{Kind: e.Kind.String(), Goal: e.Goal, Groups: e.Groups}
	case Progress:
		return e.Round, operator.RoundProgress, operator.Told{Staged: e.Staged, Accepted: e.Accepted, Goal: e.Goal}
	case Moved:
		t = part(e.Part)
		t.To = e.To.String()
		if e.From != 0 {
			t.From = e.From.String()
		}
		return e.Round, operator.RoundMoved, t
	case Closing:
		t = part(e.Part)
		t.Staged = e.Staged
		return e.Round, operator.RoundClosing, t
	case Frozen:
		t = part(e.Part)
		t.Devices = e.Devices
		return e.Round, operator.RoundFrozen, t
	case Certified:
		t = part(e.Part)
		t.Devices = e.Devices
		return e.Round, operator.RoundCertified, t
	case SumOpened:
		t = part(e.Part)
		t.Devices, t.Seconds = e.Devices, e.Took.Seconds()
		return e.Round, operator.SumOpened, t
	case Published:
		return e.Round, operator.RoundPublished, operator.Told{Version: e.Version, Cause: e.Cause}
	case Abandoned:
		t = part(e.Part)
		t.Staged, t.Reason = e.Staged, e.Reason.String()
		return e.Round, operator.RoundAbandoned, t
	case Freed:
		t = part(e.Part)
		t.Certified = e.Certified
		return e.Round, operator.RoundFreed, t
	case Lost:
		t = part(e.Part)
		t.Reason = e.Reason.String()
		return e.Round, operator.RoundLost, t
	case Failing:
		return e.Round, operator.Failing, t
	case NodeAway:
		return 0, operator.NodeAway, operator.Told{Node: e.Node}
	case NodeBack:
		return 0, operator.NodeBack, operator.Told{Node: e.Node}
	case NodeDoubted:
		return 0, operator.NodeDoubted, operator.Told{Node: e.Node, Complaints: e.Complaints, Wrong: e.Wrong}
	case NodeWrong:
		return e.Round, operator.NodeWrong, operator.Told{Node: e.Node}
	case Waiting:
		return 0, operator.Waiting, operator.Told{Devices: e.Enrolled, Goal: e.Want}
	}
	return 0, operator.OtherNews, t
}

// Moved: a round, or a group of it, went into another phase. From 0: it was opened.
type Moved struct {
	Round uint64
	Part
	From, To round.State
}

func (Moved) event() {}

func (e Moved) String() string {
	if e.From == 0 {
		return fmt.Sprintf("%s begins", e.of(e.Round))
	}
	return fmt.Sprintf("%s goes from %v to %v", e.of(e.Round), e.From, e.To)
}

// Paused: no round opens, because an operator said so.
type Paused struct{}

func (Paused) event() {}

func (Paused) String() string {
	return "The task is paused: no round opens until it is resumed (tutti task resume)"
}
