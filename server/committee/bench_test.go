package committee

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"path/filepath"
	"testing"

	"tutti/aggregation"
	"tutti/privacy/ledger"
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
	others             []ed25519.PrivateKey  // their identities
	roster             []ed25519.PublicKey
	devices            []aggregation.Client
	people             *aggregation.Enrolled
	hashes             ledger.Memory // of the operator's log
	records            uint64
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
	b.others = make([]ed25519.PrivateKey, 4)
	for i := range b.others {
		b.others[i] = newKey(t)
		b.roster = append(b.roster, public(b.others[i]))
	}
	pins := aggregation.Pins{Enroller: public(b.enroller), Roster: b.roster}
	for i, key := range b.others {
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: key, Index: uint16(i + 2), Pins: pins, Floor: 2})
		b.must(err)
		b.rest = append(b.rest, m)
	}
	var ids []aggregation.DeviceID
	for range 3 {
		key := newKey(t)
		b.devices = append(b.devices, aggregation.Client{Key: key, Pins: pins})
		ids = append(ids, aggregation.IDOf(public(key)))
	}
	b.people, err = aggregation.NewEnrolled(ids)
	b.must(err)
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
		Committee: b.roster, Corrupt: 1, Packing: 2,
		Population: b.people.Sign(b.enroller, "test"), Threshold: aggregation.EveryDevice, Groups: 1, Participations: plan.AnyParticipations, Separation: 1, Suite: aggregation.SuiteMLKEM768X25519, Enroller: public(b.enroller), Delta: "1e-06", Checkpoint: b.note(), Deadline: 2e9}
}

func (b *bench) sign(p plan.Plan) plan.Signed {
	b.t.Helper()
	s, err := plan.Sign(b.operator, p)
	b.must(err)
	return s
}

func (b *bench) openRound(s plan.Signed) *api.OpenRoundResponse {
	b.t.Helper()
	r, err := b.service().OpenRound(context.Background(), b.request(s))
	b.must(err)
	return r
}

// request shows a plan, which it logs.
func (b *bench) request(s plan.Signed) *api.OpenRoundRequest {
	b.t.Helper()
	return &api.OpenRoundRequest{Plan: s.Bytes, PlanSignature: s.Signature, Logged: loggedTo(b.logged(s))}
}

// note is the state of the bench's log, which has a tree and no rules.
func (b *bench) note() []byte {
	if b.records == 0 {
		b.write(ledger.Record{Body: &ledger.Note{Task: "test", Topic: "start"}})
	}
	root, err := ledger.Root(b.records, b.hashes)
	b.must(err)
	note, err := ledger.SignCheckpoint(b.operator, ledger.Checkpoint{Origin: ledger.Origin("test"), Size: b.records, Root: root})
	b.must(err)
	return note
}

func (b *bench) write(r ledger.Record) {
	data, err := r.Encode()
	b.must(err)
	hashes, err := ledger.Append(b.records, data, b.hashes)
	b.must(err)
	b.hashes, b.records = append(b.hashes, hashes...), b.records+1
}

// logged logs a plan and proves it.
func (b *bench) logged(s plan.Signed) ledger.Logged {
	b.t.Helper()
	p, err := plan.Parse(s.Bytes)
	if err != nil { // the node will not read it either
		return ledger.Logged{}
	}
	record := ledger.Record{Seq: b.records, Body: &ledger.Plan{Task: p.Task, Round: p.Round, What: p.Kind.String(), Rho: p.Rho(),
		Stream: p.Stream(), Bytes: s.Bytes, Signature: s.Signature}}
	b.write(record)
	planned, _ := ledger.OpenCheckpoint(p.Checkpoint, ledger.Origin("test"), public(b.operator))
	l, err := ledger.ProvePlan(record, b.note(), b.records, b.node.logs["test"].Last.Size, planned.Size, b.hashes)
	b.must(err)
	return l
}

func (b *bench) reveal(id aggregation.RoundID, keys []aggregation.RoundKey) *api.RevealResponse {
	b.t.Helper()
	q := &api.RevealRequest{Task: id.Task, Round: id.Round}
	for _, k := range keys {
		q.RoundKeys = append(q.RoundKeys, marshalKey(k))
	}
	r, err := b.service().Reveal(context.Background(), q)
	b.must(err)
	return r
}

// literal is the configuration of a round that all members have opened and revealed their coins for.
func (b *bench) literal(p plan.Plan, s plan.Signed) aggregation.ConfigLiteral {
	b.t.Helper()
	params, err := plan.Aggregation(p)
	b.must(err)
	l := aggregation.ConfigLiteral{Round: aggregation.RoundID{Task: p.Task, Round: p.Round}, Plan: s.Digest(), Bases: []aggregation.Digest{p.Base},
		Params: params.Literal(), Enroller: p.Enroller, Population: p.Population, Threshold: p.Threshold, Groups: p.Groups}
	own, err := ParseKey(b.openRound(s).GetRoundKey())
	b.must(err)
	l.Roster = append(l.Roster, aggregation.MemberKey{Index: 1, Identity: b.roster[0], Key: own})
	for i, m := range b.rest {
		key, _, err := m.OpenRound(rand.Reader, l.Round, l.Plan, p.Suite)
		b.must(err)
		l.Roster = append(l.Roster, aggregation.MemberKey{Index: uint16(i + 2), Identity: b.roster[i+1], Key: key})
	}
	keys := make([]aggregation.RoundKey, len(l.Roster))
	for i := range keys {
		keys[i] = l.Roster[i].Key
	}
	l.Roster[0].Coin = [32]byte(b.reveal(l.Round, keys).GetCoin())
	for i, m := range b.rest {
		l.Roster[i+1].Coin, _, err = m.Reveal(l.Round, keys)
		b.must(err)
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
