package simulation

import (
	"context"
	"math/big"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/round"
	"tutti/server/store"
)

// watched is the store with somebody who looks at every write, and knows by itself who holds the lease. Where the database
// has a clock of its own, leases run out by being given back when the virtual clock says so.
type watched struct {
	store.Store
	*watch
}

// watch is what all replicas' stores have in common.
type watch struct {
	w        *world
	ownClock bool // the database's clock is not the virtual one
	token    uint64
	until    time.Time
	held     store.Lease
	eternal  store.Lease // of broken variants without a fence
}

// expire gives the lease back that has run out.
func (s *watched) expire() error {
	if s.ownClock && s.held.Token > 0 && !s.w.now.Before(s.until) {
		return s.Store.Release(context.Background(), s.held)
	}
	return nil
}

func (s *watched) ttl(d time.Duration) time.Duration {
	if s.ownClock {
		return time.Hour
	}
	return d
}

func (s *watched) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, bool, error) {
	if err := s.expire(); err != nil {
		return store.Lease{}, false, err
	}
	before := s.held.Holder
	if s.w.broken == AnybodyLeads {
		_ = s.Store.Release(ctx, s.held)
	}
	l, won, err := s.Store.Acquire(ctx, name, holder, s.ttl(ttl))
	if err == nil && won {
		if holder != before && s.w.now.Before(s.until) {
			s.w.check.fail("fence", "%s gets the lease that %s holds until %v", holder, before, s.until)
		}
		if l.Token <= s.token {
			s.w.check.fail("fence", "token %d follows %d", l.Token, s.token)
		}
		l.Until = s.w.now.Add(ttl)
		s.held, s.token, s.until = l, l.Token, l.Until
	}
	return l, won, err
}

func (s *watched) Renew(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error) {
	if err := s.expire(); err != nil {
		return l, err
	}
	next, err := s.Store.Renew(ctx, l, s.ttl(ttl))
	if err == nil {
		s.fenced("renew", l.Fence())
		next.Until = s.w.now.Add(ttl)
		s.held, s.until = next, next.Until
	}
	return next, err
}

func (s *watched) Release(ctx context.Context, l store.Lease) error {
	err := s.Store.Release(ctx, l)
	if err == nil && l.Token == s.token {
		s.until = s.w.now
	}
	return err
}

// fenced is told of every write that took effect.
func (s *watched) fenced(what string, f store.Fence) {
	if f.Token != s.token || !s.w.now.Before(s.until) {
		s.w.check.fail("fence", "%s with token %d took effect, the lease has token %d until %v", what, f.Token, s.token, s.until.Sub(s.w.began))
	}
}

// past is the fence that a write carries: of the holder, or of nobody in the variants that skip the check.
func (s *watched) past(f store.Fence) (store.Fence, error) {
	if err := s.expire(); err != nil {
		return f, err
	}
	if s.w.broken != NoFence && s.w.broken != NoFenceNoCompare {
		return f, nil
	}
	if s.eternal.Token == 0 {
		var err error
		if s.eternal, _, err = s.Store.Acquire(context.Background(), "eternal/"+s.w.task, "nobody", 1000*time.Hour); err != nil {
			return f, err
		}
	}
	return s.eternal.Fence(), nil
}

// done looks at a write's outcome and lets the others know that something was written.
func (s *watched) done(what string, f store.Fence, err error, seen func()) error {
	if err == nil {
		if s.w.broken != NoFenceNoCompare { // which shall be found by what comes of it
			s.fenced(what, f)
		}
		if seen != nil {
			seen()
		}
		s.ring()
	}
	return err
}

// ring is LISTEN and NOTIFY: it may be lost, and the replicas poll.
func (s *watched) ring() {
	for _, r := range s.w.replicas {
		if !s.w.chance(.2) {
			s.w.after(s.w.delay(50*time.Millisecond), r.nudge)
		}
	}
}

func (s *watched) Begin(ctx context.Context, f store.Fence, now time.Time, r store.Round, rho *big.Rat, log ledger.Body) error {
	fence, err := s.past(f)
	if err == nil {
		err = s.Store.Begin(ctx, fence, now, r, rho, log)
	}
	return s.done("begin", f, err, func() { s.w.check.begun(r, log) })
}

func (s *watched) Move(ctx context.Context, f store.Fence, now time.Time, changes ...store.Change) error {
	fence, err := s.past(f)
	if s.w.broken == NoFenceNoCompare {
		for i := range changes {
			if row, found, _ := s.Store.Round(ctx, changes[i].Key); found {
				changes[i].Transition.Durable.Version = row.Durable.Version + 1
			}
		}
	}
	if s.w.broken == NoCharge {
		for i := range changes {
			changes[i].Transition.Charge = false
		}
	}
	if err == nil {
		err = s.Store.Move(ctx, fence, now, changes...)
	}
	return s.done("move", f, err, func() { s.w.check.moved(changes) })
}

func (s *watched) Append(ctx context.Context, f store.Fence, now time.Time, bodies ...ledger.Body) error {
	return s.Store.Append(ctx, f, now, bodies...)
}

func (s *watched) Fold(ctx context.Context, f store.Fence, k store.Key, ids []round.ID, want bool) error {
	fence, err := s.past(f)
	if err == nil {
		err = s.Store.Fold(ctx, fence, k, ids, want)
	}
	return s.done("fold", f, err, nil)
}

func (s *watched) SaveSum(ctx context.Context, f store.Fence, k store.Key, sum []byte) error {
	fence, err := s.past(f)
	if err == nil {
		err = s.Store.SaveSum(ctx, fence, k, sum)
	}
	return s.done("save a sum", f, err, nil)
}

func (s *watched) Stage(ctx context.Context, k store.Key, replica string, most int, us []store.Staged) ([]error, error) {
	outcomes, err := s.Store.Stage(ctx, k, replica, most, us)
	if err == nil {
		s.ring()
	}
	return outcomes, err
}

func (s *watched) PutPartial(ctx context.Context, k store.Key, p store.Partial) error {
	err := s.Store.PutPartial(ctx, k, p)
	if err == nil {
		s.ring()
	}
	return err
}
