package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"tutti/aggregation"
	"tutti/privacy/plan"
	"tutti/server/committee"
	"tutti/server/round"
	"tutti/server/store"
)

// active is one round and everything that lives as long as it: what its groups share. One goroutine, run, owns the
// machines of all groups and carries out their effects in their order; requests to members, the intake of uploads and the
// folding have goroutines of their own and tell it by mail.
type active struct {
	s      *Server
	key    store.Key
	began  time.Time
	signed plan.Signed
	plan   plan.Plan
	rho    *big.Rat // what the round costs, see cost
	params *aggregation.Params
	people *aggregation.Enrolled // the plan's population
	rest   map[round.ID]bool     // devices that were in a round too short a while ago, and would refuse
	nodes  []*committee.Client   // in the order of the plan's committee
	groups []*group              // as many as the plan says; the first one opens the round for all
	term   *term                 // in which this replica drives the round; nil: it only takes uploads
	ctx    context.Context
	cancel context.CancelCauseFunc
	mail   *mailbox[letter]
	work   sync.WaitGroup // goroutines that belong to the round

	done   chan struct{} // closed when run has returned
	opened chan struct{} // closed when every sum that can be is open, or none ever will be
	place  planPlace     // of the plan in the log
	once   sync.Once

	// owned by run, and by others after done or opened is closed
	result   *RoundResult
	err      error // why run ended before the round did
	finish   *finish
	failed   []ed25519.PublicKey // members that did not help to open the round
	reported time.Time           // of the last Progress

	mu  sync.Mutex          // guards lot, and of the groups what they say
	lot *aggregation.Config // of one of the groups, which tells the group of any device; nil: not drawn yet
}

// letter is an input for the machine of a group, or of all where none is named; or something to do on the driver's
// goroutine; or that the round is published; or why it cannot go on now.
type letter struct {
	g       *group
	in      round.Input
	do      func()
	publish bool
	fault   error
}

// offer is what devices are shown.
type offer struct {
	config []byte
}

func (a *active) tell(in round.Input) { a.mail.put(letter{in: in}) }

// run drives the round to its end, or until the server closes or a transition cannot be stored.
func (a *active) run() {
	defer close(a.done)
	defer a.end()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for _, g := range a.groups {
		first := g.first
		if g.first = (round.Effects{}); g.m != nil && !g.carryOut(first) {
			return
		}
	}
	for !a.over() {
		a.arm(timer)
		select {
		case <-a.ctx.Done():
			if a.err = a.cause(); a.err == nil {
				a.err = ErrClosed
			}
			return
		case <-timer.C:
			now := a.s.cfg.Clock()
			for _, g := range a.groups {
				if g.m != nil && !g.wake.IsZero() && !now.Before(g.wake) && !g.step(round.Tick{}) {
					return
				}
			}
		case <-a.mail.wake:
			for _, l := range a.mail.take() {
				if !a.read(l) {
					return
				}
			}
			a.progress()
		}
	}
}

// read does what a letter says. False: the driver stops.
func (a *active) read(l letter) bool {
	if l.fault != nil {
		a.err = l.fault
		return false
	}
	if l.do != nil {
		l.do()
	}
	if l.publish && !a.publishGroups() {
		return false
	}
	for _, g := range a.groups {
		if l.in != nil && (l.g == nil || l.g == g) && g.m != nil && !g.step(l.in) {
			return false
		}
	}
	return true
}

// over says that no group wants anything more.
func (a *active) over() bool {
	for _, g := range a.groups {
		if !g.over() {
			return false
		}
	}
	return true
}

// arm sets the timer to when the first group wants to be woken.
func (a *active) arm(timer *time.Timer) {
	var first time.Time
	for _, g := range a.groups {
		if g.m != nil && !g.m.Done() && !g.wake.IsZero() && (first.IsZero() || g.wake.Before(first)) {
			first = g.wake
		}
	}
	if !first.IsZero() {
		timer.Reset(max(first.Sub(a.s.cfg.Clock()), 0) + time.Millisecond)
	}
}

// end lets everybody go who waits for the round.
func (a *active) end() {
	a.err = a.s.fenced(a.term, a.err)
	a.cancel(a.err)
	a.once.Do(func() { close(a.opened) })
	if f := a.finish; f != nil {
		f.fail(a.err)
	}
	if a.err != nil && !errors.Is(a.err, ErrClosed) && !errors.Is(a.err, ErrFollower) {
		a.s.log.Error("the round stands still", "round", a.key.Round, "error", a.err)
		a.s.observe(Failing{Round: a.key.Round, Err: a.err})
	}
}

// release closes the round's files once no goroutine uses them any more.
func (a *active) release() {
	a.work.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range a.groups {
		g.offer = nil
		if g.intake != nil {
			g.intake.staging.Close()
			g.intake, g.folder = nil, nil
		}
	}
}

// spawn runs what belongs to the round beside its driver.
func (a *active) spawn(do func()) {
	a.work.Add(1)
	go func() {
		defer a.work.Done()
		do()
	}()
}

// attend keeps a round that another replica drives until this one leaves it.
func (a *active) attend() {
	<-a.ctx.Done()
	a.err = a.cause()
	a.once.Do(func() { close(a.opened) })
	close(a.done)
}

// cause is why the round ended here before it ended; nil: it ended.
func (a *active) cause() error {
	switch cause := context.Cause(a.ctx); {
	case a.s.ctx.Err() != nil:
		return ErrClosed
	case errors.Is(cause, context.Canceled):
		return nil
	default:
		return cause
	}
}

// drives says whether this replica drives the round.
func (a *active) drives() bool { return a.term != nil }

// newActive prepares a round from its plan, to be driven in a term, or only to take uploads.
func (s *Server) newActive(key store.Key, began time.Time, signed plan.Signed, t *term) (*active, error) {
	p, err := plan.Open(signed, s.Operator())
	if err != nil {
		return nil, err
	}
	params, err := plan.Aggregation(p)
	if err != nil {
		return nil, err
	}
	people, err := s.population(p.Population)
	if err != nil {
		return nil, err
	}
	paid := s.Ledger().Totals().Stream
	a := &active{s: s, key: key, began: began, signed: signed, plan: p, rho: p.Cost(paid), params: params, people: people, term: t, mail: newMailbox[letter](),
		done: make(chan struct{}), opened: make(chan struct{})}
	if p.Separation > 1 {
		first := p.Round - min(p.Round, uint64(p.Separation)) + 1
		if a.rest, err = s.st.Uploaded(s.ctx, p.Task, first, p.Round-1); err != nil {
			return nil, err
		}
	}
	for shard := range p.Groups {
		g := &group{active: a, key: key, batches: map[int]*batch{}, words: map[round.ID][]aggregation.CheckAnswer{}}
		g.key.Shard = shard
		a.groups = append(a.groups, g)
	}
	if t != nil {
		if err := a.findNodes(); err != nil {
			return nil, err
		}
	}
	a.ctx, a.cancel = context.WithCancelCause(s.ctx)
	return a, nil
}

// findNodes finds the connections to the plan's committee.
func (a *active) findNodes() error {
	for i, identity := range a.plan.Committee {
		for j, peer := range a.s.cfg.Committee {
			if peer.Identity.Equal(identity) {
				a.nodes = append(a.nodes, a.s.nodes[j])
			}
		}
		if len(a.nodes) != i+1 {
			return fmt.Errorf("round %d was opened with committee node %x, which is not configured any more", a.key.Round, identity[:6])
		}
	}
	return nil
}

// machineParams are the numbers of one group for its machine: the goal is divided among the groups.
func (a *active) machineParams() (round.Params, error) {
	collect := max(time.Unix(a.plan.Deadline, 0).Sub(a.began), time.Second)
	return round.NewParams(round.Literal{
		Members: a.params.Members(), Quorum: a.params.Quorum(), Need: a.params.Need(),
		Goal: (int(a.plan.Goal) + len(a.groups) - 1) / len(a.groups), Min: a.params.NMin(), Max: a.params.NMax(),
		Batch: 64, Windows: a.s.cfg.Windows(collect),
	})
}
