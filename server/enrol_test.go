package server

import (
	"context"
	"crypto/ed25519"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"tutti/server/api"
	"tutti/server/attest"
	"tutti/server/keys"
)

// TestAttestedEnrolment: with an attestor no token counts; an attestation enrols the key it was made for, as often as that
// device asks, and is spent for every other key, also when two come at the same time.
func TestAttestedEnrolment(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	w.server.cfg.Attestor = attest.JWT{Key: public}
	sign := func(id string, key ed25519.PublicKey) []byte {
		now := time.Now()
		s, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"aud": "test", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": id,
			"cnf": attest.Confirmation(key)}).SignedString(private)
		w.must(err)
		return []byte(s)
	}
	enrol := func(d *device, token string, attestation []byte) error {
		_, err := d.rpc.Enroll(context.Background(), &api.EnrollRequest{Task: "test", Token: token, PublicKey: d.public(),
			Proof: ed25519.Sign(d.key, EnrollMessage("test", token)), Attestation: attestation})
		return err
	}
	fresh := func() *device {
		_, key, err := ed25519.GenerateKey(nil)
		w.must(err)
		return &device{w: w, key: key, rpc: api.NewDevicesClient(w.conn)}
	}
	tokens, err := w.server.Tokens(context.Background(), 1)
	w.must(err)
	first, second := fresh(), fresh()
	if err := enrol(first, tokens[0], nil); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a token in place of an attestation: %v", err)
	}
	for range 2 { // its first answer may have been lost
		if err := enrol(first, "", sign("1", first.public())); err != nil {
			t.Errorf("a good one: %v", err)
		}
	}
	if err := enrol(second, "", sign("1", second.public())); status.Code(err) != codes.PermissionDenied {
		t.Errorf("the same jti for another key: %v", err)
	}
	if err := enrol(second, "", sign("2", first.public())); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another's attestation: %v", err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	good := 0
	for range 8 {
		d := fresh()
		all.Go(func() {
			if enrol(d, "", sign("3", d.public())) == nil {
				mu.Lock()
				good++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if good != 1 {
		t.Errorf("one jti enrolled %d devices", good)
	}
}

// TestCertificateEnrolment: with a policy for certificates a device without one is not enrolled, and each certificate is
// good for one device.
func TestCertificateEnrolment(t *testing.T) {
	w := newWorldOf(t, 5, func(w *world) {
		settings, err := keys.InvitingTLS(w.files)
		w.must(err)
		w.cfg.TLS = settings
	})
	w.server.cfg.Attestor = attest.Certificate{}
	enrol := func(conn *grpc.ClientConn) error {
		_, key, err := ed25519.GenerateKey(nil)
		w.must(err)
		_, err = (&device{w: w, key: key, rpc: api.NewDevicesClient(conn)}).enrol("")
		return err
	}
	if err := enrol(w.conn); status.Code(err) != codes.PermissionDenied {
		t.Errorf("without a certificate: %v", err)
	}
	settings, err := keys.ClientTLS(w.files)
	w.must(err)
	conn, err := grpc.NewClient(w.address, grpc.WithTransportCredentials(credentials.NewTLS(settings)))
	w.must(err)
	defer conn.Close()
	if err := enrol(conn); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if err := enrol(conn); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a second device with the same certificate: %v", err)
	}
}
