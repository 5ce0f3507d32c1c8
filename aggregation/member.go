package aggregation

import (
	"crypto/ed25519"
	"errors"
	"io"
)

// Record is one line of a member's durable state. A nil Value deletes the key.
// Values of "key/" records are secret; a Record prints only its key.
type Record struct {
	Key   string
	Value []byte
}

// Verdict is a member's judgement of one header.
type Verdict struct {
	Entry  Entry
	Reason Reason // Accepted, or why not
}

// Member is one committee node as a pure state machine.
//
// Order of effects: every method that returns records has already moved the machine. The shell writes all of them in
// one transaction, durably, BEFORE it sends the method's other results to anyone. If the write fails the shell drops
// the Member, unsent, and rebuilds it with RestoreMember. A repeated request returns the same bytes and no records.
// One goroutine owns a Member.
type Member struct {
	setup MemberSetup
}

// MemberSetup is what a node is started with.
type MemberSetup struct {
	Identity ed25519.PrivateKey // long-lived roster key
	Index    uint16             // 1..m
	Pins     Pins               // enroller and the whole roster, this member included
	Floor    int                // the fewest devices in a sum that this node will ever help open, >= 2
}

var errNotYet = errors.New("not yet")

// NewMember starts a node without history.
func NewMember(setup MemberSetup) (*Member, error) { return RestoreMember(setup, nil) }

// RestoreMember rebuilds a node from all records that were written and not deleted, in any order.
func RestoreMember(setup MemberSetup, records []Record) (*Member, error) { return nil, errNotYet }

// OpenRound makes, or repeats, the member's fresh HPKE key for a round under the plan that the log holds (rule 2).
func (m *Member) OpenRound(random io.Reader, id RoundID, plan Digest) (RoundKey, []Record, error) {
	return RoundKey{}, nil, errNotYet
}

// Begin takes the round's one configuration. The shell compared it with the signed plan in the log before (rule 6).
func (m *Member) Begin(cfg *Config) ([]Record, error) { return nil, errNotYet }

// Accept judges a batch of headers, one verdict each, in order. An id is accepted with one digest only, ever.
func (m *Member) Accept(id RoundID, batch []*MemberHeader) ([]Verdict, []Record, error) {
	return nil, nil, errNotYet
}

// Sign signs H(cfg, U), for one U only.
func (m *Member) Sign(id RoundID, p *Proposal) (SetSignature, []Record, error) {
	return SetSignature{}, nil, errNotYet
}

// Abandon gives the member's word that it will never sign a set in this round, and erases the round's secrets.
func (m *Member) Abandon(id RoundID) (AbandonSignature, []Record, error) {
	return AbandonSignature{}, nil, errNotYet
}

// Release answers a certificate with the sum of the member's shares over its set, then erases the round's secrets.
// After a restart the shares are gone: RefuseShares asks the server to Accept the headers of U again (rule 7).
func (m *Member) Release(id RoundID, c *Certificate) (*Answer, []Record, error) {
	return nil, nil, errNotYet
}

// Forget drops everything about rounds of the task below the horizon, and refuses them from then on.
func (m *Member) Forget(task string, horizon uint64) []Record { return nil }
