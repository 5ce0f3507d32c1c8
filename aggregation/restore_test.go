package aggregation

import (
	"bytes"
	"errors"
	"testing"
)

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

// The same of the writes before the first upload, of an abandonment, and of the release of a round's last shard: what was not written
// was never said, and whatever is asked next is answered as if it were the first.
func TestCrashAtTheEnds(t *testing.T) {
	w := newCast(t, testParams(64, 2, 40), 30, SuiteX25519, 2, EveryDevice)
	id := w.literal.Round
	other := keysOf(cloneLiteral(w.literal).Roster)
	other[3] = w.foreignRoster(id, w.literal.Plan)[3].Key
	opened := map[string][]byte{recordKey(kindKey, id): w.nodes[0].store[recordKey(kindKey, id)]}
	fresh := &node{setup: w.nodes[0].setup, store: opened}
	lose := func(what string, records []Record, err error) { // the write failed, the result was never sent
		t.Helper()
		if err != nil || records == nil {
			t.Fatalf("%s: %d records, %v", what, len(records), err)
		}
		fresh.restart(t)
	}
	fresh.restart(t)
	_, records, err := fresh.member.Reveal(id, other)
	lose("Reveal", records, err)
	coin, records, err := fresh.member.Reveal(id, keysOf(w.literal.Roster))
	if fresh.write(records); err != nil || coin != w.literal.Roster[0].Coin {
		t.Fatal("the coin for the list that was written", err)
	}
	records, err = fresh.member.Begin(w.shard(1))
	lose("Begin", records, err)
	_, records, err = fresh.member.Abandon(id)
	lose("Abandon", records, err)

	w.nodes[0] = fresh
	var last *Answer
	for k := range uint32(2) {
		w.begin(w.shard(k))
		s := w.in(w.shard(k))
		ups := s.sealShard()
		s.acceptAll(all(5), ups)
		cert := s.certify(all(5), setOf(t, ups))
		a, records, err := fresh.member.Release(s.cfg.Round(), cert)
		lose("Release", records, err)
		s.acceptAll([]int{0}, ups)
		if last, err = s.release(0, cert); err != nil || !bytes.Equal(last.Marshal(), a.Marshal()) {
			t.Errorf("shard %d: another answer after the crash: %v", k, err)
		}
		if _, kept := fresh.store[recordKey(kindKey, id)]; kept != (k == 0) {
			t.Errorf("shard %d: the key is there: %v", k, kept)
		}
	}
	lose("Forget", fresh.member.Forget("demo", 8), nil)
	if again, err := w.in(w.shard(1)).release(0, &Certificate{}); err == nil || again != nil {
		t.Error("a certificate of nothing")
	}
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
		"a round key of a shard": func(s map[string][]byte) {
			r := *n.member.rounds[id]
			r.id.Shard = 1
			s[r.keyRecord().Key] = r.keyRecord().Value
		},
		"a horizon of a shard": func(s map[string][]byte) {
			s["horizon/demo"] = record(kindHorizon, RoundID{Task: "demo", Round: 3, Shard: 1}).b
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
		_, _, err = n.member.Reveal(w.cfg.Round(), keysOf(w.literal.Roster))
		wantRefusal(t, "the coin of a past round", err, RefusePast)
		_, err = n.member.Begin(w.cfg)
		wantRefusal(t, "begin a past round", err, RefusePast)
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
	answered := n.member.rounds[w.cfg.Round()].shards[0]
	others := *answered
	others.answer = answered.answer.clone()
	others.answer.Member = 2
	others.answer.sign(w.nodes[1].setup.Identity)
	signed := *answered
	signed.signed = &SetSignature{Member: 1, SetDigest: Digest{1},
		Signature: signDigest(n.setup.Identity, labelSign, signedSetDigest(shards[0], Digest{1}))}
	misplaced := (&memberShard{id: shards[1].Round(), cfg: shards[2]}).configRecord()
	void := (&memberShard{id: w.cfg.Round(), abandoned: w.abandonOf(0)}).abandonedRecord(true)
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
		"a round abandoned as a whole keeps its key": {map[string][]byte{void.Key: void.Value}, func(s map[string][]byte) {
			s[key(kindKey, 0)] = open[key(kindKey, 0)]
		}},
		"the configuration of another shard": {open, func(s map[string][]byte) {
			s[key(kindConfig, 1)] = misplaced.Value
			delete(s, key(kindAccepted, 1)+"/00000000")
		}},
		"an answer to another set":                  {open, func(s map[string][]byte) { s[key(kindSigned, 0)] = signed.signedRecord().Value }},
		"another member's answer":                   {open, func(s map[string][]byte) { s[key(kindAnswer, 0)] = others.answerRecord().Value }},
		"an answer changed":                         {open, func(s map[string][]byte) { s[key(kindAnswer, 0)][400] ^= 1 }},
		"acceptances outlive the answer":            {open, func(s map[string][]byte) { s[key(kindAccepted, 0)+"/00000000"] = batch }},
		"an abandoned shard keeps its records":      {n.store, func(s map[string][]byte) { s[key(kindConfig, 1)] = open[key(kindConfig, 1)] }},
		"an abandonment of neither shard nor round": {n.store, func(s map[string][]byte) { v := s[key(kindAbandoned, 1)]; v[len(v)-65] = 2 }},
		"an abandonment changed":                    {n.store, func(s map[string][]byte) { v := s[key(kindAbandoned, 1)]; v[len(v)-1] ^= 1 }},
		"a shard abandoned as the whole round is":   {n.store, func(s map[string][]byte) { v := s[key(kindAbandoned, 1)]; v[len(v)-65] = 1 }},
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
