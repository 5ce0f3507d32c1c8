package server

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/server/committee"
	"tutti/server/round"
	"tutti/server/store"
)

// errConfig says that the members' keys do not make a configuration.
var errConfig = errors.New("the committee's keys do not hold")

// step is a transition of one group.
type step struct {
	g *group
	t *round.Transition
}

// persist makes transitions durable, all or none, with all that belongs to them, and then does what the new states allow.
func (a *active) persist(steps ...step) error {
	changes := make([]store.Change, len(steps))
	for i, x := range steps {
		var err error
		if changes[i], err = x.g.change(x.t); err != nil {
			return err
		}
	}
	for _, x := range steps {
		if err := x.g.trip("before", x.t); err != nil {
			return err
		}
	}
	if err := a.s.st.Move(a.ctx, a.term.fence(), a.s.cfg.Clock(), changes...); err != nil {
		return fmt.Errorf("storing that round %d is %v: %w", a.key.Round, steps[0].t.To, err)
	}
	a.mu.Lock()
	for _, x := range steps {
		x.g.stored = x.t.Durable
	}
	a.mu.Unlock()
	for _, x := range steps {
		a.s.log.Info("round", "round", a.key.Round, "group", x.g.key.Shard, "from", x.t.From.String(), "to", x.t.To.String())
		a.s.observe(Moved{Round: a.key.Round, Part: x.g.which(), From: x.t.From, To: x.t.To})
		if err := x.g.trip("after", x.t); err != nil {
			return err
		}
		if err := x.g.moved(x.t); err != nil {
			return err
		}
	}
	return nil
}

// trip is where tests let the process die.
func (g *group) trip(when string, t *round.Transition) error {
	if g.s.fault == nil {
		return nil
	}
	point := fmt.Sprintf("%s %v->%v", when, t.From, t.To)
	if g.key.Shard > 0 {
		point += fmt.Sprintf(" of group %d", g.key.Shard)
	}
	return g.s.fault(point)
}

// change collects what a transition writes.
func (g *group) change(t *round.Transition) (store.Change, error) {
	c := store.Change{Key: g.key, Transition: *t}
	switch t.To {
	case round.Collecting:
		cfg, err := g.configure(t.Durable.Keys, t.Durable.Coins)
		if err != nil {
			return c, fmt.Errorf("%w: %w", errConfig, err)
		}
		g.cfg, c.Config = cfg, cfg.Marshal()
		if c.Groups, err = g.split(t.Durable); err != nil {
			return c, fmt.Errorf("%w: %w", errConfig, err)
		}
	case round.Frozen:
		set, err := aggregation.NewSet(t.Durable.Set)
		if err != nil {
			return c, err
		}
		g.set, c.Drops = set, g.drops()
		g.words = nil
	case round.Certified:
		cert, err := g.certify(t.Durable.Signed)
		if err != nil {
			return c, err
		}
		g.cert, c.Certificate = cert, cert.Marshal()
	case round.Published:
		if g.sum.canonical != nil {
			if _, err := g.s.st.PutBlob(g.sum.canonical); err != nil {
				return c, err
			}
		}
		c.Stream = g.stream
		if g == g.firstOpen() {
			c.Log, c.Version = g.finish.records(g.active)
			c.Keep = g.finish.publication.Keep
		}
		c.Drops = g.drops()
	case round.Lost:
		c.Stream = g.stream
		c.Log = g.lastRecords(t)
	case round.Abandoned:
		c.Drops = g.drops()
		if t.Durable.Settled {
			if t.Durable.Freed && g.cfg != nil {
				cert, err := aggregation.CertifyAbandon(g.cfg, abandonSignatures(t.Durable.Refusals))
				if err != nil {
					return c, err
				}
				c.Certificate = cert.Marshal()
				g.refusal = sha256.Sum256(c.Certificate)
			}
			c.Log = g.lastRecords(t)
		}
	}
	return c, nil
}

// moved does what a durable transition allows.
func (g *group) moved(t *round.Transition) error {
	switch t.To {
	case round.Collecting:
		if err := g.openIntake(nil); err != nil {
			return err
		}
		for _, other := range g.groups[1:] {
			if err := other.join(t.Durable); err != nil {
				return err
			}
		}
	case round.Frozen:
		g.closeOffer()
	case round.Certified:
		g.closeOffer()
		if in := g.taking(); in != nil {
			if err := in.staging.DropVectors(); err != nil {
				g.s.log.Warn("staged vectors stay", "round", g.key.Round, "error", err)
			}
		}
	case round.Released:
		return g.conclude()
	case round.Published:
		g.clean()
	case round.Lost:
		g.clean()
		return g.conclude()
	case round.Abandoned:
		g.closeOffer()
		if t.Durable.Settled {
			g.clean()
			return g.conclude()
		}
	}
	return nil
}

// clean removes the files of a group that has ended.
func (g *group) clean() {
	g.closeOffer()
	if err := g.s.st.DropRound(g.key); err != nil {
		g.s.log.Warn("files of an ended round stay", "round", g.key.Round, "error", err)
	}
}

// configure makes the group's one configuration from the plan and the members' keys and coins.
func (g *group) configure(keys, coins []round.Said) (*aggregation.Config, error) {
	l := aggregation.ConfigLiteral{
		Round: g.id(), Plan: g.signed.Digest(), Bases: g.plan.Bases(),
		Params: g.params.Literal(), Enroller: g.plan.Enroller,
		Population: g.plan.Population, Threshold: g.plan.Threshold, Groups: g.plan.Groups,
	}
	for i, k := range keys {
		parsed, err := committee.ParseKey(k.Bytes)
		if err != nil {
			return nil, err
		}
		m := aggregation.MemberKey{Index: uint16(k.Member + 1), Identity: g.plan.Committee[k.Member], Key: parsed}
		copy(m.Coin[:], coins[i].Bytes)
		l.Roster = append(l.Roster, m)
	}
	cfg, err := aggregation.NewConfig(l)
	if err != nil {
		return nil, err
	}
	return cfg, cfg.Verify(aggregation.Pins{Enroller: ed25519.PublicKey(g.plan.Enroller), Roster: g.plan.Committee})
}

func (g *group) certify(signed []round.Said) (*aggregation.Certificate, error) {
	signatures := make([]aggregation.SetSignature, len(signed))
	for i, s := range signed {
		signatures[i] = aggregation.SetSignature{Member: uint16(s.Member + 1), SetDigest: g.set.Digest(g.cfg.Digest()), Signature: s.Bytes}
	}
	return aggregation.Certify(g.cfg, g.set, signatures)
}

func abandonSignatures(said []round.Said) []aggregation.AbandonSignature {
	out := make([]aggregation.AbandonSignature, len(said))
	for i, s := range said {
		out[i] = aggregation.AbandonSignature{Member: uint16(s.Member + 1), Signature: s.Bytes}
	}
	return out
}

// participants is the RFC 6962 tree hash over the ids of the set.
func participants(set []round.Upload) ledger.Digest {
	return ledger.Participants(idsOf(set))
}
