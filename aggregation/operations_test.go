package aggregation

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestMemberOperationLists drives one member by random lists of operations, restarts among them, and a lying server; whatever
// happens it signs at most one set, never a set and an abandonment, answers one set only, and repeats itself byte for byte.
// A list is its seed: a failing one is frozen by adding the seed to the loop.
func TestMemberOperationLists(t *testing.T) {
	w := newWorld(t, testParams(16, 2, 10), 6)
	ups := w.sealUnits()
	again := w.seal(0, w.unit(0)) // a second attempt of device 0
	var headers []*MemberHeader
	for _, up := range append(ups, again) {
		headers = append(headers, w.cut(up.Header, 0))
	}
	sets := []*Set{setOf(t, ups), setOf(t, ups[:4]), setOf(t, ups[1:]), setOf(t, append(ups[1:5:5], again))}
	certs := make([]*Certificate, len(sets))
	for i, s := range sets { // a server with a quorum of corrupt members could make these: the member must still keep to one
		certs[i] = &Certificate{Cfg: w.cfg.Digest(), Set: s, Signatures: w.forgeQuorum(s)}
	}
	start := cloneStore(w.nodes[0].store)
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 0))
		n := &node{setup: w.nodes[0].setup, store: cloneStore(start)}
		n.restart(t)
		promises := map[string][]byte{}
		promise := func(kind string, b []byte) {
			if before, ok := promises[kind]; ok && !bytes.Equal(before, b) {
				t.Fatalf("seed %d: two different %s", seed, kind)
			}
			promises[kind] = b
		}
		for range 25 {
			operate(t, w, n, rng, headers, sets, certs, promise)
		}
		_, set := promises["signature"]
		_, answer := promises["answer"]
		if _, abandoned := promises["abandonment"]; abandoned && (set || answer) {
			t.Fatalf("seed %d: abandoned, and signed (%v) or answered (%v)", seed, set, answer)
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
func operate(t *testing.T, w *world, n *node, rng *rand.Rand, headers []*MemberHeader, sets []*Set, certs []*Certificate, promise func(string, []byte)) {
	id := w.cfg.Round()
	var records []Record
	var err error
	switch op := rng.IntN(12); op {
	case 0:
		n.restart(t)
	case 1:
		var sig AbandonSignature
		if rng.IntN(4) == 0 { // rare, or no list would get anywhere
			if sig, records, err = n.member.Abandon(id); err == nil {
				promise("abandonment", sig.Signature)
			}
		}
	case 2, 3:
		var sig SetSignature
		if sig, records, err = n.member.Sign(id, &Proposal{Cfg: w.cfg.Digest(), Set: sets[rng.IntN(len(sets))]}); err == nil {
			promise("signature", append(sig.SetDigest[:], sig.Signature...))
			promise("set", sig.SetDigest[:])
		}
	case 4:
		var answer *Answer
		if answer, records, err = n.member.Release(id, certs[rng.IntN(len(certs))]); err == nil {
			promise("answer", answer.Marshal())
			promise("set", answer.SetDigest[:])
		}
	case 5:
		_, err = n.member.Begin(w.cfg)
	default:
		from := rng.IntN(len(headers))
		var verdicts []Verdict
		verdicts, records, err = n.judge(id, headers[from:from+rng.IntN(len(headers)-from)+1]...)
		for _, v := range verdicts {
			if v.Reason == Accepted {
				promise(fmt.Sprint("acceptance of ", v.Entry.ID), v.Entry.Digest[:])
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
