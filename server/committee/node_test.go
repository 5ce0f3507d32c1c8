package committee

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
		{"another task", func(p *plan.Plan) { p.Task = "else" }, aggregation.RefusePlan},
		{"another enroller", func(p *plan.Plan) { p.Enroller = stranger }, aggregation.RefusePins},
		{"below the node's floor", func(p *plan.Plan) { p.Mechanism = noisy(2) }, aggregation.RefuseFloor},
		{"four of five members", func(p *plan.Plan) { p.Committee = b.roster[:4] }, 0},
		{"three members", func(p *plan.Plan) { p.Committee = b.roster[:3] }, aggregation.RefusePins},
		{"without this node", func(p *plan.Plan) { p.Committee = b.roster[1:] }, aggregation.RefusePins},
		{"a stranger", func(p *plan.Plan) { p.Committee = append([]ed25519.PublicKey{stranger}, b.roster...) }, aggregation.RefusePins},
		{"one member twice", func(p *plan.Plan) { p.Committee = append([]ed25519.PublicKey{b.roster[1]}, b.roster...) }, aggregation.RefusePins},
		{"a population that the enroller did not sign", func(p *plan.Plan) { p.Population = b.people.Sign(newKey(t), "test") }, aggregation.RefusePins},
		{"a population of another task", func(p *plan.Plan) { p.Population = b.people.Sign(b.enroller, "else") }, aggregation.RefusePins},
		{"more devices than the enroller signed for", func(p *plan.Plan) { p.Population.Size++ }, aggregation.RefusePins},
		{"the older suite", func(p *plan.Plan) { p.Suite = aggregation.SuiteX25519 }, 0},
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
		"a lower minimum":  func(l *aggregation.ConfigLiteral) { l.Params.NMin = 2 },
		"a larger bound":   func(l *aggregation.ConfigLiteral) { l.Params.Bound++ },
		"another base":     func(l *aggregation.ConfigLiteral) { l.Bases = []aggregation.Digest{{9}} },
		"a second base":    func(l *aggregation.ConfigLiteral) { l.Bases = append(l.Bases, aggregation.Digest{9}) },
		"another enroller": func(l *aggregation.ConfigLiteral) { l.Enroller = public(newKey(t)) },
		"another population": func(l *aggregation.ConfigLiteral) {
			more, err := aggregation.NewEnrolled([]aggregation.DeviceID{{1}, {2}, {3}, {4}})
			b.must(err)
			l.Population = more.Sign(b.enroller, "test")
		},
		"another threshold":    func(l *aggregation.ConfigLiteral) { l.Threshold-- },
		"another plan":         func(l *aggregation.ConfigLiteral) { l.Plan[0] ^= 1 },
		"another round's name": func(l *aggregation.ConfigLiteral) { l.Round.Round = 2 },
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
	r, err := b.service().OpenRound(context.Background(), b.request(s))
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
	if _, err := client.OpenRound(context.Background(), forged, ledger.Logged{}); !errors.As(err, &refused) || !errors.Is(err, aggregation.RefusePlan) {
		t.Errorf("a refusal over the wire: %v", err)
	}
}

// TestOlderFormatIsRefused: promises that an older program wrote are left alone, with a sentence that says what to do.
func TestOlderFormatIsRefused(t *testing.T) {
	b := newBench(t)
	b.openRound(b.sign(b.plan(1)))
	b.must(b.node.db.Update(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`DROP TABLE meta`)
		return err
	}))
	b.must(b.node.Close())
	n, err := Open(b.cfg)
	if err == nil {
		n.Close()
		t.Fatal("a directory of format 1 was opened")
	}
	if !strings.Contains(err.Error(), "format 1") {
		t.Errorf("the refusal says %q", err)
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{1, 0, 2, 7, 7}, make([]byte, 32+64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey(b)
		if err == nil && !bytes.Equal(marshalKey(k), b) {
			t.Errorf("%x reads as %x", b, marshalKey(k))
		}
	})
}
