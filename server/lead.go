package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tutti/server/store"
)

// Any number of replicas of a server may share one database. All of them answer devices; the rounds are driven by the one
// that holds the task's lease. Every write of a driver carries the token of its lease, and fails where a newer one was given
// out: a replica that was away for longer than its lease, and has not noticed, changes nothing.

// ErrFollower says that another replica drives the task's rounds. Lead waits until this one does.
var ErrFollower = errors.New("server: another replica drives the rounds of this task")

// term is the time for which this replica drives.
type term struct {
	lease  store.Lease
	ctx    context.Context // ends with it
	cancel context.CancelCauseFunc
}

func (t *term) fence() store.Fence { return t.lease.Fence() }

// forever is the term of a server whose database nobody else can open.
const forever = 100 * 365 * 24 * time.Hour

// Leading says whether this replica drives the task's rounds now.
func (s *Server) Leading() bool { return s.leading() != nil }

// Replica is this replica's name among those of the task; empty where the database is this process's own.
func (s *Server) Replica() string { return s.replica }

func (s *Server) leading() *term {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lead
}

// fence is what a driver's writes carry.
func (s *Server) fence() (store.Fence, error) {
	if t := s.leading(); t != nil {
		return t.fence(), nil
	}
	return store.Fence{}, ErrFollower
}

// Lead waits until this replica drives the task, and runs work for as long as it does: the context of work ends when the
// lease is lost, and Lead waits again. It gives the lease back and returns what work returned, or the error of ctx, or
// ErrClosed. Where the database is this process's own, it only runs work.
func (s *Server) Lead(ctx context.Context, work func(context.Context) error) error {
	if s.cfg.Offline {
		return ErrOffline
	}
	if !s.st.Shared() {
		return work(ctx)
	}
	for {
		t, asked, err := s.elected(ctx)
		if err != nil {
			return err
		}
		lost, err := s.drive(t, asked, work)
		switch {
		case s.ctx.Err() != nil:
			return ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(lost, ErrFollower):
			s.log.Warn("this replica drives no longer", "task", s.cfg.Task, "cause", lost)
		default:
			return err
		}
	}
}

// elected waits for the lease. asked is when it was asked for: it holds from then on, whatever the answer took.
func (s *Server) elected(ctx context.Context) (t *term, asked time.Time, err error) {
	for said := ""; ; {
		asked = time.Now()
		lease, ok, err := s.st.Acquire(ctx, store.DriverLease(s.cfg.Task), s.replica, s.cfg.Lease)
		if err == nil && ok {
			t := &term{lease: lease}
			t.ctx, t.cancel = context.WithCancelCause(ctx)
			return t, asked, nil
		}
		if err != nil && ctx.Err() == nil && s.ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			s.log.Warn("asking for the lease", "task", s.cfg.Task, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, asked, ctx.Err()
		case <-s.ctx.Done():
			return nil, asked, ErrClosed
		case <-time.After(s.cfg.Lease / 4):
		}
	}
}

// drive runs work for one term. lost is why the term ended before work did; nil: it did not.
func (s *Server) drive(t *term, asked time.Time, work func(context.Context) error) (lost, err error) {
	defer t.cancel(nil)
	stop := context.AfterFunc(s.ctx, func() { t.cancel(ErrClosed) })
	defer stop()
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		s.renew(t, asked)
	}()
	err = s.takeOver(t)
	if err == nil {
		s.log.Info("this replica drives", "task", s.cfg.Task, "replica", s.replica, "token", t.lease.Token)
		err = work(t.ctx)
	} else if t.ctx.Err() == nil { // another replica may be able to
		s.log.Error("the rounds cannot be taken over", "task", s.cfg.Task, "error", err)
		t.cancel(fmt.Errorf("%w: %w", ErrFollower, err))
	}
	if lost = context.Cause(t.ctx); lost == nil && errors.Is(err, ErrFollower) { // a write was told so before renew was
		lost = errLost
	}
	s.stepDown(t, lost)
	<-kept
	if s.ctx.Err() == nil && !errors.Is(lost, errLost) {
		s.giveBack(t.lease)
	}
	if errors.Is(lost, ErrFollower) && !errors.Is(lost, errLost) {
		s.pause(s.cfg.Lease) // whoever is able to goes first
	}
	return lost, err
}

// errLost is why a term ends that the database knows nothing of.
var errLost = fmt.Errorf("%w: the lease ran out", ErrFollower)

// giveBack lets the others begin at once.
func (s *Server) giveBack(l store.Lease) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.st.Release(ctx, l); err != nil {
		s.log.Warn("the lease is not given back: it runs out", "error", err)
	}
}

func (s *Server) pause(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}

// renew keeps the lease until the term ends. Whatever the database does, the term ends by this process's own clock before
// another one can begin: it counts from when the lease was asked for.
func (s *Server) renew(t *term, asked time.Time) {
	lease := t.lease
	watchdog := time.AfterFunc(time.Until(asked.Add(s.cfg.Lease)), func() { s.stepDown(t, errLost) })
	defer watchdog.Stop()
	for every := s.cfg.Lease / 3; ; {
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(every):
		}
		asked := time.Now()
		next, err := s.st.Renew(t.ctx, lease, s.cfg.Lease)
		switch {
		case err == nil:
			lease, every = next, s.cfg.Lease/3
			if watchdog.Stop() { // else it has just run out here, though not there
				watchdog.Reset(time.Until(asked.Add(s.cfg.Lease)))
			}
		case errors.Is(err, store.ErrFenced):
			s.stepDown(t, errLost)
			return
		default:
			s.log.Warn("renewing the lease", "task", s.cfg.Task, "error", err)
			every = s.cfg.Lease / 10
		}
	}
}

// takeOver continues the round under way as its driver.
func (s *Server) takeOver(t *term) error {
	s.shift.Lock()
	defer s.shift.Unlock()
	s.leave(ErrClosed)
	s.mu.Lock()
	over := t.ctx.Err() != nil || s.closed
	if !over {
		s.lead = t
	}
	s.mu.Unlock()
	if over {
		return ErrFollower
	}
	if err := s.refresh(s.ctx); err != nil {
		return err
	}
	s.place(s.ctx, t, true) // what the driver before may have left
	return s.resumeRound()
}

// stepDown stops driving at once. What the round wrote stays, and goes on elsewhere.
func (s *Server) stepDown(t *term, why error) {
	if why == nil {
		why = ErrFollower
	}
	s.mu.Lock()
	mine := s.lead == t
	if mine {
		s.lead = nil
	}
	a := s.round
	s.mu.Unlock()
	t.cancel(why)
	if mine && a != nil {
		a.cancel(why)
	}
	if !mine {
		return
	}
	s.shift.Lock()
	defer s.shift.Unlock()
	s.mu.Lock()
	mine = s.round == a && s.lead == nil
	s.mu.Unlock()
	if mine {
		s.leave(why)
	}
}

// leave lets go of the round as this replica has it, with its files, which stay. The caller holds shift.
func (s *Server) leave(why error) {
	s.mu.Lock()
	a := s.round
	s.mu.Unlock()
	if a == nil {
		return
	}
	a.cancel(why)
	<-a.done
	a.release()
	s.mu.Lock()
	if s.round == a {
		s.round = nil
	}
	s.mu.Unlock()
}
