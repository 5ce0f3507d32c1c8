package attest

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func seeded(b byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = b
	return ed25519.NewKeyFromSeed(seed)
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

var (
	backend, device = seeded(1), seeded(2)
	now             = time.Unix(1_800_000_000, 0)
	attestor        = JWT{Key: public(backend), Clock: func() time.Time { return now }}
)

// token is a good one but for what change does.
func token(t testing.TB, method jwt.SigningMethod, key any, change func(jwt.MapClaims)) []byte {
	t.Helper()
	c := jwt.MapClaims{"aud": "films", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": "one", "sub": "pseudonym", "cnf": Confirmation(public(device))}
	if change != nil {
		change(c)
	}
	s, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(s)
}

// TestBadTokens: the good token is taken, and none that differs from it in one thing. That a spent one is refused is the
// server's part, see its tests.
func TestBadTokens(t *testing.T) {
	ed := jwt.SigningMethodEdDSA
	judge := func(b []byte) (string, error) {
		return attestor.Attest(t.Context(), Request{Task: "films", PublicKey: public(device), Attestation: b})
	}
	if ticket, err := judge(token(t, ed, backend, nil)); err != nil || ticket != "jwt:one" {
		t.Fatalf("%q, %v", ticket, err)
	}
	set := func(name string, value any) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		}
	}
	for name, c := range map[string]struct {
		token []byte
		says  string
	}{
		"alg none":            {token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), "signature"},
		"HS256 with our key":  {token(t, jwt.SigningMethodHS256, []byte(public(backend)), nil), "signature"},
		"another signer":      {token(t, ed, seeded(3), nil), "signature"},
		"another audience":    {token(t, ed, backend, set("aud", "books")), "audience"},
		"no audience":         {token(t, ed, backend, set("aud", nil)), ""},
		"expired":             {token(t, ed, backend, func(c jwt.MapClaims) { c["iat"], c["exp"] = now.Unix()-600, now.Unix()-120 }), "expired"},
		"without end":         {token(t, ed, backend, set("exp", nil)), ""},
		"not valid yet":       {token(t, ed, backend, set("nbf", now.Add(5*time.Minute).Unix())), "not valid yet"},
		"from the future":     {token(t, ed, backend, set("iat", now.Add(4*time.Minute).Unix())), "before issued"},
		"too long a life":     {token(t, ed, backend, set("exp", now.Add(11*time.Minute).Unix())), "at most 10m"},
		"of unknown age":      {token(t, ed, backend, set("iat", nil)), "when it was made"},
		"without a name":      {token(t, ed, backend, set("jti", nil)), "jti"},
		"too long a name":     {token(t, ed, backend, set("jti", strings.Repeat("x", 129))), "jti"},
		"for another key":     {token(t, ed, backend, set("cnf", Confirmation(public(backend)))), "another key"},
		"for no key":          {token(t, ed, backend, set("cnf", nil)), "cnf"},
		"for a key by number": {token(t, ed, backend, set("cnf", map[string]any{"kid": "1"})), "another key"},
		"for a key elsewhere": {token(t, ed, backend, set("cnf", "x")), "malformed"},
		"too many bytes":      {append(token(t, ed, backend, nil), make([]byte, MaxToken)...), "bytes"},
		"nothing":             {nil, "bytes"},
		"noise":               {[]byte("a.b.c"), "malformed"},
	} {
		ticket, err := judge(c.token)
		if !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v", name, ticket, err)
		}
	}
}

func TestCertificate(t *testing.T) {
	if _, err := (Certificate{}).Attest(t.Context(), Request{}); !errors.Is(err, ErrCertificate) {
		t.Errorf("without one: %v", err)
	}
}

// FuzzJWT: whatever comes in, what is accepted was signed.
func FuzzJWT(f *testing.F) {
	good := token(f, jwt.SigningMethodEdDSA, backend, nil)
	f.Add(good)
	f.Add([]byte("eyJhbGciOiJub25lIn0.e30."))
	f.Add(make([]byte, MaxToken+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		ticket, err := attestor.Attest(t.Context(), Request{Task: "films", PublicKey: public(device), Attestation: b})
		if err == nil && (ticket != "jwt:one" || strings.Count(string(b), ".") != 2) {
			t.Fatalf("%q: %q", b, ticket)
		}
	})
}
