package server

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
	"tutti/server/store"
)

// planRecord is the log's record of a plan, for a task that has paid for a stream.
func planRecord(p plan.Plan, signed plan.Signed, paid ledger.Digest) *ledger.Plan {
	return &ledger.Plan{Task: p.Task, Round: p.Round, What: p.Kind.String(), Rho: p.Cost(paid), Stream: p.Stream(), Bytes: signed.Bytes, Signature: signed.Signature}
}

// resumeRound continues the round that an earlier process left. There is at most one.
func (s *Server) resumeRound() error {
	rounds, err := s.st.Unfinished(s.ctx)
	if err != nil {
		return err
	}
	rounds = slices.DeleteFunc(rounds, func(r store.Round) bool { return r.Task != s.cfg.Task })
	if len(rounds) == 0 {
		return nil
	}
	for _, r := range rounds {
		if r.Round != rounds[0].Round {
			return fmt.Errorf("several rounds of task %s are unfinished: %w", s.cfg.Task, store.ErrCorrupt)
		}
	}
	a, err := s.revive(rounds, s.leading())
	if err != nil {
		return fmt.Errorf("round %d cannot be resumed: %w", rounds[0].Round, err)
	}
	s.log.Info("resuming", "round", a.key.Round, "state", a.groups[0].stored.State.String())
	if err := s.begin(a); err != nil {
		a.release()
		return err
	}
	return nil
}

// restart drives a round again that stood still, from what is stored.
func (s *Server) restart(old *active) (*active, error) {
	s.shift.Lock()
	defer s.shift.Unlock()
	old.release()
	rows, err := s.st.RoundGroups(s.ctx, old.key)
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("server: round %d cannot be resumed: %w", old.key.Round, err)
	}
	a, err := s.revive(rows, old.term)
	if err != nil {
		return nil, fmt.Errorf("server: round %d cannot be resumed: %w", old.key.Round, err)
	}
	if err := s.begin(a); err != nil {
		a.release()
		return nil, err
	}
	return a, nil
}

// revive makes a round from the rows of its groups, their uploads and their files.
func (s *Server) revive(rows []store.Round, t *term) (*active, error) {
	if t == nil {
		return nil, ErrFollower
	}
	first := rows[0]
	a, err := s.newActive(store.Key{Task: first.Task, Round: first.Round}, first.Created, first.Plan, t)
	if err != nil {
		return nil, err
	}
	if err := a.reviveGroups(rows); err != nil {
		a.cancel(nil)
		a.release()
		return nil, err
	}
	return a, nil
}

// reviveGroups restores all groups, and the round's result if it has one.
func (a *active) reviveGroups(rows []store.Round) error {
	if len(rows) != len(a.groups) && (len(rows) != 1 || rows[0].Config != nil) {
		return fmt.Errorf("%d of %d groups are there: %w", len(rows), len(a.groups), store.ErrCorrupt)
	}
	params, err := a.machineParams()
	if err != nil {
		return err
	}
	for i, r := range rows {
		if err := a.groups[i].revive(r, params); err != nil {
			return err
		}
	}
	return a.conclude()
}

// revive restores one group.
func (g *group) revive(r store.Round, params round.Params) error {
	if r.Key != g.key {
		return fmt.Errorf("group %d is missing: %w", g.key.Shard, store.ErrCorrupt)
	}
	g.stored = r.Durable
	staged, err := g.s.st.Uploads(g.s.ctx, r.Key)
	if err != nil {
		return err
	}
	if r.Config != nil {
		if err := g.reviveConfig(r, staged); err != nil {
			return err
		}
	}
	entries := make([]round.Upload, len(staged))
	for i, u := range staged {
		entries[i] = u.Upload
	}
	g.m, g.first = round.Resume(params, r.Durable, entries, g.s.cfg.Clock())
	return nil
}

// reviveConfig restores what a round has from COLLECTING on.
func (g *group) reviveConfig(r store.Round, staged []store.Staged) (err error) {
	if g.cfg, err = aggregation.ParseConfig(r.Config); err != nil {
		return err
	}
	g.mu.Lock()
	g.lot = g.cfg
	g.mu.Unlock()
	if r.Durable.State == round.Abandoned {
		if r.Certificate != nil {
			g.refusal = sha256.Sum256(r.Certificate)
		}
		return nil
	}
	if r.Durable.State <= round.Certified {
		if err := g.openIntake(staged); err != nil {
			return err
		}
	}
	if r.Durable.State == round.Collecting {
		return nil
	}
	g.closeOffer()
	if g.set, err = aggregation.NewSet(r.Durable.Set); err != nil {
		return err
	}
	if r.Durable.State == round.Frozen {
		return nil
	}
	if g.cert, err = aggregation.ParseCertificate(r.Certificate); err != nil {
		return err
	}
	if r.Durable.State == round.Certified || r.Durable.State == round.Lost {
		return nil
	}
	g.sum, _, err = g.openSum(r.Durable.Answers)
	return err
}

// checkpointSize is the size of the log in the plan's checkpoint.
func (a *active) checkpointSize() (uint64, error) {
	c, err := ledger.OpenCheckpoint(a.plan.Checkpoint, a.s.Ledger().Origin(), a.s.Operator())
	return c.Size, err
}
