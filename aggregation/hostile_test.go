package aggregation

import (
	"bytes"
	"slices"
	"testing"
)

// Rule 1: a server with a corrupt member that signs two commitments shows one list of keys to some members, reads their coins, and
// shows the other list to the rest. However it splits them, members begin what they were shown alone, so that at most one of the two
// configurations ever has a quorum, and every honest coin in it was hidden when its list was shown first.
func TestRule1_TwoListsMakeOneRound(t *testing.T) {
	w := newCast(t, testParams(8, 2, 10), 3, SuiteX25519, 1, EveryDevice)
	id := w.cfg.Round()
	const corrupt = 4 // 0-based
	other := cloneLiteral(w.literal)
	other.Roster[corrupt] = w.foreignRoster(id, w.literal.Plan)[corrupt]
	literals := []ConfigLiteral{w.literal, other}
	cfgs := []*Config{w.cfg, w.config(other)}
	if cfgs[0].Beacon() == cfgs[1].Beacon() {
		t.Fatal("the corrupt member's coin is not in the beacon")
	}
	for split := range 1 << corrupt {
		var begun [2]int
		for j, n := range w.nodes[:corrupt] {
			fresh := &node{setup: n.setup, store: map[string][]byte{recordKey(kindKey, id): n.store[recordKey(kindKey, id)]}}
			fresh.restart(t)
			first := split >> j & 1
			for _, list := range []int{first, 1 - first} {
				coin, records, err := fresh.member.Reveal(id, keysOf(literals[list].Roster))
				fresh.write(records)
				if list == first && (err != nil || coin != w.literal.Roster[j].Coin) {
					t.Fatal(err)
				}
				if list != first {
					wantRefusal(t, "the other list", err, RefuseOtherKeys)
				}
				fresh.restart(t)
			}
			for _, list := range []int{1 - first, first} {
				records, err := fresh.member.Begin(cfgs[list])
				fresh.write(records)
				if fresh.restart(t); err == nil {
					begun[list]++
				} else {
					wantRefusal(t, "a configuration of the other list", err, RefuseOtherKeys)
				}
			}
		}
		quorum := w.cfg.params.Quorum() - 1 // the corrupt member begins both
		if begun[0]+begun[1] != corrupt || begun[0] >= quorum && begun[1] >= quorum {
			t.Errorf("split %04b: %d begin one, %d the other", split, begun[0], begun[1])
		}
	}
	mixed := newCast(t, testParams(8, 2, 10), 3, SuiteMLKEM768X25519, 1, EveryDevice)
	keys := keysOf(mixed.literal.Roster)
	stranger, err := NewMember(mixed.nodes[2].setup)
	if err != nil {
		t.Fatal(err)
	}
	if keys[2], _, err = stranger.OpenRound(w.random, id, mixed.literal.Plan, SuiteX25519); err != nil {
		t.Fatal(err)
	}
	n := mixed.nodes[0]
	for key := range n.store {
		if key != recordKey(kindKey, id) {
			delete(n.store, key)
		}
	}
	n.restart(t)
	_, _, err = n.member.Reveal(id, keys)
	wantRefusal(t, "a list with a key of another suite", err, RefusePins)
}

// What a judge opened while the shard was open is nothing to a member whose shard is over: no acceptance, no share, no check words.
func TestRule2_WhatWasOpenedEarlierIsNotKept(t *testing.T) {
	for what, end := range map[string]struct {
		over func(w *world, ups []*Upload)
		want error
	}{
		"released":  {func(w *world, ups []*Upload) { w.answers([]int{0}, w.certify([]int{1, 2, 3, 4}, setOf(t, ups))) }, ReasonClosed},
		"abandoned": {func(w *world, _ []*Upload) { w.abandon(0) }, RefuseAbandoned},
		"forgotten": {func(w *world, _ []*Upload) { w.nodes[0].write(w.nodes[0].member.Forget("demo", 8)) }, RefusePast},
	} {
		w := newWorld(t, testParams(16, 2, 10), 3)
		ups := w.sealUnits()
		n, id := w.nodes[0], w.cfg.Round()
		w.acceptAll(all(5), ups[:2])
		judge, err := n.member.Judge(id)
		if err != nil {
			t.Fatal(err)
		}
		opened := judge.Open([]*MemberHeader{w.cut(ups[0].Header, 0), w.cut(ups[2].Header, 0)})
		if opened[1].reason != Accepted {
			t.Fatal(opened[1].reason)
		}
		share := opened[1].packed
		end.over(w, ups[:2])
		for range 2 {
			verdicts, records, err := n.member.Accept(id, opened)
			if !bytes.Equal(share, make([]byte, len(share))) {
				t.Errorf("%s: the share is not erased", what)
			}
			if records != nil {
				t.Errorf("%s: records", what)
			}
			if end.want == ReasonClosed {
				for _, v := range verdicts {
					if err != nil || v.Reason != ReasonClosed || v.Check != nil {
						t.Errorf("%s: %v, %v", what, v, err)
					}
				}
			} else {
				wantRefusal(t, what, err, end.want.(Refusal))
				_, err = n.member.Judge(id)
				wantRefusal(t, what+", a new judge", err, end.want.(Refusal))
			}
			n.restart(t)
		}
	}
}

func (w *world) abandon(j int) AbandonSignature {
	w.t.Helper()
	sig, records, err := w.nodes[j].member.Abandon(w.cfg.Round())
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes[j].write(records)
	return sig
}

// Rule 6: a node that comes back with a higher floor helps with nothing below it any more, not even with what it signed.
func TestRule6_AHigherFloorAfterARestart(t *testing.T) {
	w := newWorld(t, testParams(16, 2, 10), 3)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	cert := w.certify(all(5), set)
	for j := range 2 {
		if j == 1 {
			w.answers([]int{j}, cert)
		}
		w.nodes[j].setup.Floor = 3
		w.nodes[j].restart(t)
		_, err := w.sign(j, set)
		wantRefusal(t, "the set that it signed", err, RefuseFloor)
		_, err = w.release(j, cert)
		wantRefusal(t, "the certificate", err, RefuseFloor)
	}
}

// Rules 4 and 11: while a round is split one way, it is split no other way; after a shard was abandoned it may be split anew, and the
// sets of one split alone find a quorum. A server that tries for a device in two sets of one round leaves some members in one split
// and some in the other.
func TestRule11_ARoundSplitAnew(t *testing.T) {
	w := newCast(t, testParams(64, 2, 40), 30, SuiteX25519, 2, EveryDevice)
	two := []*Config{w.shard(0), w.shard(1)}
	l := w.literal
	l.Groups, l.Round.Shard = 3, 1
	three := w.config(l)
	twice := func(id DeviceID) bool { return two[0].ShardOf(id) == 0 && three.ShardOf(id) == 1 }
	if !slices.ContainsFunc(w.enrolled.ids, twice) {
		t.Fatal("choose another seed: no device is in both shards")
	}
	signers := func(cfg *Config, set *Set) (sigs []SetSignature) {
		for j := range w.nodes {
			if sig, err := w.in(cfg).sign(j, set); err == nil {
				sigs = append(sigs, sig)
			}
		}
		return sigs
	}
	for _, n := range w.nodes { // all begin shard 0 of two; members 1 to 4 abandon it
		records, err := n.member.Begin(two[0])
		if err != nil {
			t.Fatal(err)
		}
		n.write(records)
		_, err = n.member.Begin(three)
		wantRefusal(t, "a shard of another split beside it", err, RefuseOtherConfig)
	}
	a, b := w.in(two[0]), w.in(three)
	first, second := a.sealShard(), b.sealShard()
	a.acceptAll(all(5), first)
	var words []AbandonSignature
	for j := range 4 {
		words = append(words, a.abandon(j))
		w.nodes[j].restart(t)
		records, err := w.nodes[j].member.Begin(three)
		if err != nil {
			t.Fatalf("member %d, split anew: %v", j+1, err)
		}
		w.nodes[j].write(records)
		w.nodes[j].restart(t)
		_, err = w.nodes[j].member.Begin(two[1])
		wantRefusal(t, "the other shard of the first split", err, RefuseOtherConfig)
	}
	_, err := w.nodes[4].member.Begin(three)
	wantRefusal(t, "another split at a member that did not abandon", err, RefuseOtherConfig)
	b.acceptAll(all(4), second)
	setA, setB := setOf(t, first), setOf(t, second)
	_, err = Certify(two[0], setA, signers(two[0], setA))
	wantRefusal(t, "a certificate of the first split", err, RefuseCertificate)
	if _, err := Certify(three, setB, signers(three, setB)); err != nil {
		t.Errorf("a certificate of the second split: %v", err)
	}
	if _, err := CertifyAbandon(two[0], words); err != nil {
		t.Errorf("the shard's devices are refunded: %v", err)
	}
}

// Rule 9 at the devices: an abandonment refunds those of its own shard, under whatever configuration, and no others.
func TestRule4_AbandonmentsRefundTheirOwnShard(t *testing.T) {
	w, shards := splitWorld(t, 40)
	var words []AbandonSignature
	for j := range w.nodes {
		words = append(words, w.in(shards[1]).abandon(j))
	}
	for k, cfg := range shards {
		cert, err := CertifyAbandon(shards[1], words)
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.Verify(cfg); (err == nil) != (k == 1) {
			t.Errorf("shard %d: %v", k, err)
		}
		cert.Round = cfg.Round()
		if err := cert.Verify(cfg); (err == nil) != (k == 1) {
			t.Errorf("shard %d, relabelled: %v", k, err)
		}
		if bytes.Equal(cfg.digest[:], shards[1].digest[:]) != (k == 1) {
			t.Error("two shards share a configuration")
		}
	}
}

// A member holds shares of no more than twice n_max devices, however many headers come.
func TestAcceptancesAreBounded(t *testing.T) {
	w := newWorld(t, testParams(16, 2, 2), 6)
	ups := w.sealUnits()
	w.acceptAll([]int{0}, ups[:3])
	if v := w.show(0, ups[3].Header, ups[4].Header); v[0].Reason != Accepted || v[1].Reason != ReasonClosed {
		t.Errorf("the fourth and fifth of at most four: %v, %v", v[0].Reason, v[1].Reason)
	}
	w.nodes[0].restart(t)
	if v := w.show(0, ups[5].Header, ups[2].Header); v[0].Reason != ReasonClosed || v[1].Reason != Accepted {
		t.Errorf("a stranger and a known one after a restart: %v, %v", v[0].Reason, v[1].Reason)
	}
}

// Rule 7: what a member repeats, it does not write again.
func TestRule7_RepeatsWriteNothing(t *testing.T) {
	w := newWorld(t, testParams(16, 2, 10), 3)
	n, id := w.nodes[0], w.cfg.Round()
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	for _, released := range []bool{false, true} {
		cert := w.certify(all(5), set)
		if released {
			w.answers([]int{0}, cert)
		}
		for what, ask := range map[string]func() ([]Record, error){
			"OpenRound": func() ([]Record, error) {
				_, records, err := n.member.OpenRound(w.random, id, w.cfg.Plan(), w.suite)
				return records, err
			},
			"Reveal": func() ([]Record, error) {
				_, records, err := n.member.Reveal(id, keysOf(w.literal.Roster))
				return records, err
			},
			"Begin": func() ([]Record, error) { return n.member.Begin(w.cfg) },
			"Accept": func() ([]Record, error) {
				_, records, err := n.judge(id, w.cut(ups[0].Header, 0))
				return records, err
			},
			"Sign": func() ([]Record, error) {
				_, records, err := n.member.Sign(id, &Proposal{Cfg: w.cfg.Digest(), Set: set})
				return records, err
			},
			"Release": func() ([]Record, error) {
				if !released {
					return nil, nil
				}
				_, records, err := n.member.Release(id, cert)
				return records, err
			},
		} {
			if records, err := ask(); err != nil || records != nil {
				t.Errorf("%s again, released %v: %d records, %v", what, released, len(records), err)
			}
		}
	}
}
