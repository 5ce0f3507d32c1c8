package campaign_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/client/transport"
	"tutti/model"
	"tutti/model/blend"
	"tutti/model/dataset"
	"tutti/model/optim"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/campaign"
	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
)

const people = 16

// world is what people run: an aggregation server, five committee nodes with keys and files of their own, and devices
// that dial the server, over TLS on loopback.
type world struct {
	t       *testing.T
	dir     string
	files   keys.Files
	policy  plan.Policy
	peers   []committee.Peer
	split   plan.Split
	data    *dataset.Dataset
	public  blend.Public
	address string
	server  *server.Server
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), address: "127.0.0.1:0"}
	invented := dataset.DefaultGenerator()
	invented.Users, invented.Items = people, 60
	var err error
	w.data, err = dataset.Generate(invented)
	w.must(err)
	dim, rows := w.data.Catalogue.Features()
	w.public = blend.Public{Dim: dim, Rows: rows}
	w.split, err = plan.PlanSplit(plan.Wish{Goal: people, Epsilon: 8, Items: w.data.Catalogue.Len(), Dim: 500, Rounds: 1, Model: plan.ModelForce})
	w.must(err)
	w.files, err = keys.DevCerts(filepath.Join(w.dir, "tls"), time.Now())
	w.must(err)
	own, err := server.LoadKeys(filepath.Join(w.dir, "server"))
	w.must(err)
	w.policy = plan.Policy{Task: "things", Operator: own.Operator.Public().(ed25519.PublicKey), Enroller: own.Enroller.Public().(ed25519.PublicKey),
		MinMembers: 4, MinCorrupt: 1, MinCohort: w.split.NMin, MaxRhoRound: w.split.Rho, MaxRhoTotal: w.split.Rho, MinPad: 1 << 15}
	for i := range 5 {
		key, err := committee.Key(w.node(i))
		w.must(err)
		w.policy.Committee = append(w.policy.Committee, key.Public().(ed25519.PublicKey))
	}
	for i := range 5 {
		w.startNode(i)
	}
	return w
}

func (w *world) node(i int) string { return filepath.Join(w.dir, fmt.Sprintf("node%d", i+1)) }

func (w *world) startNode(i int) {
	w.t.Helper()
	n, err := committee.Open(committee.Config{Dir: w.node(i), Operator: w.policy.Operator, Enroller: w.policy.Enroller, Roster: w.policy.Committee})
	w.must(err)
	serving, err := keys.MutualTLS(w.files)
	w.must(err)
	dialling, err := keys.ClientTLS(w.files)
	w.must(err)
	s, err := committee.NewServer(n, serving)
	w.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	w.t.Cleanup(func() { s.Stop(); <-done; n.Close() })
	w.peers = append(w.peers, committee.Peer{Address: l.Addr().String(), Identity: w.policy.Committee[i], TLS: dialling})
}

// start starts the server on its directory, where devices look for it; the function it returns stops it.
func (w *world) start() (stop func()) {
	w.t.Helper()
	serving, err := keys.ServerTLS(w.files)
	w.must(err)
	const soon = 20 * time.Millisecond
	w.server, err = server.Open(server.Config{Dir: filepath.Join(w.dir, "server"), Task: w.policy.Task, Purpose: "tests",
		Committee: w.peers, Corrupt: 1, Budget: w.split.Rho, Delta: w.split.Delta, TLS: serving,
		Limits: wire.Limits{PerHost: 1e6, PerIdent: 1e6}, Pace: server.Pace{NoRound: soon, Full: soon, Counted: soon}})
	w.must(err)
	l, err := net.Listen("tcp", w.address)
	w.must(err)
	w.address = l.Addr().String()
	served := make(chan struct{})
	go func() { defer close(served); w.server.Serve(l) }()
	stop = sync.OnceFunc(func() { w.must(w.server.Close()); <-served })
	w.t.Cleanup(stop)
	return stop
}

// fleet makes everybody's device.
func (w *world) fleet() *fleet.Fleet {
	w.t.Helper()
	conn, err := transport.Dial(transport.Config{Address: w.address, CAFile: w.files.CA})
	w.must(err)
	w.t.Cleanup(func() { conn.Close() })
	shared, err := client.NewShared(client.SharedConfig{Catalogue: w.data.Catalogue, Public: w.public})
	w.must(err)
	tokens, err := w.server.Tokens(w.t.Context(), people)
	w.must(err)
	f, err := fleet.New(fleet.Config{Policy: w.policy, Shared: shared, Transport: conn, Histories: w.data.Histories(), Tokens: tokens,
		Poll: 10 * time.Millisecond, Cohort: func(plan.Plan) int { return people }})
	w.must(err)
	return f
}

func (w *world) recipe(observer func(campaign.Progress)) campaign.Config {
	return campaign.Config{
		Server: w.server, Log: w.server.Ledger(), Task: w.policy.Task, Items: w.data.Catalogue.Digest(), Public: w.public,
		Spec:  blend.Spec{Items: w.data.Catalogue.Len(), Dim: 8, Blocks: 1, Heads: 2, Hidden: 8, MaxLen: 8, Features: true, Embedding: 4},
		Split: w.split, Noise: true, Collect: 5 * time.Minute, Clip: 0.3,
		Training:  plan.Training{Steps: 1, Batch: 1, MaxLen: 8, LearningRate: "1", Optimizer: "sgd"},
		Optimiser: optim.ServerConfig{Rule: optim.FedAvg, LearningRate: 1},
		Distil:    campaign.Distillation{Steps: 3, Batch: 2, Length: 8, LearningRate: 2e-3, WarmUp: 1, Seed: 1},
		Weight:    0.5, Seed: 1, NewEngine: campaign.Engine, Observer: observer, Retries: 1,
	}
}

// TestRealServer runs the whole recipe on the server, committee and devices that people run, with noise, masks and
// wires. The server is stopped after the transitions and started again: the second campaign goes on where the first one
// ended. In the end the log holds every round and statement within the budget, and a device ranks, from what it fetched,
// exactly as the server does.
func TestRealServer(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	devices := w.fleet()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	followed := make(chan error, 1)
	go func() { followed <- devices.Run(ctx) }()

	halfway, halt := context.WithCancel(ctx)
	defer halt()
	first, err := campaign.New(w.recipe(func(p campaign.Progress) {
		if p.Stage == campaign.StageTransitions && p.Version.Number > 0 {
			halt()
		}
	}))
	w.must(err)
	if err := first.Run(halfway); !errors.Is(err, context.Canceled) {
		t.Fatalf("halfway: %v", err)
	}
	stop()
	w.start()
	second, err := campaign.New(w.recipe(nil))
	w.must(err)
	w.must(second.Run(ctx))
	w.server.Finish()
	w.must(<-followed)
	w.must(devices.Settle(ctx))

	spent := w.checkLog()
	newest, _ := w.server.Version()
	served, err := blend.New(second.Parts())
	w.must(err)
	for i := range people {
		w.must(devices.With(i, func(d *client.Device) error {
			if s := d.Privacy(); s.Counted != 3 || s.Spent.Cmp(spent) != 0 || s.Model != newest.Number || s.Unnoised != 0 {
				t.Errorf("device %d: counted %d, spent %v of %v, model %d, last %+v", i, s.Counted, s.Spent, spent, s.Model, s.Last)
			}
			return w.ranksAlike(d, served, w.data.Users[i].History)
		}))
	}
}

// checkLog checks the order and the sums of the log and returns what the rounds cost a device that was in all of them.
func (w *world) checkLog() *big.Rat {
	w.t.Helper()
	var rounds, versions, metrics []string
	spent, said := new(big.Rat), new(big.Rat)
	var before model.Digest
	w.must(w.server.Ledger().Records(w.t.Context(), 0, func(r ledger.Record) error {
		switch b := r.Body.(type) {
		case *ledger.Round:
			rounds = append(rounds, b.What+" "+b.Outcome)
			spent.Add(spent, b.Rho)
			if b.Survived < uint64(w.split.NMin) || !b.Noise {
				w.t.Errorf("round %d: %+v", b.Round, b)
			}
		case *ledger.Version:
			versions = append(versions, b.Cause)
			if b.Number != uint64(len(versions)) || b.Parent != ledger.Digest(before) {
				w.t.Errorf("version %d is number %d of %x", len(versions), b.Number, b.Parent)
			}
			before = model.Digest(b.Digest)
		case *ledger.Telemetry:
			metrics = append(metrics, b.Metric)
			said.Add(said, b.Rho)
		}
		return nil
	}))
	if !slices.Equal(rounds, []string{"popularity " + ledger.Published, "transitions " + ledger.Published, "model " + ledger.Published}) {
		w.t.Errorf("rounds %v", rounds)
	}
	if !slices.Equal(versions, recipe[:4]) || len(metrics) != 3 {
		w.t.Errorf("versions %v, statements %v", versions, metrics)
	}
	all := new(big.Rat).Add(spent, said)
	if total := w.server.Ledger().Totals().Spent; total.Cmp(all) != 0 || all.Cmp(w.split.Rho) > 0 {
		w.t.Errorf("the log's total is %v, its records' %v, the budget %v", total, all, w.split.Rho)
	}
	return spent
}

// ranksAlike compares a device's list with the server's for the same history.
func (w *world) ranksAlike(d *client.Device, served *blend.Recommender, history []int32) error {
	list, err := d.Recommend(w.t.Context(), client.Request{Count: 5})
	if err != nil {
		return err
	}
	want, err := served.Rank(history, 5, nil)
	if err != nil {
		return err
	}
	for k, r := range list {
		if len(want) != len(list) || r.Item != w.data.Catalogue.Items[want[k].Item].ID || r.Score != want[k].Score {
			w.t.Errorf("the device ranks %+v, the server %+v", list, want)
			break
		}
	}
	return nil
}
