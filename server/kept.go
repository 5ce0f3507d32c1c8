package server

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"tutti/model"
	"tutti/privacy/plan"
)

// Keep writes small named state of the task, durably, for whoever drives it later. Publication.Keep writes it in the
// transaction that ends a round.
func (s *Server) Keep(ctx context.Context, name string, value []byte) error {
	fence, err := s.fence()
	if err != nil {
		return err
	}
	return s.st.Keep(ctx, fence, s.cfg.Task, name, value)
}

// Kept reads what was written under a name; false if nothing was.
func (s *Server) Kept(ctx context.Context, name string) ([]byte, bool, error) {
	return s.st.Kept(ctx, s.cfg.Task, name)
}

// keptOpening is the name under which the next round's opening is kept, for the other replicas: unix milliseconds.
const keptOpening = "opening"

// Planned says when the next round will open, as far as it is known: devices that have nothing to do are told to come then,
// by every replica.
func (s *Server) Planned(ctx context.Context, opening time.Time) error {
	s.mu.Lock()
	s.opening = opening
	s.mu.Unlock()
	if !s.st.Shared() {
		return nil
	}
	return s.Keep(ctx, keptOpening, binary.BigEndian.AppendUint64(nil, uint64(opening.UnixMilli())))
}

// readOpening is what another replica planned.
func (s *Server) readOpening(ctx context.Context) (time.Time, error) {
	b, found, err := s.st.Kept(ctx, s.cfg.Task, keptOpening)
	if err != nil || !found || len(b) != 8 {
		return time.Time{}, err
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))), nil
}

// olderBases are the versions before the newest that a model round takes updates from: at most spec.Staleness of them, as
// many as have the same Transformer without a gap.
func (s *Server) olderBases(ctx context.Context, spec RoundSpec, newest uint64) ([]plan.Digest, error) {
	if spec.Staleness == 0 || spec.Kind != plan.Model || newest < 2 {
		return nil, nil
	}
	if spec.Staleness > plan.MaxStale {
		return nil, errors.New("server: updates that are too many versions behind")
	}
	versions, err := s.st.Versions(ctx, s.cfg.Task, newest+1, int(spec.Staleness)+1)
	if err != nil {
		return nil, err
	}
	var older []plan.Digest
	var base model.Version
	for i, sv := range versions {
		v, err := model.ParseVersion(sv.Version)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			base = v
			continue
		}
		if v.Number+uint64(i) != newest || v.Params.IsZero() || v.Spec != base.Spec || v.Layout != base.Layout || v.Popularity != base.Popularity || v.Transitions != base.Transitions {
			break
		}
		older = append(older, sv.Digest)
	}
	return older, nil
}

// hold is how long a place is kept for a device that was shown the round. Where updates may be late a device that trains for
// long asks again before it takes one.
func (a *active) hold() time.Duration {
	if len(a.plan.Older) > 0 {
		return 10 * time.Second
	}
	return max(time.Unix(a.plan.Deadline, 0).Sub(a.began)/4, 10*time.Second)
}
