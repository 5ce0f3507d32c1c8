package aggregation

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// Rule 1, the member's part: an id must be in the population, at its own path, and chosen by the lot; all of it also re-signed by
// the device and shown by a server that wants it in.
func TestRule1_MembersAskWhoIsADevice(t *testing.T) {
	w, shards := splitWorld(t, 40)
	var chosen, others []int
	for i, d := range w.devices {
		if id := IDOf(publicOf(d.Key)); !w.cfg.Eligible(id) {
			others = append(others, i)
		} else if w.cfg.ShardOf(id) == 0 {
			chosen = append(chosen, i)
		}
	}
	if len(chosen) < 2 || len(others) < 2 {
		t.Fatal("choose another seed: the lot chose all or none")
	}
	member := func(h *Header, path EnrolmentPath) Reason {
		mh, err := h.ForMember(1, path)
		if err != nil {
			t.Fatal(err)
		}
		n := &node{setup: w.nodes[0].setup, store: cloneStore(w.nodes[0].store)}
		n.restart(t)
		return judged(t, n, shards[0].Round(), []*MemberHeader{overWire(t, mh)})[0].Reason
	}
	both := func(what string, h *Header, path EnrolmentPath, want Reason) {
		t.Helper()
		var server Reason
		errors.As(VerifyHeader(w.cfg, h, path), &server)
		if got := member(h, path); got != want || server != want {
			t.Errorf("%s: server says %v, member %v, want %v", what, server, got, want)
		}
	}
	h := w.seal(chosen[0], w.unit(0)).Header
	path := w.path(h.ID)
	both("in its place", h, path, Accepted)
	both("no path", h, EnrolmentPath{}, ReasonEnrolment)
	both("another's path", h, w.path(IDOf(publicOf(w.devices[chosen[1]].Key))), ReasonEnrolment)
	both("one sibling less", h, EnrolmentPath{path.Index, path.Siblings[1:]}, ReasonEnrolment)
	both("one sibling more", h, EnrolmentPath{path.Index, append(slices.Clone(path.Siblings), Digest{})}, ReasonEnrolment)
	both("another place", h, EnrolmentPath{path.Index ^ 1, path.Siblings}, ReasonEnrolment)

	out := others[0]
	if _, err := w.devices[out].Seal(w.random, w.cfg, Digest{2}, w.unit(0), 1000); !errors.Is(err, ErrEnrol) {
		t.Errorf("a device that the lot left out seals: %v", err)
	}
	forced := w.force(out, w.cfg)
	both("left out by the lot", forced, w.path(forced.ID), ReasonNotEligible)
}

// force makes the header of a device that skips its own checks.
func (w *world) force(i int, cfg *Config) *Header {
	w.t.Helper()
	up, err := w.devices[i].seal(&sealSeeds{key: Digest{9, byte(i)}, noise: Digest{8}, share: Digest{7}, nonce: [16]byte{6}}, cfg, Digest{2}, w.unit(0))
	if err != nil {
		w.t.Fatal(err)
	}
	return up.Header
}

// Rule 1: nobody chooses the beacon. A member shows its coin for one list of keys, durably, and begins nothing else.
func TestRule1_OneListOfKeys(t *testing.T) {
	w := newCast(t, testParams(8, 2, 10), 3, SuiteX25519, 1, EveryDevice)
	id := w.cfg.Round()
	n := w.nodes[0]
	var keys []RoundKey
	for _, m := range w.literal.Roster {
		keys = append(keys, m.Key)
	}
	other := slices.Clone(keys)
	other[3] = w.foreignRoster(id, w.literal.Plan)[3].Key
	for range 2 {
		_, records, err := n.member.Reveal(id, other)
		wantRefusal(t, "another list", err, RefuseOtherKeys)
		if records != nil {
			t.Error("a refusal with records")
		}
		coin, records, err := n.member.Reveal(id, keys)
		if err != nil || records != nil || coin != w.literal.Roster[0].Coin {
			t.Errorf("the same list again: %v", err)
		}
		l := cloneLiteral(w.literal)
		l.Roster[3] = w.foreignRoster(id, l.Plan)[3]
		_, err = n.member.Begin(w.config(l))
		wantRefusal(t, "a configuration with another member's key", err, RefuseOtherKeys)
		n.restart(t)
	}
	signOwn := func(k []RoundKey) []RoundKey { // as a node that lost its store would have
		k[0].Signature = signDigest(n.setup.Identity, labelRoundKey, roundKeyDigest(id, w.literal.Plan, 1, k[0]))
		return k
	}
	for what, c := range map[string]struct {
		change func(keys []RoundKey) []RoundKey
		want   Refusal
	}{
		"one short":              {func(k []RoundKey) []RoundKey { return k[:4] }, RefusePins},
		"two exchanged":          {func(k []RoundKey) []RoundKey { k[2], k[3] = k[3], k[2]; return k }, RefusePins},
		"a signature broken":     {func(k []RoundKey) []RoundKey { k[4].Signature[0] ^= 1; return k }, RefusePins},
		"a commitment exchanged": {func(k []RoundKey) []RoundKey { k[1].Commit[0] ^= 1; return k }, RefusePins},
		"of another plan":        {func([]RoundKey) []RoundKey { return keysOf(w.foreignRoster(id, Digest{5})) }, RefusePins},
		"of another round": {func([]RoundKey) []RoundKey {
			return keysOf(w.foreignRoster(RoundID{Task: "demo", Round: 8}, w.literal.Plan))
		}, RefusePins},
		"its own key with another commitment": {func(k []RoundKey) []RoundKey { k[0].Commit[0] ^= 1; return signOwn(k) }, RefuseOwnKey},
		"its own commitment with another key": {func(k []RoundKey) []RoundKey {
			k[0].Public = bytes.Clone(k[1].Public)
			return signOwn(k)
		}, RefuseOwnKey},
		"not its own key": {func([]RoundKey) []RoundKey { return keysOf(w.foreignRoster(id, w.literal.Plan)) }, RefuseOwnKey},
	} {
		fresh, err := NewMember(n.setup)
		if err != nil {
			t.Fatal(err)
		}
		key, _, err := fresh.OpenRound(w.random, id, w.literal.Plan, w.suite)
		if err != nil {
			t.Fatal(err)
		}
		list := keysOf(cloneLiteral(w.literal).Roster)
		list[0] = key
		coin, records, err := fresh.Reveal(id, c.change(list))
		wantRefusal(t, what, err, c.want)
		if records != nil || coin != [32]byte{} {
			t.Errorf("%s: a refusal with records or a coin", what)
		}
		if c.want == RefuseOwnKey {
			_, err = fresh.Begin(w.cfg)
			wantRefusal(t, "a configuration of a key that is not its own", err, RefuseOwnKey)
		}
	}
	fresh := &node{setup: n.setup, store: map[string][]byte{recordKey(kindKey, id): n.store[recordKey(kindKey, id)]}}
	fresh.restart(t)
	_, err := fresh.member.Begin(w.cfg)
	wantRefusal(t, "a configuration before the keys were shown", err, RefuseUnrevealed)
	_, _, err = fresh.member.Reveal(RoundID{Task: "demo", Round: 9}, keys)
	wantRefusal(t, "the coin of a round that was not opened", err, RefuseNoRound)
	if _, _, err = fresh.member.Reveal(RoundID{Task: "demo", Round: 7, Shard: 1}, keys); !errors.Is(err, ErrConfig) {
		t.Errorf("the coin of a shard: %v", err)
	}
	forged := cloneLiteral(w.literal)
	forged.Roster[2].Coin[0] ^= 1
	if _, err := NewConfig(forged); !errors.Is(err, ErrRoster) {
		t.Errorf("a coin that opens no commitment: %v", err)
	}
}

func keysOf(roster []MemberKey) []RoundKey {
	var keys []RoundKey
	for _, m := range roster {
		keys = append(keys, m.Key)
	}
	return keys
}

// Rule 2: every round has its own key, and once its last shard is released or abandoned neither key, coin seed, share nor
// acceptance is left, in memory or in the store, so that who steals the node later opens no upload.
func TestRule2_TheRoundsKeyIsErased(t *testing.T) {
	for _, ending := range []string{"released", "abandoned"} {
		w, shards := splitWorld(t, 40)
		n := w.nodes[0]
		seed := bytes.Clone(n.member.rounds[w.cfg.Round()].seed)
		next, _, err := n.member.OpenRound(w.random, RoundID{Task: "demo", Round: 8}, Digest{1}, w.suite)
		if err != nil || bytes.Equal(next.Public, w.literal.Roster[0].Key.Public) {
			t.Fatal("two rounds share a key", err)
		}
		var packed [][]byte
		for k, cfg := range shards {
			s := w.in(cfg)
			ups := s.sealShard()
			s.acceptAll(all(5), ups)
			held := n.member.rounds[w.cfg.Round()].shards[uint32(k)]
			for _, a := range held.accepted {
				packed = append(packed, a.packed)
			}
			if ending == "released" || k == 1 {
				s.answers([]int{0}, s.certify(all(5), setOf(t, ups)))
			} else {
				_, records, err := n.member.Abandon(cfg.Round())
				if err != nil {
					t.Fatal(err)
				}
				n.write(records)
			}
			if j, err := n.member.Judge(cfg.Round()); err == nil && j.key != nil {
				t.Errorf("shard %d: a judge of a released shard still opens envelopes", k)
			}
			last := k == 2
			if r := n.member.rounds[w.cfg.Round()]; (r.seed == nil) != last || (r.key == nil) != last || len(held.accepted) != 0 {
				t.Errorf("%s, shard %d: a key when none is due, or the reverse", ending, k)
			}
			for key, value := range n.store {
				if last && bytes.Contains(value, seed) || bytes.HasPrefix([]byte(key), []byte("accepted/")) {
					t.Errorf("%s, shard %d: %s survives", ending, k, key)
				}
			}
			n.restart(t)
		}
		for _, b := range packed {
			if len(b) == 0 || !bytes.Equal(b, make([]byte, len(b))) {
				t.Fatal("a share is not overwritten")
			}
		}
		if ending == "released" { // what was promised is still repeated
			if _, records, err := n.member.OpenRound(w.random, w.cfg.Round(), w.cfg.Plan(), w.suite); err != nil || records != nil {
				t.Errorf("the public key again: %v", err)
			}
			if coin, records, err := n.member.Reveal(w.cfg.Round(), keysOf(w.literal.Roster)); err != nil || records != nil || coin != w.literal.Roster[0].Coin {
				t.Errorf("the coin again: %v", err)
			}
		}
	}
}

// sealShard seals e_0 for every device of the shard.
func (w *world) sealShard() (ups []*Upload) {
	w.t.Helper()
	for i, d := range w.devices {
		if id := IDOf(publicOf(d.Key)); w.cfg.Eligible(id) && w.cfg.ShardOf(id) == w.cfg.Round().Shard {
			ups = append(ups, w.seal(i, w.unit(i)))
		}
	}
	if len(ups) < w.cfg.params.NMin() {
		w.t.Fatal("choose another seed: a shard is empty")
	}
	return ups
}

// Rule 4 with shards: an abandonment speaks for its shard, and before there is a configuration for the round.
func TestRule4_AbandonmentsOfShards(t *testing.T) {
	w, shards := splitWorld(t, 40)
	n := w.nodes[0]
	abandon := func(id RoundID) (AbandonSignature, error) {
		sig, records, err := n.member.Abandon(id)
		n.write(records)
		n.restart(t)
		return sig, err
	}
	if _, err := abandon(shards[1].Round()); err != nil {
		t.Fatal(err)
	}
	_, err := n.member.Begin(shards[1])
	wantRefusal(t, "begin an abandoned shard", err, RefuseAbandoned)
	_, err = n.member.Judge(shards[1].Round())
	wantRefusal(t, "judge for an abandoned shard", err, RefuseAbandoned)
	_, err = abandon(RoundID{Task: "demo", Round: 7, Shard: 3})
	wantRefusal(t, "a shard that does not exist", err, RefuseNoRound)
	s := w.in(shards[2])
	ups := s.sealShard()
	s.acceptAll(all(5), ups)
	if _, err := s.sign(0, setOf(t, ups)); err != nil {
		t.Errorf("the shard beside it: %v", err)
	}
	_, err = abandon(shards[2].Round())
	wantRefusal(t, "abandon a signed shard", err, RefuseSigned)

	early, err := NewMember(n.setup)
	if err != nil {
		t.Fatal(err)
	}
	e := &node{setup: n.setup, member: early, store: map[string][]byte{}}
	w.openRound(append([]*node{e}, w.nodes[1:]...), RoundID{Task: "demo", Round: 9}, Digest{1})
	sig, records, err := e.member.Abandon(RoundID{Task: "demo", Round: 9})
	if err != nil {
		t.Fatal(err)
	}
	e.write(records)
	for range 2 {
		if len(e.store) != 1 {
			t.Errorf("%d records of an abandoned round", len(e.store))
		}
		_, _, err = e.member.OpenRound(w.random, RoundID{Task: "demo", Round: 9}, Digest{1}, w.suite)
		wantRefusal(t, "open an abandoned round", err, RefuseAbandoned)
		_, _, err = e.member.Reveal(RoundID{Task: "demo", Round: 9}, keysOf(w.literal.Roster))
		wantRefusal(t, "the coin of an abandoned round", err, RefuseAbandoned)
		_, err = e.member.Judge(RoundID{Task: "demo", Round: 9, Shard: 1})
		wantRefusal(t, "judge for another shard of an abandoned round", err, RefuseAbandoned)
		for shard := range uint32(3) {
			word, records, err := e.member.Abandon(RoundID{Task: "demo", Round: 9, Shard: shard})
			identity := publicOf(n.setup.Identity)
			if err != nil || records != nil || !verifyDigest(identity, labelAbandon, abandonDigest(RoundID{Task: "demo", Round: 9, Shard: shard}), word.Signature) ||
				bytes.Equal(word.Signature, sig.Signature) != (shard == 0) {
				t.Errorf("the word on shard %d: %v", shard, err)
			}
		}
		e.restart(t)
	}
}

// Rule 9: fresh key, noise, share randomness and nonce in every seal, and one seal of a device counts, the one whose bytes came
// first, however often they come.
func TestRule9_OneSeal(t *testing.T) {
	w := newWorld(t, testParams(64, 2, 20), 3)
	first, second := w.seal(0, w.unit(0)), w.seal(0, w.unit(0))
	if first.Header.Nonce == second.Header.Nonce || bytes.Equal(first.Vector[:8], second.Vector[:8]) || bytes.Equal(first.Header.Envelopes[0], second.Header.Envelopes[0]) {
		t.Error("two seals share something")
	}
	again, err := first.Header.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := ParseHeader(again)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		h    *Header
		want Reason
	}{{first.Header, Accepted}, {second.Header, ReasonOtherAttempt}, {resumed, Accepted}} {
		if v := w.show(0, c.h)[0]; v.Reason != c.want {
			t.Errorf("%v, want %v", v.Reason, c.want)
		}
		w.nodes[0].restart(t)
	}
}

// Rule 12: an upload may start from any version in the configuration's list, and from no other; the signed header names it.
func TestRule12_BaseVersions(t *testing.T) {
	w := newWorld(t, testParams(64, 2, 20), 4)
	var ups []*Upload
	for i, base := range []Digest{{2}, {3}, {2}, {3}} {
		up, err := w.devices[i].Seal(w.random, w.cfg, base, w.unit(i), 1000)
		if err != nil || up.Header.Base != base {
			t.Fatal(err)
		}
		ups = append(ups, up)
	}
	gone := ups[3].Header.cloneForTest()
	gone.Base = Digest{1}
	resign(gone, w.devices[3].Key)
	if err := w.verify(gone); !errors.Is(err, ReasonBase) {
		t.Errorf("server, a version that left the list: %v", err)
	}
	if v := w.show(0, gone)[0]; v.Reason != ReasonBase {
		t.Errorf("member, a version that left the list: %v", v.Reason)
	}
	if _, err := w.devices[3].Seal(w.random, w.cfg, Digest{1}, w.unit(3), 1000); !errors.Is(err, ErrBase) {
		t.Errorf("device, a version that left the list: %v", err)
	}
	sum, err := w.open(ups, all(5), all(5), all(5))
	if err != nil {
		t.Fatal(err)
	}
	checkIndicator(t, sum, indexSet(all(4)))
}

// A whole round under the post-quantum suite; a suite is fixed with the round's key, and keys of two suites make no roster.
func TestPostQuantumRound(t *testing.T) {
	w := newCast(t, testParams(64, 2, 20), 4, SuiteMLKEM768X25519, 1, EveryDevice)
	w.begin(w.cfg)
	ups := w.sealUnits()
	p := w.cfg.params
	if n := len(ups[0].Header.Envelopes[0]); n != p.EnvelopeLen(SuiteMLKEM768X25519) || n != 1088+32+16+1+4*(1024+3) {
		t.Errorf("envelopes of %d bytes", n)
	}
	w.nodes[2].restart(t)
	_, _, err := w.nodes[2].member.OpenRound(w.random, w.cfg.Round(), w.cfg.Plan(), SuiteX25519)
	wantRefusal(t, "another suite", err, RefusePlan)
	for _, at := range []int{0, 1087, 1088, 1119, 1120} { // both halves of the encapsulation, and the ciphertext
		h := ups[0].Header.cloneForTest()
		h.Envelopes[0][at] ^= 1
		resign(h, w.devices[0].Key)
		if v := w.show(0, h)[0]; v.Reason != ReasonEnvelope {
			t.Errorf("byte %d changed: %v", at, v.Reason)
		}
	}
	sum, err := w.open(ups, all(5), all(5), all(5))
	if err != nil {
		t.Fatal(err)
	}
	checkIndicator(t, sum, indexSet(all(4)))
	mixed := cloneLiteral(w.literal)
	mixed.Roster[1] = newCast(t, testParams(64, 2, 20), 4, SuiteX25519, 1, EveryDevice).literal.Roster[1]
	if _, err := NewConfig(mixed); !errors.Is(err, ErrRoster) {
		t.Errorf("two suites in one roster: %v", err)
	}
	if _, _, err := w.nodes[0].member.OpenRound(w.random, RoundID{Task: "demo", Round: 12}, Digest{1}, 3); !errors.Is(err, ErrConfig) {
		t.Errorf("an unknown suite: %v", err)
	}
}
