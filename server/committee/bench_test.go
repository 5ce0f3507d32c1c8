package committee

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"path/filepath"
	"testing"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/api"
)

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
