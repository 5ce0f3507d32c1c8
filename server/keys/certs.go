package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Development certificates: an authority of one's own and one leaf that serves and dials. ECDSA P-256, because browsers
// refuse Ed25519. They are for one machine or a laboratory; in production the operator brings certificates of a real
// authority.
const (
	authorityLife = 365 * 24 * time.Hour
	leafLife      = 30 * 24 * time.Hour
	renewBefore   = 24 * time.Hour
)

// Files are the places of a certificate, its key and the authority that signed it.
type Files struct {
	CA   string // PEM certificate of the authority
	Cert string // PEM certificate of the leaf
	Key  string // PEM private key of the leaf, mode 0600
}

// DevCerts makes what is missing or about to expire in dir: ca.pem, ca.key, server.pem, server.key. The leaf is for
// localhost, 127.0.0.1, ::1 and the hosts given.
func DevCerts(dir string, now time.Time, hosts ...string) (Files, error) {
	files := Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key")}
	ca, caKey, err := readPair(files.CA, filepath.Join(dir, "ca.key"))
	if err != nil {
		return files, err
	}
	if ca == nil || !now.Before(ca.NotAfter.Add(-leafLife)) {
		ca, caKey, err = makePair(files.CA, filepath.Join(dir, "ca.key"), now, nil, nil, nil)
		if err != nil {
			return files, err
		}
	}
	leaf, _, err := readPair(files.Cert, files.Key)
	if err != nil {
		return files, err
	}
	hosts = append([]string{"localhost", "127.0.0.1", "::1"}, hosts...)
	if leaf != nil && now.Before(leaf.NotAfter.Add(-renewBefore)) && leaf.CheckSignatureFrom(ca) == nil && covers(leaf, hosts) {
		return files, nil
	}
	_, _, err = makePair(files.Cert, files.Key, now, hosts, ca, caKey)
	return files, err
}

func covers(leaf *x509.Certificate, hosts []string) bool {
	for _, h := range hosts {
		if leaf.VerifyHostname(h) != nil {
			return false
		}
	}
	return true
}

// readPair reads a certificate and its key; nil if there is none.
func readPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s: not a development certificate of ours: choose another directory", certFile)
	}
	return pair.Leaf, key, nil
}

// makePair makes an authority, or a leaf for hosts that the authority signs.
func makePair(certFile, keyFile string, now time.Time, hosts []string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	cert := &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-time.Hour)}
	if ca == nil {
		cert.Subject = pkix.Name{CommonName: "Tutti development authority"}
		cert.NotAfter = now.Add(authorityLife)
		cert.IsCA, cert.BasicConstraintsValid, cert.MaxPathLenZero = true, true, true
		cert.KeyUsage = x509.KeyUsageCertSign
		ca, caKey = cert, key
	} else {
		cert.Subject = pkix.Name{CommonName: "Tutti development"}
		cert.NotAfter = now.Add(leafLife)
		cert.KeyUsage = x509.KeyUsageDigitalSignature
		cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		for _, h := range hosts {
			if ip := net.ParseIP(h); ip != nil {
				cert.IPAddresses = append(cert.IPAddresses, ip)
			} else {
				cert.DNSNames = append(cert.DNSNames, h)
			}
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range []struct {
		path  string
		block pem.Block
	}{{keyFile, pem.Block{Type: pemKey, Bytes: keyDER}}, {certFile, pem.Block{Type: "CERTIFICATE", Bytes: der}}} {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if err := writeNew(f.path, pem.EncodeToMemory(&f.block)); err != nil {
			return nil, nil, fmt.Errorf("making %s: %w", f.path, err)
		}
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}
