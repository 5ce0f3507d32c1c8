package aggregation

import (
	"crypto/ed25519"
	"fmt"
	"slices"
)

// Accept settles headers that a Judge of this shard has opened, one verdict each, in order. An id is accepted with one digest
// only, as long as the shard is not abandoned; the same header again, also after a restart, gets the same verdict with the same check words.
// It takes the shares over: what it does not keep it erases.
// Refusals of the whole batch: RefusePast, RefuseNoRound, RefuseAbandoned, RefuseOtherConfig (opened under another one).
func (m *Member) Accept(id RoundID, opened []Opened) ([]Verdict, []Record, error) {
	_, s, err := m.begun(id)
	other := func(o Opened) bool { return o.cfg != s.cfg.digest || o.member != m.setup.Index }
	if err == nil && slices.ContainsFunc(opened, other) {
		err = RefuseOtherConfig
	}
	if err != nil {
		for i := range opened {
			opened[i].drop(ReasonClosed)
		}
		return nil, nil, err
	}
	verdicts := make([]Verdict, len(opened))
	var fresh []Entry
	for i := range opened {
		o := &opened[i]
		_, known := s.accepted[o.entry.ID]
		reason := s.settle(o)
		verdicts[i] = Verdict{Entry: o.entry, Reason: reason}
		if reason != Accepted {
			continue
		}
		verdicts[i].Check = s.checkOf(o.entry.ID)
		if !known {
			fresh = append(fresh, o.entry)
		}
	}
	if len(fresh) == 0 {
		return verdicts, nil, nil
	}
	return verdicts, []Record{s.batchRecord(fresh)}, nil
}

// settle decides one header by what the shard holds already, and keeps its share or erases it.
func (s *memberShard) settle(o *Opened) Reason {
	held, known := s.accepted[o.entry.ID]
	switch {
	case known && held.digest != o.entry.Digest:
		o.drop(ReasonOtherAttempt)
	case known && held.packed != nil:
		if len(o.packed) > 0 && &o.packed[0] != &held.packed[0] {
			clear(o.packed)
		}
		o.packed, o.reason = held.packed, Accepted
	case s.answer != nil, s.signed != nil && !known, !known && len(s.accepted) >= maxAcceptedFactor*s.cfg.params.NMax():
		o.drop(ReasonClosed)
	case o.reason == Accepted:
		s.accepted[o.entry.ID] = acceptance{digest: o.entry.Digest, packed: o.packed}
	}
	return o.reason
}

// drop erases a share that nobody will ask for.
func (o *Opened) drop(reason Reason) {
	clear(o.packed)
	o.packed, o.reason = nil, reason
}

// checkOf reads the check words behind a share.
func (s *memberShard) checkOf(id DeviceID) []uint64 {
	p := s.cfg.params
	field := p.shares.Field()
	words, err := field.Parse(s.accepted[id].packed[p.AnswerWords()*field.Bytes():])
	if err != nil {
		panic("aggregation: check words left the field: " + err.Error())
	}
	return words
}

// Sign signs H(cfg, U), for one U only (step 3, rules 4 and 6).
// Refusals: RefusePast, RefuseNoRound, RefuseAbandoned, RefuseOtherConfig, RefuseFloor, RefuseOtherSet,
// RefuseSetSize, RefuseUnaccepted.
func (m *Member) Sign(id RoundID, p *Proposal) (SetSignature, []Record, error) {
	_, s, err := m.begun(id)
	if err != nil {
		return SetSignature{}, nil, err
	}
	digest, err := m.checkSet(s, p.Cfg, p.Set)
	if err != nil {
		return SetSignature{}, nil, err
	}
	if s.signed != nil {
		return s.signed.clone(), nil, nil
	}
	if err := s.checkAccepted(p.Set); err != nil {
		return SetSignature{}, nil, err
	}
	s.signed = &SetSignature{Member: m.setup.Index, SetDigest: digest,
		Signature: signDigest(m.setup.Identity, labelSign, signedSetDigest(s.cfg, digest))}
	return s.signed.clone(), []Record{s.signedRecord()}, nil
}

func (s *SetSignature) clone() SetSignature {
	return SetSignature{Member: s.Member, SetDigest: s.SetDigest, Signature: append(make([]byte, 0, ed25519.SignatureSize), s.Signature...)}
}

// checkSet refuses another configuration, a set of the wrong size, and any set but the one signed or released.
func (m *Member) checkSet(s *memberShard, cfg Digest, set *Set) (Digest, error) {
	if cfg != s.cfg.digest {
		return Digest{}, RefuseOtherConfig
	}
	if err := m.checkFloor(s.cfg); err != nil {
		return Digest{}, err
	}
	digest := set.Digest(cfg)
	if s.signed != nil && s.signed.SetDigest != digest || s.answer != nil && s.answer.SetDigest != digest {
		return Digest{}, RefuseOtherSet
	}
	if n := set.Len(); n < s.cfg.params.NMin() || n > s.cfg.params.NMax() {
		return Digest{}, fmt.Errorf("%w: %d, the round takes %d to %d", RefuseSetSize, n, s.cfg.params.NMin(), s.cfg.params.NMax())
	}
	return digest, nil
}

func (s *memberShard) checkAccepted(set *Set) error {
	if s.answer != nil {
		return nil // this very set was released, and its acceptances erased
	}
	for _, e := range set.entries {
		if held, ok := s.accepted[e.ID]; !ok || held.digest != e.Digest {
			return fmt.Errorf("%w: device %v", RefuseUnaccepted, e.ID)
		}
	}
	return nil
}
