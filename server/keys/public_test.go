package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

func TestReadPublic(t *testing.T) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	write := func(kind string, key any) {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("PUBLIC KEY", public)
	if got, err := ReadPublic(path); err != nil || !got.Equal(public) {
		t.Errorf("%v, %v", got, err)
	}
	write("CERTIFICATE", public)
	if _, err := ReadPublic(path); err == nil {
		t.Error("another kind of file was read")
	}
	write("PUBLIC KEY", &other.PublicKey)
	if _, err := ReadPublic(path); err == nil {
		t.Error("another kind of key was read")
	}
	if _, err := ReadPublic(path + "x"); err == nil {
		t.Error("a missing file was read")
	}
}
