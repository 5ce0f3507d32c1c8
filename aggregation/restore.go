package aggregation

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// RestoreMember rebuilds a node from all records that were written and not deleted, in any order.
// It refuses (ErrRecord) damaged records and states that no run of a Member leaves behind.
func RestoreMember(setup MemberSetup, records []Record) (*Member, error) {
	if err := checkSetup(setup); err != nil {
		return nil, err
	}
	m := &Member{setup: setup, rounds: make(map[RoundID]*memberRound), horizon: make(map[string]uint64)}
	sorted := slices.Clone(records)
	slices.SortFunc(sorted, func(a, b Record) int { return restoreOrder(a.Key, b.Key) })
	for i, rec := range sorted {
		if i > 0 && sorted[i-1].Key == rec.Key {
			return nil, fmt.Errorf("%w: %s twice", ErrRecord, rec.Key)
		}
		if err := m.restore(rec); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRecord, rec.Key, err)
		}
	}
	for id, r := range m.rounds {
		if err := r.consistent(); err != nil {
			return nil, fmt.Errorf("%w: %v: %w", ErrRecord, id, err)
		}
	}
	return m, nil
}

var errState = errors.New("does not fit the rest of the state")

// consistent checks what no single record shows: a key stays exactly as long as a shard may need it.
func (r *memberRound) consistent() error {
	cfg := r.config()
	switch {
	case r.void && (r.seed != nil || cfg != nil):
		return fmt.Errorf("%w: a round abandoned as a whole keeps nothing else", errState)
	case cfg == nil:
		return nil
	case r.seed == nil && !r.finished(cfg.literal.Groups):
		return fmt.Errorf("%w: the round's key is gone before its last shard", errState)
	case r.seed != nil && r.finished(cfg.literal.Groups):
		return fmt.Errorf("%w: the round's key outlives its last shard", errState)
	}
	return nil
}

// restoreOrder puts a round's key and configurations first, since all other records but its abandonments are read against them.
func restoreOrder(a, b string) int {
	rank := func(key string) int {
		return slices.Index([]string{kindHorizon, kindKey, kindList, kindConfig, kindAccepted, kindSigned, kindAnswer, kindAbandoned},
			key[:max(0, strings.IndexByte(key, '/'))])
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

// restore applies one record; its order is that of restoreOrder.
func (m *Member) restore(rec Record) error {
	if len(rec.Value) > maxRecordLen {
		return fmt.Errorf("%w: %d bytes", ErrEncoding, len(rec.Value))
	}
	r := newReader(labelRecord, rec.Value)
	kind := string(r.bytes(16))
	id := readRoundID(r)
	if r.err != nil {
		return r.err
	}
	key := recordKey(kind, id)
	if kind == kindHorizon {
		key = kindHorizon + "/" + id.Task
	}
	if rec.Key != key && !(kind == kindAccepted && strings.HasPrefix(rec.Key, key+"/")) {
		return fmt.Errorf("%w: the value belongs under %s", errState, key)
	}
	switch kind {
	case kindHorizon:
		if m.horizon[id.Task] = id.Round; id.Shard != 0 {
			return errState
		}
		return r.done()
	case kindKey:
		return m.restoreKey(id, r)
	case kindList:
		return m.restoreList(id, r)
	case kindConfig:
		return m.restoreConfig(id, r)
	case kindAbandoned:
		return m.restoreAbandoned(id, r)
	}
	var s *memberShard
	if round := m.rounds[id.Whole()]; round != nil {
		s = round.shards[id.Shard]
	}
	if s == nil {
		return fmt.Errorf("%w: the shard has no configuration", errState)
	}
	switch kind {
	case kindAccepted:
		return s.restoreBatch(rec.Key, r)
	case kindSigned:
		return m.restoreSigned(s, r)
	case kindAnswer:
		return m.restoreAnswer(s, r)
	}
	return fmt.Errorf("%w: unknown kind", errState)
}

func (m *Member) restoreKey(id RoundID, r *reader) error {
	var plan Digest
	r.fixed(plan[:])
	suite := Suite(r.u8())
	seed := r.copyOf(roundSeedLen)
	if err := r.done(); err != nil {
		return err
	}
	if id.Shard != 0 {
		return errState
	}
	_, err := m.openRound(id, plan, suite, seed)
	return err
}

func (m *Member) restoreList(id RoundID, r *reader) error {
	list := new(Digest)
	r.fixed(list[:])
	if err := r.done(); err != nil {
		return err
	}
	round := m.rounds[id]
	if round == nil {
		return fmt.Errorf("%w: keys were shown, and the member's own is gone", errState)
	}
	round.list = list
	return nil
}

// restoreConfig also stands in for the key of a round whose key was erased.
func (m *Member) restoreConfig(id RoundID, r *reader) error {
	b := r.bytes(MaxConfigLen)
	if err := r.done(); err != nil {
		return err
	}
	cfg, err := ParseConfig(b)
	if err != nil {
		return err
	}
	if cfg.literal.Round != id || int(m.setup.Index) > len(cfg.literal.Roster) {
		return errState
	}
	own := cfg.literal.Roster[m.setup.Index-1].Key
	list := cfg.keysDigest()
	round := m.rounds[id.Whole()]
	if round == nil {
		round = &memberRound{id: id.Whole(), plan: cfg.literal.Plan, suite: own.Suite, public: own.clone(), list: &list,
			shards: make(map[uint32]*memberShard)}
		m.rounds[round.id] = round
	}
	other := round.config()
	switch {
	case !round.owns(own):
		return fmt.Errorf("%w: the configuration is not that of the round's key", errState)
	case round.list == nil || *round.list != list:
		return fmt.Errorf("%w: the configuration is not that of the keys shown", errState)
	case other != nil && !cfg.sameRound(other):
		return fmt.Errorf("%w: the configuration is not that of the other shards", errState)
	}
	round.shards[id.Shard] = &memberShard{id: id, cfg: cfg, accepted: make(map[DeviceID]acceptance)}
	return nil
}

func (s *memberShard) restoreBatch(key string, rd *reader) error {
	if key != fmt.Sprintf("%s/%08d", recordKey(kindAccepted, s.id), len(s.batches)) {
		return fmt.Errorf("%w: a batch is missing", errState)
	}
	n := rd.count(rd.u32(), maxBatch, entryLen)
	for range n {
		var e Entry
		rd.fixed(e.ID[:])
		rd.fixed(e.Digest[:])
		if _, twice := s.accepted[e.ID]; twice {
			rd.fail("device %v twice", e.ID)
		}
		s.accepted[e.ID] = acceptance{digest: e.Digest}
	}
	s.batches = append(s.batches, key)
	return rd.done()
}

func (m *Member) restoreSigned(s *memberShard, r *reader) error {
	sig := &SetSignature{Member: m.setup.Index}
	r.fixed(sig.SetDigest[:])
	sig.Signature = r.copyOf(ed25519.SignatureSize)
	if err := r.done(); err != nil {
		return err
	}
	if !sig.Verify(s.cfg) {
		return fmt.Errorf("%w: signature does not hold", errState)
	}
	s.signed = sig
	return nil
}

func (m *Member) restoreAnswer(s *memberShard, r *reader) error {
	b := r.bytes(maxRecordLen)
	if err := r.done(); err != nil {
		return err
	}
	a, err := ParseAnswer(b)
	if err != nil {
		return err
	}
	if a.Member != m.setup.Index || !a.Verify(s.cfg, a.SetDigest) || len(s.batches) != 0 ||
		s.signed != nil && s.signed.SetDigest != a.SetDigest {
		return fmt.Errorf("%w: answer", errState)
	}
	s.answer, s.accepted = a, nil
	return nil
}

func (m *Member) restoreAbandoned(id RoundID, r *reader) error {
	void := r.u8()
	s := &memberShard{id: id, abandoned: &AbandonSignature{Member: m.setup.Index, Signature: r.copyOf(ed25519.SignatureSize)}}
	if err := r.done(); err != nil {
		return err
	}
	round := m.rounds[id.Whole()]
	if round == nil {
		round = &memberRound{id: id.Whole(), shards: make(map[uint32]*memberShard)}
		m.rounds[round.id] = round
	}
	if void > 1 || round.shards[id.Shard] != nil {
		return fmt.Errorf("%w: an abandoned shard keeps nothing else", errState)
	}
	identity := m.setup.Identity.Public().(ed25519.PublicKey)
	if !verifyDigest(identity, labelAbandon, abandonDigest(id), s.abandoned.Signature) {
		return fmt.Errorf("%w: signature does not hold", errState)
	}
	round.void = round.void || void == 1
	round.shards[id.Shard] = s
	return nil
}
