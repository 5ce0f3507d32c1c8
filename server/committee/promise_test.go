package committee

import (
	"bytes"
	"context"
	"crypto/rand"
	"reflect"
	"testing"

	"tutti/aggregation"
	"tutti/server/api"
)

// through plays one round with the node, restarting it after every step, and asks every question twice.
func (b *bench) through(cfg *aggregation.Config, abandon bool) {
	t, ctx, id := b.t, context.Background(), cfg.Round()
	var entries []aggregation.Entry
	var headers [][]byte
	for i := range b.devices {
		x := make([]int32, cfg.Params().Dim())
		x[i] = 1
		up, err := b.devices[i].Seal(rand.Reader, cfg, aggregation.Digest{}, x, cfg.Params().Bound())
		b.must(err)
		entries = append(entries, up.Header.Entry())
		path, _ := b.people.Path(up.Header.ID)
		h, err := up.Header.ForMember(1, path)
		b.must(err)
		raw, err := h.Marshal()
		b.must(err)
		headers = append(headers, raw)
		for j, m := range b.rest {
			h, err := up.Header.ForMember(uint16(j+2), path)
			b.must(err)
			judge, err := m.Judge(id)
			b.must(err)
			_, _, err = m.Accept(id, judge.Open([]*aggregation.MemberHeader{h}))
			b.must(err)
		}
	}
	var words [][]byte
	show := func() {
		r, err := b.service().SubmitShares(ctx, &api.SubmitSharesRequest{Task: id.Task, Round: id.Round, Headers: headers})
		b.must(err)
		for _, v := range r.GetVerdicts() {
			if v != 0 || r.GetRefusal() != 0 || len(r.GetVerdicts()) != len(headers) {
				t.Fatalf("verdicts %v, refusal %d", r.GetVerdicts(), r.GetRefusal())
			}
		}
		if words == nil {
			words = r.GetChecks()
		}
		if !reflect.DeepEqual(words, r.GetChecks()) || len(words) != len(headers) || len(words[0]) != 8*cfg.Params().CheckWords() {
			t.Fatalf("check words %x, before %x", r.GetChecks(), words)
		}
	}
	show()
	b.restart()
	show()
	if abandon {
		b.abandoned(cfg, entries)
		return
	}
	set, err := aggregation.NewSet(entries)
	b.must(err)
	sign := func(s *aggregation.Set) *api.SignSetResponse {
		r, err := b.service().SignSet(ctx, &api.SignSetRequest{Task: id.Task, Round: id.Round, Set: (&aggregation.Proposal{Cfg: cfg.Digest(), Set: s}).Marshal()})
		b.must(err)
		return r
	}
	tiny, err := aggregation.NewSet(entries[:2])
	b.must(err)
	if r := sign(tiny); aggregation.Refusal(r.GetRefusal()) != aggregation.RefuseSetSize {
		t.Errorf("a set below the minimum: %v", r)
	}
	signature := sign(set).GetSignature()
	b.restart()
	if again := sign(set).GetSignature(); !bytes.Equal(again, signature) || len(again) == 0 {
		t.Error("the signature changed over a restart")
	}
	changed := append([]aggregation.Entry{}, entries...)
	changed[0].Digest[0] ^= 1
	other, err := aggregation.NewSet(changed)
	b.must(err)
	if r := sign(other); aggregation.Refusal(r.GetRefusal()) != aggregation.RefuseOtherSet {
		t.Errorf("a second set: %v", r)
	}
	if r, err := b.service().SignAbandon(ctx, &api.SignAbandonRequest{Task: id.Task, Round: id.Round}); err != nil || aggregation.Refusal(r.GetRefusal()) != aggregation.RefuseSigned {
		t.Errorf("abandoning after the signature: %v %v", r, err)
	}
	b.released(cfg, set, signature, show)
}

func (b *bench) released(cfg *aggregation.Config, set *aggregation.Set, own []byte, show func()) {
	t, ctx, id := b.t, context.Background(), cfg.Round()
	signatures := []aggregation.SetSignature{{Member: 1, SetDigest: set.Digest(cfg.Digest()), Signature: own}}
	for _, m := range b.rest {
		s, _, err := m.Sign(id, &aggregation.Proposal{Cfg: cfg.Digest(), Set: set})
		b.must(err)
		signatures = append(signatures, s)
	}
	cert, err := aggregation.Certify(cfg, set, signatures)
	b.must(err)
	short := &aggregation.Certificate{Cfg: cert.Cfg, Set: set, Signatures: cert.Signatures[:3]}
	release := func(c *aggregation.Certificate) *api.ReleaseResponse {
		r, err := b.service().Release(ctx, &api.ReleaseRequest{Task: id.Task, Round: id.Round, Certificate: c.Marshal()})
		b.must(err)
		return r
	}
	if r := release(short); aggregation.Refusal(r.GetRefusal()) != aggregation.RefuseCertificate {
		t.Errorf("a certificate below the quorum: %v", r)
	}
	if r := release(cert); aggregation.Refusal(r.GetRefusal()) != aggregation.RefuseShares {
		t.Errorf("after a restart the node has no shares: %v", r)
	}
	show()
	answer := release(cert).GetAnswer()
	b.restart()
	if again := release(cert).GetAnswer(); !bytes.Equal(again, answer) || len(again) == 0 {
		t.Error("the answer changed over a restart")
	}
	parsed, err := aggregation.ParseAnswer(answer)
	if err != nil || !parsed.Verify(cfg, set.Digest(cfg.Digest())) {
		t.Errorf("the answer does not hold: %v", err)
	}
}

func (b *bench) abandoned(cfg *aggregation.Config, entries []aggregation.Entry) {
	t, ctx, id := b.t, context.Background(), cfg.Round()
	var first []byte
	for range 2 {
		r, err := b.service().SignAbandon(ctx, &api.SignAbandonRequest{Task: id.Task, Round: id.Round})
		b.must(err)
		if first == nil {
			first = r.GetSignature()
		}
		if !bytes.Equal(first, r.GetSignature()) || len(first) == 0 {
			t.Error("the abandonment changed over a restart")
		}
		b.restart()
	}
	set, err := aggregation.NewSet(entries)
	b.must(err)
	r, err := b.service().SignSet(ctx, &api.SignSetRequest{Task: id.Task, Round: id.Round, Set: (&aggregation.Proposal{Cfg: cfg.Digest(), Set: set}).Marshal()})
	if err != nil || aggregation.Refusal(r.GetRefusal()) != aggregation.RefuseAbandoned {
		t.Errorf("signing after the abandonment: %v %v", r, err)
	}
}

func TestPromisesSurviveRestarts(t *testing.T) {
	for name, abandon := range map[string]bool{"release": false, "abandon": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			p := b.plan(1)
			cfg := b.config(b.literal(p, b.sign(p)))
			b.restart()
			if r := b.reveal(cfg.Round(), keysOf(cfg)); [32]byte(r.GetCoin()) != cfg.Coins()[0] {
				t.Errorf("the coin changed over a restart: %v", r)
			}
			for _, m := range b.rest {
				_, err := m.Begin(cfg)
				b.must(err)
			}
			if got := b.begin(cfg); got != 0 {
				t.Fatal(got)
			}
			b.restart()
			if got := b.begin(cfg); got != 0 {
				t.Fatal(got)
			}
			b.through(cfg, abandon)
		})
	}
}

func keysOf(cfg *aggregation.Config) []aggregation.RoundKey {
	roster := cfg.Literal().Roster
	keys := make([]aggregation.RoundKey, len(roster))
	for i, m := range roster {
		keys[i] = m.Key
	}
	return keys
}

// TestOneListOfKeys: whoever was shown one list of keys shows its coin for no other, also after a restart, and takes no
// configuration with another list or before it has shown its coin: neither server nor corrupt member chooses the beacon.
func TestOneListOfKeys(t *testing.T) {
	b := newBench(t)
	p := b.plan(1)
	l := b.literal(p, b.sign(p))
	cfg := b.config(l)
	twin, err := aggregation.NewMember(aggregation.MemberSetup{Identity: b.others[3], Index: 5, Floor: 2,
		Pins: aggregation.Pins{Enroller: public(b.enroller), Roster: b.roster}})
	b.must(err)
	key, _, err := twin.OpenRound(rand.Reader, cfg.Round(), l.Plan, p.Suite)
	b.must(err)
	other := keysOf(cfg)
	other[4] = key
	b.restart()
	if r := b.reveal(cfg.Round(), other); aggregation.Refusal(r.GetRefusal()) != aggregation.RefuseOtherKeys || len(r.GetCoin()) > 0 {
		t.Errorf("a second list of keys: %v", r)
	}
	coin, _, err := twin.Reveal(cfg.Round(), other)
	b.must(err)
	second := cfg.Literal()
	second.Roster[4].Key, second.Roster[4].Coin = key, coin
	if got := b.begin(b.config(second)); got != aggregation.RefuseOtherKeys {
		t.Errorf("a configuration with another list: %v", got)
	}
	if got := b.begin(cfg); got != 0 {
		t.Errorf("the configuration of the list: %v", got)
	}

	p = b.plan(2)
	s := b.sign(p)
	own, err := ParseKey(b.openRound(s).GetRoundKey())
	b.must(err)
	id := aggregation.RoundID{Task: p.Task, Round: p.Round}
	keys := []aggregation.RoundKey{own}
	for _, m := range b.rest {
		k, _, err := m.OpenRound(rand.Reader, id, s.Digest(), p.Suite)
		b.must(err)
		keys = append(keys, k)
	}
	forged := append([]aggregation.RoundKey{}, keys...)
	forged[2].Commit[0] ^= 1
	for name, list := range map[string][]aggregation.RoundKey{"a forged commitment": forged, "a missing member": keys[:4], "no keys": nil} {
		if r := b.reveal(id, list); aggregation.Refusal(r.GetRefusal()) != aggregation.RefusePins {
			t.Errorf("%s: %v", name, r)
		}
	}
	if r := b.reveal(id, keys); r.GetRefusal() != 0 {
		t.Errorf("the first whole list: %v", r)
	}
	if r := b.reveal(aggregation.RoundID{Task: p.Task, Round: 9}, keys); aggregation.Refusal(r.GetRefusal()) != aggregation.RefuseNoRound {
		t.Errorf("a round that was not opened: %v", r)
	}
}
