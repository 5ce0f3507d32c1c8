package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tutti/client"
	"tutti/client/history"
	clientstore "tutti/client/store"
	"tutti/client/transport"
	"tutti/model"
	"tutti/model/dataset"
	"tutti/privacy/plan"
	"tutti/server/keys"
	"tutti/server/round"
	"tutti/server/store"
)

// TestMistakes provokes each common mistake over the real wire, and holds the sentence that a person reads to what it must
// say: what is wrong, and what to do next. Run it with -v for the table.
func TestMistakes(t *testing.T) {
	faults := new(failing)
	w := newWorld(t, func(c *Config) {
		c.Limits.PerIdent = 1
		c.Limits.PerHost = 30
		c.wrap = func(s store.Store) store.Store { faults.Store = s; return faults }
	})
	good := transport.Config{Address: w.address, CAFile: w.files.CA}
	other, err := keys.DevCerts(filepath.Join(w.dir, "other"), time.Now())
	w.must(err)
	tokens, err := w.server.Tokens(t.Context(), 3)
	w.must(err)
	first, second := w.device(), w.device()
	_, err = first.enrol(tokens[0])
	w.must(err)

	say := func(mistake string, err error, words ...string) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", mistake)
			return
		}
		t.Logf("%-34s %v", mistake, err)
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: it does not say %q: %v", mistake, word, err)
			}
		}
	}
	at := func(address string) transport.Config {
		c := good
		c.Address = address
		return c
	}
	check := func(c transport.Config, change func(*client.CheckInRequest)) error {
		_, err := w.mistaken(c, second, change)
		return err
	}
	nothing := func(*client.CheckInRequest) {}

	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	say("wrong port, plain HTTP there", check(at(plain.Listener.Addr().String()), nothing), "does not speak TLS", "check the port")
	shop := httptest.NewUnstartedServer(http.NotFoundHandler())
	pair, err := tls.LoadX509KeyPair(w.files.Cert, w.files.Key)
	w.must(err)
	shop.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	shop.EnableHTTP2 = true
	shop.StartTLS()
	defer shop.Close()
	say("wrong port, another HTTPS there", check(at(shop.Listener.Addr().String()), nothing), "is it a tutti server", "--listen")
	say("wrong port, nothing there", check(at(nobody(t)), nothing), "nothing listens", "is the server running")
	say("wrong address", check(at("nowhere.invalid:7100"), nothing), "check the address")
	pool, old := leaf(t, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
	say("expired certificate", check(transport.Config{Address: shake(t, old), CA: pool}, nothing), "has expired", "its operator renews it")
	pool, young := leaf(t, time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour))
	say("clock behind the certificate", check(transport.Config{Address: shake(t, young), CA: pool}, nothing), "not valid yet", "set the clock")
	strange := good
	strange.CAFile = other.CA
	say("certificate of another CA", check(strange, nothing), "check the CA file")
	named := good
	named.ServerName = "shop.example"
	say("certificate for another name", check(named, nothing), "check the address or the server name")

	say("clock of the device", check(good, func(r *client.CheckInRequest) { r.Time -= 3600 }), " behind", "set this machine's clock")
	say("wrong token", w.enrolMistaken(good, "test", "typed-wrong"), "copy a line of its tokens.txt")
	say("used token", w.enrolMistaken(good, "test", tokens[0]), "ask the operator for a fresh one")
	say("not enrolled", check(good, func(r *client.CheckInRequest) { r.Enrolment = make([]byte, 64) }), "enrol it with a token")
	say("wrong task", w.enrolMistaken(good, "books", tokens[1]), `"books" is asked for, this server runs "test"`, "task.json")
	say("message too large", check(good, func(r *client.CheckInRequest) { r.PublicKey = make([]byte, 4<<20) }), "larger than", "update the app")
	say("field too long", check(good, func(r *client.CheckInRequest) { r.PublicKey = make([]byte, 100) }), "update the app")

	a, err := w.mistaken(good, second, func(r *client.CheckInRequest) { r.Protocol = 0 })
	w.must(err)
	t.Logf("%-34s %s", "old client", a.Wait.Reason.Sentence())
	if a.Wait.Reason != client.WaitProtocol || !strings.Contains(a.Wait.Reason.Sentence(), "update the app") {
		t.Errorf("old client: %+v", a.Wait)
	}
	o := w.mistrusting(good, tokens[1])
	t.Logf("%-34s %s", "another operator's key", o.Sentence)
	if o.Reason != client.ReasonVersionSignature || !strings.Contains(o.Sentence, "Get the task file from the operator anew") {
		t.Errorf("another operator's key: %+v", o)
	}

	for _, c := range []struct {
		mistake string
		err     error
		words   []string
	}{
		{"full disk of the server", store.ErrFull, []string{"its operator has to free or add disk space"}},
		{"server that is stopping", store.ErrClosed, []string{"is stopping", "ask again later by itself"}},
		{"database away", store.ErrUnavailable, []string{"cannot reach its database"}},
	} {
		faults.err.Store(&c.err)
		say(c.mistake, w.enrolMistaken(good, "test", tokens[2]), c.words...)
	}
	faults.err.Store(nil)
	var limited error
	for range 100 {
		if limited = check(good, nothing); limited != nil {
			break
		}
	}
	say("device asks too often", limited, "slow down", "by itself")
	for range 3000 {
		if limited = w.enrolMistaken(good, "test", "x"); strings.Contains(limited.Error(), "slow down") {
			break
		}
	}
	say("network asks too often", limited, "slow down", "too many requests from this address")
	w.stop()
	say("server was stopped", check(good, nothing), "is the server running")
}

// failing is a store that cannot write.
type failing struct {
	store.Store
	err atomic.Pointer[error] // nil: it can
}

func (f *failing) Enrol(ctx context.Context, now time.Time, task string, hash [32]byte, id round.ID, public []byte) error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return f.Store.Enrol(ctx, now, task, hash, id, public)
}

// mistaken checks in with the SDK's connection, after a change.
func (w *world) mistaken(c transport.Config, d *device, change func(*client.CheckInRequest)) (client.CheckIn, error) {
	w.t.Helper()
	conn, err := transport.Dial(c)
	w.must(err)
	defer conn.Close()
	r := client.CheckInRequest{Task: "test", PublicKey: d.public(), Enrolment: d.enrolment, Time: time.Now().Unix(), Protocol: client.Protocol}
	change(&r)
	r.Signature = ed25519.Sign(d.key, CheckInMessage("test", r.PublicKey, r.Time, 0))
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	return conn.CheckIn(ctx, r)
}

func (w *world) enrolMistaken(c transport.Config, task, token string) error {
	w.t.Helper()
	conn, err := transport.Dial(c)
	w.must(err)
	defer conn.Close()
	public, private, err := ed25519.GenerateKey(nil)
	w.must(err)
	_, err = conn.Enroll(w.t.Context(), client.EnrollRequest{Task: task, Token: token, PublicKey: public, Proof: ed25519.Sign(private, EnrollMessage(task, token))})
	return err
}

// mistrusting is what comes of a device that pins another operator.
func (w *world) mistrusting(c transport.Config, token string) client.Outcome {
	w.t.Helper()
	blob := []byte("weights")
	_, err := w.server.Publish(w.t.Context(), Publication{Version: &model.Version{Params: sha256.Sum256(blob)}, Blobs: [][]byte{blob}, Cause: "start"})
	w.must(err)
	wrong, _, err := ed25519.GenerateKey(nil)
	w.must(err)
	shared, err := client.NewShared(client.SharedConfig{Catalogue: dataset.NewCatalogue([]dataset.Item{{ID: 1}, {ID: 2}})})
	w.must(err)
	key, err := history.NewKey(bytes.Repeat([]byte{7}, history.KeyBytes))
	w.must(err)
	conn, err := transport.Dial(c)
	w.must(err)
	defer conn.Close()
	d, err := client.Open(client.Options{Key: key, Store: new(clientstore.Memory), Shared: shared, Transport: conn, Token: token,
		Policy: plan.Policy{Task: "test", Operator: wrong, Enroller: w.server.Enroller(), Committee: w.cfg.roster(), MinMembers: 3, MinCorrupt: 1, MinCohort: 2,
			MaxRhoRound: big.NewRat(1, 1), MaxRhoTotal: big.NewRat(1, 1)}})
	w.must(err)
	defer d.Close()
	o, _ := d.Contribute(w.t.Context())
	return o
}

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// leaf makes an authority and a certificate of it for loopback.
func leaf(t *testing.T, from, to time.Time) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: from, NotAfter: to,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(made)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// shake answers handshakes with a certificate.
func shake(t *testing.T, c tls.Certificate) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { conn.(*tls.Conn).Handshake(); conn.Close() }()
		}
	}()
	return l.Addr().String()
}
