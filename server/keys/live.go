package keys

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// live is a certificate, with its authority where one is wanted, that follows its files: a handshake looks at them, at most
// once in a while, and reads them when they changed. New files that cannot be used leave the old ones in force.
type live struct {
	files    Files
	complain func(error)
	clock    func() time.Time

	mu     sync.Mutex
	looked time.Time
	stamp  [3]stamp
	pair   *tls.Certificate
	roots  *x509.CertPool
}

// stamp tells one content of a file from another without reading it.
type stamp struct {
	size int64
	time time.Time
	info os.FileInfo // for os.SameFile
}

func (s stamp) same(t stamp) bool {
	return s.size == t.size && s.time.Equal(t.time) && (s.info == nil && t.info == nil || s.info != nil && t.info != nil && os.SameFile(s.info, t.info))
}

// lookEvery is how often a handshake looks at the files.
const lookEvery = time.Second

// follow reads the files, and from then on follows them. A file that is not named is not read.
func follow(f Files, complain []func(error)) (*live, error) {
	l := &live{files: f, clock: time.Now, complain: func(error) {}}
	if len(complain) > 0 && complain[0] != nil {
		l.complain = complain[0]
	}
	l.stamp = l.stamps()
	var err error
	l.pair, l.roots, err = f.read()
	return l, err
}

func (l *live) stamps() (out [3]stamp) {
	for i, path := range []string{l.files.CA, l.files.Cert, l.files.Key} {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			out[i] = stamp{info.Size(), info.ModTime(), info}
		}
	}
	return out
}

func (f Files) read() (pair *tls.Certificate, roots *x509.CertPool, err error) {
	if f.CA != "" {
		if roots, err = pool(f.CA); err != nil {
			return nil, nil, err
		}
	}
	if f.Cert == "" {
		return nil, roots, nil
	}
	p, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the certificate: %w", err)
	}
	return &p, roots, nil
}

// now is what is in force. Files that changed and cannot be used are complained about once.
func (l *live) now() (*tls.Certificate, *x509.CertPool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.clock()
	if since := at.Sub(l.looked); since >= 0 && since < lookEvery {
		return l.pair, l.roots
	}
	l.looked = at
	stamps := l.stamps()
	if stamps[0].same(l.stamp[0]) && stamps[1].same(l.stamp[1]) && stamps[2].same(l.stamp[2]) {
		return l.pair, l.roots
	}
	l.stamp = stamps
	pair, roots, err := l.files.read()
	if err == nil && pair != nil && at.After(pair.Leaf.NotAfter) {
		err = fmt.Errorf("%s expired at %s", l.files.Cert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if err != nil {
		l.complain(fmt.Errorf("the new certificate cannot be used, the old one stays: %w", err))
		return l.pair, l.roots
	}
	l.pair, l.roots = pair, roots
	return l.pair, l.roots
}

func (l *live) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair, _ := l.now()
	return pair, nil
}

// ServerTLS serves with a certificate that follows its files: who renews them need not restart. TLS 1.3 only. complain, if
// one is given, is told of new files that cannot be used; the old ones stay in force.
func ServerTLS(f Files, complain ...func(error)) (*tls.Config, error) {
	if f.Cert == "" {
		return nil, errors.New("keys: a server needs a certificate")
	}
	l, err := follow(Files{Cert: f.Cert, Key: f.Key}, complain)
	if err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: l.certificate, MinVersion: tls.VersionTLS13}, nil
}

// MutualTLS serves with a certificate to those alone who have one of the same authority: committee nodes serve the
// aggregation server so.
func MutualTLS(f Files, complain ...func(error)) (*tls.Config, error) {
	return clientAuthority(f, tls.RequireAndVerifyClientCert, complain)
}

// InvitingTLS serves everybody, and verifies the certificate of a client that shows one against the authority f.CA.
func InvitingTLS(f Files, complain ...func(error)) (*tls.Config, error) {
	return clientAuthority(f, tls.VerifyClientCertIfGiven, complain)
}

func clientAuthority(f Files, auth tls.ClientAuthType, complain []func(error)) (*tls.Config, error) {
	if f.Cert == "" || f.CA == "" {
		return nil, errors.New("keys: a certificate and an authority are needed")
	}
	l, err := follow(f, complain)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{GetCertificate: l.certificate, MinVersion: tls.VersionTLS13, ClientAuth: auth, ClientCAs: l.roots,
		SessionTicketsDisabled: true} // a resumed session would outlive its authority
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		_, roots := l.now()
		fresh := c.Clone()
		fresh.GetConfigForClient, fresh.ClientCAs = nil, roots
		return fresh, nil
	}
	return c, nil
}

// ClientTLS dials servers whose certificate the authority signed, and shows the leaf where one is named; the leaf follows
// its files, the authority does not.
func ClientTLS(f Files, complain ...func(error)) (*tls.Config, error) {
	roots, err := pool(f.CA)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	if f.Cert != "" {
		l, err := follow(Files{Cert: f.Cert, Key: f.Key}, complain)
		if err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, _ := l.now()
			return pair, nil
		}
	}
	return c, nil
}

// Expires is when the certificate that a server serves with ends, as metrics and alerts want to know; false if it has none.
func Expires(c *tls.Config) (time.Time, bool) {
	if c == nil {
		return time.Time{}, false
	}
	var pair *tls.Certificate
	if c.GetCertificate != nil {
		pair, _ = c.GetCertificate(&tls.ClientHelloInfo{})
	} else if len(c.Certificates) > 0 {
		pair = &c.Certificates[0]
	}
	if pair == nil {
		return time.Time{}, false
	}
	if pair.Leaf != nil {
		return pair.Leaf.NotAfter, true
	}
	if len(pair.Certificate) == 0 {
		return time.Time{}, false
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return time.Time{}, false
	}
	return leaf.NotAfter, true
}

func pool(caFile string) (*x509.CertPool, error) {
	b, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no PEM certificate", caFile)
	}
	return p, nil
}
