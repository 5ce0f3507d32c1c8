package report

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"sync"
	"testing"

	"tutti/aggregation"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

func key(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func public(b byte) ed25519.PublicKey { return key(b).Public().(ed25519.PublicKey) }

func digest(s string) ledger.Digest { return sha256.Sum256([]byte(s)) }

// world is a task that ran: what a server would have logged. Tests change its records before they are signed, as a
// dishonest operator could.
type world struct {
	t        testing.TB
	bodies   []ledger.Body
	head     ledger.Digest
	round    uint64
	operator ed25519.PrivateKey
	budget   *big.Rat // of the task and of its plans
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, operator: key(1), budget: big.NewRat(1, 1)}
	w.bodies = append(w.bodies, &ledger.Task{
		Task: "films", Operator: public(1), Purpose: "recommend films", Unit: "device", Adjacency: "zero-out", Delta: "1e-06", Budget: w.budget,
	})
	return w
}

// design is the mechanism of a round that costs at most rho; nil rho: noise off.
func (w *world) design(rho *big.Rat) mechanism.Params {
	w.t.Helper()
	p, err := mechanism.Design(mechanism.Literal{Dim: 1000, Clip: 1, NMin: 70, NMax: 130, Colluders: 7, Rho: rho, Noise: rho != nil})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// allow raises the budget before the first round.
func (w *world) allow(rho *big.Rat) {
	w.budget = rho
	w.bodies[0].(*ledger.Task).Budget = rho
}

// plan logs the plan of the next round.
func (w *world) plan(kind plan.Kind, rho *big.Rat, change func(*plan.Plan)) *ledger.Plan {
	w.t.Helper()
	w.round++
	p := plan.Plan{
		Task: "films", Round: w.round, Kind: kind, Base: w.head, Items: digest("items"), Mechanism: w.design(rho), Goal: 100,
		Committee: []ed25519.PublicKey{public(11), public(12), public(13), public(14), public(15)}, Corrupt: 1, Packing: 2,
		Population: someDevices(), Threshold: aggregation.EveryDevice, Groups: 1, Participations: plan.AnyParticipations, Separation: 1, Suite: aggregation.SuiteX25519,
		Enroller: public(2), Budget: w.budget, Delta: "1e-06", Checkpoint: []byte("note"), Deadline: 1_800_000_000,
	}
	switch kind {
	case plan.Transitions:
		p.Block, p.Window = digest("block"), plan.Window{Width: 8, Decay: "0.75"}
	case plan.Model:
		p.Training = plan.Training{Steps: 2, MaxLen: 32, LearningRate: "0.1", Optimizer: "sgd"}
	}
	if change != nil {
		change(&p)
	}
	signed, err := plan.Sign(w.operator, p)
	if err != nil {
		w.t.Fatal(err)
	}
	body := &ledger.Plan{Task: "films", Round: w.round, What: kind.String(), Rho: p.Rho(), Bytes: signed.Bytes, Signature: signed.Signature}
	w.bodies = append(w.bodies, body)
	return body
}

// run logs the outcome of the round that was planned last. z is what the noise meter says.
func (w *world) run(kind plan.Kind, rho *big.Rat, survived int, z float64, change func(*ledger.Round)) {
	w.t.Helper()
	logged := w.plan(kind, rho, nil)
	p := w.design(rho)
	after := digest(fmt.Sprintf("version %d", w.round))
	b := &ledger.Round{
		Task: "films", Round: w.round, What: kind.String(), Plan: logged.Digest(), Outcome: ledger.Published,
		Mechanism: p.AppendCanonical(nil), Survived: uint64(survived), NMin: 70, Participants: digest("set"), Noise: p.Noise,
		Rho: p.Rho(), Certificate: digest("certificate"), Aggregate: digest("sum"), Before: w.head, After: after,
	}
	if p.Noise {
		expected := float64(survived) * (p.Sigma2.Float64() + 1.0/6)
		measured := expected * (1 + z/math.Sqrt(float64(p.Pad())/2))
		b.Meter = ledger.NewMeter(p.Pad(), measured, expected, z)
	}
	if change != nil {
		change(b)
	}
	w.head = b.After
	w.bodies = append(w.bodies, b)
}

func (w *world) say(metric string, rows ...ledger.Row) {
	w.bodies = append(w.bodies, &ledger.Telemetry{
		Task: "films", Round: w.round, Times: 1, Metric: metric, Mechanism: "laplace", Epsilon: "0.1", Delta: "0", Rho: big.NewRat(1, 200), Rows: rows,
	})
}

// sampleWorld is a whole small task: two statistics rounds, distillation, an abandoned round, three model rounds.
func sampleWorld(t testing.TB) *world {
	w := newWorld(t)
	w.run(plan.Popularity, big.NewRat(3, 100), 104, 0.4, nil)
	w.run(plan.Transitions, big.NewRat(6, 10), 99, -1.2, nil)
	w.bodies = append(w.bodies, &ledger.Version{Task: "films", Number: 3, Parent: w.head, Digest: digest("distilled"), Cause: "distil"})
	w.head = digest("distilled")
	lost := w.plan(plan.Model, big.NewRat(1, 10), nil)
	w.bodies = append(w.bodies, &ledger.Abandon{Task: "films", Round: w.round, Plan: lost.Digest(), Reason: "too_few", Certificate: digest("abandon")})
	for i := range 3 {
		w.run(plan.Model, big.NewRat(1, 10), 88+3*i, float64(i)-0.5, nil)
	}
	w.say("devices counted", ledger.Row{Label: "devices counted", Value: "104", Low: "74", High: "134"})
	w.say("outcome", ledger.Row{Label: "late", Value: "9", Low: "-21", High: "39"}, ledger.Row{Label: "vector", Value: "-3", Low: "-33", High: "27"})
	return w
}

// ledger builds the log; it does not ask whether the records may stand, as a dishonest operator would not.
func (w *world) ledger() ([]ledger.Record, []byte, []byte) {
	w.t.Helper()
	var records []ledger.Record
	var prev ledger.Digest
	var stored ledger.Memory
	var lines bytes.Buffer
	for i, b := range w.bodies {
		r := ledger.Record{Seq: uint64(i), Time: 1_790_000_000 + 60*int64(i), Prev: prev, Body: b}
		data, err := r.Encode()
		if err != nil {
			w.t.Fatal(err)
		}
		hashes, err := ledger.Append(r.Seq, data, stored)
		if err != nil {
			w.t.Fatal(err)
		}
		stored = append(stored, hashes...)
		prev = ledger.Leaf(data)
		records = append(records, r)
		if err := ledger.Export(&lines, r); err != nil {
			w.t.Fatal(err)
		}
	}
	root, err := ledger.Root(uint64(len(records)), stored)
	if err != nil {
		w.t.Fatal(err)
	}
	note, err := ledger.SignCheckpoint(w.operator, ledger.Checkpoint{Origin: "films/log", Size: uint64(len(records)), Root: root})
	if err != nil {
		w.t.Fatal(err)
	}
	return records, note, lines.Bytes()
}

func (w *world) input() (Input, []byte) {
	records, note, lines := w.ledger()
	return Input{
		Task: "films", Records: records, Checkpoint: note,
		Run:     Run{ID: "r-1", Created: "2026-11-23T10:00:00Z", Operator: "Example Films", Version: "test", Go: "go1.26"},
		Setting: Setting{Devices: 104, SelfEnrolled: true, CommitteeOneRoof: true, Data: "generated behaviour"},
		Utility: []Utility{
			{Name: "popularity", NDCG: Value{".0194", ".0180", ".0208"}, HR: Value{".0390", ".0370", ".0410"}, Users: 6040},
			{Name: "served blend", Private: true, NDCG: Value{".1082", ".1050", ".1114"}, HR: Value{".1890", ".1850", ".1930"}, Users: 6040, Note: "transitions and model"},
		},
	}, lines
}

// files builds and signs the report of an honest world.
func (w *world) files() (report, lines []byte) {
	w.t.Helper()
	in, lines := w.input()
	r, err := Build(in)
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := Sign(w.operator, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return data, lines
}

// someDevices is a population that the enroller (2) signed.
var someDevices = sync.OnceValue(func() aggregation.Population {
	ids := make([]aggregation.DeviceID, 150)
	for i := range ids {
		ids[i] = aggregation.IDOf(public(byte(i + 50)))
	}
	people, err := aggregation.NewEnrolled(ids)
	if err != nil {
		panic(err)
	}
	return people.Sign(key(2), "films")
})
