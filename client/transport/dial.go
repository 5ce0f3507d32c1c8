package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"tutti/server/api"
)

// Config says where the server is and whom to believe that it is it.
type Config struct {
	Address    string         // host:port
	CAFile     string         // PEM file of the authority that signed the server's certificate; or
	CA         *x509.CertPool // the same, loaded; with neither, the system's authorities
	ServerName string         // name in the certificate, when it is not the host of Address

	CertFile, KeyFile string // PEM files of a certificate to show, for servers that enrol only who has one
}

const (
	connectTimeout = 10 * time.Second
	keepaliveEvery = 2 * time.Minute
	keepaliveWait  = 20 * time.Second
)

// Dial prepares a connection; it is made when the first call needs it. The
// caller closes the Conn.
func Dial(c Config) (*Conn, error) {
	if c.Address == "" {
		return nil, errors.New("transport: no server address was given")
	}
	pool, err := c.pool()
	if err != nil {
		return nil, err
	}
	settings := &tls.Config{RootCAs: pool, ServerName: c.ServerName, MinVersion: tls.VersionTLS13}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("transport: reading the certificate to show: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	conn, err := grpc.NewClient(c.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(settings)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveEvery, Timeout: keepaliveWait}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}))
	if err != nil {
		return nil, fmt.Errorf("transport: %s is not an address to connect to: %w", c.Address, err)
	}
	t := New(conn)
	t.address, t.close = c.Address, conn.Close
	return t, nil
}

func (c Config) pool() (*x509.CertPool, error) {
	if c.CA != nil || c.CAFile == "" {
		return c.CA, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("transport: reading the authority's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("transport: %s holds no PEM certificate", c.CAFile)
	}
	return pool, nil
}

// Conn is a client.Transport over one gRPC connection, safe for concurrent use.
type Conn struct {
	devices api.DevicesClient
	address string
	silence time.Duration // after which a call without any progress is given up
	close   func() error
}

// patience is how long a device waits for a server that says nothing. An upload is answered when it is durable, which
// takes seconds at most.
const patience = 2 * time.Minute

var errSilent = errors.New("the server said nothing")

// watch bounds how long a call may stand still: its context ends when progress was not called for that long.
func (t *Conn) watch(ctx context.Context) (watched context.Context, progress, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(t.silence, func() { cancel(errSilent) })
	return watched, func() { timer.Reset(t.silence) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// New uses a connection that the caller owns and closes.
func New(conn grpc.ClientConnInterface) *Conn {
	return &Conn{devices: api.NewDevicesClient(conn), address: "the server", silence: patience, close: func() error { return nil }}
}

// Close ends the connection that Dial made.
func (t *Conn) Close() error { return t.close() }
