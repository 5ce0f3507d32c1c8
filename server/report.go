package server

import (
	"time"

	"tutti/server/round"
)

// report tells the observer what the machine did.
func (a *active) report(e round.Event) {
	s, d := a.s, a.m.Durable()
	number := a.key.Round
	switch e.Kind {
	case round.RoundOpened:
		s.observe(Opened{Round: number, Kind: a.plan.Kind, Goal: int(a.plan.Goal), Min: a.params.NMin(), Max: a.params.NMax(),
			Members: a.params.Members(), Rho: a.plan.Rho(), Deadline: time.Unix(a.plan.Deadline, 0)})
	case round.RoundClosing:
		s.observe(Closing{Round: number, Staged: e.Count})
	case round.RoundFrozen:
		s.observe(Frozen{Round: number, Devices: e.Count})
	case round.RoundCertified:
		budget, spent, err := s.spent(a.ctx)
		if err != nil {
			s.log.Warn("budget", "error", err)
		}
		s.observe(Certified{Round: number, Devices: len(d.Set), Signatures: len(d.Signed), Rho: a.plan.Rho(), Spent: spent, Total: budget})
	case round.RoundOpenedSum:
		s.observe(SumOpened{Round: number, Devices: len(d.Set), Meter: a.result.Sum.Meter, Took: a.result.Took})
	case round.RoundAbandoned:
		a.staged = e.Count
		s.observe(Abandoned{Round: number, Reason: d.Abandon, Staged: e.Count})
	case round.RoundSettled:
		s.observe(Freed{Round: number, Certified: e.Count == 1})
	case round.RoundLost:
		s.observe(Lost{Round: number, Reason: d.Lost})
	case round.MemberLeft:
		s.observe(NodeAway{Node: a.nodes[e.Member].Address()})
	case round.MemberBack:
		s.observe(NodeBack{Node: a.nodes[e.Member].Address()})
	case round.MemberDoubted:
		s.observe(NodeDoubted{Node: a.nodes[e.Member].Address(), Complaints: e.Count, Wrong: e.Wrong})
	case round.MemberWrong:
		s.log.Warn("a committee node's answer was wrong and is corrected", "round", number, "node", a.nodes[e.Member].Address())
		s.observe(NodeWrong{Round: number, Node: a.nodes[e.Member].Address()})
	}
}

// progressEvery spaces Progress events.
const progressEvery = 200 * time.Millisecond

// progress tells the observer how the collection goes, now and then.
func (a *active) progress() {
	now := time.Now()
	if a.m.State() != round.Collecting || now.Sub(a.reported) < progressEvery || a.m.Staged() == 0 {
		return
	}
	a.reported = now
	a.s.observe(Progress{Round: a.key.Round, Staged: a.m.Staged(), Accepted: a.m.Ready(), Goal: int(a.plan.Goal)})
}
