package server

import (
	"slices"

	"tutti/privacy/plan"
	wire "tutti/server/grpc"
)

// The device protocol. A program speaks its newest version and the one before, so that servers and devices that are one
// version apart understand each other whichever is updated first:
//
//	1  one base version for all updates of a round; an answer says one time to come again
//	2  plans of format 4 (updates may be several versions behind), retry windows with an offer, what a device seals and reads
//
// A device of version 1 takes part in every round that its plan format can say: all but those that let updates be behind.
const protocol, oldestProtocol = 2, protocol - 1

// modelFormat is the format of the model versions that this server publishes.
const modelFormat = 1

// stalePlans is the first protocol version whose devices read plans of format 4.
const stalePlans = 2

// speaks negotiates with a device: ok, and the answer says the version that it is of, or why they do not understand each
// other. A device that cannot read the published versions is shown none.
func (s *Server) speaks(r wire.CheckIn, a *wire.Answer) (why wire.Wait, ok bool) {
	a.Protocol = min(max(r.Protocol, oldestProtocol), protocol)
	switch {
	case r.Protocol < oldestProtocol:
		return wire.WaitProtocol, false
	case r.Protocol > protocol+1: // it speaks that one and the one before
		return wire.WaitServerOld, false
	case max(r.ModelFormat, 1) < modelFormat:
		a.Version = nil
		return wire.WaitModelFormat, false
	case len(r.Suites) > 0 && !slices.Contains(r.Suites, uint32(s.cfg.Suite)):
		return wire.WaitSuite, false
	}
	return 0, true
}

// understands says whether devices of a protocol version read a plan.
func understands(version uint32, p plan.Plan) bool { return len(p.Older) == 0 || version >= stalePlans }

// rests says whether a device would refuse the plan because it was in a round too short a while ago, or in too many, by its
// own word. What the server has seen itself is in active.rest; it does not know of uploads that never arrived.
func rests(r wire.CheckIn, p plan.Plan) bool {
	return p.Round < r.Resting || r.LastRound > 0 && p.Round-min(p.Round, r.LastRound) < uint64(p.Separation) && p.Round > r.LastRound ||
		p.Participations != plan.AnyParticipations && r.Rounds >= p.Participations
}
