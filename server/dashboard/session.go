package dashboard

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Identity is who an operator's token belongs to, and what it allows.
type Identity struct {
	Name  string
	Write bool // may pause, resume, stop, close and roll out; otherwise it may look
	Until time.Time
}

// Verifier checks an operator's token. Its error is logged and never shown.
type Verifier func(ctx context.Context, token string) (Identity, error)

// Lives of what lets an operator in.
const (
	longestSession = 8 * time.Hour
	inviteLife     = 15 * time.Minute
	mostRevoked    = 4096
	mostInvites    = 16
	longestCookie  = 1024
	longestToken   = 8 << 10
)

// session is what the cookie says. It is kept nowhere: the cookie is signed, so that every replica with the same key knows it.
type session struct {
	ID    string `json:"i"`
	Name  string `json:"n"`
	Write bool   `json:"w,omitempty"`
	Until int64  `json:"u"` // Unix seconds
}

// sessions makes and checks cookies and the secrets of forms.
type sessions struct {
	key    [32]byte
	random io.Reader
	clock  func() time.Time

	mu      sync.Mutex
	revoked map[string]int64 // logged out here, until they would have ended
	invites map[[32]byte]invite
}

type invite struct {
	identity Identity
	until    time.Time
}

func newSessions(key [32]byte, random io.Reader, clock func() time.Time) (*sessions, error) {
	s := &sessions{key: key, random: random, clock: clock, revoked: map[string]int64{}, invites: map[[32]byte]invite{}}
	if key == ([32]byte{}) {
		if _, err := io.ReadFull(random, s.key[:]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// String redacts.
func (*sessions) String() string { return "dashboard.sessions(redacted)" }

// GoString redacts.
func (s *sessions) GoString() string { return s.String() }

// Format redacts under every verb.
func (s *sessions) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// open begins a session and gives its cookie's value.
func (s *sessions) open(who Identity) (session, string, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(s.random, id); err != nil {
		return session{}, "", err
	}
	until := s.clock().Add(longestSession)
	if !who.Until.IsZero() && who.Until.Before(until) {
		until = who.Until
	}
	name := who.Name
	if r := []rune(name); len(r) > 64 {
		name = string(r[:64])
	}
	in := session{ID: base64.RawURLEncoding.EncodeToString(id), Name: name, Write: who.Write, Until: until.Unix()}
	body, err := json.Marshal(in)
	if err != nil {
		return session{}, "", err
	}
	payload := base64.RawURLEncoding.EncodeToString(body)
	return in, payload + "." + s.mac("session", payload), nil
}

func (s *sessions) mac(what, text string) string {
	h := hmac.New(sha256.New, s.key[:])
	io.WriteString(h, "tutti/dashboard/"+what+"\x00"+text)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

var errNoSession = errors.New("dashboard: no session")

// read checks a cookie's value.
func (s *sessions) read(value string) (session, error) {
	if len(value) > longestCookie {
		return session{}, errNoSession
	}
	payload, mac, found := strings.Cut(value, ".")
	if !found || !hmac.Equal([]byte(mac), []byte(s.mac("session", payload))) {
		return session{}, errNoSession
	}
	body, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return session{}, errNoSession
	}
	var in session
	if err := json.Unmarshal(body, &in); err != nil || !s.holds(in) {
		return session{}, errNoSession
	}
	return in, nil
}

// holds says whether a session has neither run out nor been ended here.
func (s *sessions) holds(in session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, gone := s.revoked[in.ID]
	return !gone && s.clock().Unix() < in.Until
}

// end revokes a session at this replica; the browser forgets its cookie, and elsewhere it ends by itself.
func (s *sessions) end(in session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, soonest := s.clock().Unix(), in
	for id, until := range s.revoked {
		if until <= now {
			delete(s.revoked, id)
		} else if until <= soonest.Until {
			soonest = session{ID: id, Until: until}
		}
	}
	if len(s.revoked) >= mostRevoked {
		delete(s.revoked, soonest.ID)
	}
	s.revoked[in.ID] = in.Until
}

// csrf is the secret of a session's forms.
func (s *sessions) csrf(in session) string { return s.mac("form", in.ID) }

func (s *sessions) csrfHolds(in session, got string) bool {
	return hmac.Equal([]byte(got), []byte(s.csrf(in)))
}

// invite makes a token that lets in once.
func (s *sessions) invite(who Identity) (string, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(s.random, b); err != nil {
		return "", err
	}
	token := invitePrefix + base64.RawURLEncoding.EncodeToString(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	for k, v := range s.invites {
		if now.After(v.until) || len(s.invites) >= mostInvites {
			delete(s.invites, k)
		}
	}
	s.invites[sha256.Sum256([]byte(token))] = invite{who, now.Add(inviteLife)}
	return token, nil
}

const invitePrefix = "once."

// accept takes an invitation, which is used up by it.
func (s *sessions) accept(token string) (Identity, bool) {
	if !strings.HasPrefix(token, invitePrefix) {
		return Identity{}, false
	}
	k := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	v, found := s.invites[k]
	delete(s.invites, k)
	return v.identity, found && s.clock().Before(v.until)
}

// cookie is the session's cookie: out of reach of scripts, of other sites and of plain HTTP.
func (h *Handler) cookie(value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{Name: h.cookieName(), Value: value, Path: "/", HttpOnly: true, Secure: !h.opts.Loopback, SameSite: http.SameSiteStrictMode, MaxAge: int(life / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// cookieName has a prefix with which browsers hold the cookie to this host over TLS. A demo on plain loopback cannot have it; its
// port is in the name, since cookies of one host are seen on all of its ports.
func (h *Handler) cookieName() string {
	if h.opts.Loopback {
		return "tutti-local-" + h.opts.Port
	}
	return "__Host-tutti"
}

// of gives the session of a request.
func (h *Handler) of(r *http.Request) (session, bool) {
	c, err := r.Cookie(h.cookieName())
	if err != nil {
		return session{}, false
	}
	in, err := h.sessions.read(c.Value)
	return in, err == nil
}

func randomness(r io.Reader) io.Reader {
	if r == nil {
		return rand.Reader
	}
	return r
}
