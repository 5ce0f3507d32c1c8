package attest_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tutti/server/attest"
)

// An app's backend signs a token for one device's key and one task; the server takes it for that key alone.
func ExampleJWT() {
	backend := ed25519.NewKeyFromSeed(make([]byte, 32))
	device, another := make(ed25519.PublicKey, 32), append(make(ed25519.PublicKey, 31), 1)
	now := time.Unix(1_800_000_000, 0)

	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"aud": "films", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": "7f3c", "cnf": attest.Confirmation(device),
	}).SignedString(backend)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := attest.JWT{Key: backend.Public().(ed25519.PublicKey), Clock: func() time.Time { return now }}
	for _, key := range []ed25519.PublicKey{device, another} {
		fmt.Println(server.Attest(context.Background(), attest.Request{Task: "films", PublicKey: key, Attestation: []byte(token)}))
	}
	// Output:
	// jwt:7f3c <nil>
	//  the attestation is not accepted: it was made for another key
}
