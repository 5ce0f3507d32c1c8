package grpc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"tutti/client/transport"
	"tutti/server/api"
	"tutti/server/keys"
	"tutti/server/round"
)

// desk is a Backend in memory: whoever sends the SHA-256 of a vector as its header and then the vector has it staged.
type desk struct {
	Backend // what a test does not use

	mu      sync.Mutex
	staged  map[string]int // by header, how often the vector came whole
	begun   int
	under   int
	dropped map[round.DropReason]int
	fail    error // of Write
	panics  bool
	checkIn func(CheckIn) (Answer, error)
	enrol   func(Enrollment) ([]byte, error)
	blob    []byte
	gate    chan struct{} // Finish waits for it, if there is one
}

func newDesk() *desk { return &desk{staged: map[string]int{}, dropped: map[round.DropReason]int{}} }

func (d *desk) CheckIn(_ context.Context, r CheckIn) (Answer, error) {
	if d.panics {
		panic("a bug")
	}
	if d.checkIn != nil {
		return d.checkIn(r)
	}
	return Answer{Wait: WaitNoRound, After: time.Second}, nil
}

func (d *desk) Enroll(_ context.Context, r Enrollment) ([]byte, error) { return d.enrol(r) }

func (d *desk) Blob([32]byte) (io.ReaderAt, int64, io.Closer, error) {
	return bytes.NewReader(d.blob), int64(len(d.blob)), io.NopCloser(nil), nil
}

func (d *desk) Checkpoint(context.Context) ([]byte, error) { return []byte("note"), nil }

func (d *desk) BeginUpload(_ context.Context, task string, number uint64, header []byte, vectorBytes uint64) (Upload, Receipt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(header) != sha256.Size {
		return nil, Receipt{State: Rejected, Reason: round.DropHeader}, nil
	}
	if d.staged[string(header)] > 0 {
		return nil, Receipt{State: Staged}, nil
	}
	d.begun++
	d.under++
	return &deskUpload{d: d, header: string(header), left: make(chan struct{})}, Receipt{}, nil
}

type deskUpload struct {
	d      *desk
	header string
	vector []byte
	left   chan struct{}
}

func (u *deskUpload) Write(p []byte) error {
	if u.d.fail != nil {
		return u.d.fail
	}
	u.vector = append(u.vector, p...)
	return nil
}

func (u *deskUpload) Finish(context.Context) (Receipt, error) {
	if u.d.gate != nil {
		<-u.d.gate
	}
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	u.d.under--
	if sha256.Sum256(u.vector) != [32]byte([]byte(u.header)) {
		return Receipt{State: Rejected, Reason: round.DropVector}, nil
	}
	u.d.staged[u.header]++
	return Receipt{State: Staged}, nil
}

func (u *deskUpload) Abort(why round.DropReason) {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	u.d.under--
	u.d.dropped[why]++
}

func (u *deskUpload) Left() <-chan struct{} { return u.left }
func (u *deskUpload) Rest(bool)             {}

func (d *desk) count() (begun, under, staged int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.begun, d.under, len(d.staged)
}

// site is a server over a desk, on loopback with TLS.
type site struct {
	t       testing.TB
	desk    *desk
	server  *Server
	address string
	files   keys.Files
	served  chan error
}

func newSite(t testing.TB, limits Limits) *site {
	t.Helper()
	files, err := keys.DevCerts(filepath.Join(t.TempDir(), "tls"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	settings, err := keys.InvitingTLS(files)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, desk: newDesk(), files: files, served: make(chan error, 1)}
	if s.server, err = NewServer(s.desk, settings, limits, hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	go func() { s.served <- s.server.Serve(l) }()
	t.Cleanup(s.server.Stop)
	return s
}

func (s *site) tls() *tls.Config {
	s.t.Helper()
	c, err := keys.ClientTLS(keys.Files{CA: s.files.CA})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// raw is a bare connection.
func (s *site) raw() *grpc.ClientConn {
	s.t.Helper()
	c, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(credentials.NewTLS(s.tls())))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func (s *site) devices() api.DevicesClient { return api.NewDevicesClient(s.raw()) }

// dial is the SDK's connection to an address that leads to the site.
func (s *site) dial(address string) *transport.Conn {
	s.t.Helper()
	c, err := transport.Dial(transport.Config{Address: address, CAFile: s.files.CA, ServerName: "localhost"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// eventually waits for what other goroutines have to do first.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// proxy forwards connections to the site, counts what clients send, and cuts a connection after as many bytes as it is
// told, as long as it is told; then it leaves them alone.
type proxy struct {
	address string
	cuts    chan int64

	mu   sync.Mutex
	sent int64
	made int
}

func newProxy(t testing.TB, to string, cuts ...int64) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &proxy{address: l.Addr().String(), cuts: make(chan int64, len(cuts))}
	for _, c := range cuts {
		p.cuts <- c
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.forward(c, to)
		}
	}()
	return p
}

func (p *proxy) forward(c net.Conn, to string) {
	defer c.Close()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	p.mu.Lock()
	p.made++
	p.mu.Unlock()
	go func() {
		io.Copy(c, s)
		c.Close()
	}()
	var from io.Reader = c
	select {
	case n := <-p.cuts:
		from = io.LimitReader(c, n)
	default:
	}
	n, _ := io.Copy(s, from)
	p.mu.Lock()
	p.sent += n
	p.mu.Unlock()
}

func (p *proxy) total() (bytes int64, connections int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent, p.made
}

func vectorOf(n int, seed byte) (header, vector []byte) {
	vector = make([]byte, n)
	for i := range vector {
		vector[i] = byte(i*7) ^ byte(i>>8) ^ seed
	}
	h := sha256.Sum256(vector)
	return h[:], vector
}
