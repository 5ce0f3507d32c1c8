package aggregation

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"tutti/aggregation/mask"
)

// ErrConfig reports a round configuration that breaks a rule.
var ErrConfig = errors.New("aggregation: configuration")

// ErrRoster reports a committee other than the pinned one, or round keys that it did not sign.
var ErrRoster = errors.New("aggregation: roster")

const (
	maxTaskLen = 64
	maxBases   = 64
	// MaxConfigLen bounds the canonical bytes of a Config.
	MaxConfigLen = 4 << 20
	// minMemberKeyLen is a line of the roster with an empty HPKE key.
	minMemberKeyLen = 2 + ed25519.PublicKeySize + 1 + 4 + 32 + ed25519.SignatureSize + 32
)

// RoundID names one sum: at most one set is ever opened under it.
type RoundID struct {
	Task  string // 1 to 64 of a-z 0-9 . _ -
	Round uint64
	Shard uint32 // 0 unless the cohort is split
}

// String is task/round/shard.
func (id RoundID) String() string { return fmt.Sprintf("%s/%d/%d", id.Task, id.Round, id.Shard) }

// Whole names the round without its shard: round keys, coins and beacon belong to all shards alike.
func (id RoundID) Whole() RoundID {
	id.Shard = 0
	return id
}

func (id RoundID) check() error {
	if len(id.Task) < 1 || len(id.Task) > maxTaskLen {
		return fmt.Errorf("%w: task name of %d bytes", ErrConfig, len(id.Task))
	}
	for _, c := range []byte(id.Task) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("%w: task name holds byte %#x", ErrConfig, c)
		}
	}
	return nil
}

func (id RoundID) write(w *writer) {
	w.bytes([]byte(id.Task))
	w.u64(id.Round)
	w.u32(id.Shard)
}

func readRoundID(r *reader) RoundID {
	id := RoundID{Task: string(r.bytes(maxTaskLen)), Round: r.u64(), Shard: r.u32()}
	if r.err == nil {
		r.err = id.check()
	}
	return id
}

// Pins are the keys that a device or member was given out of band, never by the server of a round.
type Pins struct {
	Enroller ed25519.PublicKey
	Roster   []ed25519.PublicKey // Roster[i] is the identity of member i+1
}

// RoundKey is one member's HPKE key for one round, vouched for by the member's identity (rule 2).
type RoundKey struct {
	Suite     Suite
	Public    []byte // HPKE public key
	Commit    Digest // to the member's coin for the round's beacon (rule 1)
	Signature []byte // by the identity over (label, plan, round, member index, suite, public key, commitment)
}

// MemberKey is one line of the roster.
type MemberKey struct {
	Index    uint16            // 1..m, also the x-coordinate of the member's shares
	Identity ed25519.PublicKey // long-lived roster key
	Key      RoundKey
	Coin     [32]byte // opens Key.Commit; shown once every member's round key is known
}

// roundKeyDigest is what the member signs. A round has one key for all of its shards.
func roundKeyDigest(id RoundID, plan Digest, index uint16, k RoundKey) Digest {
	w := newWriter(labelRoundKey, 2048)
	w.raw(plan[:])
	id.Whole().write(w)
	w.u16(index)
	w.u8(uint8(k.Suite))
	w.bytes(k.Public)
	w.raw(k.Commit[:])
	return hash(labelRoundKey, w.b)
}

// Verify reports whether the identity signed this round key as member index of the round under the plan.
func (k RoundKey) Verify(identity ed25519.PublicKey, id RoundID, plan Digest, index uint16) bool {
	return verifyDigest(identity, labelRoundKey, roundKeyDigest(id, plan, index, k), k.Signature)
}

// ConfigLiteral is the open form of Config.
type ConfigLiteral struct {
	Round    RoundID
	Plan     Digest   // of the signed plan
	Bases    []Digest // model versions that an upload may start from, ordered (rule 12)
	Params   ParamsLiteral
	Enroller ed25519.PublicKey
	Roster   []MemberKey // Roster[i].Index == i+1

	Population Population // who may take part, on the enroller's word (rule 1)
	Threshold  uint64     // of eligibility, > 0; EveryDevice: everyone
	Groups     uint32     // shards that the round is split into, 1 to MaxGroups; NMin and NMax hold per shard (rule 11)
}

// Config is the checked, immutable configuration of one round. Its digest, cfg, is bound into
// the masks' public seed, every envelope and every signature of the round.
type Config struct {
	literal ConfigLiteral
	params  *Params
	encoded []byte
	digest  Digest
	beacon  Digest
}

// NewConfig checks the literal and fixes its canonical bytes. Signatures in the roster are checked by Verify.
func NewConfig(l ConfigLiteral) (*Config, error) {
	if err := l.Round.check(); err != nil {
		return nil, err
	}
	params, err := NewParams(l.Params)
	if err != nil {
		return nil, err
	}
	l.Params = params.Literal()
	if len(l.Bases) < 1 || len(l.Bases) > maxBases {
		return nil, fmt.Errorf("%w: %d base versions, 1 to %d allowed", ErrConfig, len(l.Bases), maxBases)
	}
	for i, b := range l.Bases {
		if slices.Contains(l.Bases[:i], b) {
			return nil, fmt.Errorf("%w: base version %x twice", ErrConfig, b[:4])
		}
	}
	if len(l.Enroller) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: enroller key of %d bytes", ErrConfig, len(l.Enroller))
	}
	if err := checkRoster(l.Roster, params.Members()); err != nil {
		return nil, err
	}
	if err := checkLot(&l); err != nil {
		return nil, err
	}
	c := &Config{literal: cloneLiteral(l), params: params, beacon: beacon(l.Round, l.Plan, l.Roster)}
	c.encoded = c.encode()
	if len(c.encoded) > MaxConfigLen {
		return nil, fmt.Errorf("%w: %d bytes", ErrConfig, len(c.encoded))
	}
	c.digest = hash(labelConfig, c.encoded)
	return c, nil
}

// checkLot enforces rules 1 and 11: a population large enough for the sums, and a lot that somebody can win.
func checkLot(l *ConfigLiteral) error {
	switch {
	case len(l.Population.Signature) != ed25519.SignatureSize:
		return fmt.Errorf("%w: signature of %d bytes", ErrPopulation, len(l.Population.Signature))
	case l.Threshold == 0:
		return fmt.Errorf("%w: a threshold of 0 admits nobody", ErrConfig)
	case l.Groups < 1 || l.Groups > MaxGroups:
		return fmt.Errorf("%w: %d groups, 1 to %d allowed", ErrConfig, l.Groups, MaxGroups)
	case l.Round.Shard >= l.Groups:
		return fmt.Errorf("%w: shard %d of %d", ErrConfig, l.Round.Shard, l.Groups)
	case uint64(l.Groups)*uint64(l.Params.NMin) > uint64(l.Population.Size):
		return fmt.Errorf("%w: %d groups of at least %d devices from a population of %d", ErrCohort, l.Groups, l.Params.NMin, l.Population.Size)
	}
	return nil
}

func checkRoster(roster []MemberKey, members int) error {
	if len(roster) != members {
		return fmt.Errorf("%w: %d entries for %d members", ErrRoster, len(roster), members)
	}
	seen := make(map[string]bool, len(roster))
	for i, m := range roster {
		switch {
		case int(m.Index) != i+1:
			return fmt.Errorf("%w: entry %d carries index %d", ErrRoster, i, m.Index)
		case len(m.Identity) != ed25519.PublicKeySize || len(m.Key.Signature) != ed25519.SignatureSize:
			return fmt.Errorf("%w: member %d: key or signature length", ErrRoster, m.Index)
		case seen[string(m.Identity)]:
			return fmt.Errorf("%w: member %d repeats an identity", ErrRoster, m.Index)
		case m.Key.Suite != roster[0].Key.Suite:
			return fmt.Errorf("%w: member %d uses another suite", ErrRoster, m.Index)
		case !m.Key.Opens(m.Coin):
			return fmt.Errorf("%w: member %d: the coin is not the one it committed to", ErrRoster, m.Index)
		}
		if _, err := m.Key.Suite.publicKey(m.Key.Public); err != nil {
			return fmt.Errorf("%w: member %d: %w", ErrRoster, m.Index, err)
		}
		seen[string(m.Identity)] = true
	}
	return nil
}

func cloneLiteral(l ConfigLiteral) ConfigLiteral {
	l.Bases = slices.Clone(l.Bases)
	l.Enroller = bytes.Clone(l.Enroller)
	l.Population = l.Population.clone()
	l.Roster = slices.Clone(l.Roster)
	for i := range l.Roster {
		m := &l.Roster[i]
		m.Identity = bytes.Clone(m.Identity)
		m.Key.Public = bytes.Clone(m.Key.Public)
		m.Key.Signature = bytes.Clone(m.Key.Signature)
	}
	return l
}

// Verify checks what a device or member must check before it trusts the round with anything:
// enroller and identities are the pinned ones, the enroller signed the population for this task, and every round key
// with its commitment carries its member's signature. That the coins open the commitments, NewConfig checked.
func (c *Config) Verify(pins Pins) error {
	if !bytes.Equal(c.literal.Enroller, pins.Enroller) {
		return fmt.Errorf("%w: the enroller is not the pinned one", ErrRoster)
	}
	if !c.literal.Population.Verify(pins.Enroller, c.literal.Round.Task) {
		return fmt.Errorf("%w: the enroller did not sign it for the task", ErrPopulation)
	}
	return c.VerifyRoster(pins.Roster)
}

// VerifyRoster checks the committee alone against the pinned identities; pinned[i] is member i+1.
func (c *Config) VerifyRoster(pinned []ed25519.PublicKey) error {
	if len(pinned) != len(c.literal.Roster) {
		return fmt.Errorf("%w: %d members, %d pinned", ErrRoster, len(c.literal.Roster), len(pinned))
	}
	for i, m := range c.literal.Roster {
		if !bytes.Equal(m.Identity, pinned[i]) {
			return fmt.Errorf("%w: member %d is not the pinned one", ErrRoster, m.Index)
		}
		if !m.Key.Verify(m.Identity, c.literal.Round, c.literal.Plan, m.Index) {
			return fmt.Errorf("%w: member %d did not sign its round key", ErrRoster, m.Index)
		}
	}
	return nil
}

// Round names the round.
func (c *Config) Round() RoundID { return c.literal.Round }

// Plan is the digest of the signed plan.
func (c *Config) Plan() Digest { return c.literal.Plan }

// Params are the numbers of the protocol.
func (c *Config) Params() *Params { return c.params }

// Digest is cfg.
func (c *Config) Digest() Digest { return c.digest }

// Literal returns a copy of the open form.
func (c *Config) Literal() ConfigLiteral { return cloneLiteral(c.literal) }

// AllowsBase reports whether an upload may start from the version.
func (c *Config) AllowsBase(base Digest) bool { return slices.Contains(c.literal.Bases, base) }

// Population is who may take part.
func (c *Config) Population() Population { return c.literal.Population.clone() }

// Threshold is the bound of eligibility.
func (c *Config) Threshold() uint64 { return c.literal.Threshold }

// Groups is the number of shards.
func (c *Config) Groups() uint32 { return c.literal.Groups }

// Coins are the members' coins, in the order of the roster.
func (c *Config) Coins() [][32]byte {
	coins := make([][32]byte, len(c.literal.Roster))
	for i, m := range c.literal.Roster {
		coins[i] = m.Coin
	}
	return coins
}

// Suite is the HPKE suite of all envelopes of the round.
func (c *Config) Suite() Suite { return c.literal.Roster[0].Key.Suite }

// Marshal returns the canonical bytes.
func (c *Config) Marshal() []byte { return bytes.Clone(c.encoded) }

func (c *Config) encode() []byte {
	l := &c.literal
	w := newWriter(labelConfig, 1024)
	l.Round.write(w)
	w.raw(l.Plan[:])
	w.u16(uint16(len(l.Bases)))
	for _, b := range l.Bases {
		w.raw(b[:])
	}
	w.u32(uint32(l.Params.Dim))
	w.u64(uint64(l.Params.Bound))
	w.u32(uint32(l.Params.NMin))
	w.u32(uint32(l.Params.NMax))
	w.u16(uint16(l.Params.Members))
	w.u16(uint16(l.Params.Corrupt))
	w.u16(uint16(l.Params.Rho))
	w.u8(uint8(l.Params.Profile))
	w.u64(uint64(l.Params.Norm))
	w.raw(l.Enroller)
	l.Population.write(w)
	w.u64(l.Threshold)
	w.u32(l.Groups)
	w.u16(uint16(len(l.Roster)))
	for _, m := range l.Roster {
		w.u16(m.Index)
		w.raw(m.Identity)
		w.u8(uint8(m.Key.Suite))
		w.bytes(m.Key.Public)
		w.raw(m.Key.Commit[:])
		w.raw(m.Key.Signature)
		w.raw(m.Coin[:])
	}
	return w.b
}

// ParseConfig accepts exactly the bytes that Marshal of a valid Config gives.
func ParseConfig(b []byte) (*Config, error) {
	if len(b) > MaxConfigLen {
		return nil, fmt.Errorf("%w: configuration of %d bytes", ErrEncoding, len(b))
	}
	r := newReader(labelConfig, b)
	var l ConfigLiteral
	l.Round = readRoundID(r)
	r.fixed(l.Plan[:])
	l.Bases = make([]Digest, r.count(uint32(r.u16()), maxBases, len(Digest{})))
	for i := range l.Bases {
		r.fixed(l.Bases[i][:])
	}
	dim, bound := r.u32(), r.u64()
	nMin, nMax := r.u32(), r.u32()
	if r.err == nil && (dim > mask.MaxDim || bound > mask.MaxBound || nMin > mask.MaxCount || nMax > mask.MaxCount) {
		r.fail("parameters out of range")
	}
	l.Params = ParamsLiteral{
		Dim: int(dim), Bound: int64(bound), NMin: int(nMin), NMax: int(nMax),
		Members: int(r.u16()), Corrupt: int(r.u16()), Rho: int(r.u16()), Profile: mask.Profile(r.u8()),
	}
	if r.err == nil && l.Params.Profile == 0 {
		r.fail("no profile")
	}
	norm := r.u64()
	if l.Params.Norm = int64(norm); l.Params.Norm < 0 {
		r.fail("norm out of range")
	}
	l.Enroller = r.copyOf(ed25519.PublicKeySize)
	l.Population = readPopulation(r)
	l.Threshold, l.Groups = r.u64(), r.u32()
	l.Roster = make([]MemberKey, r.count(uint32(r.u16()), MaxMembers, minMemberKeyLen))
	for i := range l.Roster {
		m := &l.Roster[i]
		m.Index = r.u16()
		m.Identity = r.copyOf(ed25519.PublicKeySize)
		m.Key.Suite = Suite(r.u8())
		m.Key.Public = bytes.Clone(r.bytes(maxPublicKeyLen))
		r.fixed(m.Key.Commit[:])
		m.Key.Signature = r.copyOf(ed25519.SignatureSize)
		r.fixed(m.Coin[:])
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return NewConfig(l)
}
