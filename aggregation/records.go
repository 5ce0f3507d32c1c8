package aggregation

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrRecord reports durable state of a member that is damaged or not its own.
var ErrRecord = errors.New("aggregation: member record")

// Record is one line of a member's durable state. A nil Value deletes the key.
// Values of "key/" records are secret; a Record prints only its key.
//
//	key/<task>/<round>/<shard>             round key seed (secret)   OpenRound    until Release, Abandon
//	config/<task>/<round>/<shard>          canonical Config          Begin        until Abandon
//	accepted/<task>/<round>/<shard>/<seq>  one batch of entries      Accept       until Release, Abandon
//	signed/<task>/<round>/<shard>          set signature             Sign
//	abandoned/<task>/<round>/<shard>       abandon signature         Abandon
//	answer/<task>/<round>/<shard>          the answer                Release
//	horizon/<task>                         first round still served  Forget
//
// Forget removes all but the horizon for rounds before it.
type Record struct {
	Key   string
	Value []byte
}

const (
	kindKey       = "key"
	kindConfig    = "config"
	kindAccepted  = "accepted"
	kindSigned    = "signed"
	kindAbandoned = "abandoned"
	kindAnswer    = "answer"
	kindHorizon   = "horizon"
)

const (
	maxRecordLen = 64 << 20
	maxBatch     = 1 << 20
)

func recordKey(kind string, id RoundID) string { return kind + "/" + id.String() }

// record starts a value with its kind and round, so that a value under a wrong key is noticed.
func record(kind string, id RoundID) *writer {
	w := newWriter(labelRecord, 256)
	w.bytes([]byte(kind))
	id.write(w)
	return w
}

func (r *memberRound) keyRecord() Record {
	w := record(kindKey, r.id)
	w.raw(r.plan[:])
	w.u8(uint8(r.suite))
	w.raw(r.seed)
	return Record{recordKey(kindKey, r.id), w.b}
}

func (r *memberRound) configRecord() Record {
	w := record(kindConfig, r.id)
	w.bytes(r.cfg.encoded)
	return Record{recordKey(kindConfig, r.id), w.b}
}

// batchRecord appends a batch of new entries to the round's list of batches.
func (r *memberRound) batchRecord(entries []Entry) Record {
	w := record(kindAccepted, r.id)
	w.u32(uint32(len(entries)))
	for _, e := range entries {
		w.raw(e.ID[:])
		w.raw(e.Digest[:])
	}
	key := fmt.Sprintf("%s/%08d", recordKey(kindAccepted, r.id), len(r.batches))
	r.batches = append(r.batches, key)
	return Record{key, w.b}
}

func (r *memberRound) signedRecord() Record {
	w := record(kindSigned, r.id)
	w.raw(r.signed.SetDigest[:])
	w.raw(r.signed.Signature)
	return Record{recordKey(kindSigned, r.id), w.b}
}

func (r *memberRound) abandonedRecord() Record {
	w := record(kindAbandoned, r.id)
	w.raw(r.abandoned.Signature)
	return Record{recordKey(kindAbandoned, r.id), w.b}
}

func (r *memberRound) answerRecord() Record {
	w := record(kindAnswer, r.id)
	w.bytes(r.answer.Marshal())
	return Record{recordKey(kindAnswer, r.id), w.b}
}

func horizonRecord(task string, horizon uint64) Record {
	id := RoundID{Task: task, Round: horizon}
	return Record{kindHorizon + "/" + task, record(kindHorizon, id).b}
}

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
		if r.cfg != nil && r.seed == nil && r.answer == nil {
			return nil, fmt.Errorf("%w: %v: the round's key is gone without an answer", ErrRecord, id)
		}
	}
	return m, nil
}

// restoreOrder puts a round's configuration first, since all other records but its abandonment are read against it.
func restoreOrder(a, b string) int {
	rank := func(key string) int {
		return slices.Index([]string{kindHorizon, kindKey, kindConfig, kindAccepted, kindSigned, kindAnswer, kindAbandoned},
			key[:max(0, strings.IndexByte(key, '/'))])
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

var errState = errors.New("does not fit the rest of the state")

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
		m.horizon[id.Task] = id.Round
		return r.done()
	case kindKey:
		return m.restoreKey(id, r)
	case kindConfig:
		return m.restoreConfig(id, r)
	case kindAbandoned:
		return m.restoreAbandoned(id, r)
	}
	round := m.rounds[id]
	if round == nil || round.cfg == nil {
		return fmt.Errorf("%w: the round has no configuration", errState)
	}
	switch kind {
	case kindAccepted:
		return round.restoreBatch(rec.Key, r)
	case kindSigned:
		return m.restoreSigned(round, r)
	case kindAnswer:
		return m.restoreAnswer(round, r)
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
	_, err := m.openRound(id, plan, suite, seed)
	return err
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
	round := m.rounds[id]
	if round == nil {
		round = &memberRound{id: id, plan: cfg.literal.Plan, public: cfg.literal.Roster[m.setup.Index-1].Key.clone()}
		m.rounds[id] = round
	}
	if cfg.literal.Plan != round.plan || !round.owns(cfg, m.setup.Index) {
		return errState
	}
	round.cfg = cfg
	return nil
}

func (r *memberRound) restoreBatch(key string, rd *reader) error {
	if r.accepted == nil || key != fmt.Sprintf("%s/%08d", recordKey(kindAccepted, r.id), len(r.batches)) {
		return fmt.Errorf("%w: a batch is missing, or its key was erased", errState)
	}
	n := rd.count(rd.u32(), maxBatch, entryLen)
	for range n {
		var e Entry
		rd.fixed(e.ID[:])
		rd.fixed(e.Digest[:])
		if _, twice := r.accepted[e.ID]; twice {
			rd.fail("device %v twice", e.ID)
		}
		r.accepted[e.ID] = e.Digest
	}
	r.batches = append(r.batches, key)
	return rd.done()
}

func (m *Member) restoreSigned(round *memberRound, r *reader) error {
	s := &SetSignature{Member: m.setup.Index}
	r.fixed(s.SetDigest[:])
	s.Signature = r.copyOf(ed25519.SignatureSize)
	if err := r.done(); err != nil {
		return err
	}
	if !s.Verify(round.cfg) {
		return fmt.Errorf("%w: signature does not hold", errState)
	}
	round.signed = s
	return nil
}

func (m *Member) restoreAnswer(round *memberRound, r *reader) error {
	b := r.bytes(maxRecordLen)
	if err := r.done(); err != nil {
		return err
	}
	a, err := ParseAnswer(b)
	if err != nil {
		return err
	}
	if a.Member != m.setup.Index || !a.Verify(round.cfg, a.SetDigest) || round.seed != nil ||
		round.signed != nil && round.signed.SetDigest != a.SetDigest {
		return fmt.Errorf("%w: answer", errState)
	}
	round.answer = a
	return nil
}

func (m *Member) restoreAbandoned(id RoundID, r *reader) error {
	s := &AbandonSignature{Member: m.setup.Index, Signature: r.copyOf(ed25519.SignatureSize)}
	if err := r.done(); err != nil {
		return err
	}
	if m.rounds[id] != nil {
		return fmt.Errorf("%w: an abandoned round keeps nothing else", errState)
	}
	identity := m.setup.Identity.Public().(ed25519.PublicKey)
	if !verifyDigest(identity, labelAbandon, abandonDigest(id), s.Signature) {
		return fmt.Errorf("%w: signature does not hold", errState)
	}
	m.rounds[id] = &memberRound{id: id, abandoned: s}
	return nil
}
