package aggregation

import (
	"bytes"
	"fmt"
	"slices"
)

// Abandon gives the member's word that it will never sign a set in this shard, and erases what it holds of it (rule 4).
// As long as the round has no configuration here, its shards cannot be told apart: an abandonment then holds for all of them.
// Refusals: RefusePast, RefuseSigned, RefuseNoRound (no such shard).
func (m *Member) Abandon(id RoundID) (AbandonSignature, []Record, error) {
	if err := id.check(); err != nil {
		return AbandonSignature{}, nil, err
	}
	if id.Round < m.horizon[id.Task] {
		return AbandonSignature{}, nil, RefusePast
	}
	r := m.rounds[id.Whole()]
	if r == nil {
		r = &memberRound{id: id.Whole(), shards: make(map[uint32]*memberShard)}
	}
	if s := r.shards[id.Shard]; s != nil && s.abandoned != nil {
		return s.abandoned.clone(), nil, nil
	} else if s != nil && (s.signed != nil || s.answer != nil) {
		return AbandonSignature{}, nil, RefuseSigned
	}
	word := &AbandonSignature{Member: m.setup.Index, Signature: signDigest(m.setup.Identity, labelAbandon, abandonDigest(id))}
	if m.rounds[r.id] != nil && r.over() {
		return *word, nil, nil // nothing is opened here any more, and the same bytes come every time
	}
	cfg := r.config()
	if cfg != nil && id.Shard >= cfg.literal.Groups {
		return AbandonSignature{}, nil, RefuseNoRound
	}
	m.rounds[r.id] = r
	return word.clone(), r.abandon(id, word, cfg), nil
}

func (a *AbandonSignature) clone() AbandonSignature {
	return AbandonSignature{Member: a.Member, Signature: bytes.Clone(a.Signature)}
}

// abandon moves one shard, or without a configuration the whole round, and returns what to write and delete.
func (r *memberRound) abandon(id RoundID, word *AbandonSignature, cfg *Config) []Record {
	old := r.shards[id.Shard]
	s := &memberShard{id: id, abandoned: word}
	r.shards[id.Shard] = s
	r.void = cfg == nil
	records := []Record{s.abandonedRecord(r.void)}
	if old != nil {
		records = append(records, old.erase()...)
		records = append(records, Record{Key: recordKey(kindConfig, id)})
	}
	if r.void {
		return append(records, r.eraseKey()...)
	}
	return append(records, r.finish(cfg.literal.Groups)...)
}

// Release answers a certificate with the sum of the member's shares over its set, then erases the shard's secrets, and the
// round's with the last shard (step 4). A member that did not sign answers too, if it accepted all of U. After a restart the
// shares are gone: RefuseShares asks the server to have the headers of U accepted again (rule 7).
// Refusals: RefusePast, RefuseNoRound, RefuseAbandoned, RefuseOtherConfig, RefuseFloor, RefuseOtherSet, RefuseSetSize,
// RefuseCertificate, RefuseUnaccepted, RefuseShares.
func (m *Member) Release(id RoundID, c *Certificate) (*Answer, []Record, error) {
	r, s, err := m.begun(id)
	if err != nil {
		return nil, nil, err
	}
	digest, err := m.checkSet(s, c.Cfg, c.Set)
	if err != nil {
		return nil, nil, err
	}
	if err := c.Verify(s.cfg); err != nil {
		return nil, nil, err
	}
	if s.answer != nil {
		return s.answer.clone(), nil, nil
	}
	if err := s.checkAccepted(c.Set); err != nil {
		return nil, nil, err
	}
	words, err := s.sum(c.Set)
	if err != nil {
		return nil, nil, err
	}
	s.answer = newAnswer(s.cfg, digest, m.setup.Index, words)
	s.answer.sign(m.setup.Identity)
	records := append([]Record{s.answerRecord()}, s.erase()...)
	return s.answer.clone(), append(records, r.finish(s.cfg.literal.Groups)...), nil
}

// sum adds the shares of a set whose entries are all accepted.
func (s *memberShard) sum(set *Set) ([]uint64, error) {
	field, n := s.cfg.params.shares.Field(), s.cfg.params.AnswerWords()
	sum := make([]uint64, n)
	for _, e := range set.entries {
		packed := s.accepted[e.ID].packed
		if packed == nil {
			clear(sum)
			return nil, fmt.Errorf("%w: device %v", RefuseShares, e.ID)
		}
		words, err := field.Parse(packed[:n*field.Bytes()])
		if err != nil {
			panic("aggregation: a share left the field: " + err.Error())
		}
		field.Add(sum, words)
		clear(words)
	}
	return sum, nil
}

func (a *Answer) clone() *Answer {
	b := *a
	b.Words, b.Signature = slices.Clone(a.Words), bytes.Clone(a.Signature)
	return &b
}

// erase drops the shard's shares and acceptances and returns the deletions of their records.
func (s *memberShard) erase() []Record {
	var records []Record
	for _, key := range s.batches {
		records = append(records, Record{Key: key})
	}
	for _, held := range s.accepted {
		clear(held.packed)
	}
	s.accepted, s.batches = nil, nil
	return records
}

// finished reports that each of the round's shards was released or abandoned here.
func (r *memberRound) finished(groups uint32) bool {
	if uint64(len(r.shards)) < uint64(groups) {
		return false
	}
	for k := range groups {
		if s := r.shards[k]; s == nil || s.answer == nil && s.abandoned == nil {
			return false
		}
	}
	return true
}

// finish erases the round's key once no shard needs it any more.
func (r *memberRound) finish(groups uint32) []Record {
	if !r.finished(groups) {
		return nil
	}
	return r.eraseKey()
}

// eraseKey drops HPKE key and coin, and returns the deletions of their records.
// The HPKE key object holds a copy that Go does not let us overwrite; it is left to the collector.
func (r *memberRound) eraseKey() []Record {
	var records []Record
	if r.seed != nil {
		records = append(records, Record{Key: recordKey(kindKey, r.id)})
		if r.list != nil {
			records = append(records, Record{Key: recordKey(kindList, r.id)})
		}
	}
	clear(r.seed)
	r.seed, r.key = nil, nil
	return records
}

// Missing lists the entries of a set whose shares this member lost in a restart, so that the shell can ask for their headers.
func (m *Member) Missing(id RoundID, set *Set) []Entry {
	_, s, err := m.begun(id)
	if err != nil || s.answer != nil {
		return nil
	}
	var missing []Entry
	for _, e := range set.entries {
		if held, ok := s.accepted[e.ID]; ok && held.digest == e.Digest && held.packed == nil {
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
		records = append(records, r.eraseKey()...)
		for _, s := range r.shards {
			records = append(records, s.erase()...)
			for _, kind := range []string{kindConfig, kindSigned, kindAbandoned, kindAnswer} {
				records = append(records, Record{Key: recordKey(kind, s.id)})
			}
		}
		delete(m.rounds, id)
	}
	slices.SortFunc(records[1:], func(a, b Record) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
	return records
}
