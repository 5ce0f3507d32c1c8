package keys

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func key(seed byte) ed25519.PrivateKey {
	b := make([]byte, ed25519.SeedSize)
	b[0] = seed
	return ed25519.NewKeyFromSeed(b)
}

func TestSession(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	good := Session{Operator: "ada", Role: Writer, Issued: now, Expires: now.Add(time.Hour)}
	token, err := IssueSession(key(1), good)
	if err != nil {
		t.Fatal(err)
	}
	public := key(1).Public().(ed25519.PublicKey)
	got, err := VerifySession(public, token, now.Add(30*time.Minute))
	if err != nil || got.Operator != "ada" || got.Role != Writer || got.ID == "" || !got.Expires.Equal(good.Expires) {
		t.Fatalf("%+v, %v", got, err)
	}
	sign := func(m jwt.SigningMethod, k any, change func(*sessionClaims)) string {
		c := sessionClaims{Role: Reader, RegisteredClaims: jwt.RegisteredClaims{Issuer: sessionIssuer, Subject: "ada", Audience: jwt.ClaimStrings{sessionAudience},
			ID: "1", IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour))}}
		change(&c)
		s, err := jwt.NewWithClaims(m, c).SignedString(k)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	nothing := func(*sessionClaims) {}
	if _, err := VerifySession(public, sign(jwt.SigningMethodEdDSA, key(1), nothing), now); err != nil {
		t.Fatalf("the pattern of the bad ones: %v", err)
	}
	payload := strings.Split(token, ".")
	raised := payload[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(decode(t, payload[1])), "write", "admin", 1))) + "." + payload[2]
	for name, bad := range map[string]string{
		"alg none":         sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nothing),
		"HS256":            sign(jwt.SigningMethodHS256, []byte(public), nothing),
		"another key":      sign(jwt.SigningMethodEdDSA, key(2), nothing),
		"another audience": sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.Audience = jwt.ClaimStrings{"films"} }),
		"another issuer":   sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.Issuer = "shop" }),
		"expired":          sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(-2 * time.Minute)) }),
		"without an end":   sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.ExpiresAt = nil }),
		"from the future":  sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.IssuedAt = jwt.NewNumericDate(now.Add(time.Hour / 2)) }),
		"too long a life":  sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.ExpiresAt = jwt.NewNumericDate(now.Add(MaxSession + time.Hour)) }),
		"no such role":     sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.Role = "admin" }),
		"no name":          sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.Subject = "" }),
		"no id":            sign(jwt.SigningMethodEdDSA, key(1), func(c *sessionClaims) { c.ID = "" }),
		"changed role":     raised,
		"too long":         token + strings.Repeat("A", maxSessionToken),
		"empty":            "",
	} {
		if s, err := VerifySession(public, bad, now); !errors.Is(err, ErrSession) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	for _, s := range []Session{{}, {Operator: "ada", Role: "admin", Issued: now, Expires: now.Add(1)}, {Operator: "ada", Role: Reader, Issued: now, Expires: now}} {
		if _, err := IssueSession(key(1), s); err == nil {
			t.Errorf("issued %+v", s)
		}
	}
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzSession: whatever comes in as a token, a session that comes out was issued.
func FuzzSession(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	good, err := IssueSession(key(1), Session{Operator: "ada", Role: Reader, ID: "7", Issued: now, Expires: now.Add(time.Hour)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(strings.Repeat(".", 2000))
	public := key(1).Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, token string) {
		if s, err := VerifySession(public, token, now); err == nil && (s.Operator != "ada" || s.Role != Reader || s.ID != "7") {
			t.Fatalf("%q: %+v", token, s)
		}
	})
}
