package operator

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tutti/server/keys"
)

// ScopeWrite lets the bearer of a token change what the task does; every token may look.
const ScopeWrite = "write"

// Who is the bearer of a token.
type Who struct {
	Name    string
	Write   bool
	Expires time.Time
}

// Auth opens the tokens of a task's operators. They are signed by the operator's key, so that every replica takes them.
type Auth struct {
	Task  string
	Key   ed25519.PublicKey
	Clock func() time.Time
}

func audience(task string) string { return "tutti/operator/" + task }

// NewToken makes a token for one operator, or one program.
func NewToken(key ed25519.PrivateKey, task, name string, write bool, now time.Time, valid time.Duration) (string, error) {
	c := keys.Claims{Subject: name, Audience: audience(task), Issued: now, Expires: now.Add(valid)}
	if write {
		c.Scope = ScopeWrite
	}
	return keys.SignToken(key, c)
}

// Open checks a token.
func (a Auth) Open(token string) (Who, error) {
	c, err := keys.OpenToken(strings.TrimSpace(token), a.Key, audience(a.Task), a.Clock())
	if err != nil {
		return Who{}, err
	}
	return Who{Name: c.Subject, Write: slices.Contains(strings.Fields(c.Scope), ScopeWrite), Expires: c.Expires}, nil
}

// ErrNoToken says that a request brings no token.
var ErrNoToken = errors.New("a token is needed: authorization: Bearer TOKEN (tutti task token makes one, and DIR/operator.token holds one for reading)")

// bearer reads the value of an authorization header.
func (a Auth) bearer(header string) (Who, error) {
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "bearer") || token == "" {
		return Who{}, ErrNoToken
	}
	return a.Open(token)
}

// Guard lets through to h only requests that bring a token.
func (a Auth) Guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := a.bearer(r.Header.Get("Authorization")); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="tutti"`)
			http.Error(w, fmt.Sprintf("%v", err), http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
