package server

import (
	"context"
	"fmt"
	"time"

	"tutti/aggregation"
	wire "tutti/server/grpc"
	"tutti/server/round"
	"tutti/server/store"
)

// A replica that does not drive takes the round's uploads as well: into files of its own, of which it makes a partial sum.
// What it must know stands in the rows of the round; the driver learns from the rows of the uploads, and of the partial sums,
// that they are there.

const (
	pollEvery = 250 * time.Millisecond // where no word comes of what the others store
	lookEvery = 20 * time.Millisecond  // at most this often, however much they store
)

// follow keeps up with what the other replicas store, until the server closes.
func (s *Server) follow() {
	poll, news := time.NewTicker(pollEvery), s.st.Watch(s.ctx)
	defer poll.Stop()
	said := ""
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-news:
		case <-poll.C:
		case <-s.look:
		}
		err := s.lookAround(s.ctx)
		switch {
		case err == nil:
			said = ""
		case s.ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			s.log.Warn("following the other replicas", "error", err)
		}
		s.pause(lookEvery)
	}
}

// lookNow has follow look without waiting.
func (s *Server) lookNow() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

func (s *Server) lookAround(ctx context.Context) error {
	if err := s.refresh(ctx); err != nil {
		return err
	}
	s.shift.Lock()
	defer s.shift.Unlock()
	if s.leading() == nil {
		if err := s.attend(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	a := s.round
	s.mu.Unlock()
	if a == nil {
		return nil
	}
	for _, g := range a.groups {
		if err := g.catchUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

// refresh reads what another driver may have published.
func (s *Server) refresh(ctx context.Context) error {
	v, found, err := s.st.LatestVersion(ctx, s.cfg.Task)
	if err != nil {
		return err
	}
	finished, opening := false, time.Time{}
	if s.st.Shared() {
		if _, finished, err = s.st.Kept(ctx, s.cfg.Task, keptFinished); err != nil {
			return err
		}
		if opening, err = s.readOpening(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	if found && (s.version == nil || s.version.Number < v.Number) {
		s.version = &v
	}
	s.finished = s.finished || finished
	if !opening.IsZero() {
		s.opening = opening
	}
	s.mu.Unlock()
	return s.readOffers(ctx)
}

// keptFinished is the name under which the task's end is kept.
const keptFinished = "finished"

// attend makes this replica take part in the newest round as long as it takes uploads.
func (s *Server) attend(ctx context.Context) error {
	last, err := s.st.LastRound(ctx, s.cfg.Task)
	if err != nil {
		return err
	}
	s.mu.Lock()
	a, closed := s.round, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil
	case a != nil && a.key.Round == last:
		return s.observeRound(ctx, a)
	case a != nil: // its round is over
		s.leave(nil)
		a.dropFiles()
	}
	if last == 0 || last == s.passed {
		return nil
	}
	fate, found, err := s.st.Fate(ctx, store.Key{Task: s.cfg.Task, Round: last})
	if err != nil || !found || fate.State == round.Created {
		return err
	}
	rows, err := s.st.RoundGroups(ctx, store.Key{Task: s.cfg.Task, Round: last})
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Durable.State == round.Collecting {
			return s.join(ctx, rows)
		}
	}
	s.passed = last // it takes nothing any more
	return nil
}

// observeRound closes the groups of a followed round that take no uploads any more, and leaves it when none does.
func (s *Server) observeRound(ctx context.Context, a *active) error {
	open := false
	for _, g := range a.groups {
		fate, found, err := s.st.Fate(ctx, g.key)
		if err != nil {
			return err
		}
		if found && fate.State == round.Collecting {
			open = true
		} else {
			g.closeOffer()
		}
	}
	if open {
		return nil
	}
	s.leave(nil)
	a.dropFiles()
	s.passed = a.key.Round
	return nil
}

// join opens the intake of a round that another replica drives.
func (s *Server) join(ctx context.Context, rows []store.Round) error {
	a, err := s.newActive(rows[0].Key, rows[0].Created, rows[0].Plan, nil)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if int(r.Shard) >= len(a.groups) {
			err = fmt.Errorf("group %d: %w", r.Shard, store.ErrCorrupt)
		}
		if err != nil || r.Durable.State != round.Collecting {
			continue
		}
		err = a.groups[r.Shard].attend(ctx, r)
	}
	if err == nil {
		err = s.begin(a)
	}
	if err != nil {
		a.cancel(nil)
		a.release()
		return fmt.Errorf("round %d cannot be followed: %w", rows[0].Round, err)
	}
	s.log.Info("following", "round", a.key.Round, "replica", s.replica)
	return nil
}

func (g *group) attend(ctx context.Context, r store.Round) error {
	g.stored = r.Durable
	staged, err := g.s.st.Uploads(ctx, r.Key)
	if err != nil {
		return err
	}
	if g.cfg, err = aggregation.ParseConfig(r.Config); err != nil {
		return err
	}
	return g.openIntake(staged)
}

// dropFiles removes what this replica staged for a round that needs it no more.
func (a *active) dropFiles() {
	for _, g := range a.groups {
		if err := g.s.st.DropRound(g.key); err != nil {
			g.s.log.Warn("files of an ended round stay", "round", g.key.Round, "error", err)
		}
	}
}

// catchUp learns of uploads that other replicas staged, and tells the machine, if there is one; and folds what the driver
// wants folded.
func (g *group) catchUp(ctx context.Context) error {
	in := g.taking()
	if in == nil {
		return nil
	}
	in.mu.Lock()
	seen := in.seen
	in.mu.Unlock()
	us, err := g.s.st.UploadsSince(ctx, g.key, seen)
	if err != nil {
		return err
	}
	if more := in.learn(us); len(more) > 0 && g.drives() {
		g.tell(round.Staged{Uploads: more})
	}
	g.folding().look()
	return nil
}

// learn notes uploads, and gives those that it did not know of.
func (in *intake) learn(us []store.Staged) (fresh []round.Upload) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, u := range us {
		in.seen = max(in.seen, u.Seq)
		if _, known := in.staged[u.ID]; known || in.own(u) && in.under[u.ID] != nil { // settle tells of it
			continue
		}
		in.staged[u.ID] = u
		delete(in.offers, u.ID)
		delete(in.drops, u.ID)
		fresh = append(fresh, u.Upload)
	}
	return fresh
}

// own says whether an upload lies in this replica's files.
func (in *intake) own(u store.Staged) bool { return u.Replica == in.g.s.replica }

// foreign says whether some upload lies in another replica's files.
func (in *intake) foreign() bool {
	for _, u := range in.staged {
		if !in.own(u) {
			return true
		}
	}
	return false
}

// roundTaking is the round of that number as this replica has it; nil if it has none. It waits a moment for a round that
// takes uploads by its row, but not here yet: a device may have been offered it by another replica, or this one is about to
// drive it.
func (s *Server) roundTaking(ctx context.Context, number uint64) (*active, error) {
	for range 40 {
		s.mu.Lock()
		a := s.round
		s.mu.Unlock()
		here := a != nil && a.key.Round == number
		if !s.st.Shared() || here && a.ctx.Err() == nil {
			if !here {
				a = nil
			}
			return a, nil
		}
		fate, found, err := s.st.Fate(ctx, store.Key{Task: s.cfg.Task, Round: number})
		if err != nil || !found || fate.State != round.Collecting || ctx.Err() != nil || s.ctx.Err() != nil {
			return nil, err
		}
		s.lookNow()
		s.pause(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("%w: this replica does not take round %d yet", wire.ErrBusy, number)
}
