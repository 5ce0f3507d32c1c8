package round

import (
	"errors"
	"fmt"
	"time"

	"tutti/aggregation"
)

// ID names a device.
type ID = aggregation.DeviceID

// Upload names a complete, verified and durably staged upload: device and digest.
type Upload = aggregation.Entry

// State is where a round is. The order of the constants is the order of life; Abandoned and Lost are ends.
type State uint8

const (
	Created    State = iota + 1 // plan logged, budget reserved, members asked for the round's keys, then for their coins
	Collecting                  // configuration fixed, devices may upload
	Frozen                      // U and the partial sum over U are durable, members are asked to sign U
	Certified                   // a quorum signed U and the budget is charged, members are asked to release
	Released                    // the answers are durable: the sum is open
	Applied                     // what was made of the sum is durable
	Published                   // the new version is signed and logged
	Abandoned                   // nothing was opened, nothing will be
	Lost                        // certified and charged, but the sum could not be opened or was garbage
)

var stateNames = [...]string{"", "created", "collecting", "frozen", "certified", "released", "applied", "published", "abandoned", "lost"}

func (s State) String() string {
	if s == 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", uint8(s))
	}
	return stateNames[s]
}

// Ended says that the round itself is over. An abandoned round may still be waiting for its certificate.
func (s State) Ended() bool { return s == Published || s == Abandoned || s == Lost }

// Charged says that the round's budget is spent: true from the certificate on, whatever comes after.
func (s State) Charged() bool { return s >= Certified && s != Abandoned }

// Windows are how long each phase may take. All must be positive.
type Windows struct {
	Keys     time.Duration // to collect the round's keys, and as long again for the coins
	Collect  time.Duration // from COLLECTING until the deadline for uploads
	Verdicts time.Duration // after collection closes, for outstanding verdicts
	Sign     time.Duration // after FROZEN, for a quorum of signatures
	Spare    time.Duration // after enough answers, for spare ones that check the others
	Release  time.Duration // after CERTIFIED, before the round counts as lost
	Abandon  time.Duration // after ABANDONED, for its certificate
	Batch    time.Duration // longest time that a staged upload waits for company on its way to the members
	Retry    time.Duration // first pause before a failed member is asked again; doubles up to Slow
	Slow     time.Duration // longest such pause
}

// DefaultWindows suit members on one network and a collection window given by the caller.
func DefaultWindows(collect time.Duration) Windows {
	return Windows{
		Keys: 10 * time.Second, Collect: collect, Verdicts: 15 * time.Second, Sign: 30 * time.Second,
		Spare: 500 * time.Millisecond, Release: 10 * time.Minute, Abandon: 10 * time.Second,
		Batch: 50 * time.Millisecond, Retry: 100 * time.Millisecond, Slow: 5 * time.Second,
	}
}

// Literal are the parameters of a round before they are checked.
type Literal struct {
	Members int // m, nodes of the committee, 1..1024
	Quorum  int // q_s, signatures that certify a set or an abandonment
	Need    int // c + rho, answers that open the sum
	Goal    int // accepted uploads that close the collection early
	Min     int // n_min: below it nothing is opened
	Max     int // n_max: uploads taken at most
	Batch   int // uploads shown to the members at once, 1..64
	Windows Windows
}

// Params are checked and immutable.
type Params struct{ l Literal }

// ErrParams is what NewParams wraps.
var ErrParams = errors.New("round: parameters")

// NewParams checks l; it rejects and never adjusts.
func NewParams(l Literal) (Params, error) {
	fail := func(format string, args ...any) (Params, error) {
		return Params{}, fmt.Errorf("%w: "+format, append([]any{ErrParams}, args...)...)
	}
	switch {
	case l.Members < 1 || l.Members > aggregation.MaxMembers:
		return fail("%d members, want 1..%d", l.Members, aggregation.MaxMembers)
	case l.Quorum < 1 || l.Quorum > l.Members:
		return fail("quorum %d of %d members", l.Quorum, l.Members)
	case 2*l.Quorum <= l.Members:
		return fail("quorum %d of %d members: two sets could be certified", l.Quorum, l.Members)
	case l.Need < 1 || l.Need > l.Quorum:
		return fail("%d answers needed, quorum is %d", l.Need, l.Quorum)
	case l.Min < 2 || l.Min > l.Goal || l.Goal > l.Max:
		return fail("want 2 <= minimum %d <= goal %d <= maximum %d", l.Min, l.Goal, l.Max)
	case l.Batch < 1 || l.Batch > 64:
		return fail("batch of %d, want 1..64", l.Batch)
	}
	w := l.Windows
	for _, d := range []time.Duration{w.Keys, w.Collect, w.Verdicts, w.Sign, w.Spare, w.Release, w.Abandon, w.Batch, w.Retry, w.Slow} {
		if d <= 0 {
			return fail("every window must be positive: %+v", w)
		}
	}
	return Params{l}, nil
}

// Literal gives the parameters back.
func (p Params) Literal() Literal { return p.l }

// Said is what one member said, opaque here: its key of the round, a signature, an answer.
type Said struct {
	Member int // 0..m-1
	Bytes  []byte
}

// Durable is what a round keeps across a crash. Every Transition carries the whole of it (it is small beside the
// uploads), so that the last one written is all that Resume needs.
type Durable struct {
	State    State
	Version  uint64    // number of transitions so far: compare-and-set on it
	Opened   time.Time // when COLLECTING began
	Since    time.Time // when State began
	Keys     []Said    // every member's key of the round, ascending by member
	Coins    []Said    // the coin that each key commits to: together they are the round's beacon
	Quorum   []int     // Q, fixed at FROZEN, ascending
	Set      []Upload  // U, ascending by id, fixed at FROZEN
	Signed   []Said
	Answers  []Said
	Wrong    []int // members whose answers the others corrected, ascending
	Abandon  AbandonReason
	Lost     LostReason
	Refusals []Said // signatures of the abandonment
	Freed    bool   // the abandonment is certified, or no device can have sealed for the round
	Settled  bool   // ABANDONED: certified, or no longer asked for; then its log record is written
}
