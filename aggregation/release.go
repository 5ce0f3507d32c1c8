package aggregation

import (
	"bytes"
	"fmt"
	"slices"

	"tutti/aggregation/share"
)

// Abandon gives the member's word that it will never sign a set in this round, and erases the round's secrets (rule 4).
// Refusals: RefusePast, RefuseSigned.
func (m *Member) Abandon(id RoundID) (AbandonSignature, []Record, error) {
	if err := id.check(); err != nil {
		return AbandonSignature{}, nil, err
	}
	if id.Round < m.horizon[id.Task] {
		return AbandonSignature{}, nil, RefusePast
	}
	r := m.rounds[id]
	if r == nil {
		r = &memberRound{id: id}
	}
	switch {
	case r.signed != nil || r.answer != nil:
		return AbandonSignature{}, nil, RefuseSigned
	case r.abandoned != nil:
		return AbandonSignature{Member: r.abandoned.Member, Signature: bytes.Clone(r.abandoned.Signature)}, nil, nil
	}
	r.abandoned = &AbandonSignature{Member: m.setup.Index, Signature: signDigest(m.setup.Identity, labelAbandon, abandonDigest(id))}
	m.rounds[id] = r
	records := append([]Record{r.abandonedRecord()}, r.erase()...)
	if r.cfg != nil {
		records = append(records, Record{Key: recordKey(kindConfig, id)})
		r.cfg = nil
	}
	return AbandonSignature{Member: r.abandoned.Member, Signature: bytes.Clone(r.abandoned.Signature)}, records, nil
}

// Release answers a certificate with the sum of the member's shares over its set, then erases the round's secrets
// (step 4). A member that did not sign answers too, if it accepted all of U. After a restart the shares are gone:
// RefuseShares asks the server to Accept the headers of U again (rule 7).
// Refusals: RefusePast, RefuseNoRound, RefuseAbandoned, RefuseOtherConfig, RefuseFloor, RefuseOtherSet, RefuseSetSize,
// RefuseCertificate, RefuseUnaccepted, RefuseShares.
func (m *Member) Release(id RoundID, c *Certificate) (*Answer, []Record, error) {
	r, err := m.begun(id)
	if err != nil {
		return nil, nil, err
	}
	digest, err := m.checkSet(r, c.Cfg, c.Set)
	if err != nil {
		return nil, nil, err
	}
	if err := c.Verify(r.cfg); err != nil {
		return nil, nil, err
	}
	if r.answer != nil {
		return r.answer.clone(), nil, nil
	}
	if err := r.checkAccepted(c.Set); err != nil {
		return nil, nil, err
	}
	words := make([]uint32, r.cfg.params.AnswerWords())
	for _, e := range c.Set.entries {
		s := r.shares[e.ID]
		if s == nil {
			return nil, nil, fmt.Errorf("%w: device %v", RefuseShares, e.ID)
		}
		share.Add(words, s)
	}
	r.answer = &Answer{Cfg: r.cfg.digest, SetDigest: digest, Member: m.setup.Index, Words: words}
	r.answer.sign(m.setup.Identity)
	return r.answer.clone(), append([]Record{r.answerRecord()}, r.erase()...), nil
}

func (a *Answer) clone() *Answer {
	b := *a
	b.Words, b.Signature = slices.Clone(a.Words), bytes.Clone(a.Signature)
	return &b
}

// erase drops the round's key, shares and acceptances and returns the deletions of their records.
// The HPKE key object holds a copy that Go does not let us overwrite; it is left to the collector.
func (r *memberRound) erase() []Record {
	var records []Record
	if r.seed != nil {
		records = append(records, Record{Key: recordKey(kindKey, r.id)})
	}
	for _, key := range r.batches {
		records = append(records, Record{Key: key})
	}
	for _, words := range r.shares {
		clear(words)
	}
	clear(r.seed)
	r.seed, r.key, r.shares, r.accepted, r.batches = nil, nil, nil, nil, nil
	return records
}

// Missing lists the entries of a set whose shares this member lost in a restart, so that the shell can ask for their headers.
func (m *Member) Missing(id RoundID, set *Set) []Entry {
	r, err := m.begun(id)
	if err != nil || r.answer != nil {
		return nil
	}
	var missing []Entry
	for _, e := range set.entries {
		if r.accepted[e.ID] == e.Digest && r.shares[e.ID] == nil {
			missing = append(missing, e)
		}
	}
	return missing
}

// Forget drops everything about rounds of the task below the horizon, and refuses them from then on.
func (m *Member) Forget(task string, horizon uint64) []Record {
	if horizon <= m.horizon[task] {
		return nil
	}
	m.horizon[task] = horizon
	records := []Record{horizonRecord(task, horizon)}
	for id, r := range m.rounds {
		if id.Task != task || id.Round >= horizon {
			continue
		}
		records = append(records, r.erase()...)
		for _, kind := range []string{kindConfig, kindSigned, kindAbandoned, kindAnswer} {
			records = append(records, Record{Key: recordKey(kind, id)})
		}
		delete(m.rounds, id)
	}
	slices.SortFunc(records[1:], func(a, b Record) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
	return records
}
