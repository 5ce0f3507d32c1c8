package aggregation

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// T3.15: everything that a server may ask of a member and must not get, in one round, with a restart between any two requests.
func TestT3_15_WhatMembersRefuse(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorld(t, testParams(64, 3, 5), 6)
		ups := w.sealUnits()
		w.acceptAll(all(5), ups[:5])
		n := w.nodes[0]
		step := func() {
			if restart {
				n.restart(t)
			}
		}
		set := setOf(t, ups[:4])
		sign := func(set *Set) (SetSignature, error) { step(); return w.sign(0, set) }
		release := func(c *Certificate) (*Answer, error) {
			step()
			if restart {
				w.acceptAll([]int{0}, ups[:5]) // shares live in memory only
			}
			return w.release(0, c)
		}

		_, err := sign(setOf(t, ups[:2]))
		wantRefusal(t, "|U| < NMin", err, RefuseSetSize)
		_, err = sign(setOf(t, ups[:6]))
		wantRefusal(t, "|U| > NMax", err, RefuseSetSize)
		_, err = sign(setOf(t, ups[2:6]))
		wantRefusal(t, "an id that the member never got", err, RefuseUnaccepted)
		entries := set.Entries()
		entries[1].Digest[0]++
		other, _ := NewSet(entries)
		_, err = sign(other)
		wantRefusal(t, "another digest of an accepted id", err, RefuseUnaccepted)
		step()
		_, _, err = n.member.Sign(w.cfg.Round(), &Proposal{Cfg: Digest{1}, Set: set})
		wantRefusal(t, "another cfg", err, RefuseOtherConfig)
		_, _, err = n.member.Sign(RoundID{Task: "demo", Round: 8}, &Proposal{Cfg: w.cfg.Digest(), Set: set})
		wantRefusal(t, "a round that was not begun", err, RefuseNoRound)

		sig, err := sign(set)
		if err != nil {
			t.Fatal(err)
		}
		again, err := sign(set)
		if err != nil || !bytes.Equal(sig.Signature, again.Signature) {
			t.Errorf("the same set again: %v", err)
		}
		_, err = sign(setOf(t, ups[:5]))
		wantRefusal(t, "a second set", err, RefuseOtherSet)
		if v := w.show(0, ups[5].Header, ups[4].Header); v[0].Reason != ReasonClosed || v[1].Reason != Accepted {
			t.Errorf("a new device and a known one after the signature: %v", v)
		}
		step()
		_, _, err = n.member.Abandon(w.cfg.Round())
		wantRefusal(t, "abandon after a signature", err, RefuseSigned)

		sigs := []SetSignature{sig}
		for j := 1; j < 5; j++ {
			s, err := w.sign(j, set)
			if err != nil {
				t.Fatal(err)
			}
			sigs = append(sigs, s)
		}
		w.checkCertificates(set, sigs, release)

		cert, err := Certify(w.cfg, set, sigs)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := release(cert)
		if err != nil {
			t.Fatal(err)
		}
		step()
		for _, quorum := range [][]SetSignature{sigs, sigs[1:], sigs[:4]} { // any certificate for the set gives the same bytes
			c, err := Certify(w.cfg, set, quorum)
			if err != nil {
				t.Fatal(err)
			}
			repeated, err := w.release(0, c)
			if err != nil || !bytes.Equal(repeated.Marshal(), answer.Marshal()) {
				t.Errorf("the same release again: %v", err)
			}
		}
		_, _, err = n.member.Abandon(w.cfg.Round())
		wantRefusal(t, "abandon after the release", err, RefuseSigned)
		for key := range n.store {
			if key[:3] == "key" || key[:3] == "acc" {
				t.Errorf("%s survives the release", key)
			}
		}
		if v := w.show(0, ups[5].Header, ups[0].Header); v[0].Reason != ReasonClosed || v[1].Reason != ReasonClosed {
			t.Errorf("headers after the release: %v", v)
		}
	}
}

// checkCertificates tries every certificate that must not release.
func (w *world) checkCertificates(set *Set, sigs []SetSignature, release func(*Certificate) (*Answer, error)) {
	w.t.Helper()
	cfg := w.cfg.Digest()
	forged := slices.Clone(sigs)
	forged[3].Signature = bytes.Clone(forged[3].Signature)
	forged[3].Signature[5] ^= 1
	stranger := slices.Clone(sigs)
	stranger[4].Member = 6
	smaller := setOf2(set, 3)
	for name, c := range map[string]struct {
		cert *Certificate
		want Refusal
	}{
		"quorum - 1":           {&Certificate{cfg, set, sigs[:3]}, RefuseCertificate},
		"none":                 {&Certificate{cfg, set, nil}, RefuseCertificate},
		"repeated":             {&Certificate{cfg, set, []SetSignature{sigs[0], sigs[1], sigs[2], sigs[2]}}, RefuseCertificate},
		"forged":               {&Certificate{cfg, set, forged[:4]}, RefuseCertificate},
		"forged beside quorum": {&Certificate{cfg, set, forged}, RefuseCertificate},
		"unknown member":       {&Certificate{cfg, set, stranger}, RefuseCertificate},
		"for another set":      {&Certificate{cfg, smaller, sigs}, RefuseOtherSet},
		"for another cfg":      {&Certificate{Digest{1}, set, sigs}, RefuseOtherConfig},
	} {
		_, err := release(c.cert)
		wantRefusal(w.t, "certificate "+name, err, c.want)
	}
	for name, list := range map[string][]SetSignature{"quorum - 1": sigs[:3], "forged": forged[:4], "repeated": {sigs[0], sigs[1], sigs[2], sigs[2]}} {
		_, err := Certify(w.cfg, set, list)
		wantRefusal(w.t, "Certify "+name, err, RefuseCertificate)
	}
	if _, err := Certify(w.cfg, set, forged); err != nil {
		w.t.Errorf("Certify leaves a forged signature out when a quorum remains: %v", err)
	}
}

func setOf2(s *Set, n int) *Set {
	smaller, _ := NewSet(s.Entries()[:n])
	return smaller
}

// T3.15: a member that did not sign may answer a valid certificate, and never signs another set then.
func TestT3_15_ReleaseWithoutSigning(t *testing.T) {
	w := newWorld(t, testParams(64, 2, 10), 4)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups[:3])
	cert := w.certify([]int{1, 2, 3, 4}, set)
	first, err := w.release(0, cert)
	if err != nil {
		t.Fatal(err)
	}
	w.nodes[0].restart(t)
	_, err = w.sign(0, setOf(t, ups))
	wantRefusal(t, "another set after the release", err, RefuseOtherSet)
	_, err = w.sign(0, set)
	if err != nil {
		t.Errorf("the released set itself: %v", err)
	}
	w.nodes[0].restart(t)
	again, err := w.release(0, cert)
	if err != nil || !bytes.Equal(first.Marshal(), again.Marshal()) {
		t.Errorf("the release again: %v", err)
	}
}

// Rule 7: after a restart shares are gone; the member says so, gets the headers again, and answers as if nothing had happened.
func TestRule7_SharesAreRebuiltAfterARestart(t *testing.T) {
	w := newWorld(t, testParams(64, 2, 10), 4)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	cert := w.certify(all(5), set)
	w.nodes[0].restart(t)
	_, err := w.release(0, cert)
	wantRefusal(t, "release without shares", err, RefuseShares)
	if missing := w.nodes[0].member.Missing(w.cfg.Round(), set); len(missing) != 4 {
		t.Errorf("%d shares missing, want 4", len(missing))
	}
	before := len(w.nodes[0].store)
	w.acceptAll([]int{0}, ups)
	if len(w.nodes[0].store) != before {
		t.Error("accepting again what was accepted writes records")
	}
	if missing := w.nodes[0].member.Missing(w.cfg.Round(), set); len(missing) != 0 {
		t.Errorf("%d shares still missing", len(missing))
	}
	sum, _, err := Unmask(w.cfg, set, w.sumOf(ups), w.answers(all(5), cert))
	if err != nil {
		t.Fatal(err)
	}
	checkIndicator(t, sum, indexSet(all(4)))
}

// Rule 4: a member signs a set or abandons, never both; a quorum of abandonments is a certificate that excludes the other one.
func TestRule4_AbandonExcludesASet(t *testing.T) {
	w := newWorld(t, testParams(64, 2, 10), 3)
	ups := w.sealUnits()
	w.acceptAll(all(5), ups)
	set := setOf(t, ups)
	var sigs []AbandonSignature
	for j := range 4 {
		sig, records, err := w.nodes[j].member.Abandon(w.cfg.Round())
		if err != nil {
			t.Fatal(err)
		}
		w.nodes[j].write(records)
		if len(w.nodes[j].store) != 1 {
			t.Errorf("an abandoned round keeps %d records", len(w.nodes[j].store))
		}
		w.nodes[j].restart(t)
		again, records, err := w.nodes[j].member.Abandon(w.cfg.Round())
		if err != nil || records != nil || !bytes.Equal(sig.Signature, again.Signature) {
			t.Errorf("abandon again: %v", err)
		}
		sigs = append(sigs, sig)
		_, err = w.sign(j, set)
		wantRefusal(t, "sign after abandon", err, RefuseAbandoned)
		_, err = w.release(j, &Certificate{Cfg: w.cfg.Digest(), Set: set})
		wantRefusal(t, "release after abandon", err, RefuseAbandoned)
		_, _, err = w.nodes[j].judge(w.cfg.Round())
		wantRefusal(t, "accept after abandon", err, RefuseAbandoned)
		_, err = w.nodes[j].member.Begin(w.cfg)
		wantRefusal(t, "begin after abandon", err, RefuseAbandoned)
		_, _, err = w.nodes[j].member.OpenRound(w.random, w.cfg.Round(), w.cfg.Plan(), w.suite)
		wantRefusal(t, "open after abandon", err, RefuseAbandoned)
	}
	if _, err := CertifyAbandon(w.cfg, sigs[:3]); !errors.Is(err, RefuseCertificate) {
		t.Errorf("quorum - 1: %v", err)
	}
	if _, err := CertifyAbandon(w.cfg, []AbandonSignature{sigs[0], sigs[0], sigs[1], sigs[2]}); !errors.Is(err, RefuseCertificate) {
		t.Errorf("repeated: %v", err)
	}
	cert, err := CertifyAbandon(w.cfg, sigs)
	if err != nil {
		t.Fatal(err)
	}
	nextRound := w.literal
	nextRound.Round.Round++
	nextRound.Roster = w.foreignRoster(nextRound.Round, nextRound.Plan)
	if err := cert.Verify(w.config(nextRound)); !errors.Is(err, RefuseCertificate) {
		t.Errorf("the certificate of another round: %v", err)
	}
	sig, err := w.sign(4, set)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Certify(w.cfg, set, []SetSignature{sig}); !errors.Is(err, RefuseCertificate) {
		t.Errorf("a set certificate beside an abandon certificate: %v", err)
	}
}

// T3.16: two configurations of one round reach no quorum each.
func TestT3_16_SplitView(t *testing.T) {
	w := newWorld(t, testParams(64, 2, 10), 4)
	other := w.literal
	other.Bases = []Digest{{77}}
	otherCfg := w.config(other) // same plan, same round keys, another model
	for j, n := range w.nodes {
		_, err := n.member.Begin(otherCfg)
		wantRefusal(t, "a second configuration", err, RefuseOtherConfig)
		n.restart(t)
		_, err = n.member.Begin(otherCfg)
		wantRefusal(t, "a second configuration after a restart", err, RefuseOtherConfig)
		if records, err := n.member.Begin(w.cfg); err != nil || records != nil {
			t.Errorf("member %d: the same configuration again: %v", j+1, err)
		}
		_, _, err = n.member.OpenRound(w.random, w.cfg.Round(), Digest{55}, w.suite)
		wantRefusal(t, "a second plan", err, RefusePlan)
	}
	up, err := w.devices[0].Seal(w.random, otherCfg, Digest{77}, w.unit(0), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if v := w.show(0, up.Header); v[0].Reason != ReasonConfig {
		t.Errorf("an upload of the other view: %v", v[0].Reason)
	}
	up.Header.Cfg = w.cfg.Digest()
	resign(up.Header, w.devices[0].Key)
	if v := w.show(0, up.Header); v[0].Reason != ReasonBase {
		t.Errorf("the same relabelled: %v", v[0].Reason)
	}
	up.Header.Base = Digest{2}
	resign(up.Header, w.devices[0].Key)
	if v := w.show(0, up.Header); v[0].Reason != ReasonEnvelope {
		t.Errorf("the same relabelled, with a listed base: %v", v[0].Reason)
	}
}

// Binding rule 6 and the pins: what a member asks of a configuration before it begins.
func TestRule6_WhatMembersAskOfAConfiguration(t *testing.T) {
	w := newWorld(t, testParams(64, 5, 10), 1)
	stranger := newKey(w.random)
	fresh := func() *Member {
		setup := w.nodes[0].setup
		setup.Floor = 5
		m, err := NewMember(setup)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	strangers := func() (list []*node) { // members 2 to 5 without history
		for _, n := range w.nodes[1:] {
			m, err := NewMember(n.setup)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, &node{setup: n.setup, member: m, store: map[string][]byte{}})
		}
		return list
	}
	for name, c := range map[string]struct {
		change func(*ConfigLiteral)
		want   Refusal
	}{
		"another plan":     {func(l *ConfigLiteral) { l.Plan = Digest{42}; l.Roster = w.foreignRoster(l.Round, l.Plan) }, RefusePlan},
		"another enroller": {func(l *ConfigLiteral) { l.Enroller = publicOf(stranger) }, RefusePins},
		"roster swapped": {func(l *ConfigLiteral) {
			m := &l.Roster[3]
			m.Identity = publicOf(stranger)
			m.Key.Signature = signDigest(stranger, labelRoundKey, roundKeyDigest(l.Round, l.Plan, m.Index, m.Key))
		}, RefusePins},
		"a round key not signed": {func(l *ConfigLiteral) { l.Roster[2].Key.Signature[0] ^= 1 }, RefusePins},
		"a round key of another round": {func(l *ConfigLiteral) {
			l.Roster[2] = w.foreignRoster(RoundID{Task: "demo", Round: 6}, l.Plan)[2]
		}, RefusePins},
		"not its own round key": {func(l *ConfigLiteral) { l.Roster = w.foreignRoster(l.Round, l.Plan) }, RefuseOwnKey},
		"below its floor":       {func(l *ConfigLiteral) { l.Params.NMin = 4 }, RefuseFloor},
		"another round":         {func(l *ConfigLiteral) { l.Round.Round = 8; l.Roster = w.foreignRoster(l.Round, l.Plan) }, RefuseNoRound},
		"another population's signature": {func(l *ConfigLiteral) {
			l.Population = w.enrolled.Sign(w.enroller, "other")
		}, RefusePins},
		"another list of keys than the one shown": {func(l *ConfigLiteral) { l.Roster[2] = w.foreignRoster(l.Round, l.Plan)[2] }, RefuseOtherKeys},
	} {
		n := &node{setup: w.nodes[0].setup, member: fresh(), store: map[string][]byte{}}
		l := cloneLiteral(w.literal)
		l.Roster = w.openRound(append([]*node{n}, strangers()...), l.Round, l.Plan)
		m := n.member
		c.change(&l)
		records, err := m.Begin(w.config(l))
		wantRefusal(t, name, err, c.want)
		if records != nil {
			t.Errorf("%s: records", name)
		}
	}
	setup := w.nodes[0].setup
	for name, change := range map[string]func(*MemberSetup){
		"floor 1":            func(s *MemberSetup) { s.Floor = 1 },
		"index 0":            func(s *MemberSetup) { s.Index = 0 },
		"index beyond":       func(s *MemberSetup) { s.Index = 6 },
		"other's index":      func(s *MemberSetup) { s.Index = 2 },
		"no enroller pinned": func(s *MemberSetup) { s.Pins.Enroller = nil },
		"no identity":        func(s *MemberSetup) { s.Identity = nil },
	} {
		s := setup
		s.Pins.Roster = slices.Clone(setup.Pins.Roster)
		change(&s)
		if _, err := NewMember(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
