package server

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/server/committee"
	"tutti/server/round"
	"tutti/server/store"
)

// errConfig says that the members' keys do not make a configuration.
var errConfig = errors.New("the committee's keys do not hold")

// persist makes a transition durable, with all that belongs to it, and then does what the new state allows.
func (a *active) persist(t *round.Transition) error {
	c, err := a.change(t)
	if err != nil {
		return err
	}
	if err := a.s.trip("before", t); err != nil {
		return err
	}
	if err := a.s.st.Move(a.ctx, a.s.cfg.Clock(), c); err != nil {
		return fmt.Errorf("storing that round %d is %v: %w", a.key.Round, t.To, err)
	}
	a.mu.Lock()
	a.stored = t.Durable
	a.mu.Unlock()
	a.s.log.Info("round", "round", a.key.Round, "from", t.From.String(), "to", t.To.String())
	if err := a.s.trip("after", t); err != nil {
		return err
	}
	return a.moved(t)
}

// trip is where tests let the process die.
func (s *Server) trip(when string, t *round.Transition) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(fmt.Sprintf("%s %v->%v", when, t.From, t.To))
}

// change collects what a transition writes.
func (a *active) change(t *round.Transition) (store.Change, error) {
	c := store.Change{Key: a.key, Transition: *t}
	switch t.To {
	case round.Collecting:
		cfg, err := a.configure(t.Durable.Keys, t.Durable.Coins)
		if err != nil {
			return c, fmt.Errorf("%w: %w", errConfig, err)
		}
		a.cfg, c.Config = cfg, cfg.Marshal()
	case round.Frozen:
		set, err := aggregation.NewSet(t.Durable.Set)
		if err != nil {
			return c, err
		}
		a.set, c.Drops = set, a.drops()
		a.words = nil
	case round.Certified:
		cert, err := a.certify(t.Durable.Signed)
		if err != nil {
			return c, err
		}
		a.cert, c.Certificate = cert, cert.Marshal()
	case round.Published:
		c.Log, c.Version = a.finish.records(a)
		c.Drops = a.drops()
	case round.Lost:
		c.Log = []ledger.Body{a.roundRecord(ledger.Lost, ledger.Digest{}, ledger.Digest{})}
	case round.Abandoned:
		c.Drops = a.drops()
		if t.Durable.Settled {
			body := &ledger.Abandon{Task: a.key.Task, Round: a.key.Round, Plan: a.signed.Digest(), Reason: t.Durable.Abandon.String()}
			if t.Durable.Freed && a.cfg != nil {
				cert, err := aggregation.CertifyAbandon(a.cfg, abandonSignatures(t.Durable.Refusals))
				if err != nil {
					return c, err
				}
				c.Certificate = cert.Marshal()
				body.Certificate = sha256.Sum256(c.Certificate)
			}
			c.Log = []ledger.Body{body}
		}
	}
	return c, nil
}

// moved does what a durable transition allows.
func (a *active) moved(t *round.Transition) error {
	switch t.To {
	case round.Collecting:
		return a.openIntake(nil)
	case round.Frozen:
		a.closeOffer()
	case round.Certified:
		a.closeOffer()
		if in := a.taking(); in != nil {
			if err := in.staging.DropVectors(); err != nil {
				a.s.log.Warn("staged vectors stay", "round", a.key.Round, "error", err)
			}
		}
	case round.Released:
		a.once.Do(func() { close(a.opened) })
	case round.Published:
		a.finish.succeed()
		a.finish = nil
		a.clean()
	case round.Lost:
		a.clean()
	case round.Abandoned:
		a.closeOffer()
		if t.Durable.Settled {
			a.clean()
		}
	}
	return nil
}

// clean removes the files of a round that has ended.
func (a *active) clean() {
	a.closeOffer()
	if err := a.s.st.DropRound(a.key); err != nil {
		a.s.log.Warn("files of an ended round stay", "round", a.key.Round, "error", err)
	}
}

// configure makes the round's one configuration from the plan and the members' keys and coins.
func (a *active) configure(keys, coins []round.Said) (*aggregation.Config, error) {
	l := aggregation.ConfigLiteral{
		Round: a.id(), Plan: a.signed.Digest(), Bases: []aggregation.Digest{a.plan.Base},
		Params: a.params.Literal(), Enroller: a.plan.Enroller,
		Population: a.plan.Population, Threshold: a.plan.Threshold, Groups: a.plan.Groups,
	}
	for i, k := range keys {
		parsed, err := committee.ParseKey(k.Bytes)
		if err != nil {
			return nil, err
		}
		m := aggregation.MemberKey{Index: uint16(k.Member + 1), Identity: a.plan.Committee[k.Member], Key: parsed}
		copy(m.Coin[:], coins[i].Bytes)
		l.Roster = append(l.Roster, m)
	}
	cfg, err := aggregation.NewConfig(l)
	if err != nil {
		return nil, err
	}
	return cfg, cfg.Verify(aggregation.Pins{Enroller: ed25519.PublicKey(a.plan.Enroller), Roster: a.plan.Committee})
}

func (a *active) certify(signed []round.Said) (*aggregation.Certificate, error) {
	signatures := make([]aggregation.SetSignature, len(signed))
	for i, s := range signed {
		signatures[i] = aggregation.SetSignature{Member: uint16(s.Member + 1), SetDigest: a.set.Digest(a.cfg.Digest()), Signature: s.Bytes}
	}
	return aggregation.Certify(a.cfg, a.set, signatures)
}

func abandonSignatures(said []round.Said) []aggregation.AbandonSignature {
	out := make([]aggregation.AbandonSignature, len(said))
	for i, s := range said {
		out[i] = aggregation.AbandonSignature{Member: uint16(s.Member + 1), Signature: s.Bytes}
	}
	return out
}

// roundRecord is the log's record of a round that was charged. before is the newest version when it ended.
func (a *active) roundRecord(outcome string, aggregate, after ledger.Digest) *ledger.Round {
	r := &ledger.Round{
		Task: a.key.Task, Round: a.key.Round, What: a.plan.Kind.String(), Plan: a.signed.Digest(), Outcome: outcome,
		Mechanism: a.plan.Mechanism.AppendCanonical(nil), Survived: uint64(len(a.m.Durable().Set)), NMin: uint64(a.params.NMin()),
		Participants: participants(a.m.Durable().Set), Noise: a.plan.Mechanism.Noise, Masks: !a.plan.Unmasked, Rho: a.plan.Rho(),
		Certificate: sha256.Sum256(a.cert.Marshal()), Aggregate: aggregate, Before: a.s.head(),
	}
	r.After = r.Before
	if after != (ledger.Digest{}) {
		r.After = after
	}
	if a.result != nil && a.result.Sum.Meter.PadCoords > 0 {
		m := a.result.Sum.Meter
		r.Meter = ledger.NewMeter(m.PadCoords, m.MeasuredVar, m.ExpectedVar, m.ZScore)
	}
	return r
}

// participants is the RFC 6962 tree hash over the ids of the set.
func participants(set []round.Upload) ledger.Digest {
	hashes := make([]tlog.Hash, len(set))
	for i, u := range set {
		hashes[i] = tlog.RecordHash(u.ID[:])
	}
	return ledger.Digest(treeHash(hashes))
}

func treeHash(h []tlog.Hash) tlog.Hash {
	if len(h) == 0 {
		return tlog.Hash(sha256.Sum256(nil))
	}
	if len(h) == 1 {
		return h[0]
	}
	k := 1
	for 2*k < len(h) {
		k *= 2
	}
	return tlog.NodeHash(treeHash(h[:k]), treeHash(h[k:]))
}
