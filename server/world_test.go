package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/api"
	"tutti/server/committee"
	wire "tutti/server/grpc"
	"tutti/server/keys"
	"tutti/server/round"
	"tutti/server/store/pgtest"
)

// world is a server, its committee and its devices in one process, over gRPC and TLS on loopback.
type world struct {
	facts   func(int) plan.Facts // what devices know; nil: factsOf
	t       testing.TB
	dir     string
	files   keys.Files
	keys    Keys
	nodes   []*testNode
	server  *Server
	address string
	served  chan error
	cfg     Config
	noisy   bool
	bare    bool // without a server of its own

	mu     sync.Mutex
	events []Event
	conn   *grpc.ClientConn
	spare  []*device // enrolled before any round, so that each of them may take part in all
}

// testNode is one committee node that can die and come back with its directory.
type testNode struct {
	w       *world
	cfg     committee.Config
	address string
	key     ed25519.PublicKey
	node    *committee.Node
	server  *committee.Server
	done    chan struct{}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newWorld starts everything. change may adjust the server's configuration.
func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	return newWorldOf(t, 5, func(w *world) {
		if change != nil {
			change(&w.cfg)
		}
	})
}

// newWorldOf starts everything with so many nodes.
func newWorldOf(t testing.TB, members int, change func(*world)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	var err error
	w.files, err = keys.DevCerts(filepath.Join(w.dir, "tls"), time.Now())
	w.must(err)
	w.keys, err = LoadKeys(filepath.Join(w.dir, "server"))
	w.must(err)
	var roster []ed25519.PublicKey
	for i := range members {
		dir := filepath.Join(w.dir, fmt.Sprintf("node%d", i+1))
		key, err := committee.Key(dir)
		w.must(err)
		roster = append(roster, key.Public().(ed25519.PublicKey))
		w.nodes = append(w.nodes, &testNode{w: w, cfg: committee.Config{Dir: dir}, key: roster[i]})
	}
	settings, err := keys.ClientTLS(w.files)
	w.must(err)
	serving, err := keys.ServerTLS(w.files)
	w.must(err)
	w.cfg = Config{
		Dir: filepath.Join(w.dir, "server"), Task: "test", Purpose: "tests", Asked: 1000, Budget: big.NewRat(1, 1), Delta: "1e-06", TLS: serving,
		Limits: wire.Limits{PerHost: 1e6, PerIdent: 1e6, Rest: time.Millisecond, Drain: 500 * time.Millisecond}, Windows: quickWindows, Log: hclog.NewNullLogger(),
		Pace: Pace{NoRound: 20 * time.Millisecond, Full: 20 * time.Millisecond, Counted: 20 * time.Millisecond},
		Observer: func(e Event) {
			w.mu.Lock()
			w.events = append(w.events, e)
			w.mu.Unlock()
		},
	}
	for _, n := range w.nodes {
		n.cfg.Operator, n.cfg.Enroller, n.cfg.Roster = w.keys.Operator.Public().(ed25519.PublicKey), w.keys.Enroller.Public().(ed25519.PublicKey), roster
		n.cfg.AllowNoiseOff, n.cfg.AllowCentral = true, true
		n.start()
		w.cfg.Committee = append(w.cfg.Committee, committee.Peer{Address: n.address, Identity: n.key, TLS: settings, Timeout: 5 * time.Second})
	}
	if os.Getenv("TUTTI_TEST_POSTGRES") != "" { // all tests of this package on the other database
		w.cfg.DB = pgtest.DSN(t)
	}
	change(w)
	t.Cleanup(w.close)
	if w.bare {
		return w
	}
	w.open()
	w.spare = w.enrol(enrolledAtOnce)
	return w
}

func quickWindows(collect time.Duration) round.Windows {
	win := round.DefaultWindows(collect)
	win.Keys, win.Verdicts, win.Sign, win.Release, win.Abandon = 3*time.Second, 3*time.Second, 3*time.Second, 20*time.Second, time.Second
	win.Spare, win.Batch, win.Retry, win.Slow = 100*time.Millisecond, 5*time.Millisecond, 20*time.Millisecond, 200*time.Millisecond
	return win
}

func (n *testNode) start() {
	n.w.t.Helper()
	var err error
	n.node, err = committee.Open(n.cfg)
	n.w.must(err)
	settings, err := keys.MutualTLS(n.w.files)
	n.w.must(err)
	n.server, err = committee.NewServer(n.node, settings)
	n.w.must(err)
	l, err := listen(n.address)
	n.w.must(err)
	n.address = l.Addr().String()
	n.done = make(chan struct{})
	go func() {
		defer close(n.done)
		n.server.Serve(l)
	}()
}

func (n *testNode) kill() {
	if n.server == nil {
		return
	}
	n.server.Stop()
	<-n.done
	n.node.Close()
	n.server = nil
}

// listen takes an address that a dead process may just have left, or a free one. Ports come from below the range that
// systems give to outgoing connections: one of those, trying to reach the dead process, must not sit on its port.
func listen(address string) (l net.Listener, err error) {
	for range 100 {
		at := address
		if at == "" {
			at = fmt.Sprintf("127.0.0.1:%d", 10_000+mathrand.IntN(20_000))
		}
		if l, err = net.Listen("tcp", at); err == nil {
			return l, nil
		}
		if address != "" {
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil, err
}

// open starts the server on its directory and address.
func (w *world) open() {
	w.t.Helper()
	l, err := listen(w.address)
	w.must(err)
	s, err := Open(w.cfg)
	if err != nil {
		l.Close()
	}
	w.must(err)
	w.server, w.address, w.served = s, l.Addr().String(), make(chan error, 1)
	served := w.served
	go func() { served <- s.Serve(l) }()
	if s.st.Shared() {
		leads := make(chan struct{})
		go s.Lead(context.Background(), func(ctx context.Context) error {
			close(leads)
			<-ctx.Done()
			return nil
		})
		<-leads
	}
	if w.conn == nil {
		settings, err := keys.ClientTLS(keys.Files{CA: w.files.CA})
		w.must(err)
		w.conn, err = grpc.NewClient(w.address, grpc.WithTransportCredentials(credentials.NewTLS(settings)))
		w.must(err)
	}
}

func (w *world) stop() {
	if w.server == nil {
		return
	}
	err := w.server.Close()
	w.server = nil
	<-w.served
	w.must(err)
}

func (w *world) close() {
	if w.conn != nil {
		w.conn.Close()
	}
	w.stop()
	for _, n := range w.nodes {
		n.kill()
	}
}

func (w *world) seen() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// spec is a statistics round over a few coordinates, without noise unless the world is noisy.
func (w *world) spec(goal, nMin, nMax int) RoundSpec {
	w.t.Helper()
	l := mechanism.Literal{Dim: 64, Clip: 1, NMin: nMin, NMax: nMax}
	if w.noisy {
		l.Noise, l.Colluders, l.Rho = true, 1, big.NewRat(1, 4)
	}
	m, err := mechanism.Design(l)
	w.must(err)
	return RoundSpec{Kind: plan.Popularity, Goal: goal, Mechanism: m, Items: sha256.Sum256([]byte("items")), Collect: 20 * time.Second}
}

// device is a test's own device, written on aggregation alone: it uploads a vector of known integers.
type device struct {
	w         *world
	key       ed25519.PrivateKey
	enrolment []byte
	rpc       api.DevicesClient
	offer     *api.Offer
	sealed    *aggregation.Upload
	protocol  uint32              // 0: 1, the oldest that is served
	from      *aggregation.Digest // base of its update; nil: the plan's
}

// enrolledAtOnce is how many devices a world has from its beginning.
const enrolledAtOnce = 16

// device is one of the world's devices; when all are taken, a new one, which the rounds under way do not know.
func (w *world) device() *device {
	w.t.Helper()
	if len(w.spare) == 0 {
		w.spare = w.enrol(1)
	}
	d := w.spare[0]
	w.spare = w.spare[1:]
	return d
}

// enrol makes devices and enrols them.
func (w *world) enrol(n int) []*device {
	w.t.Helper()
	tokens, err := w.server.Tokens(context.Background(), n)
	w.must(err)
	devices := make([]*device, n)
	var all sync.WaitGroup
	for i := range devices {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		w.must(err)
		d := &device{w: w, key: key, rpc: api.NewDevicesClient(w.conn)}
		devices[i] = d
		all.Go(func() {
			var err error
			if d.enrolment, err = d.enrol(tokens[i]); err != nil {
				w.t.Errorf("enrolment: %v", err)
			}
		})
	}
	all.Wait()
	return devices
}

func (d *device) public() ed25519.PublicKey { return d.key.Public().(ed25519.PublicKey) }
func (d *device) id() aggregation.DeviceID  { return aggregation.IDOf(d.public()) }

func (d *device) enrol(token string) ([]byte, error) {
	r, err := d.rpc.Enroll(context.Background(), &api.EnrollRequest{
		Task: "test", Token: token, PublicKey: d.public(), Proof: ed25519.Sign(d.key, EnrollMessage("test", token)),
	})
	return r.GetEnrolment(), err
}

func (d *device) checkIn() (*api.CheckInResponse, error) {
	now := time.Now().Unix()
	return d.rpc.CheckIn(context.Background(), &api.CheckInRequest{
		Task: "test", PublicKey: d.public(), Enrolment: d.enrolment, TimeUnix: now, Protocol: max(1, d.protocol),
		Signature: ed25519.Sign(d.key, CheckInMessage("test", d.public(), now, 0)),
	})
}

// await checks in until a round is offered.
func (d *device) await() {
	d.w.t.Helper()
	for range 500 {
		if r, err := d.checkIn(); err == nil && r.GetOffer() != nil {
			d.offer = r.GetOffer()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.w.t.Error("no round was offered")
}

// seal makes the upload of e_i for the offered round.
func (d *device) seal(i int) {
	d.w.t.Helper()
	cfg, err := aggregation.ParseConfig(d.offer.GetConfig())
	d.w.must(err)
	p, err := plan.Open(plan.Signed{Bytes: d.offer.GetPlan(), Signature: d.offer.GetPlanSignature()}, d.w.keys.Operator.Public().(ed25519.PublicKey))
	d.w.must(err)
	x := make([]int32, cfg.Params().Dim())
	x[i] = 1
	if p.Mechanism.Noise {
		x = d.w.noised(p.Mechanism, i)
	}
	if p.Metrics != nil {
		x = append(x[:p.Mechanism.PaddedDim], d.w.encoded(p.Metrics.Mechanism, p.Metrics.Values(d.w.know(i)))...)
	}
	client := aggregation.Client{Key: d.key, Pins: aggregation.Pins{Enroller: d.w.keys.Enroller.Public().(ed25519.PublicKey), Roster: p.Committee}}
	base := p.Base
	if d.from != nil {
		base = *d.from
	}
	d.sealed, err = client.Seal(rand.Reader, cfg, base, x, cfg.Params().Bound())
	d.w.must(err)
}

// noised is e_i, clipped and with its noise share.
func (w *world) noised(m mechanism.Params, i int) []int32 {
	update := make([]float32, m.Dim)
	update[i] = 1
	return w.encoded(m, update)
}

func (w *world) encoded(m mechanism.Params, update []float32) []int32 {
	codec, err := mechanism.NewCodec(m)
	w.must(err)
	encoded, err := codec.Encode(mechanism.Clip(update, m.Clip), rand.Reader)
	w.must(err)
	return slices.Clone(encoded.Values())
}

func (d *device) round() uint64 {
	p, err := plan.Parse(d.offer.GetPlan())
	d.w.must(err)
	return p.Round
}

// send uploads once.
func (d *device) send() (*api.UploadResponse, error) {
	header, err := d.sealed.Header.Marshal()
	if err != nil {
		return nil, err
	}
	return d.sendRaw(d.round(), header, d.sealed.Vector, uint64(len(d.sealed.Vector)))
}

func (d *device) sendRaw(number uint64, header, vector []byte, announced uint64) (*api.UploadResponse, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := d.rpc.Upload(ctx)
	if err != nil {
		return nil, err
	}
	part := &api.UploadRequest_Header{Header: &api.UploadHeader{Task: "test", Round: number, Header: header, VectorBytes: announced}}
	if stream.Send(&api.UploadRequest{Part: part}) == nil {
		piece := 100 // many messages, also for a small vector
		if len(vector) > 50_000 {
			piece = 256 << 10
		}
		for at := 0; at < len(vector); at += piece {
			chunk := api.Chunk(uint64(at), vector[at:min(at+piece, len(vector))])
			if stream.Send(&api.UploadRequest{Part: &api.UploadRequest_Chunk{Chunk: chunk}}) != nil {
				break
			}
		}
	}
	return stream.CloseAndRecv()
}

// deliver uploads until the server has an answer, through its crashes.
func (d *device) deliver() api.UploadState {
	d.w.t.Helper()
	for range 1000 {
		r, err := d.send()
		if err == nil {
			return r.GetState()
		}
		switch status.Code(err) {
		case codes.Unavailable, codes.Canceled, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded:
			time.Sleep(10 * time.Millisecond)
		default:
			d.w.t.Errorf("upload: %v", err)
			return 0
		}
	}
	d.w.t.Error("an upload was never answered")
	return 0
}

func (d *device) receipt(number uint64) *api.ReceiptResponse {
	d.w.t.Helper()
	id := d.id()
	for range 500 {
		r, err := d.rpc.Receipt(context.Background(), &api.ReceiptRequest{Task: "test", Round: number, DeviceId: id[:]})
		if err == nil {
			return r
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.w.t.Error("no receipt")
	return nil
}

// running is a round in the background.
type running struct {
	result *RoundResult
	err    error
	done   chan struct{}
}

func (w *world) start(spec RoundSpec) *running {
	if n := len(w.spare); n < enrolledAtOnce/2 { // whoever enrols later does not belong to the round
		w.spare = append(w.spare, w.enrol(enrolledAtOnce-n)...)
	}
	r := &running{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.result, r.err = w.server.RunRound(context.Background(), spec)
	}()
	return r
}

func (w *world) resume() *running {
	r := &running{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.result, r.err = w.server.Resume(context.Background())
	}()
	return r
}

func (r *running) wait(t testing.TB) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(60 * time.Second):
		t.Fatal("the round does not end")
	}
}

func sumDigest(sum []int64) string { return fmt.Sprintf("%x", sha256.Sum256(SumBytes(sum))) }

// exact says whether the opened sum is the 0/1 indicator of these device numbers.
func exact(t testing.TB, r *RoundResult, numbers []int) {
	t.Helper()
	want := make([]int64, r.Plan.Mechanism.PaddedDim)
	for _, i := range numbers {
		want[i] = 1
	}
	if digest := sha256.Sum256(SumBytes(want)); !bytes.Equal(digest[:], r.Aggregate[:]) || r.N != len(numbers) {
		t.Fatalf("the sum over %d devices is not that of %v", r.N, numbers)
	}
}
