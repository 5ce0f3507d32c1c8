package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"tutti/aggregation"
	"tutti/privacy/plan"
	"tutti/server/committee"
	"tutti/server/round"
	"tutti/server/store"
)

// active is one round and everything that lives as long as it. One goroutine, run, owns the machine and carries out its
// effects in their order; requests to members, the intake of uploads and the folding have goroutines of their own and
// tell it by mail.
type active struct {
	s      *Server
	key    store.Key
	began  time.Time
	signed plan.Signed
	plan   plan.Plan
	params *aggregation.Params
	people *aggregation.Enrolled // the plan's population
	nodes  []*committee.Client   // in the order of the plan's committee
	ctx    context.Context
	cancel context.CancelFunc
	mail   *mailbox[letter]
	work   sync.WaitGroup // goroutines that belong to the round

	done   chan struct{} // closed when run has returned
	opened chan struct{} // closed when the sum is open, or never will be
	once   sync.Once

	// owned by run, and by others after done or opened is closed
	m        *round.Machine
	cfg      *aggregation.Config
	set      *aggregation.Set
	cert     *aggregation.Certificate
	result   *RoundResult
	err      error // why run ended before the round did
	finish   *finish
	batches  map[int]*batch
	words    map[round.ID][]aggregation.CheckAnswer // of the sharing check, while the collection lasts
	failed   []ed25519.PublicKey                    // members that did not help to open the round
	reported time.Time                              // of the last Progress
	staged   int                                    // uploads when the round was abandoned

	mu     sync.Mutex
	stored round.Durable // as it is on disk
	offer  *offer        // while devices may come
	intake *intake
	folder *folder
}

// letter is an input for the machine, or something to do on the driver's goroutine, or why the round cannot go on now.
type letter struct {
	in    round.Input
	do    func()
	fault error
}

// offer is what devices are shown.
type offer struct {
	config     []byte
	checkpoint uint64 // records in the plan's checkpoint
}

func (a *active) tell(in round.Input) { a.mail.put(letter{in: in}) }

// run drives the round to its end, or until the server closes or a transition cannot be stored.
func (a *active) run(first round.Effects) {
	defer close(a.done)
	defer a.end()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	if !a.carryOut(first, timer) {
		return
	}
	for !a.m.Done() {
		select {
		case <-a.ctx.Done():
			a.err = ErrClosed
			return
		case <-timer.C:
			if !a.step(round.Tick{}, timer) {
				return
			}
		case <-a.mail.wake:
			for _, l := range a.mail.take() {
				if l.fault != nil {
					a.err = l.fault
					return
				}
				if l.do != nil {
					l.do()
				}
				if l.in != nil && !a.step(l.in, timer) {
					return
				}
			}
			a.progress()
		}
	}
}

// end lets everybody go who waits for the round.
func (a *active) end() {
	a.cancel()
	a.once.Do(func() { close(a.opened) })
	if f := a.finish; f != nil {
		f.fail(a.err)
	}
	if a.err != nil && !errors.Is(a.err, ErrClosed) {
		a.s.log.Error("the round stands still", "round", a.key.Round, "error", a.err)
		a.s.observe(Failing{Round: a.key.Round, Err: a.err})
	}
}

// release closes the round's files once no goroutine uses them any more.
func (a *active) release() {
	a.work.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offer = nil
	if a.intake != nil {
		a.intake.staging.Close()
		a.intake = nil
	}
}

func (a *active) step(in round.Input, timer *time.Timer) bool {
	return a.carryOut(a.m.Step(a.s.cfg.Clock(), in), timer)
}

// carryOut does what the machine asks, in the order of Effects. False: the driver stops.
func (a *active) carryOut(out round.Effects, timer *time.Timer) bool {
	if out.Persist != nil {
		switch err := a.persist(out.Persist); {
		case errors.Is(err, errConfig): // nothing was stored: go back, and abandon instead
			a.s.log.Error("no configuration", "round", a.key.Round, "error", err)
			a.m, _ = round.Resume(a.m.Params(), a.state(), nil, a.s.cfg.Clock())
			return a.step(round.Stop{Reason: round.CommitteeAbsent}, timer)
		case err != nil:
			a.err = err
			return false
		}
	}
	if a.m.State() == round.Collecting && !a.m.Taking() {
		a.closeOffer()
	}
	for _, r := range out.Send {
		a.ask(r)
	}
	for _, w := range out.Work {
		a.do(w)
	}
	for _, e := range out.Events {
		a.report(e)
	}
	if !out.Wake.IsZero() {
		timer.Reset(max(out.Wake.Sub(a.s.cfg.Clock()), 0) + time.Millisecond)
	}
	return true
}

// state is the round as it is on disk.
func (a *active) state() round.Durable {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stored
}

// do gives local work away.
func (a *active) do(w round.Work) {
	switch {
	case w.Fold != nil:
		a.folder.fold(w.Fold)
	case w.Check != nil:
		a.check(*w.Check)
	case w.Assemble != nil:
		a.folder.assemble(w.Assemble)
	case w.Unmask:
		answers := a.m.Durable().Answers
		a.spawn(func() { a.unmask(answers) })
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

// newActive prepares a round from its plan.
func (s *Server) newActive(key store.Key, began time.Time, signed plan.Signed) (*active, error) {
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
	a := &active{s: s, key: key, began: began, signed: signed, plan: p, params: params, people: people, mail: newMailbox[letter](),
		done: make(chan struct{}), opened: make(chan struct{}), batches: map[int]*batch{}, words: map[round.ID][]aggregation.CheckAnswer{}}
	for i, identity := range p.Committee {
		for j, peer := range s.cfg.Committee {
			if peer.Identity.Equal(identity) {
				a.nodes = append(a.nodes, s.nodes[j])
			}
		}
		if len(a.nodes) != i+1 {
			return nil, fmt.Errorf("round %d was opened with committee node %x, which is not configured any more", key.Round, identity[:6])
		}
	}
	a.ctx, a.cancel = context.WithCancel(s.ctx)
	return a, nil
}

// machineParams are the numbers of the round for its machine.
func (a *active) machineParams() (round.Params, error) {
	collect := max(time.Unix(a.plan.Deadline, 0).Sub(a.began), time.Second)
	return round.NewParams(round.Literal{
		Members: a.params.Members(), Quorum: a.params.Quorum(), Need: a.params.Need(),
		Goal: int(a.plan.Goal), Min: a.params.NMin(), Max: a.params.NMax(),
		Batch: 64, Windows: a.s.cfg.Windows(collect),
	})
}

// id names the round in the protocol.
func (a *active) id() aggregation.RoundID {
	return aggregation.RoundID{Task: a.key.Task, Round: a.key.Round}
}
