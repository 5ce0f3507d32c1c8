package server

import (
	"time"

	"tutti/server/round"
)

// report tells the observer what the machine did.
func (g *group) report(e round.Event) {
	s, d := g.s, g.m.Durable()
	number := g.key.Round
	switch e.Kind {
	case round.RoundOpened:
		if c := g.plan.Central; c != nil {
			s.log.Warn(SeesSums, "round", number, "noise", c.Noise.String())
		}
		s.observe(Opened{Round: number, Kind: g.plan.Kind, Goal: int(g.plan.Goal), Min: g.params.NMin(), Max: g.params.NMax(), Groups: len(g.groups),
			Members: g.params.Members(), Rho: g.cost(), Deadline: time.Unix(g.plan.Deadline, 0), Central: g.plan.Central != nil})
	case round.RoundClosing:
		s.observe(Closing{Round: number, Part: g.which(), Staged: e.Count})
	case round.RoundFrozen:
		s.observe(Frozen{Round: number, Part: g.which(), Devices: e.Count})
	case round.RoundCertified:
		budget, spent, err := s.spent(g.ctx)
		if err != nil {
			s.log.Warn("budget", "error", err)
		}
		s.observe(Certified{Round: number, Part: g.which(), Devices: len(d.Set), Signatures: len(d.Signed), Rho: g.cost(), Spent: spent, Total: budget})
	case round.RoundOpenedSum:
		s.observe(SumOpened{Round: number, Part: g.which(), Devices: len(d.Set), Meter: g.sum.sum.Meter, Took: s.cfg.Clock().Sub(g.began)})
	case round.RoundAbandoned:
		g.staged = e.Count
		s.observe(Abandoned{Round: number, Part: g.which(), Reason: d.Abandon, Staged: e.Count})
	case round.RoundSettled:
		s.observe(Freed{Round: number, Part: g.which(), Certified: e.Count == 1})
	case round.RoundLost:
		s.observe(Lost{Round: number, Part: g.which(), Reason: d.Lost})
	case round.MemberLeft:
		s.observe(NodeAway{Node: g.nodes[e.Member].Address()})
	case round.MemberBack:
		s.observe(NodeBack{Node: g.nodes[e.Member].Address()})
	case round.MemberDoubted:
		s.observe(NodeDoubted{Node: g.nodes[e.Member].Address(), Complaints: e.Count, Wrong: e.Wrong})
	case round.MemberWrong:
		s.log.Warn("a committee node's answer was wrong and is corrected", "round", number, "node", g.nodes[e.Member].Address())
		s.observe(NodeWrong{Round: number, Node: g.nodes[e.Member].Address()})
	}
}

// progressEvery spaces Progress events.
const progressEvery = 200 * time.Millisecond

// progress tells the observer how the collection goes, in all groups together, now and then.
func (a *active) progress() {
	now := time.Now()
	if now.Sub(a.reported) < progressEvery {
		return
	}
	p := Progress{Round: a.key.Round, Goal: int(a.plan.Goal)}
	collecting := false
	for _, g := range a.groups {
		if g.m != nil {
			collecting = collecting || g.m.State() == round.Collecting
			p.Staged, p.Accepted = p.Staged+g.m.Staged(), p.Accepted+g.m.Ready()
		}
	}
	if !collecting || p.Staged == 0 {
		return
	}
	a.reported = now
	a.s.observe(p)
}

// which names the group in events; the zero Part where the round is not split.
func (g *group) which() Part {
	if len(g.groups) == 1 {
		return Part{}
	}
	return Part{Group: int(g.key.Shard) + 1, Of: len(g.groups)}
}
