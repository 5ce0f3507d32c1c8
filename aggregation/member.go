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
// One goroutine owns a Member; a Judge may be shared.
//
// Round keys, coins and the list of keys belong to a round, that is to all its shards; configurations, acceptances,
// signatures, answers and abandonments to a shard. The round's key goes when the last of its shards is over.
type Member struct {
	setup   MemberSetup
	rounds  map[RoundID]*memberRound // by RoundID.Whole
	horizon map[string]uint64        // per task: rounds below are refused
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
	Reason Reason   // Accepted, or why not
	Check  []uint64 // when Accepted: CheckWords field elements, the same every time for the same entry
}

// memberRound is what a member holds of one round.
type memberRound struct {
	id     RoundID // Shard is 0
	plan   Digest
	suite  Suite
	seed   []byte // of HPKE key and coin; nil once erased
	key    hpke.PrivateKey
	public RoundKey
	list   *Digest // of the round keys that were shown, see keysDigest
	void   bool    // abandoned before it had a configuration, for all shards
	shards map[uint32]*memberShard
}

// memberShard is what a member holds of one shard of a round. Of signed, abandoned and answer, abandoned excludes the others.
type memberShard struct {
	id        RoundID
	cfg       *Config // nil when abandoned
	accepted  map[DeviceID]acceptance
	batches   []string // keys of the records that hold accepted
	signed    *SetSignature
	abandoned *AbandonSignature
	answer    *Answer
}

// acceptance is one device's one attempt. Its share is in memory only: the server re-sends headers after a restart.
type acceptance struct {
	digest Digest
	packed []byte // the share's words, Field.Bytes each, and behind them the check words; nil after a restart
}

const labelRoundKeys = "tutti/agg/v1/roundkeys"

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

// config is that of any shard that has one: they differ in the shard alone.
func (r *memberRound) config() *Config {
	for _, s := range r.shards {
		if s.cfg != nil {
			return s.cfg
		}
	}
	return nil
}

// over reports that the round never opens a sum here: abandoned as a whole, or shard by shard.
func (r *memberRound) over() bool { return r.seed == nil && r.config() == nil }

// begun finds a shard that has a configuration and was not abandoned, and its round.
func (m *Member) begun(id RoundID) (*memberRound, *memberShard, error) {
	if id.Round < m.horizon[id.Task] {
		return nil, nil, RefusePast
	}
	r := m.rounds[id.Whole()]
	if r == nil {
		return nil, nil, RefuseNoRound
	}
	s := r.shards[id.Shard]
	switch {
	case r.over() || s != nil && s.abandoned != nil:
		return nil, nil, RefuseAbandoned
	case s == nil:
		return nil, nil, RefuseNoRound
	}
	return r, s, nil
}

// OpenRound makes, or repeats, the member's fresh HPKE key and its commitment to a coin for a round under the plan that the
// log holds (rules 1 and 2). id is the whole round's: its Shard is 0.
// Refusals: RefusePast, RefuseAbandoned, RefusePlan (also for another suite: the plan names one).
func (m *Member) OpenRound(random io.Reader, id RoundID, plan Digest, suite Suite) (RoundKey, []Record, error) {
	if err := checkWhole(id); err != nil {
		return RoundKey{}, nil, err
	}
	if id.Round < m.horizon[id.Task] {
		return RoundKey{}, nil, RefusePast
	}
	if r := m.rounds[id]; r != nil {
		switch {
		case r.over():
			return RoundKey{}, nil, RefuseAbandoned
		case r.plan != plan || r.suite != suite:
			return RoundKey{}, nil, RefusePlan
		}
		return r.public.clone(), nil, nil
	}
	seed := make([]byte, roundSeedLen)
	if _, err := io.ReadFull(random, seed); err != nil {
		return RoundKey{}, nil, fmt.Errorf("aggregation: randomness: %w", err)
	}
	r, err := m.openRound(id, plan, suite, seed)
	if err != nil {
		return RoundKey{}, nil, err
	}
	return r.public.clone(), []Record{r.keyRecord()}, nil
}

func checkWhole(id RoundID) error {
	if err := id.check(); err != nil {
		return err
	}
	if id.Shard != 0 {
		return fmt.Errorf("%w: keys and coins are the whole round's, shard %d asked", ErrConfig, id.Shard)
	}
	return nil
}

// openRound derives the round's key pair and its signed public half from the seed.
func (m *Member) openRound(id RoundID, plan Digest, suite Suite, seed []byte) (*memberRound, error) {
	key, err := suite.privateKey(seed)
	if err != nil {
		return nil, err
	}
	public := RoundKey{Suite: suite, Public: key.PublicKey().Bytes(), Commit: commitCoin(coinOf(seed))}
	public.Signature = signDigest(m.setup.Identity, labelRoundKey, roundKeyDigest(id, plan, m.setup.Index, public))
	r := &memberRound{id: id, plan: plan, suite: suite, seed: seed, key: key, public: public, shards: make(map[uint32]*memberShard)}
	m.rounds[id] = r
	return r, nil
}

func (k RoundKey) clone() RoundKey {
	k.Public, k.Signature = bytes.Clone(k.Public), bytes.Clone(k.Signature)
	return k
}

// keysDigest names one list of round keys: plan, round, and every member's key and commitment.
func keysDigest(id RoundID, plan Digest, key func(i int) RoundKey, n int) Digest {
	w := newWriter(labelRoundKeys, 32*n)
	for i := range n {
		d := roundKeyDigest(id, plan, uint16(i+1), key(i))
		w.raw(d[:])
	}
	return hash(labelRoundKeys, w.b)
}

func (c *Config) keysDigest() Digest {
	roster := c.literal.Roster
	return keysDigest(c.literal.Round, c.literal.Plan, func(i int) RoundKey { return roster[i].Key }, len(roster))
}

// Reveal shows the member the round keys of the whole committee, keys[i] of member i+1, and gets its coin.
//
// The member is bound to this list durably before it shows the coin, so whoever sees a coin can no longer change a commitment of
// any configuration that this member begins, and every configuration needs a quorum: the beacon is nobody's choice as long as
// one member of the quorum is honest. A member or server that likes no beacon can only let the round fail.
// Refusals: RefusePast, RefuseNoRound, RefuseAbandoned, RefusePins, RefuseOwnKey, RefuseOtherKeys.
func (m *Member) Reveal(id RoundID, keys []RoundKey) (coin [32]byte, records []Record, err error) {
	if err := checkWhole(id); err != nil {
		return coin, nil, err
	}
	if id.Round < m.horizon[id.Task] {
		return coin, nil, RefusePast
	}
	r := m.rounds[id]
	switch {
	case r == nil:
		return coin, nil, RefuseNoRound
	case r.over():
		return coin, nil, RefuseAbandoned
	case len(keys) != len(m.setup.Pins.Roster):
		return coin, nil, fmt.Errorf("%w: %d round keys for %d members", RefusePins, len(keys), len(m.setup.Pins.Roster))
	}
	list := keysDigest(id, r.plan, func(i int) RoundKey { return keys[i] }, len(keys))
	if r.list != nil && *r.list != list {
		return coin, nil, RefuseOtherKeys
	}
	if r.list == nil {
		if err := m.checkKeys(r, keys); err != nil {
			return coin, nil, err
		}
		r.list = &list
		records = []Record{r.listRecord()}
	}
	return r.coin(m.setup.Index), records, nil
}

// checkKeys demands that every pinned member signed its key for this round and plan, and that this member's is its own.
func (m *Member) checkKeys(r *memberRound, keys []RoundKey) error {
	for i, k := range keys {
		if k.Suite != r.suite || !k.Verify(m.setup.Pins.Roster[i], r.id, r.plan, uint16(i+1)) {
			return fmt.Errorf("%w: member %d did not sign this round key", RefusePins, i+1)
		}
	}
	if !r.owns(keys[m.setup.Index-1]) {
		return RefuseOwnKey
	}
	return nil
}

// coin is the member's own; once its seed is erased it stands in the configuration.
func (r *memberRound) coin(index uint16) [32]byte {
	if r.seed != nil {
		return coinOf(r.seed)
	}
	return r.config().literal.Roster[index-1].Coin
}

// Begin takes a shard's one configuration. The shell compared it with the signed plan in the log before (rule 6).
// Refusals: RefusePast, RefuseNoRound, RefuseAbandoned, RefuseOtherConfig (also if it differs from another shard's in more than
// the shard), RefusePlan, RefusePins, RefuseOwnKey, RefuseUnrevealed, RefuseOtherKeys, RefuseFloor.
func (m *Member) Begin(cfg *Config) ([]Record, error) {
	id := cfg.literal.Round
	if id.Round < m.horizon[id.Task] {
		return nil, RefusePast
	}
	r := m.rounds[id.Whole()]
	if r == nil {
		return nil, RefuseNoRound
	}
	s := r.shards[id.Shard]
	switch {
	case r.over() || s != nil && s.abandoned != nil:
		return nil, RefuseAbandoned
	case s != nil && s.cfg.digest != cfg.digest:
		return nil, RefuseOtherConfig
	case s != nil:
		return nil, nil
	}
	if err := m.checkConfig(r, cfg); err != nil {
		return nil, err
	}
	s = &memberShard{id: id, cfg: cfg, accepted: make(map[DeviceID]acceptance)}
	r.shards[id.Shard] = s
	return []Record{s.configRecord()}, nil
}

func (m *Member) checkConfig(r *memberRound, cfg *Config) error {
	if cfg.literal.Plan != r.plan {
		return RefusePlan
	}
	if err := cfg.Verify(m.setup.Pins); err != nil {
		return fmt.Errorf("%w: %w", RefusePins, err)
	}
	if !r.owns(cfg.literal.Roster[m.setup.Index-1].Key) {
		return RefuseOwnKey
	}
	if r.list == nil {
		return RefuseUnrevealed
	}
	if cfg.keysDigest() != *r.list {
		return RefuseOtherKeys
	}
	if other := r.config(); other != nil && !cfg.sameRound(other) {
		return fmt.Errorf("%w: it is not that of the other shards", RefuseOtherConfig)
	}
	return m.checkFloor(cfg)
}

// sameRound reports whether two configurations differ in nothing but the shard.
func (c *Config) sameRound(other *Config) bool {
	whole := func(c *Config) []byte {
		l := c.literal
		l.Round = l.Round.Whole()
		return (&Config{literal: l}).encode()
	}
	return bytes.Equal(whole(c), whole(other))
}

// checkFloor is asked again at every step, since a node may come back with a higher floor.
func (m *Member) checkFloor(cfg *Config) error {
	if cfg.params.NMin() < m.setup.Floor {
		return fmt.Errorf("%w: %d, floor %d", RefuseFloor, cfg.params.NMin(), m.setup.Floor)
	}
	return nil
}

// owns reports whether the key is the one made for this round here.
func (r *memberRound) owns(k RoundKey) bool {
	return k.Suite == r.public.Suite && bytes.Equal(k.Public, r.public.Public) && k.Commit == r.public.Commit
}
