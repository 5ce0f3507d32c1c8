// Package attest decides who may enrol a device: a server asks its Attestor before it signs an enrolment. Without one,
// one-time tokens decide. JWT takes the word of somebody else's backend, Certificate that of a certificate authority; what a
// phone's maker says of the phone (Play Integrity, App Attest) is judged by the app's backend, which then signs a JWT, or by
// another Attestor.
package attest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Request is a device that wants to be enrolled. That it holds the key has been proven.
type Request struct {
	Task        string
	PublicKey   ed25519.PublicKey
	Attestation []byte            // as the device sent it
	Certificate *x509.Certificate // of its connection, verified by the handshake; nil: none
}

// Attestor judges devices. It is safe for concurrent use.
type Attestor interface {
	// Attest gives the name of what was shown, which is good for one device: the server spends it together with the
	// enrolment, in one transaction, and refuses it to another device from then on. Any error refuses.
	Attest(ctx context.Context, r Request) (ticket string, err error)
}

// Errors of the attestors here.
var (
	ErrToken       = errors.New("the attestation is not accepted")
	ErrCertificate = errors.New("a client certificate of the operator's authority is needed")
)

// MaxLife is how long an attestation may hold at most, from when it was made: long enough for clocks and networks, too
// short to be worth stealing. MaxToken is its length at most, checked before it is read.
const (
	MaxLife   = 10 * time.Minute
	MaxToken  = 4 << 10
	tolerance = time.Minute // between two clocks
	maxID     = 128
)

// JWT takes tokens that the owner of Key has signed (RFC 7519, EdDSA and nothing else): aud names the task, exp is at most ten
// minutes after iat, jti names the token and is spent once, and cnf (RFC 7800) holds the device's key as a JWK (RFC 8037), so
// that a token is of no use to anybody else. sub may be the device's pseudonym; it is not kept.
type JWT struct {
	Key   ed25519.PublicKey
	Clock func() time.Time // nil: time.Now
}

type claims struct {
	Confirmation *struct {
		Key struct {
			Type  string `json:"kty"`
			Curve string `json:"crv"`
			X     string `json:"x"`
		} `json:"jwk"`
	} `json:"cnf"`
	jwt.RegisteredClaims
}

// Attest implements Attestor.
func (j JWT) Attest(_ context.Context, r Request) (string, error) {
	if len(r.Attestation) == 0 || len(r.Attestation) > MaxToken || len(j.Key) != ed25519.PublicKeySize {
		return "", fmt.Errorf("%w: a token of %d bytes, want 1 to %d", ErrToken, len(r.Attestation), MaxToken)
	}
	clock := j.Clock
	if clock == nil {
		clock = time.Now
	}
	now := clock()
	var c claims
	_, err := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithAudience(r.Task), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(tolerance), jwt.WithTimeFunc(func() time.Time { return now })).
		ParseWithClaims(string(r.Attestation), &c, func(*jwt.Token) (any, error) { return j.Key, nil })
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrToken, plain(err))
	case c.IssuedAt == nil || c.ExpiresAt.Sub(c.IssuedAt.Time) > MaxLife:
		return "", fmt.Errorf("%w: it must say when it was made, and hold for at most %v", ErrToken, MaxLife)
	case c.ID == "" || len(c.ID) > maxID:
		return "", fmt.Errorf("%w: jti must name it, in at most %d bytes", ErrToken, maxID)
	case c.Confirmation == nil:
		return "", fmt.Errorf("%w: cnf must hold the device's key", ErrToken)
	}
	k := c.Confirmation.Key
	if k.Type != "OKP" || k.Curve != "Ed25519" || k.X != base64.RawURLEncoding.EncodeToString(r.PublicKey) {
		return "", fmt.Errorf("%w: it was made for another key", ErrToken)
	}
	return "jwt:" + c.ID, nil
}

// plain says what is wrong with a token, and nothing of what stands in it.
func plain(err error) error {
	for _, known := range []error{jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet, jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenInvalidAudience,
		jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenUnverifiable} {
		if errors.Is(err, known) {
			return known
		}
	}
	return jwt.ErrTokenMalformed
}

// Confirmation is the cnf claim for a device's key, for whoever signs tokens.
func Confirmation(key ed25519.PublicKey) map[string]any {
	return map[string]any{"jwk": map[string]string{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(key)}}
}

// Certificate takes every device whose connection showed a client certificate that the handshake has verified; each
// certificate is good for one device.
type Certificate struct{}

// Attest implements Attestor.
func (Certificate) Attest(_ context.Context, r Request) (string, error) {
	if r.Certificate == nil {
		return "", ErrCertificate
	}
	d := sha256.Sum256(r.Certificate.Raw)
	return "certificate:" + hex.EncodeToString(d[:]), nil
}
