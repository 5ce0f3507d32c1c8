package committee

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/api"
	"tutti/server/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is one node under test, on a committee whose other members are bare machines.
type bench struct {
	t                  *testing.T
	operator, enroller ed25519.PrivateKey
	cfg                Config
	node               *Node
	rest               []*aggregation.Member // members 2 to 5
	roster             []ed25519.PublicKey
	devices            []aggregation.Client
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, operator: newKey(t), enroller: newKey(t)}
	dir := filepath.Join(t.TempDir(), "node")
	own, err := Key(dir)
	b.must(err)
	b.roster = append(b.roster, public(own))
	others := make([]ed25519.PrivateKey, 4)
	for i := range others {
		others[i] = newKey(t)
		b.roster = append(b.roster, public(others[i]))
	}
	pins := aggregation.Pins{Enroller: public(b.enroller), Roster: b.roster}
	for i, key := range others {
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: key, Index: uint16(i + 2), Pins: pins, Floor: 2})
		b.must(err)
		b.rest = append(b.rest, m)
	}
	for range 3 {
		key := newKey(t)
		b.devices = append(b.devices, aggregation.Client{Key: key, Enrolment: aggregation.Enrol(b.enroller, "test", public(key)), Pins: pins})
	}
	b.cfg = Config{Dir: dir, Operator: public(b.operator), Enroller: public(b.enroller), Roster: b.roster, Floor: 3, AllowNoiseOff: true}
	b.open()
	t.Cleanup(func() { b.node.Close() })
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	b.node, err = Open(b.cfg)
	b.must(err)
}

// restart loses the node's memory.
func (b *bench) restart() {
	b.t.Helper()
	b.must(b.node.Close())
	b.open()
}

func (b *bench) service() service { return service{n: b.node} }

func (b *bench) plan(round uint64) plan.Plan {
	b.t.Helper()
	m, err := mechanism.Design(mechanism.Literal{Dim: 16, Clip: 1, NMin: 3, NMax: 4})
	b.must(err)
	return plan.Plan{Task: "test", Round: round, Kind: plan.Popularity, Items: sha256.Sum256([]byte("items")), Mechanism: m, Goal: 3,
		Committee: b.roster, Corrupt: 1, Packing: 2, Enroller: public(b.enroller), Delta: "1e-06", Checkpoint: []byte("note"), Deadline: 2e9}
}

func (b *bench) sign(p plan.Plan) plan.Signed {
	b.t.Helper()
	s, err := plan.Sign(b.operator, p)
	b.must(err)
	return s
}

func (b *bench) openRound(s plan.Signed) *api.OpenRoundResponse {
	b.t.Helper()
	r, err := b.service().OpenRound(context.Background(), &api.OpenRoundRequest{Plan: s.Bytes, PlanSignature: s.Signature})
	b.must(err)
	return r
}

// literal is the configuration of a round that all members have opened.
func (b *bench) literal(p plan.Plan, s plan.Signed) aggregation.ConfigLiteral {
	b.t.Helper()
	params, err := plan.Aggregation(p)
	b.must(err)
	l := aggregation.ConfigLiteral{Round: aggregation.RoundID{Task: p.Task, Round: p.Round}, Plan: s.Digest(), Bases: []aggregation.Digest{p.Base},
		Params: params.Literal(), Enroller: p.Enroller}
	own, err := ParseKey(b.openRound(s).GetRoundKey())
	b.must(err)
	l.Roster = append(l.Roster, aggregation.MemberKey{Index: 1, Identity: b.roster[0], Key: own})
	for i, m := range b.rest {
		key, _, err := m.OpenRound(rand.Reader, l.Round, l.Plan)
		b.must(err)
		l.Roster = append(l.Roster, aggregation.MemberKey{Index: uint16(i + 2), Identity: b.roster[i+1], Key: key})
	}
	return l
}

func (b *bench) config(l aggregation.ConfigLiteral) *aggregation.Config {
	b.t.Helper()
	cfg, err := aggregation.NewConfig(l)
	b.must(err)
	return cfg
}

func (b *bench) begin(cfg *aggregation.Config) aggregation.Refusal {
	b.t.Helper()
	r, err := b.service().BeginRound(context.Background(), &api.BeginRoundRequest{Task: cfg.Round().Task, Round: cfg.Round().Round, Config: cfg.Marshal()})
	b.must(err)
	return aggregation.Refusal(r.GetRefusal())
}

func TestPolicyOnPlans(t *testing.T) {
	b := newBench(t)
	b.cfg.AllowNoiseOff, b.cfg.Tasks = false, []string{"test"}
	b.restart()
	noisy := func(floor int) mechanism.Params {
		m, err := mechanism.Design(mechanism.Literal{Dim: 16, Clip: 1, NMin: floor, NMax: 8, Z: 1, Noise: true})
		b.must(err)
		return m
	}
	stranger := public(newKey(t))
	cases := []struct {
		name   string
		change func(*plan.Plan)
		want   aggregation.Refusal
	}{
		{"a good plan", func(*plan.Plan) {}, 0},
		{"noise off", func(p *plan.Plan) { p.Mechanism = b.plan(1).Mechanism }, aggregation.RefusePlan},
		{"noise weaker than it says", func(p *plan.Plan) { p.Mechanism.Sigma2.Num /= 2 }, aggregation.RefusePlan},
		{"no masks", func(p *plan.Plan) { p.Unmasked = true }, aggregation.RefusePlan},
		{"another task", func(p *plan.Plan) { p.Task = "else" }, aggregation.RefusePlan},
		{"another enroller", func(p *plan.Plan) { p.Enroller = stranger }, aggregation.RefusePins},
		{"below the node's floor", func(p *plan.Plan) { p.Mechanism = noisy(2) }, aggregation.RefuseFloor},
		{"four of five members", func(p *plan.Plan) { p.Committee = b.roster[:4] }, 0},
		{"three members", func(p *plan.Plan) { p.Committee = b.roster[:3] }, aggregation.RefusePins},
		{"without this node", func(p *plan.Plan) { p.Committee = b.roster[1:] }, aggregation.RefusePins},
		{"a stranger", func(p *plan.Plan) { p.Committee = append([]ed25519.PublicKey{stranger}, b.roster...) }, aggregation.RefusePins},
		{"one member twice", func(p *plan.Plan) { p.Committee = append([]ed25519.PublicKey{b.roster[1]}, b.roster...) }, aggregation.RefusePins},
		{"nobody is corrupt", func(p *plan.Plan) { p.Corrupt = 0 }, aggregation.RefusePins},
	}
	for i, c := range cases {
		p := b.plan(uint64(i + 1))
		p.Mechanism = noisy(3)
		c.change(&p)
		r := b.openRound(b.sign(p))
		if got := aggregation.Refusal(r.GetRefusal()); got != c.want || (got == 0) != (len(r.GetRoundKey()) > 0) {
			t.Errorf("%s: %v (%s), want %v", c.name, got, r.GetDetail(), c.want)
		}
	}
	forged := b.sign(b.plan(100))
	forged.Signature[3] ^= 1
	if r := b.openRound(forged); aggregation.Refusal(r.GetRefusal()) != aggregation.RefusePlan {
		t.Errorf("a plan that the operator did not sign: %v", r)
	}
}

// TestOnePlanPerRound: whatever committee the second plan names, and whether the node was restarted.
func TestOnePlanPerRound(t *testing.T) {
	b := newBench(t)
	first := b.sign(b.plan(1))
	key := b.openRound(first).GetRoundKey()
	other := b.plan(1)
	other.Goal = 4
	smaller := b.plan(1)
	smaller.Committee = b.roster[:4]
	for range 2 {
		if again := b.openRound(first).GetRoundKey(); !bytes.Equal(again, key) || len(key) == 0 {
			t.Error("the same plan again gives another key")
		}
		for name, p := range map[string]plan.Plan{"other numbers": other, "another committee": smaller} {
			if r := b.openRound(b.sign(p)); aggregation.Refusal(r.GetRefusal()) != aggregation.RefusePlan {
				t.Errorf("%s: %v", name, r)
			}
		}
		b.restart()
	}
}

func TestConfigurationMustBeThePlans(t *testing.T) {
	b := newBench(t)
	p := b.plan(1)
	l := b.literal(p, b.sign(p))
	cases := map[string]func(*aggregation.ConfigLiteral){
		"a lower minimum":      func(l *aggregation.ConfigLiteral) { l.Params.NMin = 2 },
		"a larger bound":       func(l *aggregation.ConfigLiteral) { l.Params.Bound++ },
		"another base":         func(l *aggregation.ConfigLiteral) { l.Bases = []aggregation.Digest{{9}} },
		"a second base":        func(l *aggregation.ConfigLiteral) { l.Bases = append(l.Bases, aggregation.Digest{9}) },
		"another enroller":     func(l *aggregation.ConfigLiteral) { l.Enroller = public(newKey(t)) },
		"another plan":         func(l *aggregation.ConfigLiteral) { l.Plan[0] ^= 1 },
		"another shard's name": func(l *aggregation.ConfigLiteral) { l.Round.Shard = 1 },
	}
	for name, change := range cases {
		wrong := b.config(l).Literal()
		change(&wrong)
		if got := b.begin(b.config(wrong)); got == 0 {
			t.Errorf("%s: accepted", name)
		}
	}
	if got := b.begin(b.config(l)); got != 0 {
		t.Errorf("the plan's own configuration: %v", got)
	}
}

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
		h, err := up.Header.ForMember(1)
		b.must(err)
		raw, err := h.Marshal()
		b.must(err)
		headers = append(headers, raw)
		for j, m := range b.rest {
			h, err := up.Header.ForMember(uint16(j + 2))
			b.must(err)
			_, _, err = m.Accept(id, []*aggregation.MemberHeader{h})
			b.must(err)
		}
	}
	show := func() {
		r, err := b.service().SubmitShares(ctx, &api.SubmitSharesRequest{Task: id.Task, Round: id.Round, Headers: headers})
		b.must(err)
		for _, v := range r.GetVerdicts() {
			if v != 0 || r.GetRefusal() != 0 || len(r.GetVerdicts()) != len(headers) {
				t.Fatalf("verdicts %v, refusal %d", r.GetVerdicts(), r.GetRefusal())
			}
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

// TestForgetsFarRounds: what a node keeps does not grow without bound, and what it forgot it refuses.
func TestForgetsFarRounds(t *testing.T) {
	b := newBench(t)
	first := b.sign(b.plan(1))
	b.openRound(first)
	count := func(table string) (n int) {
		_, err := b.node.db.Row(context.Background(), `SELECT count(*) FROM `+table, nil, &n)
		b.must(err)
		return n
	}
	for r := uint64(2); r <= keep+5; r++ {
		b.openRound(b.sign(b.plan(r)))
	}
	if rounds, records := count("rounds"), count("records"); rounds > keep+1 || records > keep+2 {
		t.Errorf("%d rounds and %d records are kept", rounds, records)
	}
	b.restart()
	if r := b.openRound(first); aggregation.Refusal(r.GetRefusal()) != aggregation.RefusePast {
		t.Errorf("a forgotten round: %v", r)
	}
}

// TestNothingUnstoredIsSaid: when the database fails, the request fails, and nothing that was not stored is answered.
func TestNothingUnstoredIsSaid(t *testing.T) {
	b := newBench(t)
	b.must(b.node.db.Close())
	s := b.sign(b.plan(1))
	r, err := b.service().OpenRound(context.Background(), &api.OpenRoundRequest{Plan: s.Bytes, PlanSignature: s.Signature})
	if err == nil {
		t.Errorf("a key that was not stored was given: %v", r)
	}
}

func TestSetUpIsChecked(t *testing.T) {
	b := newBench(t)
	cases := map[string]func(*Config){
		"one key in two roles": func(c *Config) { c.Enroller = c.Operator },
		"no operator":          func(c *Config) { c.Operator = nil },
		"not in the roster":    func(c *Config) { c.Roster = c.Roster[1:] },
		"a floor of one":       func(c *Config) { c.Floor = 1 },
	}
	for name, change := range cases {
		cfg := b.cfg
		cfg.Dir = t.TempDir()
		own, err := Key(cfg.Dir)
		b.must(err)
		cfg.Roster = append([]ed25519.PublicKey{public(own)}, b.roster[1:]...)
		change(&cfg)
		if n, err := Open(cfg); err == nil {
			n.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewServer(b.node, nil); err == nil {
		t.Error("a node serves without TLS")
	}
}

// TestOverTheWire: the client's checks of identity and authority.
func TestOverTheWire(t *testing.T) {
	b := newBench(t)
	files, err := keys.DevCerts(t.TempDir(), time.Now())
	b.must(err)
	settings, err := keys.MutualTLS(files)
	b.must(err)
	s, err := NewServer(b.node, settings)
	b.must(err)
	l, done := serve(t, s)
	defer func() { s.Stop(); <-done }()
	own, err := keys.ClientTLS(files)
	b.must(err)
	anonymous, err := keys.ClientTLS(keys.Files{CA: files.CA})
	b.must(err)
	for _, c := range []struct {
		name string
		peer Peer
		want error
		good bool
	}{
		{"the pinned node", Peer{Address: l, Identity: b.roster[0], TLS: own}, nil, true},
		{"another node", Peer{Address: l, Identity: b.roster[1], TLS: own}, ErrIdentity, false},
		{"without a certificate", Peer{Address: l, Identity: b.roster[0], TLS: anonymous}, nil, false},
	} {
		client, err := Dial(c.peer)
		b.must(err)
		_, err = client.Identity(context.Background())
		if (err == nil) != c.good || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		client.Close()
	}
	client, err := Dial(Peer{Address: l, Identity: b.roster[0], TLS: own})
	b.must(err)
	defer client.Close()
	forged := b.sign(b.plan(1))
	forged.Signature[0] ^= 1
	var refused *Refused
	if _, err := client.OpenRound(context.Background(), forged); !errors.As(err, &refused) || !errors.Is(err, aggregation.RefusePlan) {
		t.Errorf("a refusal over the wire: %v", err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{1, 0, 2, 7, 7}, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey(b)
		if err == nil && !bytes.Equal(marshalKey(k), b) {
			t.Errorf("%x reads as %x", b, marshalKey(k))
		}
	})
}
