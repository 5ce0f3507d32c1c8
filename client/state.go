package client

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"

	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

// state is everything that a device must not forget, as one value that is saved
// as a whole. Methods that change it return no effects: the caller saves it
// before anything that follows from the change may happen.
type state struct {
	task      string
	seed      [ed25519.SeedSize]byte // of the device's identity
	enrolment []byte                 // empty before the device is enrolled

	spent     *big.Rat // rho charged in all
	unnoised  uint32   // rounds without noise taken part in: no finite claim
	sealed    bool     // a round was charged and perhaps sealed
	lastRound uint64   // the newest such round
	rounds    uint32   // rounds that were charged and not given back
	seen      int64    // time of the newest charge: a clock before it is not believed
	stream    paidStream
	charges   []charge // rounds that are not done with, oldest first
	counted   uint64   // contributions that the server says are in a set
	proven    uint64   // those of them that are proven to be in the log
	unproven  uint32   // those whose proof was given up on, beside charges
	receipts  [][]byte // newest proofs, oldest first, each a canonical ledger.Receipt

	log      ledger.Witness // of the operator's log
	logged   uint64         // newest round whose plan was proven to stand in it
	fork     *ledger.Fork   // notes that contradict each other; evidence
	versions []accepted     // accepted models, newest first, at most two
	records  uint64         // history records up to here existed when the state was saved

	offered  offered // of the newest plan that was verified
	delta    string  // of that plan
	last     lastOutcome
	refusals []refusalCount
}

// charge is a round that was paid for and is not done with.
type charge struct {
	round  uint64
	phase  phase
	rho    *big.Rat // 0 when noise was off; without the cost of its stream
	stream plan.Digest
	config []byte // canonical aggregation.Config, to verify an abandon certificate
}

// phase of a charge.
type phase uint8

const (
	charged  phase = iota // perhaps sealed; if a pending upload exists it may be sent
	staged                // the server has it, or answered for good
	counted               // the server says that it is in a set, and the proof is to come
	unproven              // it should have come, or does not hold; evidence, and the charge stays
	phases
)

// accepted is a version that was verified, with all its parts.
type accepted struct {
	number    uint64
	digest    model.Digest
	version   []byte
	signature []byte
	doubted   bool // it does not serve: it was not sane on this device's own history
}

// offered is what the newest verified plan would have the device send.
type offered struct {
	kind    plan.Kind // 0: no plan was seen
	numbers uint32    // numbers of the vector before padding
	padded  uint32    // numbers that are sent
	bytes   uint64    // of the whole upload
	rho     *big.Rat  // nil: noise off
	cohort  uint32    // smallest sum that would be opened
	central bool      // the operator adds the noise, and sees the sum without
}

type lastOutcome struct {
	kind   OutcomeKind
	reason Reason
	policy plan.Reason
	round  uint64
	time   int64
}

type refusalCount struct {
	reason Reason
	policy plan.Reason
	count  uint32
}

// Bounds of a state; its codec refuses more.
const (
	maxCharges  = 8
	maxVersions = 2
	maxRefusals = 64
	maxReceipts = 8
)

// newState is a device that has done nothing; random gives its identity.
func newState(task string, random io.Reader) (state, error) {
	s := state{task: task, spent: new(big.Rat)}
	if _, err := io.ReadFull(random, s.seed[:]); err != nil {
		return state{}, fmt.Errorf("client: no randomness: %w", err)
	}
	return s, nil
}

const redactedState = "client.state(redacted)"

// Format hides the state, which holds the identity's secret.
func (s state) Format(f fmt.State, _ rune) { io.WriteString(f, redactedState) }

// LogValue hides the state.
func (s state) LogValue() slog.Value { return slog.StringValue(redactedState) }

// MarshalJSON refuses.
func (s state) MarshalJSON() ([]byte, error) {
	return nil, errors.New("client: a state is not written out")
}

// clone copies what later changes write to; byte strings are never changed.
func (s state) clone() state {
	s.charges = slices.Clone(s.charges)
	s.versions = slices.Clone(s.versions)
	s.refusals = slices.Clone(s.refusals)
	s.receipts = slices.Clone(s.receipts)
	return s
}

func (s *state) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(s.seed[:]) }

// newest is the newest accepted version, nil before the first.
func (s *state) newest() *accepted {
	if len(s.versions) == 0 {
		return nil
	}
	return &s.versions[0]
}

// find returns the accepted version with the digest.
func (s *state) find(digest model.Digest) *accepted {
	i := slices.IndexFunc(s.versions, func(a accepted) bool { return a.digest == digest })
	if i < 0 {
		return nil
	}
	return &s.versions[i]
}

// serving is the version that ranks, nil before the first.
func (s *state) serving() *accepted {
	for i := range s.versions {
		if !s.versions[i].doubted {
			return &s.versions[i]
		}
	}
	return nil
}

// doubts says that the newest version is not the one that ranks.
func (s *state) doubts() bool { return len(s.versions) > 0 && s.versions[0].doubted }

// accept makes v the newest version and keeps the one that served before.
func (s *state) accept(v accepted) {
	before := s.serving()
	versions := []accepted{v}
	if before != nil {
		versions = append(versions, *before)
	}
	s.versions = versions
}

// addCharge books a round. It must be saved before anything is sealed: from
// then on the round is the newest one sealed and its cost is spent, whatever
// happens. The oldest charge falls off a full list; it stays spent.
func (s *state) addCharge(c charge, noise bool) {
	s.spent = bounded(new(big.Rat).Add(s.spent, c.rho))
	s.sealed, s.lastRound = true, c.round
	if s.rounds++; s.rounds == 0 {
		s.rounds--
	}
	if !noise {
		s.unnoised++
	}
	if len(s.charges) == maxCharges {
		if s.charges[0].phase == unproven {
			s.unproven++
		}
		s.charges = slices.Delete(s.charges, 0, 1)
	}
	s.charges = append(s.charges, c)
}

// bounded keeps a sum of many different fractions writable: one whose
// denominator has grown beyond all use is rounded up to a multiple of 2^-512.
func bounded(x *big.Rat) *big.Rat {
	const maxBits, precision = 8192, 512
	if x.Denom().BitLen() <= maxBits {
		return x
	}
	scaled := new(big.Int).Lsh(x.Num(), precision)
	scaled.Div(scaled, x.Denom()).Add(scaled, big.NewInt(1))
	return new(big.Rat).SetFrac(scaled, new(big.Int).Lsh(big.NewInt(1), precision))
}

// charge finds the open charge of a round.
func (s *state) charge(round uint64) *charge {
	i := slices.IndexFunc(s.charges, func(c charge) bool { return c.round == round })
	if i < 0 {
		return nil
	}
	return &s.charges[i]
}

// close ends the charge of a round: it stays spent.
func (s *state) close(round uint64) {
	s.charges = slices.DeleteFunc(s.charges, func(c charge) bool { return c.round == round })
}

// refund ends the charge of a round and gives it back. Only a verified abandon
// certificate leads here. The round stays sealed.
func (s *state) refund(round uint64) {
	if c := s.charge(round); c != nil {
		s.spent = new(big.Rat).Sub(s.spent, c.rho)
		s.leave(c.stream)
		s.rounds -= min(s.rounds, 1)
		s.close(round)
	}
}

// refused counts a refusal.
func (s *state) refused(r Reason, p plan.Reason) {
	for i := range s.refusals {
		if s.refusals[i].reason == r && s.refusals[i].policy == p {
			if s.refusals[i].count++; s.refusals[i].count == 0 {
				s.refusals[i].count--
			}
			return
		}
	}
	if len(s.refusals) < maxRefusals {
		s.refusals = append(s.refusals, refusalCount{r, p, 1})
	}
}
