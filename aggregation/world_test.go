package aggregation

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// world is everybody of one round in one process: enroller, committee with stores, devices, and a server's bookkeeping.
// Keys and inputs follow from the seed; HPKE's ephemeral keys do not.
type world struct {
	t        testing.TB
	random   *rand.ChaCha8
	suite    Suite
	enroller ed25519.PrivateKey
	enrolled *Enrolled
	pins     Pins
	nodes    []*node
	devices  []*Client
	literal  ConfigLiteral
	cfg      *Config
}

// node is a committee member with its store: it writes every record before it hands out a result.
type node struct {
	setup  MemberSetup
	member *Member
	store  map[string][]byte
}

func (n *node) write(records []Record) {
	for _, r := range records {
		if r.Value == nil {
			delete(n.store, r.Key)
		} else {
			n.store[r.Key] = bytes.Clone(r.Value)
		}
	}
}

// restart loses the node's memory and keeps its store.
func (n *node) restart(t testing.TB) {
	t.Helper()
	var records []Record
	for k, v := range n.store {
		records = append(records, Record{k, v})
	}
	var err error
	if n.member, err = RestoreMember(n.setup, records); err != nil {
		t.Fatal(err)
	}
}

func newKey(r io.Reader) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(r, seed); err != nil {
		panic(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func publicOf(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// testParams is the demo's committee over a small vector.
func testParams(dim, nMin, nMax int) ParamsLiteral {
	return ParamsLiteral{Dim: dim, Bound: 1000, NMin: nMin, NMax: nMax, Members: 5, Corrupt: 1, Rho: 2}
}

// newWorld opens a round, reveals its coins and begins it at every node: one shard, everybody eligible.
func newWorld(t testing.TB, params ParamsLiteral, devices int) *world {
	t.Helper()
	w := newCast(t, params, devices, SuiteX25519, 1, EveryDevice)
	w.begin(w.cfg)
	return w
}

// newCast makes everybody, opens a round and reveals its coins, and begins nothing.
func newCast(t testing.TB, params ParamsLiteral, devices int, suite Suite, groups uint32, threshold uint64) *world {
	t.Helper()
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(params.Dim)<<32|uint64(devices))
	w := &world{t: t, random: rand.NewChaCha8(seed), suite: suite}
	w.enroller = newKey(w.random)
	w.pins.Enroller = publicOf(w.enroller)
	identities := make([]ed25519.PrivateKey, params.Members)
	for j := range identities {
		identities[j] = newKey(w.random)
		w.pins.Roster = append(w.pins.Roster, publicOf(identities[j]))
	}
	for j, identity := range identities {
		setup := MemberSetup{Identity: identity, Index: uint16(j + 1), Pins: w.pins, Floor: 2}
		m, err := NewMember(setup)
		if err != nil {
			t.Fatal(err)
		}
		w.nodes = append(w.nodes, &node{setup: setup, member: m, store: map[string][]byte{}})
	}
	var ids []DeviceID
	for range devices {
		key := newKey(w.random)
		w.devices = append(w.devices, &Client{Key: key, Pins: w.pins})
		ids = append(ids, IDOf(publicOf(key)))
	}
	for len(ids) < params.NMin*int(groups) { // enrolled, and never heard of
		ids = append(ids, IDOf(publicOf(newKey(w.random))))
	}
	var err error
	if w.enrolled, err = NewEnrolled(ids); err != nil {
		t.Fatal(err)
	}
	w.literal = ConfigLiteral{
		Round: RoundID{Task: "demo", Round: 7}, Plan: Digest{1}, Bases: []Digest{{2}, {3}},
		Params: params, Enroller: w.pins.Enroller,
		Population: w.enrolled.Sign(w.enroller, "demo"), Threshold: threshold, Groups: groups,
	}
	w.literal.Roster = w.openRound(w.nodes, w.literal.Round, w.literal.Plan)
	w.cfg = w.config(w.literal)
	return w
}

// begin gives a configuration to every node.
func (w *world) begin(cfg *Config) {
	w.t.Helper()
	for _, n := range w.nodes {
		records, err := n.member.Begin(cfg)
		if err != nil {
			w.t.Fatal(err)
		}
		n.write(records)
	}
}

// shard is the configuration of another shard of the world's round.
func (w *world) shard(k uint32) *Config {
	w.t.Helper()
	l := w.literal
	l.Round.Shard = k
	return w.config(l)
}

// openRound takes the nodes through keys and coins.
func (w *world) openRound(nodes []*node, id RoundID, plan Digest) []MemberKey {
	w.t.Helper()
	var keys []RoundKey
	for _, n := range nodes {
		key, records, err := n.member.OpenRound(w.random, id.Whole(), plan, w.suite)
		if err != nil {
			w.t.Fatal(err)
		}
		n.write(records)
		keys = append(keys, key)
	}
	var roster []MemberKey
	for j, n := range nodes {
		coin, records, err := n.member.Reveal(id.Whole(), keys)
		if err != nil {
			w.t.Fatal(err)
		}
		n.write(records)
		roster = append(roster, MemberKey{Index: n.setup.Index, Identity: publicOf(n.setup.Identity), Key: keys[j], Coin: coin})
	}
	return roster
}

// foreignRoster is what the same committee would sign for another round or plan, without opening it at the nodes.
func (w *world) foreignRoster(id RoundID, plan Digest) []MemberKey {
	w.t.Helper()
	var strangers []*node
	for _, n := range w.nodes {
		m, err := NewMember(n.setup)
		if err != nil {
			w.t.Fatal(err)
		}
		strangers = append(strangers, &node{setup: n.setup, member: m, store: map[string][]byte{}})
	}
	return w.openRound(strangers, id, plan)
}

// path is the device's in the population, the zero path for strangers.
func (w *world) path(id DeviceID) EnrolmentPath {
	path, _ := w.enrolled.Path(id)
	return path
}

// verify is the server's check of a header.
func (w *world) verify(h *Header) error { return VerifyHeader(w.cfg, h, w.path(h.ID)) }

// judge opens and settles headers at a node, as its shell would.
func (n *node) judge(id RoundID, batch ...*MemberHeader) ([]Verdict, []Record, error) {
	j, err := n.member.Judge(id)
	if err != nil {
		return nil, nil, err
	}
	return n.member.Accept(id, j.Open(batch))
}

func (w *world) config(l ConfigLiteral) *Config {
	w.t.Helper()
	cfg, err := NewConfig(l)
	if err != nil {
		w.t.Fatal(err)
	}
	return cfg
}

// unit is e_i: device i's vector, so that the sum over U is the 0/1 indicator of U. A 2 would be a replay, noise a lost mask.
func (w *world) unit(i int) []int32 {
	x := make([]int32, w.literal.Params.Dim)
	x[i] = 1
	return x
}

func (w *world) seal(i int, x []int32) *Upload {
	w.t.Helper()
	up, err := w.devices[i].Seal(w.random, w.cfg, Digest{2}, x, w.literal.Params.Bound)
	if err != nil {
		w.t.Fatal(err)
	}
	return up
}

// sealUnits seals e_i for every device.
func (w *world) sealUnits() []*Upload {
	w.t.Helper()
	ups := make([]*Upload, len(w.devices))
	for i := range ups {
		ups[i] = w.seal(i, w.unit(i))
	}
	return ups
}

// show sends the headers to node j (0-based) and returns its verdicts.
func (w *world) show(j int, headers ...*Header) []Verdict {
	w.t.Helper()
	var batch []*MemberHeader
	for _, h := range headers {
		batch = append(batch, w.cut(h, j))
	}
	verdicts, records, err := w.nodes[j].judge(w.cfg.Round(), batch...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes[j].write(records)
	return verdicts
}

// cut makes node j's view of a header go over the wire once.
func (w *world) cut(h *Header, j int) *MemberHeader {
	w.t.Helper()
	mh, err := h.ForMember(uint16(j+1), w.path(h.ID))
	if err != nil {
		w.t.Fatal(err)
	}
	return overWire(w.t, mh)
}

func overWire(t testing.TB, mh *MemberHeader) *MemberHeader {
	t.Helper()
	b, err := mh.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseMemberHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// acceptAll shows headers to the nodes and fails the test unless all are accepted.
func (w *world) acceptAll(nodes []int, ups []*Upload) {
	w.t.Helper()
	headers := make([]*Header, len(ups))
	for i, up := range ups {
		headers[i] = up.Header
	}
	for _, j := range nodes {
		for _, v := range w.show(j, headers...) {
			if v.Reason != Accepted {
				w.t.Fatalf("member %d: device %v: %v", j+1, v.Entry.ID, v.Reason)
			}
		}
	}
}

func setOf(t testing.TB, ups []*Upload) *Set {
	t.Helper()
	var entries []Entry
	for _, up := range ups {
		entries = append(entries, up.Header.Entry())
	}
	set, err := NewSet(entries)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// sumOf folds verified uploads.
func (w *world) sumOf(ups []*Upload) *Accumulator {
	w.t.Helper()
	acc := NewAccumulator(w.cfg)
	for _, up := range ups {
		if err := errors.Join(w.verify(up.Header), VerifyVector(w.cfg, up.Header, up.Vector), acc.Add(up.Vector)); err != nil {
			w.t.Fatal(err)
		}
	}
	return acc
}

func (w *world) sign(j int, set *Set) (SetSignature, error) {
	sig, records, err := w.nodes[j].member.Sign(w.cfg.Round(), &Proposal{Cfg: w.cfg.Digest(), Set: set})
	w.nodes[j].write(records)
	return sig, err
}

func (w *world) release(j int, c *Certificate) (*Answer, error) {
	a, records, err := w.nodes[j].member.Release(w.cfg.Round(), c)
	w.nodes[j].write(records)
	return a, err
}

// certify asks the nodes for signatures and fails the test if one refuses.
func (w *world) certify(nodes []int, set *Set) *Certificate {
	w.t.Helper()
	var sigs []SetSignature
	for _, j := range nodes {
		sig, err := w.sign(j, set)
		if err != nil {
			w.t.Fatalf("member %d: %v", j+1, err)
		}
		sigs = append(sigs, sig)
	}
	cert, err := Certify(w.cfg, set, sigs)
	if err != nil {
		w.t.Fatal(err)
	}
	return cert
}

func (w *world) answers(nodes []int, cert *Certificate) []Answer {
	w.t.Helper()
	var answers []Answer
	for _, j := range nodes {
		a, err := w.release(j, cert)
		if err != nil {
			w.t.Fatalf("member %d: %v", j+1, err)
		}
		answers = append(answers, *a)
	}
	return answers
}

// open runs steps 2 to 5 over the uploads with the given nodes at each step and returns the sum.
func (w *world) open(ups []*Upload, accept, sign, answer []int) ([]int64, error) {
	w.t.Helper()
	w.acceptAll(accept, ups)
	set := setOf(w.t, ups)
	cert := w.certify(sign, set)
	sum, wrong, err := Unmask(w.cfg, set, w.sumOf(ups), w.answers(answer, cert))
	if len(wrong) > 0 {
		w.t.Errorf("honest members are named as wrong: %d", wrong)
	}
	return sum, err
}
