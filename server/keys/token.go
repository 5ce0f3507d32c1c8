package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims are what a token says. It is a JSON Web Token under EdDSA (RFC 7519, RFC 8037), and no other algorithm is accepted.
type Claims struct {
	Subject  string // whose it is: a person, a program, a device's pseudonym
	Audience string // what it is for; whoever checks it names its own
	Scope    string // what its bearer may do there, words apart by spaces; empty: what the audience allows everybody
	ID       string // of this token, so that it can be spent once; filled in where empty
	Issued   time.Time
	Expires  time.Time
}

// MaxToken bounds the bytes of a token.
const MaxToken = 4 << 10

// clockSkew is how far the clocks of who signs and of who checks may be apart.
const clockSkew = time.Minute

// ErrToken is what OpenToken wraps. What it says of a token may be told to its bearer.
var ErrToken = errors.New("the token is not accepted")

type payload struct {
	jwt.RegisteredClaims
	Scope string `json:"scope,omitempty"`
}

// SignToken makes a token.
func SignToken(key ed25519.PrivateKey, c Claims) (string, error) {
	if c.Audience == "" || !c.Expires.After(c.Issued) {
		return "", errors.New("keys: a token needs an audience, and must not end before it begins")
	}
	if c.ID == "" {
		c.ID = rand.Text()
	}
	return jwt.NewWithClaims(jwt.SigningMethodEdDSA, payload{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject: c.Subject, Audience: jwt.ClaimStrings{c.Audience}, ID: c.ID,
			IssuedAt: jwt.NewNumericDate(c.Issued), ExpiresAt: jwt.NewNumericDate(c.Expires),
		},
		Scope: c.Scope,
	}).SignedString(key)
}

// OpenToken checks a token: signature, audience, and that it has begun and not ended.
func OpenToken(token string, key ed25519.PublicKey, audience string, now time.Time) (Claims, error) {
	if len(token) > MaxToken {
		return Claims{}, fmt.Errorf("%w: it is too long", ErrToken)
	}
	var p payload
	_, err := jwt.ParseWithClaims(token, &p, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(clockSkew), jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %s", ErrToken, tokenFault(err))
	}
	c := Claims{Subject: p.Subject, Audience: audience, Scope: p.Scope, ID: p.ID, Expires: p.ExpiresAt.Time}
	if p.IssuedAt != nil {
		c.Issued = p.IssuedAt.Time
	}
	return c, nil
}

// tokenFault says what is wrong without repeating anything of the token.
func tokenFault(err error) string {
	for _, f := range []struct {
		is   error
		says string
	}{
		{jwt.ErrTokenExpired, "it has expired"},
		{jwt.ErrTokenUsedBeforeIssued, "it was made in the future: check the clocks of both machines"},
		{jwt.ErrTokenNotValidYet, "it does not hold yet: check the clocks of both machines"},
		{jwt.ErrTokenInvalidAudience, "it is for something else"},
		{jwt.ErrTokenSignatureInvalid, "it is signed by another key"},
		{jwt.ErrTokenUnverifiable, "it is signed in another way than EdDSA"},
	} {
		if errors.Is(err, f.is) {
			return f.says
		}
	}
	return "it is malformed"
}
