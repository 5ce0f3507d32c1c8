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

func TestToken(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	other, _, _ := ed25519.GenerateKey(nil)
	now := time.Unix(1_800_000_000, 0)
	want := Claims{Subject: "ana", Audience: "tutti/operator/t", Scope: "write", ID: "1", Issued: now, Expires: now.Add(time.Hour)}
	token, err := SignToken(private, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenToken(token, public, want.Audience, now.Add(time.Minute))
	if err != nil || !got.Issued.Equal(want.Issued) || !got.Expires.Equal(want.Expires) || got.Subject != want.Subject || got.Scope != want.Scope || got.ID != want.ID {
		t.Fatalf("%+v, %v", got, err)
	}
	unsigned, _ := jwt.NewWithClaims(jwt.SigningMethodNone, payload{RegisteredClaims: jwt.RegisteredClaims{
		Audience: jwt.ClaimStrings{want.Audience}, ExpiresAt: jwt.NewNumericDate(want.Expires)}}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	byKey, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, payload{RegisteredClaims: jwt.RegisteredClaims{ // the public key as a shared secret
		Audience: jwt.ClaimStrings{want.Audience}, ExpiresAt: jwt.NewNumericDate(want.Expires)}}).SignedString([]byte(public))
	endless, _ := jwt.NewWithClaims(jwt.SigningMethodEdDSA, payload{RegisteredClaims: jwt.RegisteredClaims{Audience: jwt.ClaimStrings{want.Audience}}}).SignedString(private)
	parts := strings.Split(token, ".")
	wider := base64.RawURLEncoding.EncodeToString([]byte(`{"aud":["tutti/operator/t"],"exp":4000000000,"scope":"write"}`))
	for _, bad := range []struct {
		what, token, audience, says string
		key                         ed25519.PublicKey
		at                          time.Time
	}{
		{"expired", token, want.Audience, "expired", public, now.Add(time.Hour + 2*clockSkew)},
		{"from the future", token, want.Audience, "clocks", public, now.Add(-2 * clockSkew)},
		{"another audience", token, "tutti/operator/u", "something else", public, now},
		{"another key", token, want.Audience, "another key", other, now},
		{"no signature", unsigned, want.Audience, "", public, now},
		{"a keyed hash", byKey, want.Audience, "", public, now},
		{"no end", endless, want.Audience, "", public, now},
		{"other claims", parts[0] + "." + wider + "." + parts[2], want.Audience, "another key", public, now},
		{"nothing", "", want.Audience, "malformed", public, now},
		{"too long", strings.Repeat("x", MaxToken+1), want.Audience, "long", public, now},
	} {
		if c, err := OpenToken(bad.token, bad.key, bad.audience, bad.at); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: %+v, %v", bad.what, c, err)
		}
	}
	if _, err := SignToken(private, Claims{Subject: "ana", Issued: now, Expires: now.Add(1)}); err == nil {
		t.Error("a token for nothing")
	}
}

func FuzzOpenToken(f *testing.F) {
	public, private, _ := ed25519.GenerateKey(nil)
	now := time.Unix(1_800_000_000, 0)
	good, _ := SignToken(private, Claims{Audience: "a", ID: "1", Issued: now, Expires: now.Add(time.Hour)})
	f.Add(good)
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := OpenToken(token, public, "a", now); err == nil && token != good {
			sameParts := strings.Count(token, ".") == 2 && strings.HasPrefix(token, good[:strings.LastIndex(good, ".")])
			if !sameParts { // base64 has more than one form of the signature's last bits
				t.Fatalf("%q is accepted", token)
			}
		}
	})
}
