package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"tutti/server/operator"
	"tutti/server/store"
)

// What an operator asks of the replica that drives is told like everything else that happens, so that any replica can be
// asked, and everybody sees that it was. What is about a round is done or left with that round. What is about versions is
// done once: how far it was done is kept.

// obeyEvery bounds how often the happenings are looked through for what an operator asks.
const obeyEvery = 250 * time.Millisecond

// keptObeyed is the name under which the number of the last happening is kept that was done.
const keptObeyed = "obeyed"

// obey does what operators ask, until the server closes.
func (s *Server) obey() {
	changed := s.st.Watch(s.ctx)
	poll := time.NewTicker(stateEvery)
	defer poll.Stop()
	var after uint64
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-changed:
		case <-poll.C:
		}
		for {
			hs, err := s.st.Happenings(s.ctx, s.cfg.Task, after, newsBatch)
			for _, h := range hs {
				after = h.Seq
				if h.Name == operator.Asked {
					s.askMu.Lock()
					s.asked = append(s.asked[max(0, len(s.asked)-newsBatch):], h)
					s.askMu.Unlock()
				}
			}
			if err != nil || len(hs) < newsBatch { // after an error the next look tries again
				break
			}
		}
		s.grant(s.ctx)
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(obeyEvery):
		}
	}
}

// grant does what is asked, as far as it can be done now. The driver calls it between rounds, too.
func (s *Server) grant(ctx context.Context) {
	t := s.leading()
	if t == nil {
		return
	}
	s.askMu.Lock()
	defer s.askMu.Unlock()
	var later []store.Happened
	for _, h := range s.asked {
		told, ok := operator.ReadTold(h)
		if !ok {
			continue
		}
		wait := false
		switch told.Ask {
		case operator.AskClose, operator.AskAbandon:
			wait = s.grantRound(h.Round, told.Ask)
		case operator.AskRollback, operator.AskRollout:
			wait = s.grantVersion(ctx, t, h.Seq, told)
		}
		if wait {
			later = append(later, h)
		}
	}
	s.asked = later
}

// grantRound closes or abandons a round; true: it is not under way here yet.
func (s *Server) grantRound(number uint64, what string) (wait bool) {
	s.mu.Lock()
	a := s.round
	s.mu.Unlock()
	if a == nil || number > a.key.Round {
		return true
	}
	if number < a.key.Round {
		return false
	}
	s.log.Info("an operator asked", "what", what, "round", number)
	if what == operator.AskClose {
		s.CloseCollection()
	} else {
		s.Abandon()
	}
	return false
}

// grantVersion rolls back or out; true: a round is under way, or the database does not answer.
func (s *Server) grantVersion(ctx context.Context, t *term, seq uint64, told operator.Told) (wait bool) {
	done, _, err := s.st.Kept(ctx, s.cfg.Task, keptObeyed)
	if err != nil {
		return true
	}
	if last, err := strconv.ParseUint(string(done), 10, 64); err == nil && seq <= last {
		return false
	}
	if told.Ask == operator.AskRollback {
		_, err = s.Rollback(ctx, told.Version, told.Note)
	} else {
		err = s.Rollout(ctx, told.Version, uint32(max(0, told.Percent)), told.Note)
	}
	if errors.Is(err, ErrRoundOpen) || errors.Is(err, ErrFollower) {
		return true
	}
	if err != nil {
		s.log.Warn("what an operator asked cannot be done", "what", told.Ask, "version", told.Version, "error", err)
	}
	if err := s.st.Keep(ctx, t.fence(), s.cfg.Task, keptObeyed, strconv.AppendUint(nil, seq, 10)); err != nil {
		s.log.Warn("that an operator was obeyed is not kept", "error", s.fenced(t, err))
	}
	return false
}

// Rollback implements operator.Control. published is 0 where it is done later: when the round under way has ended.
func (o *Operator) Rollback(ctx context.Context, number uint64, note string) (published uint64, err error) {
	if err := o.knows(ctx, number); err != nil {
		return 0, err
	}
	open, err := o.busy(ctx)
	if err != nil {
		return 0, err
	}
	if !open {
		published, err = o.s.Rollback(ctx, number, note)
		if !errors.Is(err, ErrRoundOpen) && !errors.Is(err, ErrFollower) {
			return published, steering(err)
		}
	}
	return 0, o.tell(ctx, 0, operator.Asked, operator.Told{Ask: operator.AskRollback, Version: number, Note: note,
		Words: fmt.Sprintf("The operator asks to roll back to version %d, when no round is under way", number)})
}

// Rollout implements operator.Control.
func (o *Operator) Rollout(ctx context.Context, number uint64, percent int, note string) error {
	if percent < 1 || percent > 100 {
		return operator.ErrShare
	}
	if err := o.knows(ctx, number); err != nil {
		return err
	}
	err := o.s.Rollout(ctx, number, uint32(percent), note)
	if !errors.Is(err, ErrFollower) {
		return steering(err)
	}
	return o.tell(ctx, 0, operator.Asked, operator.Told{Ask: operator.AskRollout, Version: number, Percent: percent, Note: note,
		Words: fmt.Sprintf("The operator asks to offer version %d to %d %% of the devices", number, percent)})
}

// knows says whether there is a version.
func (o *Operator) knows(ctx context.Context, number uint64) error {
	_, found, err := o.s.st.Version(ctx, o.s.cfg.Task, number)
	if err == nil && !found {
		err = operator.ErrVersion
	}
	return err
}

// busy says whether a round is under way, also one that waits in the database for a server.
func (o *Operator) busy(ctx context.Context) (bool, error) {
	open, err := o.s.st.Unfinished(ctx)
	for _, r := range open {
		if r.Task == o.s.cfg.Task {
			return true, err
		}
	}
	return false, err
}
