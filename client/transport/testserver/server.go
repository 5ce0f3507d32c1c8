// Package testserver is a server for tests of the client: one operator, one
// enroller and a committee in the same process, the true aggregation behind the
// true wire, and handles with which a test makes it lie. It keeps everything in
// memory and opens sums when it is told to. The server that people run is
// tutti/server.
package testserver

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"tutti/aggregation"
	"tutti/client/transport"
	"tutti/model"
	"tutti/model/dataset"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/api"
)

// The task and the log of every test server, and its committee.
const (
	Task      = "films"
	LogOrigin = "tutti/films"
	Members   = 3
	Corrupt   = 1
	Packing   = 2
	Sleepers  = 8 // enrolled devices that never answer, so that a population is one
)

// Server is one task at work. Its methods may be called from the test's
// goroutine while devices talk to it.
type Server struct {
	t         testing.TB
	catalogue *dataset.Catalogue
	address   string

	certificate []byte
	pool        *x509.CertPool

	operator, enroller ed25519.PrivateKey
	identities         []ed25519.PrivateKey
	nodes              []*aggregation.Member

	mu       sync.Mutex
	log      ledger.Log
	tokens   map[string]ed25519.PublicKey
	blobs    map[model.Digest][]byte
	version  *api.SignedVersion
	number   uint64
	head     model.Digest
	round    *Round
	rounds   map[uint64]*Round
	finished bool
	deltas   int
	seen     map[uint64]map[aggregation.DeviceID]map[aggregation.Digest]int

	lie Lies

	api.UnimplementedDevicesServer
}

// Lies are what a test makes the server say; nil handles change nothing.
type Lies struct {
	CheckIn func(*api.CheckInResponse)                            // changes an answer
	Blob    func(model.Digest, []byte) []byte                     // changes a blob
	Delta   func(model.Digest, []byte) ([]byte, error)            // changes a delta, nil where there is none
	Upload  func(aggregation.DeviceID, *api.UploadResponse) error // changes an answer after the upload was taken
	Receipt func(aggregation.DeviceID, *api.ReceiptResponse)      // changes an answer
	Enroll  func(*api.EnrollResponse)                             // changes an answer

	InviteAll bool                                                    // offers a round also to devices that its lot did not choose
	Staging   func(aggregation.DeviceID) (refuse *api.UploadResponse) // refuses instead of staging
}

// New starts a server on loopback; it stops with the test.
func New(t testing.TB, catalogue *dataset.Catalogue) *Server {
	t.Helper()
	s := &Server{t: t, catalogue: catalogue,
		tokens: map[string]ed25519.PublicKey{}, blobs: map[model.Digest][]byte{}, rounds: map[uint64]*Round{},
		seen: map[uint64]map[aggregation.DeviceID]map[aggregation.Digest]int{}}
	s.operator, s.enroller = s.newKey(), s.newKey()
	for range Members {
		s.identities = append(s.identities, s.newKey())
	}
	for j, identity := range s.identities {
		m, err := aggregation.NewMember(aggregation.MemberSetup{Identity: identity, Index: uint16(j + 1), Floor: 2,
			Pins: aggregation.Pins{Enroller: public(s.enroller), Roster: s.Committee()}})
		s.must(err)
		s.nodes = append(s.nodes, m)
	}
	_, err := s.log.Append(&ledger.Task{Task: Task, Operator: public(s.operator), Purpose: "tests", Unit: "device",
		Adjacency: "zero-out", Delta: "1e-06", Budget: big.NewRat(100, 1)}, time.Now().Unix())
	s.must(err)
	s.serve()
	return s
}

func (s *Server) newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	return key
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func (s *Server) must(err error) {
	if err != nil {
		s.t.Helper()
		s.t.Fatal(err)
	}
}

func (s *Server) serve() {
	pair, pool := certificate(s.t)
	s.pool, s.certificate = pool, pair.Certificate[0]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.address = listener.Addr().String()
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	api.RegisterDevicesServer(server, s)
	go server.Serve(listener)
	s.t.Cleanup(server.Stop)
}

// certificate makes a self-signed certificate for the loopback address.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test server"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// Address is where the server listens.
func (s *Server) Address() string { return s.address }

// Authority is what a client must trust to connect.
func (s *Server) Authority() *x509.CertPool { return s.pool }

// AuthorityPEM is the same as a file holds it.
func (s *Server) AuthorityPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate})
}

// Dial connects to the server; the connection closes with the test.
func (s *Server) Dial() *transport.Conn {
	conn, err := transport.Dial(transport.Config{Address: s.address, CA: s.pool})
	s.must(err)
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// Committee is the roster.
func (s *Server) Committee() []ed25519.PublicKey {
	var roster []ed25519.PublicKey
	for _, k := range s.identities {
		roster = append(roster, public(k))
	}
	return roster
}

// Policy is what a device of the task would pin, with a budget of rho 4 in all
// and 1 in a round.
func (s *Server) Policy() plan.Policy {
	return plan.Policy{Task: Task, Operator: public(s.operator), Enroller: public(s.enroller), Committee: s.Committee(),
		MinMembers: Members, MinCorrupt: Corrupt, MinCohort: 2, MaxRhoRound: big.NewRat(1, 1), MaxRhoTotal: big.NewRat(4, 1), MinPad: 1 << 15}
}

// Token makes a one-time token.
func (s *Server) Token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := rand.Text()
	s.tokens[token] = nil
	return token
}

// Lie makes the server lie from now on.
func (s *Server) Lie(l Lies) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lie = l
}

// Finish ends the task.
func (s *Server) Finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished, s.round = true, nil
}

// AddBlob makes a blob available under its digest.
func (s *Server) AddBlob(b []byte) model.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	digest := model.Digest(sha256.Sum256(b))
	s.blobs[digest] = b
	return digest
}

// Uploads is how many different uploads a device has sent for a round. More
// than one means that it sealed twice.
func (s *Server) Uploads(round uint64, device aggregation.DeviceID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen[round][device])
}
