package fleet_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"path/filepath"
	"testing"
	"time"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/client/transport"
	"tutti/model"
	"tutti/model/dataset"
	"tutti/model/stats"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
)

// town is the server that people run, with five committee nodes, each with its
// own key, files and port; everything over TLS on loopback.
type town struct {
	t         *testing.T
	dir       string
	files     keys.Files
	config    server.Config
	server    *server.Server
	stop      func() // ends the server
	address   string
	policy    plan.Policy
	nodes     []*committee.Server
	catalogue *dataset.Catalogue
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func newTown(t *testing.T) *town { return newTownOf(t, func(*server.Config) {}) }

func newTownOf(t *testing.T, change func(*server.Config)) *town {
	t.Helper()
	w := &town{t: t, dir: t.TempDir()}
	var items []dataset.Item
	for i := range devices + 4 {
		items = append(items, dataset.Item{ID: int64(500 + i), Title: fmt.Sprintf("thing %d", i)})
	}
	w.catalogue = dataset.NewCatalogue(items)
	var err error
	w.files, err = keys.DevCerts(filepath.Join(w.dir, "tls"), time.Now())
	w.must(err)
	own, err := server.LoadKeys(filepath.Join(w.dir, "server"))
	w.must(err)
	w.policy = plan.Policy{Task: "things", Operator: own.Operator.Public().(ed25519.PublicKey), Enroller: own.Enroller.Public().(ed25519.PublicKey),
		MinMembers: 4, MinCorrupt: 1, MinCohort: 8, MaxRhoRound: big.NewRat(1, 1), MaxRhoTotal: big.NewRat(2, 1), MinPad: 1 << 15, AllowNoiseOff: true}
	for i := range 5 {
		key, err := committee.Key(w.node(i))
		w.must(err)
		w.policy.Committee = append(w.policy.Committee, key.Public().(ed25519.PublicKey))
	}
	w.configure(w.committee())
	change(&w.config)
	w.serve()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *town) node(i int) string { return filepath.Join(w.dir, fmt.Sprintf("node%d", i+1)) }

// committee starts the nodes.
func (w *town) committee() (peers []committee.Peer) {
	w.t.Helper()
	dialling, err := keys.ClientTLS(w.files)
	w.must(err)
	for i := range 5 {
		n, err := committee.Open(committee.Config{Dir: w.node(i), Operator: w.policy.Operator, Enroller: w.policy.Enroller,
			Roster: w.policy.Committee, AllowNoiseOff: true})
		w.must(err)
		serving, err := keys.MutualTLS(w.files)
		w.must(err)
		s, err := committee.NewServer(n, serving)
		w.must(err)
		l := w.listen("")
		done := make(chan struct{})
		go func() { defer close(done); s.Serve(l) }()
		w.nodes = append(w.nodes, s)
		w.t.Cleanup(func() { s.Stop(); <-done; n.Close() })
		peers = append(peers, committee.Peer{Address: l.Addr().String(), Identity: w.policy.Committee[i], TLS: dialling})
	}
	return peers
}

// listen takes the address of a server that has ended, or any below the range of
// outgoing connections: one of those, trying to reach the server that has ended,
// must not sit on its port.
func (w *town) listen(address string) (l net.Listener) {
	w.t.Helper()
	var err error
	for range 100 {
		at := address
		if at == "" {
			at = fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		}
		if l, err = net.Listen("tcp", at); err == nil {
			return l
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Fatal(err)
	return nil
}

func (w *town) configure(peers []committee.Peer) {
	w.t.Helper()
	serving, err := keys.ServerTLS(w.files)
	w.must(err)
	const soon = 20 * time.Millisecond
	w.config = server.Config{Dir: filepath.Join(w.dir, "server"), Task: w.policy.Task, Purpose: "tests",
		Committee: peers, Budget: big.NewRat(4, 1), Delta: "1e-06", TLS: serving,
		Limits: wire.Limits{PerHost: 1e6, PerIdent: 1e6}, Pace: server.Pace{NoRound: soon, Full: soon, Counted: soon}}
}

// serve starts the server on its directory, and on its address if it had one.
func (w *town) serve() {
	w.t.Helper()
	l := w.listen(w.address)
	s, err := server.Open(w.config)
	w.must(err)
	w.server, w.address = s, l.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	w.stop = func() { s.Close(); <-done }
}

// fleet makes devices that dial the town.
func (w *town) fleet(change func(*fleet.Config)) *fleet.Fleet {
	w.t.Helper()
	conn, err := transport.Dial(transport.Config{Address: w.address, CAFile: w.files.CA})
	w.must(err)
	w.t.Cleanup(func() { conn.Close() })
	shared, err := client.NewShared(client.SharedConfig{Catalogue: w.catalogue})
	w.must(err)
	cfg := fleet.Config{Policy: w.policy, Shared: shared, Transport: conn, Seed: 3, Poll: 10 * time.Millisecond,
		Cohort: func(plan.Plan) int { return devices }}
	cfg.Tokens, err = w.server.Tokens(w.t.Context(), devices)
	w.must(err)
	for i := range devices {
		cfg.Histories = append(cfg.Histories, []int32{int32(i), int32(i+1) % devices, int32(i+2) % devices})
	}
	if change != nil {
		change(&cfg)
	}
	f, err := fleet.New(cfg)
	w.must(err)
	return f
}

// round runs a popularity round.
func (w *town) round(goal int, rho *big.Rat) *server.RoundResult {
	w.t.Helper()
	r, err := w.server.RunRound(w.t.Context(), w.popularity(goal, rho))
	w.must(err)
	return r
}

func (w *town) popularity(goal int, rho *big.Rat) server.RoundSpec {
	w.t.Helper()
	l := mechanism.Literal{Dim: w.catalogue.Len(), Clip: 1, NMin: 8, NMax: 30, Rho: rho, Noise: rho != nil}
	m, err := mechanism.Design(l)
	w.must(err)
	return server.RoundSpec{Kind: plan.Popularity, Goal: goal, Mechanism: m, Items: w.catalogue.Digest(), Collect: 5 * time.Minute}
}

// publish makes the popularity of an opened sum the next version.
func (w *town) publish(r *server.RoundResult) {
	w.t.Helper()
	p, err := stats.NewPopularity(r.Sum.Values, 0)
	w.must(err)
	blob := p.Marshal()
	_, err = w.server.Publish(w.t.Context(), server.Publication{Round: r, Cause: "round", Blobs: [][]byte{blob},
		Version: &model.Version{Items: w.catalogue.Digest(), Popularity: sha256.Sum256(blob)}})
	w.must(err)
}

// TestRealServer takes a fleet through three rounds of the server that people
// run. In the first, without noise, a fifth of the devices die; in the second
// a committee node is down; the third has noise. The sums are exact, the
// devices accept the models, recommend, and know what they spent.
func TestRealServer(t *testing.T) {
	w := newTown(t)
	dying := map[int]fleet.Fault{2: fleet.DieBeforeUpload, 7: fleet.DieMidUpload, 11: fleet.DieAfterUpload, 16: fleet.SendGarbage}
	f := w.fleet(func(c *fleet.Config) {
		c.Fault = func(round uint64, i int) fleet.Fault {
			if round == 1 {
				return dying[i]
			}
			return fleet.None
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()

	first := w.round(devices-3, nil) // 11 dies after its upload is complete: it counts
	if first.N != devices-3 {
		t.Fatalf("%d devices in the first sum", first.N)
	}
	w.exact(first, func(i int) bool { return i != 2 && i != 7 && i != 16 })
	w.publish(first)

	w.nodes[4].Stop()
	second := w.round(devices, nil)
	if second.N != devices {
		t.Fatalf("%d devices in the second sum", second.N)
	}
	w.exact(second, func(int) bool { return true })
	w.publish(second)

	third := w.round(devices, big.NewRat(1, 2))
	if third.N != devices {
		t.Fatalf("%d devices in the third sum", third.N)
	}
	w.publish(third)
	w.server.Finish()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := f.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range devices {
		w.must(f.With(i, func(d *client.Device) error {
			s := d.Privacy()
			counted := uint64(3)
			switch i {
			case 2, 7, 16:
				counted = 2
			}
			if s.Counted != counted || s.Proven+1 < counted || s.Unproven != 0 || s.Rounds != 3 || s.Spent.Cmp(third.Rho) != 0 || s.Unnoised != 2 || s.Model != 3 || s.Open > 1 {
				t.Errorf("device %d: counted %d, open %d, spent %v, model %d, last %+v", i, s.Counted, s.Open, s.Spent, s.Model, s.Last)
			}
			return nil
		}))
	}
	w.must(f.With(4, func(d *client.Device) error {
		list, err := d.Recommend(ctx, client.Request{Count: 3})
		if err == nil && (len(list) != 3 || list[0].Title == "" || list[0].Why.Kind != client.Popular) {
			t.Errorf("recommended %+v", list)
		}
		return err
	}))
}

// exact checks a sum against the popularity vectors of its devices.
func (w *town) exact(r *server.RoundResult, in func(device int) bool) {
	w.t.Helper()
	want := w.popular(in)
	for k, x := range r.Sum.Values {
		if d := float64(x) - want[k]; d > 1e-3 || d < -1e-3 {
			w.t.Fatalf("item %d: sum %v, want %v", k, x, want[k])
		}
	}
}

// popular is the sum of the popularity vectors of these devices.
func (w *town) popular(in func(device int) bool) []float64 {
	sum := make([]float64, w.catalogue.Len())
	for i := range devices {
		if !in(i) {
			continue
		}
		h := []int32{int32(i), int32(i+1) % devices, int32(i+2) % devices}
		for k, x := range stats.PopularityVector(h, len(sum)) {
			sum[k] += float64(x)
		}
	}
	return sum
}
