package aggregation

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tutti/aggregation/mask"
)

func sortByName(list []object) {
	slices.SortFunc(list, func(a, b object) int { return strings.Compare(a["name"].(string), b["name"].(string)) })
}

// vectorCast is a committee of seven and a population of twelve in two groups, all from named seeds. Of everybody that the lot admits to
// group 0, the first three upload.
type vectorCast struct {
	enrolled *Enrolled
	pins     Pins
	nodes    []*node
	keys     []RoundKey
	literal  ConfigLiteral
	cfg      *Config
	names    map[DeviceID]string
	up       []*sealedVector
}

// sealedVector is an upload and what it was made of.
type sealedVector struct {
	*Upload
	client *Client
	name   string
	words  [][]uint64
}

func memberName(j int) string { return fmt.Sprintf("member %d", j+1) }

func newVectorCast(t *testing.T) *vectorCast {
	c := &vectorCast{names: map[DeviceID]string{}, pins: Pins{Enroller: publicOf(vectorKey("enroller"))}}
	const members, population = 7, 12
	for j := range members {
		c.pins.Roster = append(c.pins.Roster, publicOf(vectorKey(memberName(j))))
	}
	id := RoundID{Task: "task-1", Round: 42}
	plan := seedOf("plan")
	for j := range members {
		setup := MemberSetup{Identity: vectorKey(memberName(j)), Index: uint16(j + 1), Pins: c.pins, Floor: 2}
		m, err := NewMember(setup)
		if err != nil {
			t.Fatal(err)
		}
		seed := seedOf("round " + memberName(j))
		key, _, err := m.OpenRound(bytes.NewReader(seed[:]), id, plan, SuiteX25519)
		if err != nil {
			t.Fatal(err)
		}
		c.nodes, c.keys = append(c.nodes, &node{setup: setup, member: m, store: map[string][]byte{}}), append(c.keys, key)
	}
	var ids []DeviceID
	for i := range population {
		name := fmt.Sprintf("device %d", i)
		ids = append(ids, IDOf(publicOf(vectorKey(name))))
		c.names[ids[i]] = name
	}
	var err error
	if c.enrolled, err = NewEnrolled(ids); err != nil {
		t.Fatal(err)
	}
	c.literal = ConfigLiteral{Round: id, Plan: plan, Bases: []Digest{seedOf("base 0"), seedOf("base 1")},
		Params:   ParamsLiteral{Dim: 100, Bound: 1000, NMin: 2, NMax: 10, Members: members, Corrupt: 1, Rho: 3, Profile: mask.Standard},
		Enroller: c.pins.Enroller, Population: c.enrolled.Sign(vectorKey("enroller"), id.Task), Threshold: 1 << 63 * 3 / 2, Groups: 2}
	for j, n := range c.nodes {
		coin, _, err := n.member.Reveal(id, c.keys)
		if err != nil {
			t.Fatal(err)
		}
		c.literal.Roster = append(c.literal.Roster, MemberKey{Index: uint16(j + 1), Identity: c.pins.Roster[j], Key: c.keys[j], Coin: coin})
	}
	if c.cfg, err = NewConfig(c.literal); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		if _, err := n.member.Begin(c.cfg); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < population && len(c.up) < 3; i++ {
		if id := c.enrolled.ID(i); c.cfg.Eligible(id) && c.cfg.ShardOf(id) == 0 {
			client := &Client{Key: vectorKey(c.names[id]), Pins: c.pins}
			c.up = append(c.up, sealVector(t, c.cfg, client, c.names[id], vectorInput(100, 1000, 100*len(c.up))))
		}
	}
	if len(c.up) < 3 {
		t.Fatal("the lot admits too few devices to group 0")
	}
	return c
}

// vectorSeeds are the randomness of a device's seal.
func vectorSeeds(name string) *sealSeeds {
	nonce := seedOf(name + " nonce")
	return &sealSeeds{key: seedOf(name + " key"), noise: seedOf(name + " noise"), share: seedOf(name + " share"), nonce: [16]byte(nonce[:16])}
}

// sealVector is Client.seal with envelopes whose ephemeral keys follow from names too.
func sealVector(t *testing.T, cfg *Config, client *Client, name string, x []int32) *sealedVector {
	t.Helper()
	seeds := vectorSeeds(name)
	up, err := client.seal(seeds, cfg, cfg.literal.Bases[0], x)
	if err != nil {
		t.Fatal(err)
	}
	secret := mask.NewSecret(cfg.params.mask, seeds.key)
	words, err := splitKey(cfg.params, secret, seeds.share)
	if err != nil {
		t.Fatal(err)
	}
	h := up.Header
	if cfg.params.norm != nil {
		if err := h.prove(cfg, secret, seeds.share, up.Vector, words); err != nil {
			t.Fatal(err)
		}
	}
	for j := range h.Envelopes {
		h.Envelopes[j] = sealTheSame(t, cfg, h, j, name, words[j])
	}
	if cfg.params.norm != nil {
		s, err := h.state(cfg, h.EnvRoot(), up.Vector)
		if err != nil {
			t.Fatal(err)
		}
		h.Alpha = packWords(cfg.params.shares.Field(), s.Alpha())
	}
	resign(h, client.Key)
	return &sealedVector{up, client, name, words}
}

// sealTheSame seals words to member j+1 under the ephemeral key that the device's name and the member give.
func sealTheSame(t *testing.T, cfg *Config, h *Header, j int, name string, words []uint64) []byte {
	t.Helper()
	plain := append([]byte{shareVersion}, packWords(cfg.params.shares.Field(), words)...)
	info := envelopeInfo(cfg.digest, h.ID, h.Nonce, uint16(j+1))
	return sealRFC9180(t, cfg.literal.Roster[j].Key.Public, seedOf(name+" to "+memberName(j)), info, plain)
}

// sealRFC9180 is HPKE's single-shot base mode with a given ephemeral key, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: written
// from RFC 9180, sections 4.1 and 5.1, so that the members' opening is compared with another implementation besides.
func sealRFC9180(t *testing.T, public []byte, ephemeral [32]byte, info, plain []byte) []byte {
	t.Helper()
	must := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	extract := func(suite string, salt []byte, label string, ikm []byte) []byte {
		return must(hkdf.Extract(sha256.New, slices.Concat([]byte("HPKE-v1"+suite+label), ikm), salt))
	}
	expand := func(suite string, prk []byte, label string, info []byte, n int) []byte {
		head := binary.BigEndian.AppendUint16(nil, uint16(n))
		return must(hkdf.Expand(sha256.New, prk, string(slices.Concat(head, []byte("HPKE-v1"+suite+label), info)), n))
	}
	key, err := ecdh.X25519().NewPrivateKey(ephemeral[:])
	if err != nil {
		t.Fatal(err)
	}
	to, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	enc := key.PublicKey().Bytes()
	const kem, suite = "KEM\x00\x20", "HPKE\x00\x20\x00\x01\x00\x02"
	prk := extract(kem, nil, "eae_prk", must(key.ECDH(to)))
	shared := expand(kem, prk, "shared_secret", slices.Concat(enc, public), 32)
	context := slices.Concat([]byte{0}, extract(suite, nil, "psk_id_hash", nil), extract(suite, nil, "info_hash", info))
	secret := extract(suite, shared, "secret", nil)
	block, err := aes.NewCipher(expand(suite, secret, "key", context, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead.Seal(enc, expand(suite, secret, "base_nonce", context, 12), plain, nil)
}

// roundKeyVectors are the committee's keys, commitments and coins.
func (c *vectorCast) roundKeyVectors(t *testing.T) any {
	var members []object
	for j, k := range c.keys {
		d := roundKeyDigest(c.literal.Round, c.literal.Plan, uint16(j+1), k)
		coin := c.literal.Roster[j].Coin
		members = append(members, object{"identity_seed": hexSeed(memberName(j)), "identity": hexed(c.pins.Roster[j]), "round_seed": hexSeed("round " + memberName(j)),
			"suite": k.Suite, "public": hexed(k.Public), "coin": hexed(coin[:]), "commit": hexed(k.Commit[:]), "digest": hexed(d[:]), "signature": hexed(k.Signature)})
	}
	list := c.cfg.keysDigest()
	var bad []object
	for name, edit := range map[string]func([]RoundKey) []RoundKey{
		"a key too few":                func(k []RoundKey) []RoundKey { return k[1:] },
		"two members exchanged":        func(k []RoundKey) []RoundKey { k[1], k[2] = k[2], k[1]; return k },
		"another commitment":           func(k []RoundKey) []RoundKey { k[1].Commit[0] ^= 1; return k },
		"another suite":                func(k []RoundKey) []RoundKey { k[1].Suite = SuiteMLKEM768X25519; return k },
		"member 3's key of a new seed": func(k []RoundKey) []RoundKey { k[2] = c.otherKey(t, 2); return k },
		"member 1's key of a new seed": func(k []RoundKey) []RoundKey { k[0] = c.otherKey(t, 0); return k },
	} {
		_, _, err := c.opened(t).member.Reveal(c.literal.Round, edit(slices.Clone(c.keys)))
		o := object{"name": name}
		if err != nil {
			o["reason"] = reasonOf(t, err)
		} else { // a first list is as good as another; a second one is not
			_, _, err = c.nodes[0].member.Reveal(c.literal.Round, edit(slices.Clone(c.keys)))
			o["reason"] = reasonOf(t, err)
		}
		bad = append(bad, o)
	}
	sortByName(bad)
	return object{"task": c.literal.Round.Task, "round": c.literal.Round.Round, "plan": hexed(c.literal.Plan[:]), "members": members, "list": hexed(list[:]), "bad_lists_shown_to_member_1": bad}
}

// opened is member 1 after OpenRound, before any list.
func (c *vectorCast) opened(t *testing.T) *node {
	n := &node{setup: c.nodes[0].setup, store: map[string][]byte{}}
	var err error
	if n.member, err = NewMember(n.setup); err != nil {
		t.Fatal(err)
	}
	seed := seedOf("round " + memberName(0))
	if _, _, err := n.member.OpenRound(bytes.NewReader(seed[:]), c.literal.Round, c.literal.Plan, SuiteX25519); err != nil {
		t.Fatal(err)
	}
	return n
}

// otherKey is a second key of a member for the same round, which only a member without its state would make.
func (c *vectorCast) otherKey(t *testing.T, j int) RoundKey {
	m, err := NewMember(c.nodes[j].setup)
	if err != nil {
		t.Fatal(err)
	}
	seed := seedOf("another seed")
	key, _, err := m.OpenRound(bytes.NewReader(seed[:]), c.literal.Round, c.literal.Plan, SuiteX25519)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// configVectors are the configuration, its lot, and configurations that are none.
func (c *vectorCast) configVectors(t *testing.T) any {
	cfg, beacon, a := c.cfg.Digest(), c.cfg.Beacon(), seedA(c.cfg.Digest())
	var lot []object
	for i := range c.enrolled.Size() {
		id := c.enrolled.ID(i)
		lot = append(lot, object{"id": hexed(id[:]), "eligible": c.cfg.Eligible(id), "shard": c.cfg.ShardOf(id)})
	}
	places, err := drawPlaces(beacon, c.literal.Population, 5)
	if err != nil {
		t.Fatal(err)
	}
	id := c.enrolled.ID(0)
	edge := *c.cfg // with the lot of that id for a threshold, found by halving
	edge.literal.Threshold = 0
	for bit := uint64(1) << 63; bit > 0; bit >>= 1 {
		if edge.literal.Threshold |= bit - 1; !edge.Eligible(id) {
			edge.literal.Threshold++
		} else {
			edge.literal.Threshold -= bit - 1
		}
	}
	below := []object{}
	for _, n := range []uint64{1, 2, 3, 1000, 1<<63 + 1} {
		below = append(below, object{"n": n, "value": lotBelow(n, labelShard, beacon[:])})
	}
	return object{"encoding": hexed(c.cfg.Marshal()), "digest": hexed(cfg[:]), "beacon": hexed(beacon[:]), "seed_a": hexed(a[:]), "lot": lot,
		"lowest_threshold": object{"id": hexed(id[:]), "threshold": edge.literal.Threshold},
		"drawn_places":     places, "below_shard_of_beacon": below, "threshold_for": []object{{"wanted": 3, "size": 7, "threshold": ThresholdFor(3, 7)},
			{"wanted": 7, "size": 7, "threshold": ThresholdFor(7, 7)}}, "bad": c.badConfigs(t)}
}

func (c *vectorCast) badConfigs(t *testing.T) any {
	l := &badList{t: t, good: c.cfg.Marshal(), try: func(b []byte) error {
		cfg, err := ParseConfig(b)
		if err == nil {
			err = cfg.Verify(c.pins)
		}
		return err
	}}
	l.framing()
	head := len(newWriter(labelConfig, 0).b)
	task := head + 4
	shard := task + 6 + 8
	bases := shard + 4 + 32
	params := bases + 2 + 2*32
	enroller := params + 4 + 8 + 4 + 4 + 3*2 + 1 + 8
	population := enroller + 32
	threshold := population + 4 + 32 + 64
	roster := threshold + 8 + 4 + 2
	const line = 2 + 32 + 1 + 4 + 32 + 32 + 64 + 32
	zero := func(n int) []byte { return make([]byte, n) }
	l.at("upper case in the task", task, 'T')
	l.at("shard outside of the groups", shard+3, 2)
	l.at("no base", bases+1, 0)
	l.at("65 bases", bases+1, 65)
	l.at("a base twice", bases+2, l.good[bases+34:bases+66]...)
	l.at("2^26+1 coordinates", params, 4, 0, 0, 1)
	l.at("a bound of 2^31", params+4, 0, 0, 0, 0, 0x80, 0, 0, 0)
	l.at("n_min of 1", params+15, 1)
	l.at("six members for a roster of seven", params+21, 6)
	l.at("a profile of 0", params+26, 0)
	l.at("a norm of 2^63", params+27, 0x80)
	l.at("another enroller", enroller, l.good[enroller]^1)
	l.at("a population that is too small", population, 0, 0, 0, 3)
	l.at("another root", population+4, l.good[population+4]^1)
	l.at("a threshold of 0", threshold, zero(8)...)
	l.at("no groups", threshold+8, 0, 0, 0, 0)
	l.at("4097 groups", threshold+8, 0, 0, 0x10, 1)
	l.at("index 2 first", roster+1, 2)
	l.at("an identity twice", roster+line+2, l.good[roster+2:roster+34]...)
	l.at("an unknown suite", roster+34, 3)
	l.at("a key of 31 bytes", roster+38, 31)
	l.at("a key of the low order", roster+39, zero(32)...)
	l.at("another key", roster+39, l.good[roster+39]^1)
	l.at("a coin that does not open", roster+line-1, l.good[roster+line-1]^1)
	l.at("a signature that does not hold", roster+line-33, l.good[roster+line-33]^1)
	return l.list
}
