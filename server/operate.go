package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/operator"
	"tutti/server/registry"
	"tutti/server/store"
)

// ErrStopped says that an operator stopped the task: it is over, and Finish tells devices so.
var ErrStopped = errors.New("server: the task was stopped by its operator")

const stateEvery = time.Second // where no word comes of a change of the task's state

// permitted waits while the task is paused, and refuses when it is stopped.
func (s *Server) permitted(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var changed <-chan struct{}
	for {
		s.grant(ctx)
		state, err := s.st.TaskState(ctx, s.cfg.Task)
		switch {
		case err != nil:
			return err
		case state == store.TaskStopped:
			return ErrStopped
		case state != store.TaskPaused:
			return nil
		}
		if changed == nil {
			changed = s.st.Watch(ctx)
			s.observe(Paused{})
		}
		select {
		case <-changed:
		case <-time.After(stateEvery):
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return ErrClosed
		}
	}
}

// keptEnd is the name under which it is kept after which round the recipe was done.
const keptEnd = "end"

// keepEnd notes that the recipe is done, for whoever looks at the task.
func (s *Server) keepEnd(t *term) {
	if t == nil {
		return
	}
	last, err := s.st.LastRound(s.ctx, s.cfg.Task)
	if err == nil {
		err = s.st.Keep(s.ctx, t.fence(), s.cfg.Task, keptEnd, strconv.AppendUint(nil, last, 10))
	}
	if err != nil {
		s.log.Warn("that the task is over is not kept", "error", s.fenced(t, err))
	}
}

// name is this replica's, or "server" where there are no others.
func (s *Server) name() string {
	if s.replica == "" {
		return "server"
	}
	return s.replica
}

// leads says whether this replica drives, and the token of its lease.
func (s *Server) leads() (token uint64, is bool) {
	t := s.leading()
	if t == nil {
		return 0, false
	}
	return t.lease.Token, true
}

// nodesEvery is how often the committee is asked whether it is there, between rounds.
const nodesEvery = 30 * time.Second

// watchNodes tells of nodes that go away and come back while no round is under way; the round itself does then. The
// replica that drives does it.
func (s *Server) watchNodes() {
	tick := time.NewTicker(nodesEvery)
	defer tick.Stop()
	away := make([]bool, len(s.nodes))
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		idle := s.round == nil && s.lead != nil
		s.mu.Unlock()
		if !idle {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		errs := make([]error, len(s.nodes))
		var wg sync.WaitGroup
		for i, n := range s.nodes {
			wg.Go(func() { _, errs[i] = n.Identity(ctx) })
		}
		wg.Wait()
		cancel()
		for i, err := range errs {
			if gone := err != nil; s.ctx.Err() == nil && gone != away[i] {
				away[i] = gone
				if gone {
					s.observe(NodeAway{Node: s.nodes[i].Address()})
				} else {
					s.observe(NodeBack{Node: s.nodes[i].Address()})
				}
			}
		}
	}
}

// Operator is the server as its operator sees and steers it. It works on any replica.
type Operator struct {
	s *Server
	*operator.Maker
}

// Operate gives an operator's view of the task, and control of it. machine says how this replica's machine does.
func (s *Server) Operate(machine func() operator.Machine) *Operator {
	var nodes []string
	for _, p := range s.cfg.Committee {
		nodes = append(nodes, p.Address)
	}
	return &Operator{s, operator.NewMaker(s.st, operator.Setting{
		Task: s.cfg.Task, Replica: s.name(), Nodes: nodes, Trust: s.cfg.Trust, Wanted: s.cfg.Enrolled, Ended: keptEnd,
		Sign: s.Ledger().Checkpoint, Machine: machine, Leads: s.leads, Clock: s.cfg.Clock,
	})}
}

// Changed gives a channel that gets an element when there may be something new to see, until ctx ends.
func (o *Operator) Changed(ctx context.Context) <-chan struct{} { return o.s.st.Watch(ctx) }

// Pause implements operator.Control.
func (o *Operator) Pause(ctx context.Context) error { return o.turn(ctx, store.TaskPaused, "paused") }

// Resume implements operator.Control.
func (o *Operator) Resume(ctx context.Context) error {
	return o.turn(ctx, store.TaskRunning, "resumed")
}

// Stop implements operator.Control.
func (o *Operator) Stop(ctx context.Context) error { return o.turn(ctx, store.TaskStopped, "stopped") }

func (o *Operator) turn(ctx context.Context, state, word string) error {
	was, err := o.s.st.TaskState(ctx, o.s.cfg.Task)
	if err != nil || was == state {
		return err
	}
	if was == store.TaskStopped {
		return operator.ErrStopped
	}
	if err := o.s.st.SetTaskState(ctx, store.Fence{}, o.s.cfg.Task, state); err != nil {
		return err
	}
	return o.tell(ctx, 0, operator.OtherNews, operator.Told{Words: "The operator " + word + " the task"})
}

func (o *Operator) tell(ctx context.Context, number uint64, name string, t operator.Told) error {
	h, err := t.Happened(o.s.cfg.Clock(), o.s.cfg.Task, number, name)
	if err != nil {
		return err
	}
	return o.s.st.Tell(ctx, []store.Happened{h})
}

// CloseRound implements operator.Control.
func (o *Operator) CloseRound(ctx context.Context, number uint64) error {
	return o.ask(ctx, number, operator.AskClose, "The operator asks to close the collection of round %d")
}

// Abandon implements operator.Control.
func (o *Operator) Abandon(ctx context.Context, number uint64) error {
	return o.ask(ctx, number, operator.AskAbandon, "The operator asks to abandon round %d")
}

func (o *Operator) ask(ctx context.Context, number uint64, what, words string) error {
	last, err := o.s.st.LastRound(ctx, o.s.cfg.Task)
	if err != nil {
		return err
	}
	if number == 0 {
		number = last
	}
	groups, err := o.s.st.RoundGroups(ctx, store.Key{Task: o.s.cfg.Task, Round: number})
	if err != nil {
		return err
	}
	over := true
	for _, g := range groups {
		over = over && g.Durable.State.Ended()
	}
	if over || number != last {
		return operator.ErrNoRound
	}
	return o.tell(ctx, number, operator.Asked, operator.Told{Ask: what, Words: fmt.Sprintf(words, number)})
}

// Report implements operator.Reporter.
func (o *Operator) Report(ctx context.Context, w io.Writer) ([]byte, error) {
	l := o.s.Ledger()
	size := l.Size()
	note, err := l.checkpoint(size)
	if err != nil {
		return nil, err
	}
	b := bufio.NewWriter(w)
	err = l.Records(ctx, 0, func(r ledger.Record) error {
		if r.Seq >= size {
			return errEnough
		}
		return ledger.Export(b, r)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return note, b.Flush()
}

var errEnough = errors.New("enough")

// steering says an error of a roll-out as an operator is told it.
func steering(err error) error {
	switch {
	case errors.Is(err, ErrRoundOpen):
		return fmt.Errorf("%w; while the task is paused no other opens", operator.ErrBusy)
	case errors.Is(err, ErrNoVersion), errors.Is(err, ErrOtherShape):
		return fmt.Errorf("%w: %w", operator.ErrVersion, err)
	case errors.Is(err, registry.ErrBackwards), errors.Is(err, registry.ErrPercent):
		return fmt.Errorf("%w: %w", operator.ErrShare, err)
	case errors.Is(err, ErrFollower):
		return fmt.Errorf("%w here: another replica drives this task's rounds; ask that one", operator.ErrUnsupported)
	}
	return err
}
