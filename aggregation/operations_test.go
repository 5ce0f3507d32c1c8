package aggregation

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// stage is what a lying server has in hand against one member: two lists of keys, two configurations of each of two shards, and
// for each shard headers, sets and certificates with the signatures of everybody else.
type stage struct {
	w      *world
	id     RoundID
	lists  [][]RoundKey
	shards []*shardStage
}

type shardStage struct {
	cfg, other *Config // other: the same shard from another base version
	headers    []*MemberHeader
	sets       []*Set
	certs      []*Certificate
}

func newStage(t *testing.T) *stage {
	w := newCast(t, testParams(16, 2, 10), 14, SuiteX25519, 2, EveryDevice)
	st := &stage{w: w, id: w.cfg.Round(), lists: [][]RoundKey{keysOf(w.literal.Roster), keysOf(w.literal.Roster)}}
	st.lists[1][2] = w.foreignRoster(st.id, w.literal.Plan)[2].Key
	for k := range uint32(2) {
		s := &shardStage{cfg: w.shard(k)}
		l := w.literal
		l.Round.Shard, l.Bases = k, []Digest{{77}}
		s.other = w.config(l)
		in := w.in(s.cfg)
		ups := in.sealShard()
		second := in.force(in.deviceOf(ups[0].Header.ID), s.cfg) // another attempt of the first device
		for _, h := range append(headersOf(ups), second) {
			s.headers = append(s.headers, in.cut(h, 0))
		}
		last := ups[len(ups)-1]
		s.sets = []*Set{setOf(t, ups), setOf(t, ups[1:]), setOf(t, ups[:len(ups)-1]), setOf(t, []*Upload{{Header: second}, last})}
		for _, set := range s.sets { // a server with a quorum of corrupt members could make these: the member must still keep to one
			s.certs = append(s.certs, &Certificate{Cfg: s.cfg.Digest(), Set: set, Signatures: in.forgeQuorum(set)})
		}
		st.shards = append(st.shards, s)
	}
	return st
}

func (w *world) deviceOf(id DeviceID) int {
	return slices.IndexFunc(w.devices, func(c *Client) bool { return IDOf(publicOf(c.Key)) == id })
}

func headersOf(ups []*Upload) (list []*Header) {
	for _, up := range ups {
		list = append(list, up.Header)
	}
	return list
}

// TestMemberOperationLists drives one member by random lists of operations, restarts among them, and a lying server; whatever
// happens it shows its coin for one list of keys, begins one configuration of a shard, accepts one attempt of a device and answers
// one check on it, signs at most one set of a shard, never a set and an abandonment, answers one set only, and repeats itself byte
// for byte. A list is its seed: a failing one is frozen by adding the seed to the loop.
func TestMemberOperationLists(t *testing.T) {
	st := newStage(t)
	key := recordKey(kindKey, st.id)
	start := map[string][]byte{key: st.w.nodes[0].store[key]} // the round is opened, nothing was shown
	reached := map[string]int{}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		n := &node{setup: st.w.nodes[0].setup, store: cloneStore(start)}
		n.restart(t)
		promises := map[string][]byte{}
		promise := func(kind string, b []byte) {
			if before, ok := promises[kind]; ok && !bytes.Equal(before, b) {
				t.Fatalf("seed %d: two different %s", seed, kind)
			}
			promises[kind] = bytes.Clone(b)
			reached[strings.Fields(kind)[0]]++
		}
		for range 50 {
			st.operate(t, n, rng, promise)
		}
		for k := range st.shards {
			_, set := promises[fmt.Sprint("set ", k)]
			if _, abandoned := promises[fmt.Sprint("abandonment ", k)]; abandoned && set {
				t.Fatalf("seed %d, shard %d: abandoned, and signed or answered", seed, k)
			}
		}
	}
	for _, kind := range []string{"list", "coin", "configuration", "acceptance", "check", "signature", "set", "answer", "abandonment"} {
		if reached[kind] < 20 {
			t.Errorf("only %d times %s: the lists do not get anywhere", reached[kind], kind)
		}
	}
}

// forgeQuorum signs a set with the identities of members 2 to 5.
func (w *world) forgeQuorum(s *Set) []SetSignature {
	var sigs []SetSignature
	d := s.Digest(w.cfg.Digest())
	for _, n := range w.nodes[1:] {
		sigs = append(sigs, SetSignature{Member: n.setup.Index, SetDigest: d,
			Signature: signDigest(n.setup.Identity, labelSign, signedSetDigest(w.cfg, d))})
	}
	return sigs
}

// operate does one random thing to the node and records what it promised.
func (st *stage) operate(t *testing.T, n *node, rng *rand.Rand, promise func(string, []byte)) {
	k := rng.IntN(len(st.shards))
	s := st.shards[k]
	id := s.cfg.Round()
	in := func(kind string) string { return fmt.Sprint(kind, " ", k) }
	var records []Record
	var err error
	set := min(rng.IntN(len(s.sets)), rng.IntN(len(s.sets))) // the first is the likeliest, or no list would get to a release
	switch op := rng.IntN(18); op {
	case 0:
		n.restart(t)
	case 1:
		var sig AbandonSignature
		if rng.IntN(6) == 0 { // rare, or no list would get anywhere
			if sig, records, err = n.member.Abandon(id); err == nil {
				promise(in("abandonment"), sig.Signature)
			}
		}
	case 2, 3:
		var sig SetSignature
		if sig, records, err = n.member.Sign(id, &Proposal{Cfg: s.cfg.Digest(), Set: s.sets[set]}); err == nil {
			promise(in("signature"), append(sig.SetDigest[:], sig.Signature...))
			promise(in("set"), sig.SetDigest[:])
		}
	case 4, 16, 17:
		var answer *Answer
		if answer, records, err = n.member.Release(id, s.certs[set]); err == nil {
			promise(in("answer"), answer.Marshal())
			promise(in("set"), answer.SetDigest[:])
		}
	case 5, 6:
		cfg := s.cfg
		if rng.IntN(8) == 0 {
			cfg = s.other
		}
		if records, err = n.member.Begin(cfg); err == nil {
			d := cfg.Digest()
			promise(in("configuration"), d[:])
		}
	case 7:
		list := min(rng.IntN(6), 1) ^ 1 // the second list one time in six
		var coin [32]byte
		if coin, records, err = n.member.Reveal(st.id, st.lists[list]); err == nil {
			promise("coin", coin[:])
			promise("list", []byte{byte(list)})
		}
	case 8:
		var key RoundKey
		if key, records, err = n.member.OpenRound(st.w.random, st.id, st.w.literal.Plan, st.w.suite); err == nil {
			promise("key", append(key.Public, key.Signature...))
		}
	default:
		from := rng.IntN(len(s.headers))
		var verdicts []Verdict
		verdicts, records, err = n.judge(id, s.headers[from:from+rng.IntN(len(s.headers)-from)+1]...)
		for _, v := range verdicts {
			if v.Reason == Accepted {
				promise(fmt.Sprint("acceptance of ", v.Entry.ID), v.Entry.Digest[:])
				promise(fmt.Sprint("check of ", v.Entry.ID), fmt.Append(nil, v.Check))
			}
		}
	}
	var refusal Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Fatalf("not a refusal: %v", err)
	}
	if err != nil && records != nil {
		t.Fatalf("a refusal with records: %v", err)
	}
	n.write(records)
}

// TestRoundOperationLists plays whole rounds by their seeds: device i submits e_i, some devices share garbage with one member or
// with all, one member lies in checks or in its answer, members restart at any time, and the server follows rule 8. The sum is the
// 0/1 indicator of U, and U holds every honest device.
func TestRoundOperationLists(t *testing.T) {
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, testParams(16, 2, 20), 12)
		liar := rng.IntN(5)
		pestered := func() { // any member may lose its memory at any time
			if rng.IntN(4) == 0 {
				w.nodes[rng.IntN(5)].restart(t)
			}
		}
		var kept []*Upload
		counted := map[int]bool{}
		for i, up := range w.sealUnits() {
			cheat := rng.IntN(6)
			if cheat < 2 {
				at := rng.IntN(5) + 1
				w.reshare(up, i, func(m int, words []uint64) {
					if cheat == 0 || m == at {
						w.garbage(words)
					}
				})
			}
			pestered()
			answers := w.checks(up.Header, rng.Perm(5))
			if rng.IntN(2) == 0 && cheat >= 2 { // a lie about a cheat may be one too many to name anybody
				at := slices.IndexFunc(answers, func(a CheckAnswer) bool { return int(a.Member) == liar+1 })
				answers[at].Words = slices.Clone(answers[at].Words)
				w.garbage(answers[at].Words)
			}
			wrong, err := CheckShares(w.cfg, up.Header, nil, answers)
			switch {
			case cheat >= 2 && (err != nil || len(wrong) > 1 || len(wrong) == 1 && wrong[0] != uint16(liar+1)):
				t.Fatalf("seed %d: honest device %d: %d, %v", seed, i, wrong, err)
			case cheat < 2 && err == nil && len(wrong) == 0:
				t.Fatalf("seed %d: device %d passes with garbage", seed, i)
			case cheat >= 2:
				kept, counted[i] = append(kept, up), true
			}
		}
		set := setOf(t, kept)
		pestered()
		cert := w.certify(all(5), set)
		pestered()
		for j := range w.nodes {
			if len(w.nodes[j].member.Missing(w.cfg.Round(), set)) > 0 {
				w.acceptAll([]int{j}, kept)
			}
		}
		answers := w.answers(rng.Perm(5), cert)
		at := slices.IndexFunc(answers, func(a Answer) bool { return int(a.Member) == liar+1 })
		w.garbage(answers[at].Words)
		answers[at].sign(w.nodes[liar].setup.Identity)
		sum, wrong, err := Unmask(w.cfg, set, w.sumOf(kept), answers)
		if err != nil || !slices.Equal(wrong, []uint16{uint16(liar + 1)}) {
			t.Fatalf("seed %d: %d named, %v", seed, wrong, err)
		}
		checkIndicator(t, sum, counted)
	}
}

// A crash between a method and its write loses the promise unsent, and nothing else: for every write of a round, the node restarts
// from the store without it, the server asks again, and the round ends with the same sum.
func TestCrashAtEveryWrite(t *testing.T) {
	w := newWorld(t, testParams(16, 2, 10), 4)
	ups := w.sealUnits()
	set := setOf(t, ups)
	n := w.nodes[0]
	id := w.cfg.Round()
	crash := func(what string, records []Record) {
		if records == nil {
			t.Errorf("%s wrote nothing", what)
		}
		n.restart(t) // records are lost, and the result was never sent
	}
	var headers []*MemberHeader
	for _, up := range ups {
		headers = append(headers, w.cut(up.Header, 0))
	}
	w.acceptAll([]int{1, 2, 3, 4}, ups)

	_, records, err := n.judge(id, headers...)
	if err != nil {
		t.Fatal(err)
	}
	crash("Accept", records)
	w.acceptAll([]int{0}, ups)
	first, records, err := n.member.Sign(id, &Proposal{Cfg: w.cfg.Digest(), Set: set})
	if err != nil {
		t.Fatal(err)
	}
	crash("Sign", records)
	second, err := w.sign(0, set)
	if err != nil || !bytes.Equal(first.Signature, second.Signature) {
		t.Fatal("the signature after the crash differs", err)
	}
	cert := w.certify(all(5), set)
	w.acceptAll([]int{0}, ups)
	answer, records, err := n.member.Release(id, cert)
	if err != nil {
		t.Fatal(err)
	}
	crash("Release", records)
	w.acceptAll([]int{0}, ups)
	answers := w.answers(all(5), cert)
	if !bytes.Equal(answers[0].Marshal(), answer.Marshal()) {
		t.Error("the answer after the crash differs")
	}
	sum, _, err := Unmask(w.cfg, set, w.sumOf(ups), answers)
	if err != nil {
		t.Fatal(err)
	}
	checkIndicator(t, sum, indexSet(all(4)))
}

func TestRestoreRefusesDamage(t *testing.T) {
	w := newWorld(t, testParams(16, 2, 10), 4)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups[:2])
	w.acceptAll(all(5), ups[2:])
	w.certify(all(5), setOf(t, ups))
	n := w.nodes[0]
	id := w.cfg.Round()
	key := func(kind string) string { return recordKey(kind, id) }
	for name, damage := range map[string]func(store map[string][]byte){
		"the round key is gone":     func(s map[string][]byte) { delete(s, key(kindKey)) },
		"the configuration is gone": func(s map[string][]byte) { delete(s, key(kindConfig)) },
		"the first batch is gone":   func(s map[string][]byte) { delete(s, key(kindAccepted)+"/00000000") },
		"a batch twice":             func(s map[string][]byte) { s[key(kindAccepted)+"/00000002"] = s[key(kindAccepted)+"/00000000"] },
		"a signature changed":       func(s map[string][]byte) { s[key(kindSigned)][len(s[key(kindSigned)])-1] ^= 1 },
		"a signed set changed":      func(s map[string][]byte) { s[key(kindSigned)][len(s[key(kindSigned)])-70] ^= 1 },
		"a value under another key": func(s map[string][]byte) {
			s[recordKey(kindSigned, RoundID{Task: "demo", Round: 8})] = s[key(kindSigned)]
		},
		"an unknown kind":    func(s map[string][]byte) { s["other/demo/7/0"] = []byte{1} },
		"a truncated record": func(s map[string][]byte) { s[key(kindKey)] = s[key(kindKey)][:40] },
		"abandoned beside the rest": func(s map[string][]byte) {
			s[key(kindAbandoned)] = (&memberShard{id: id, abandoned: w.abandonOf(0)}).abandonedRecord(false).Value
		},
		"another member's round key":    func(s map[string][]byte) { s[key(kindKey)] = w.nodes[1].store[key(kindKey)] },
		"another member's signature":    func(s map[string][]byte) { s[key(kindSigned)] = w.nodes[1].store[key(kindSigned)] },
		"an empty record":               func(s map[string][]byte) { s[key(kindKey)] = nil },
		"a configuration of its own id": func(s map[string][]byte) { s[key(kindConfig)][60] ^= 1 },
	} {
		store := cloneStore(n.store)
		damage(store)
		var records []Record
		for k, v := range store {
			records = append(records, Record{k, v})
		}
		if _, err := RestoreMember(n.setup, records); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (w *world) abandonOf(j int) *AbandonSignature {
	n := w.nodes[j]
	return &AbandonSignature{Member: n.setup.Index, Signature: signDigest(n.setup.Identity, labelAbandon, abandonDigest(w.cfg.Round()))}
}

// Forget keeps no record of past rounds but the horizon, and the member never serves them again, also after a restart.
func TestForget(t *testing.T) {
	w := newWorld(t, testParams(16, 2, 10), 3)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	cert := w.certify(all(5), set)
	w.answers(all(5), cert)
	n := w.nodes[0]
	n.write(n.member.Forget("demo", 8))
	if len(n.store) != 1 {
		t.Errorf("%d records after Forget", len(n.store))
	}
	if records := n.member.Forget("demo", 5); records != nil {
		t.Error("the horizon moves back")
	}
	for range 2 {
		_, _, err := n.member.OpenRound(w.random, w.cfg.Round(), w.cfg.Plan(), w.suite)
		wantRefusal(t, "open a past round", err, RefusePast)
		_, err = w.sign(0, set)
		wantRefusal(t, "sign in a past round", err, RefusePast)
		_, err = w.release(0, cert)
		wantRefusal(t, "release a past round", err, RefusePast)
		_, _, err = n.member.Abandon(w.cfg.Round())
		wantRefusal(t, "abandon a past round", err, RefusePast)
		if _, _, err := n.member.OpenRound(w.random, RoundID{Task: "demo", Round: 8}, Digest{1}, w.suite); err != nil {
			t.Errorf("the next round: %v", err)
		}
		n.restart(t)
	}
}

// What no run of a member leaves behind in a round of several shards is refused as well.
func TestRestoreRefusesDamagedShards(t *testing.T) {
	w, shards := splitWorld(t, 40)
	n := w.nodes[0]
	key := func(kind string, shard uint32) string {
		return recordKey(kind, RoundID{Task: "demo", Round: 7, Shard: shard})
	}
	var batch []byte
	for k, cfg := range shards[:2] {
		s := w.in(cfg)
		ups := s.sealShard()
		s.acceptAll(all(5), ups)
		if k == 0 {
			batch = bytes.Clone(n.store[key(kindAccepted, 0)+"/00000000"])
			s.answers([]int{0}, s.certify(all(5), setOf(t, ups)))
		}
	}
	other := shards[1].Literal()
	other.Groups = 2
	foreign := (&memberShard{id: shards[1].Round(), cfg: w.config(other)}).configRecord()
	open := cloneStore(n.store)
	for _, cfg := range shards[1:] {
		_, records, err := n.member.Abandon(cfg.Round())
		if err != nil {
			t.Fatal(err)
		}
		n.write(records)
	}
	for name, c := range map[string]struct {
		from   map[string][]byte
		damage func(s map[string][]byte)
	}{
		"the key goes before the last shard": {open, func(s map[string][]byte) { delete(s, key(kindKey, 0)); delete(s, key(kindList, 0)) }},
		"the list of keys is gone":           {open, func(s map[string][]byte) { delete(s, key(kindList, 0)) }},
		"another list of keys":               {open, func(s map[string][]byte) { s[key(kindList, 0)][len(s[key(kindList, 0)])-1] ^= 1 }},
		"a list of keys without the key":     {n.store, func(s map[string][]byte) { s[key(kindList, 0)] = open[key(kindList, 0)] }},
		"the key outlives the last shard": {n.store, func(s map[string][]byte) {
			s[key(kindKey, 0)], s[key(kindList, 0)] = open[key(kindKey, 0)], open[key(kindList, 0)]
		}},
		"a shard of a round split otherwise": {open, func(s map[string][]byte) {
			s[key(kindConfig, 1)] = foreign.Value
			delete(s, key(kindAccepted, 1)+"/00000000")
		}},
		"acceptances outlive the answer":          {open, func(s map[string][]byte) { s[key(kindAccepted, 0)+"/00000000"] = batch }},
		"an abandoned shard keeps its records":    {n.store, func(s map[string][]byte) { s[key(kindConfig, 1)] = open[key(kindConfig, 1)] }},
		"a shard abandoned as the whole round is": {n.store, func(s map[string][]byte) { v := s[key(kindAbandoned, 1)]; v[len(v)-65] = 1 }},
	} {
		store := cloneStore(c.from)
		c.damage(store)
		var records []Record
		for k, v := range store {
			records = append(records, Record{k, v})
		}
		if _, err := RestoreMember(n.setup, records); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	n.restart(t) // undamaged, it comes back
}
