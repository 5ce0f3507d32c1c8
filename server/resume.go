package server

import (
	"fmt"
	"slices"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/round"
	"tutti/server/store"
)

func planRecord(p plan.Plan, signed plan.Signed) *ledger.Plan {
	return &ledger.Plan{Task: p.Task, Round: p.Round, What: p.Kind.String(), Rho: p.Rho(), Bytes: signed.Bytes, Signature: signed.Signature}
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
	if len(rounds) > 1 {
		return fmt.Errorf("%d rounds of task %s are unfinished: %w", len(rounds), s.cfg.Task, store.ErrCorrupt)
	}
	a, out, err := s.revive(rounds[0])
	if err != nil {
		return fmt.Errorf("round %d cannot be resumed: %w", rounds[0].Round, err)
	}
	s.log.Info("resuming", "round", a.key.Round, "state", a.stored.State.String())
	return s.begin(a, out)
}

// restart drives a round again that stood still, from what is stored.
func (s *Server) restart(old *active) (*active, error) {
	old.release()
	r, found, err := s.st.Round(s.ctx, old.key)
	if err != nil || !found {
		return nil, fmt.Errorf("server: round %d cannot be resumed: %w", old.key.Round, err)
	}
	a, out, err := s.revive(r)
	if err != nil {
		return nil, fmt.Errorf("server: round %d cannot be resumed: %w", old.key.Round, err)
	}
	if err := s.begin(a, out); err != nil {
		a.release()
		return nil, err
	}
	return a, nil
}

// revive makes a round from its row, its uploads and its files.
func (s *Server) revive(r store.Round) (*active, round.Effects, error) {
	a, err := s.newActive(r.Key, r.Created, r.Plan)
	if err != nil {
		return nil, round.Effects{}, err
	}
	params, err := a.machineParams()
	if err != nil {
		return nil, round.Effects{}, err
	}
	a.stored = r.Durable
	staged, err := s.st.Uploads(s.ctx, r.Key)
	if err != nil {
		return nil, round.Effects{}, err
	}
	if r.Config != nil {
		if err := a.reviveConfig(r, staged); err != nil {
			a.cancel()
			a.release()
			return nil, round.Effects{}, err
		}
	}
	entries := make([]round.Upload, len(staged))
	for i, u := range staged {
		entries[i] = u.Upload
	}
	m, out := round.Resume(params, r.Durable, entries, s.cfg.Clock())
	a.m = m
	return a, out, nil
}

// reviveConfig restores what a round has from COLLECTING on.
func (a *active) reviveConfig(r store.Round, staged []store.Staged) (err error) {
	if a.cfg, err = aggregation.ParseConfig(r.Config); err != nil {
		return err
	}
	if r.Durable.State == round.Abandoned {
		return nil
	}
	if r.Durable.State <= round.Certified {
		if err := a.openIntake(staged); err != nil {
			return err
		}
	}
	if r.Durable.State == round.Collecting {
		return nil
	}
	a.closeOffer()
	if a.set, err = aggregation.NewSet(r.Durable.Set); err != nil {
		return err
	}
	if r.Durable.State == round.Frozen {
		return nil
	}
	if a.cert, err = aggregation.ParseCertificate(r.Certificate); err != nil {
		return err
	}
	if r.Durable.State == round.Certified {
		return nil
	}
	if a.result, _, err = a.openSum(r.Durable.Answers); err != nil {
		return err
	}
	a.once.Do(func() { close(a.opened) })
	return nil
}

// checkpointSize is the size of the log in the plan's checkpoint.
func (a *active) checkpointSize() (uint64, error) {
	c, err := ledger.OpenCheckpoint(a.plan.Checkpoint, a.s.Ledger().Origin(), a.s.Operator())
	return c.Size, err
}
