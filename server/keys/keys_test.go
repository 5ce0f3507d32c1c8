package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestLoadMakesOnceAndGuards(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "key.pem")
	first, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(path)
	if err != nil || !bytes.Equal(first, again) {
		t.Fatalf("second load gave another key or %v", err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrExposed) {
			t.Fatalf("a key that the group can read: %v", err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Fatal("a file that is no key was read, or replaced")
	}
}

// handshake says how a client and a server with these settings get along.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		served <- tls.Server(c, server).Handshake()
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		c.Close()
	}
	return errors.Join(err, <-served)
}

func TestDevCerts(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	files, err := DevCerts(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := DevCerts(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	must := func(c *tls.Config, err error) *tls.Config {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	cases := []struct {
		name           string
		server, client *tls.Config
		good           bool
	}{
		{"same authority", must(ServerTLS(files)), must(ClientTLS(Files{CA: files.CA})), true},
		{"unknown authority", must(ServerTLS(other)), must(ClientTLS(Files{CA: files.CA})), false},
		{"mutual", must(MutualTLS(files)), must(ClientTLS(files)), true},
		{"mutual, no certificate", must(MutualTLS(files)), must(ClientTLS(Files{CA: files.CA})), false},
		{"mutual, foreign certificate", must(MutualTLS(files)), must(ClientTLS(Files{CA: files.CA, Cert: other.Cert, Key: other.Key})), false},
	}
	for _, c := range cases {
		if err := handshake(t, c.server, c.client); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestDevCertsRenew(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	read := func() (ca, leaf *ecdsa.PrivateKey) {
		_, ca, err1 := readPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
		_, leaf, err2 := readPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		return ca, leaf
	}
	make := func(at time.Time, hosts ...string) {
		t.Helper()
		if _, err := DevCerts(dir, at, hosts...); err != nil {
			t.Fatal(err)
		}
	}
	make(now)
	ca, leaf := read()
	make(now.Add(time.Hour))
	if ca2, leaf2 := read(); !ca2.Equal(ca) || !leaf2.Equal(leaf) {
		t.Error("good certificates were replaced")
	}
	make(now.Add(leafLife - time.Hour))
	if ca2, leaf2 := read(); !ca2.Equal(ca) || leaf2.Equal(leaf) {
		t.Error("a leaf about to expire must be replaced, its authority kept")
	}
	make(now.Add(leafLife), "tutti.example")
	if _, leaf2 := read(); leaf2.Equal(leaf) {
		t.Error("a leaf for a new host must be made")
	}
	make(now.Add(authorityLife))
	if ca2, _ := read(); ca2.Equal(ca) {
		t.Error("an expired authority must be replaced")
	}
}
