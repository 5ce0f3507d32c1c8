package aggregation

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"fmt"
	"io"
)

// Member is one committee node as a pure state machine.
//
// Order of effects: every method that returns records has already moved the machine. The shell writes all of them in
// one transaction, durably, BEFORE it sends the method's other results to anyone. If the write fails the shell drops
// the Member, unsent, and rebuilds it with RestoreMember. A repeated request returns the same bytes and no records.
// One goroutine owns a Member.
type Member struct {
	setup   MemberSetup
	rounds  map[RoundID]*memberRound
	horizon map[string]uint64 // per task: rounds below are refused
}

// MemberSetup is what a node is started with.
type MemberSetup struct {
	Identity ed25519.PrivateKey // long-lived roster key
	Index    uint16             // 1..m
	Pins     Pins               // enroller and the whole roster, this member included
	Floor    int                // the fewest devices in a sum that this node will ever help open, >= 2
}

// Verdict is a member's judgement of one header.
type Verdict struct {
	Entry  Entry
	Reason Reason // Accepted, or why not
}

// memberRound is what a member holds of one round. Of signed, abandoned and answer, abandoned excludes the others.
type memberRound struct {
	id        RoundID
	plan      Digest
	suite     Suite
	seed      []byte // of the HPKE key; nil once erased
	key       hpke.PrivateKey
	public    RoundKey
	cfg       *Config
	accepted  map[DeviceID]Digest
	batches   []string              // keys of the records that hold accepted
	shares    map[DeviceID][]uint32 // memory only: the server re-sends headers after a restart
	signed    *SetSignature
	abandoned *AbandonSignature
	answer    *Answer
}

// maxAcceptedFactor times NMax is the most uploads that a member holds shares of.
const maxAcceptedFactor = 2

// NewMember starts a node without history.
func NewMember(setup MemberSetup) (*Member, error) { return RestoreMember(setup, nil) }

func checkSetup(s MemberSetup) error {
	if len(s.Identity) != ed25519.PrivateKeySize || s.Index < 1 || int(s.Index) > len(s.Pins.Roster) {
		return fmt.Errorf("%w: member %d of %d", ErrRoster, s.Index, len(s.Pins.Roster))
	}
	if !bytes.Equal(s.Pins.Roster[s.Index-1], s.Identity.Public().(ed25519.PublicKey)) {
		return fmt.Errorf("%w: member %d is pinned under another identity", ErrRoster, s.Index)
	}
	if len(s.Pins.Enroller) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: no enroller pinned", ErrRoster)
	}
	if s.Floor < 2 {
		return fmt.Errorf("%w: a floor of %d opens single devices", ErrCohort, s.Floor)
	}
	return nil
}

// OpenRound makes, or repeats, the member's fresh HPKE key for a round under the plan that the log holds (rule 2).
// Refusals: RefusePast, RefuseAbandoned, RefusePlan.
func (m *Member) OpenRound(random io.Reader, id RoundID, plan Digest) (RoundKey, []Record, error) {
	if err := id.check(); err != nil {
		return RoundKey{}, nil, err
	}
	if id.Round < m.horizon[id.Task] {
		return RoundKey{}, nil, RefusePast
	}
	if r := m.rounds[id]; r != nil {
		switch {
		case r.abandoned != nil:
			return RoundKey{}, nil, RefuseAbandoned
		case r.plan != plan:
			return RoundKey{}, nil, RefusePlan
		}
		return r.public.clone(), nil, nil
	}
	seed := make([]byte, roundSeedLen)
	if _, err := io.ReadFull(random, seed); err != nil {
		return RoundKey{}, nil, fmt.Errorf("aggregation: randomness: %w", err)
	}
	r, err := m.openRound(id, plan, SuiteX25519, seed)
	if err != nil {
		return RoundKey{}, nil, err
	}
	return r.public.clone(), []Record{r.keyRecord()}, nil
}

// openRound derives the round's key pair and its signed public half from the seed.
func (m *Member) openRound(id RoundID, plan Digest, suite Suite, seed []byte) (*memberRound, error) {
	key, err := suite.privateKey(seed)
	if err != nil {
		return nil, err
	}
	public := key.PublicKey().Bytes()
	r := &memberRound{
		id: id, plan: plan, suite: suite, seed: seed, key: key,
		public: RoundKey{Suite: suite, Public: public,
			Signature: signDigest(m.setup.Identity, labelRoundKey, roundKeyDigest(id, plan, m.setup.Index, suite, public))},
		accepted: make(map[DeviceID]Digest), shares: make(map[DeviceID][]uint32),
	}
	m.rounds[id] = r
	return r, nil
}

func (k RoundKey) clone() RoundKey {
	k.Public, k.Signature = bytes.Clone(k.Public), bytes.Clone(k.Signature)
	return k
}

// Begin takes the round's one configuration. The shell compared it with the signed plan in the log before (rule 6).
// Refusals: RefuseNoRound, RefuseAbandoned, RefuseOtherConfig, RefusePlan, RefusePins, RefuseOwnKey, RefuseFloor.
func (m *Member) Begin(cfg *Config) ([]Record, error) {
	r := m.rounds[cfg.literal.Round]
	switch {
	case r == nil:
		return nil, RefuseNoRound
	case r.abandoned != nil:
		return nil, RefuseAbandoned
	case r.cfg != nil && r.cfg.digest != cfg.digest:
		return nil, RefuseOtherConfig
	case r.cfg != nil:
		return nil, nil
	}
	if err := m.checkConfig(r, cfg); err != nil {
		return nil, err
	}
	r.cfg = cfg
	return []Record{r.configRecord()}, nil
}

func (m *Member) checkConfig(r *memberRound, cfg *Config) error {
	if cfg.literal.Plan != r.plan {
		return RefusePlan
	}
	if err := cfg.Verify(m.setup.Pins); err != nil {
		return fmt.Errorf("%w: %w", RefusePins, err)
	}
	if !r.owns(cfg, m.setup.Index) {
		return RefuseOwnKey
	}
	return m.checkFloor(cfg)
}

// checkFloor is asked again at every step, since a node may come back with a higher floor.
func (m *Member) checkFloor(cfg *Config) error {
	if cfg.params.NMin() < m.setup.Floor {
		return fmt.Errorf("%w: %d, floor %d", RefuseFloor, cfg.params.NMin(), m.setup.Floor)
	}
	return nil
}

// owns reports whether the roster carries the round key made for member index.
func (r *memberRound) owns(cfg *Config, index uint16) bool {
	own := cfg.literal.Roster[index-1].Key
	return own.Suite == r.public.Suite && bytes.Equal(own.Public, r.public.Public)
}

// begun finds a round that has a configuration and was not abandoned.
func (m *Member) begun(id RoundID) (*memberRound, error) {
	r := m.rounds[id]
	switch {
	case id.Round < m.horizon[id.Task]:
		return nil, RefusePast
	case r != nil && r.abandoned != nil:
		return nil, RefuseAbandoned
	case r == nil || r.cfg == nil:
		return nil, RefuseNoRound
	}
	return r, nil
}

// Accept judges a batch of headers, one verdict each, in order. An id is accepted with one digest only, ever;
// the same header again, also after a restart, gets the same verdict.
// Refusals of the whole batch: RefusePast, RefuseNoRound, RefuseAbandoned.
func (m *Member) Accept(id RoundID, batch []*MemberHeader) ([]Verdict, []Record, error) {
	r, err := m.begun(id)
	if err != nil {
		return nil, nil, err
	}
	verdicts := make([]Verdict, len(batch))
	var fresh []Entry
	for i, h := range batch {
		e := Entry{ID: h.ID, Digest: h.Digest()}
		_, known := r.accepted[e.ID]
		reason := m.judge(r, h, e)
		if reason == Accepted && !known {
			fresh = append(fresh, e)
		}
		verdicts[i] = Verdict{Entry: e, Reason: reason}
	}
	if len(fresh) == 0 {
		return verdicts, nil, nil
	}
	return verdicts, []Record{r.batchRecord(fresh)}, nil
}

// judge decides one header and keeps its share.
func (m *Member) judge(r *memberRound, h *MemberHeader, e Entry) Reason {
	digest, known := r.accepted[e.ID]
	switch {
	case known && digest != e.Digest:
		return ReasonOtherAttempt
	case known && r.shares[e.ID] != nil:
		return Accepted
	case r.answer != nil, r.signed != nil && !known, !known && len(r.accepted) >= maxAcceptedFactor*r.cfg.params.NMax():
		return ReasonClosed
	case h.Member != m.setup.Index || !merkleVerify(h.EnvRoot, envelopeLeaf(h.Member, h.Envelope), int(h.Member)-1, r.cfg.params.Members(), h.Path):
		return ReasonEnvelopes
	}
	if reason := verifyPrelude(r.cfg, &h.Prelude, h.EnvRoot); reason != Accepted {
		return reason
	}
	words, reason := openShare(r.key, envelopeInfo(r.cfg.digest, h.ID, h.Nonce, h.Member), h.Envelope, r.cfg.params.AnswerWords())
	if reason == Accepted {
		r.accepted[e.ID] = e.Digest
		r.shares[e.ID] = words
	}
	return reason
}

// Sign signs H(cfg, U), for one U only (step 3, rules 4 and 6).
// Refusals: RefusePast, RefuseNoRound, RefuseAbandoned, RefuseOtherConfig, RefuseFloor, RefuseOtherSet,
// RefuseSetSize, RefuseUnaccepted.
func (m *Member) Sign(id RoundID, p *Proposal) (SetSignature, []Record, error) {
	r, err := m.begun(id)
	if err != nil {
		return SetSignature{}, nil, err
	}
	digest, err := m.checkSet(r, p.Cfg, p.Set)
	if err != nil {
		return SetSignature{}, nil, err
	}
	if r.signed != nil {
		return r.signed.clone(), nil, nil
	}
	if err := r.checkAccepted(p.Set); err != nil {
		return SetSignature{}, nil, err
	}
	r.signed = &SetSignature{Member: m.setup.Index, SetDigest: digest,
		Signature: signDigest(m.setup.Identity, labelSign, signedSetDigest(r.cfg, digest))}
	return r.signed.clone(), []Record{r.signedRecord()}, nil
}

func (s *SetSignature) clone() SetSignature {
	return SetSignature{Member: s.Member, SetDigest: s.SetDigest, Signature: bytes.Clone(s.Signature)}
}

// checkSet refuses another configuration, a set of the wrong size, and any set but the one signed or released.
func (m *Member) checkSet(r *memberRound, cfg Digest, set *Set) (Digest, error) {
	if cfg != r.cfg.digest {
		return Digest{}, RefuseOtherConfig
	}
	if err := m.checkFloor(r.cfg); err != nil {
		return Digest{}, err
	}
	digest := set.Digest(cfg)
	if r.signed != nil && r.signed.SetDigest != digest || r.answer != nil && r.answer.SetDigest != digest {
		return Digest{}, RefuseOtherSet
	}
	if n := set.Len(); n < r.cfg.params.NMin() || n > r.cfg.params.NMax() {
		return Digest{}, fmt.Errorf("%w: %d, the round takes %d to %d", RefuseSetSize, n, r.cfg.params.NMin(), r.cfg.params.NMax())
	}
	return digest, nil
}

func (r *memberRound) checkAccepted(set *Set) error {
	if r.answer != nil {
		return nil // this very set was released, and its acceptances erased
	}
	for _, e := range set.entries {
		if d, ok := r.accepted[e.ID]; !ok || d != e.Digest {
			return fmt.Errorf("%w: device %v", RefuseUnaccepted, e.ID)
		}
	}
	return nil
}
