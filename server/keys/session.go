package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Role is what an operator's session may do.
type Role string

// The roles.
const (
	Reader Role = "read"  // looks
	Writer Role = "write" // looks, and pauses, resumes, stops, creates, promotes
)

// Session is one login of an operator, as its token says: a JWT (RFC 7519), EdDSA alone. No time but that of the caller is
// read, so both ends test without a clock.
type Session struct {
	Operator string // name, 1 to 64 bytes
	Role     Role
	ID       string // drawn by IssueSession where it is empty
	Issued   time.Time
	Expires  time.Time // at most MaxSession after Issued
}

// MaxSession is how long a session lives at most. maxSessionToken is the length of its token at most, checked before it is read.
const (
	MaxSession      = 30 * 24 * time.Hour
	maxSessionToken = 1024
	sessionIssuer   = "tutti"
	sessionAudience = "tutti/operator"
	tolerance       = time.Minute // between two clocks
)

// ErrSession says that a token is no session: log in again.
var ErrSession = errors.New("this session does not hold: log in again")

type sessionClaims struct {
	Role Role `json:"role"`
	jwt.RegisteredClaims
}

// IssueSession signs a session with a key that signs nothing else.
func IssueSession(key ed25519.PrivateKey, s Session) (string, error) {
	if s.ID == "" {
		s.ID = rand.Text()
	}
	if err := s.check(); err != nil {
		return "", err
	}
	return jwt.NewWithClaims(jwt.SigningMethodEdDSA, sessionClaims{Role: s.Role, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: sessionIssuer, Subject: s.Operator, Audience: jwt.ClaimStrings{sessionAudience}, ID: s.ID,
		IssuedAt: jwt.NewNumericDate(s.Issued), ExpiresAt: jwt.NewNumericDate(s.Expires)}}).SignedString(key)
}

func (s Session) check() error {
	switch life := s.Expires.Sub(s.Issued); {
	case s.Operator == "" || len(s.Operator) > 64:
		return fmt.Errorf("keys: an operator's name of %d bytes, want 1 to 64", len(s.Operator))
	case s.Role != Reader && s.Role != Writer:
		return fmt.Errorf("keys: there is no role %q", s.Role)
	case life <= 0 || life > MaxSession:
		return fmt.Errorf("keys: a session of %v, at most %v", life, MaxSession)
	}
	return nil
}

// VerifySession reads a session's token; every error is ErrSession.
func VerifySession(public ed25519.PublicKey, token string, now time.Time) (Session, error) {
	if len(token) > maxSessionToken || len(public) != ed25519.PublicKeySize {
		return Session{}, ErrSession
	}
	var c sessionClaims
	_, err := parser(now, jwt.WithAudience(sessionAudience), jwt.WithIssuer(sessionIssuer)).ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return public, nil })
	if err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrSession, err)
	}
	if c.IssuedAt == nil || c.ID == "" {
		return Session{}, fmt.Errorf("%w: it names no begin, or no id", ErrSession)
	}
	s := Session{Operator: c.Subject, Role: c.Role, ID: c.ID, Issued: c.IssuedAt.Time, Expires: c.ExpiresAt.Time}
	if err := s.check(); err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrSession, err)
	}
	return s, nil
}

// parser reads tokens signed with EdDSA and nothing else, that end, at the caller's time.
func parser(now time.Time, more ...jwt.ParserOption) *jwt.Parser {
	return jwt.NewParser(append(more, jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(tolerance), jwt.WithTimeFunc(func() time.Time { return now }))...)
}
