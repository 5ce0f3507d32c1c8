package server

import (
	"context"
	"math/rand/v2"
	"time"

	wire "tutti/server/grpc"
	"tutti/server/pace"
	"tutti/server/round"
)

// paceOf is what a device is told, for package pace.
var paceOf = map[wire.Wait]pace.Answer{
	wire.WaitNoRound: pace.NoRound, wire.WaitFull: pace.Full, wire.WaitCounted: pace.Done, wire.WaitResting: pace.Done,
	wire.WaitProtocol: pace.Version, wire.WaitServerOld: pace.Version, wire.WaitSuite: pace.Version, wire.WaitModelFormat: pace.Version,
	wire.WaitFinished: pace.Finished,
}

// wait says why there is nothing to do, and when to come again.
func (s *Server) wait(a wire.Answer, why wire.Wait) wire.Answer {
	a.Wait, a.After = why, s.again(paceOf[why])
	return a
}

// again draws the moment when a device comes again. This randomness is no secret.
func (s *Server) again(a pace.Answer) time.Duration {
	s.mu.Lock()
	r := pace.Round{Opening: s.opening, Population: s.expected()}
	s.mu.Unlock()
	r.Now = s.cfg.Clock()
	return s.cfg.Pace.Wait(a, r, rand.Float64())
}

// steered is an upload whose receipt says when to come again.
type steered struct {
	wire.Upload
	s *Server
}

func (u steered) Finish(ctx context.Context) (wire.Receipt, error) {
	receipt, err := u.Upload.Finish(ctx)
	return u.s.steer(receipt), err
}

// steer says with an answer to an upload when to come again.
func (s *Server) steer(r wire.Receipt) wire.Receipt {
	switch {
	case r.State == wire.Staged || r.State == wire.Counted || r.State == wire.Abandoned:
		r.After = s.again(pace.Done)
	case r.State == wire.Late:
		r.After = s.again(pace.Full)
	case r.State == wire.Rejected:
		r.After = s.again(afterDrop(r.Reason))
	}
	return r
}

// afterDrop is how soon a device may try again that was turned away.
func afterDrop(r round.DropReason) pace.Answer {
	switch r {
	case round.DropFull, round.DropClosed, round.DropConflict, round.DropNoRound, round.DropNotEligible:
		return pace.Full
	case round.DropNotEnrolled, round.DropSpent:
		return pace.Permanent
	}
	return pace.Transient
}

// expected is how many devices may come. The caller holds mu.
func (s *Server) expected() int {
	switch {
	case s.round != nil:
		return int(s.round.plan.Population.Size)
	case s.people != nil:
		return s.people.Size()
	}
	return 0
}
