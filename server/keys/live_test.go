package keys

import (
	"crypto/tls"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serving answers handshakes until the test ends, and says which certificate a client sees.
func serving(t *testing.T, c *tls.Config) (serial func(*tls.Config) (*big.Int, error)) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
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
			go func() {
				conn.(*tls.Conn).Handshake()
				conn.Write([]byte{1})
				conn.Close()
			}()
		}
	}()
	return func(client *tls.Config) (*big.Int, error) {
		conn, err := tls.Dial("tcp", l.Addr().String(), client)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 1)); err != nil { // a refused client certificate shows here
			return nil, err
		}
		return conn.ConnectionState().PeerCertificates[0].SerialNumber, nil
	}
}

// TestCertificatesChangeUnderARunningServer: new files are served without a restart, broken and expired ones are not, and
// the complaint comes once.
func TestCertificatesChangeUnderARunningServer(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	files, err := DevCerts(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	var complaints []string
	l, err := follow(Files{Cert: files.Cert, Key: files.Key}, []func(error){func(err error) { complaints = append(complaints, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	at := now
	l.clock = func() time.Time { at = at.Add(lookEvery); return at } // every handshake looks
	settings := &tls.Config{GetCertificate: l.certificate, MinVersion: tls.VersionTLS13}
	client, err := ClientTLS(Files{CA: files.CA})
	if err != nil {
		t.Fatal(err)
	}
	see := serving(t, settings)
	look := func() string {
		t.Helper()
		s, err := see(client)
		if err != nil {
			t.Fatal(err)
		}
		return s.String()
	}
	first := look()
	if again := look(); again != first {
		t.Error("another certificate from the same files")
	}
	if end, ok := Expires(settings); !ok || end.Sub(now.Add(leafLife)).Abs() > time.Minute {
		t.Errorf("it ends at %v, %v", end, ok)
	}

	if _, err := DevCerts(dir, now, "shop.example"); err != nil { // another leaf of the same authority
		t.Fatal(err)
	}
	second := look()
	if second == first {
		t.Error("the new certificate is not served")
	}
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(files.Cert, "half a certi")
	for range 3 {
		if got := look(); got != second {
			t.Error("a broken file changed the certificate")
		}
	}
	if len(complaints) != 1 || !strings.Contains(complaints[0], "the old one stays") {
		t.Errorf("complaints: %q", complaints)
	}
	os.Remove(files.Cert)
	if got := look(); got != second {
		t.Error("a missing file changed the certificate")
	}
	if _, _, err := makePair(files.Cert, files.Key, now.Add(-2*leafLife), nil, nil, nil); err != nil { // an authority's life is long
		t.Fatal(err)
	}
	ca, caKey, err := readPair(files.CA, filepath.Join(dir, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := makePair(files.Cert, files.Key, now.Add(-2*leafLife), []string{"127.0.0.1"}, ca, caKey); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != second {
		t.Error("an expired certificate took the place of a good one")
	}
	if last := complaints[len(complaints)-1]; !strings.Contains(last, "expired") {
		t.Errorf("complaint: %s", last)
	}
	os.Remove(files.Cert)
	os.Remove(files.Key)
	if _, err := DevCerts(dir, now); err != nil {
		t.Fatal(err)
	}
	if got := look(); got == second {
		t.Error("after the trouble the good new certificate is not served")
	}
}

// TestAuthorityOfClientsChanges: who may show a certificate follows the file as well.
func TestAuthorityOfClientsChanges(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	files, err := DevCerts(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := DevCerts(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	authority := filepath.Join(dir, "clients.pem")
	swap := func(from string) {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(authority, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	swap(files.CA)
	inviting, err := InvitingTLS(Files{CA: authority, Cert: files.Cert, Key: files.Key})
	if err != nil {
		t.Fatal(err)
	}
	see := serving(t, inviting)
	client := func(f Files) *tls.Config {
		c, err := ClientTLS(f)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	stranger := client(Files{CA: files.CA, Cert: other.Cert, Key: other.Key})
	if _, err := see(client(Files{CA: files.CA})); err != nil {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := see(client(files)); err != nil {
		t.Errorf("with ours: %v", err)
	}
	if _, err := see(stranger); err == nil {
		t.Error("a stranger's certificate was taken")
	}
	swap(other.CA)
	time.Sleep(lookEvery + 50*time.Millisecond)
	if _, err := see(stranger); err != nil {
		t.Errorf("after the change: %v", err)
	}
}

func TestExpiresWithoutCertificate(t *testing.T) {
	if _, ok := Expires(nil); ok {
		t.Error("nothing ends")
	}
	if _, ok := Expires(&tls.Config{}); ok {
		t.Error("no certificate ends")
	}
}
