package round

import "time"

// Input is what the machine is told. One of the types below.
type Input interface{ input() }

type (
	// Opened: a member checked the plan and made its key of the round.
	Opened struct {
		Member int
		Key    []byte
	}
	// Revealed: a member saw every member's key and gave the coin that its own commits to.
	Revealed struct {
		Member int
		Coin   []byte
	}
	// Begun: a member fixed the configuration.
	Begun struct{ Member int }
	// Staged: uploads are durable and verified by the server.
	Staged struct{ Uploads []Upload }
	// Judged: a member's verdicts on a batch, one each; true is accepted.
	Judged struct {
		Member, Batch int
		Accepted      []bool
	}
	// Checked: what the last Check of a batch found, one Finding per upload.
	Checked struct {
		Batch    int
		Findings []Finding
	}
	// Failed: a request to a member did not succeed. Batch is set for AskJudge. Final says that the member refuses and
	// will go on refusing; otherwise it is asked again.
	Failed struct {
		Member int
		Ask    Ask
		Batch  int
		Final  bool
	}
	// Assembled: the partial sum holds exactly the set of the last Assemble and is durable beside the next transition. If
	// any are Missing, it does not: these uploads cannot be had any more, and another set is assembled without them.
	Assembled struct {
		Err     bool
		Missing []ID
	}
	// SetSigned: a member signed U; the shell has verified the signature.
	SetSigned struct {
		Member    int
		Signature []byte
	}
	// AbandonSigned: a member signed the abandonment; the shell has verified the signature.
	AbandonSigned struct {
		Member    int
		Signature []byte
	}
	// Answered: a member's answer to the certificate.
	Answered struct {
		Member int
		Answer []byte
	}
	// Unmasked: the result of the last Unmask. Zero is success; Wrong are then the members whose answers the others
	// corrected, ascending.
	Unmasked struct {
		Fault LostReason
		Wrong []int
	}
	// ApplyDone: what was made of the sum is durable.
	ApplyDone struct{}
	// PublishDone: the new version may be published.
	PublishDone struct{}
	// CloseNow ends the collection before its deadline; the minimum still holds.
	CloseNow struct{}
	// Stop abandons the round if it is not certified yet.
	Stop struct{ Reason AbandonReason }
	// Tick: time passed.
	Tick struct{}
)

func (Opened) input()        {}
func (Revealed) input()      {}
func (Begun) input()         {}
func (Staged) input()        {}
func (Judged) input()        {}
func (Checked) input()       {}
func (Failed) input()        {}
func (Assembled) input()     {}
func (SetSigned) input()     {}
func (AbandonSigned) input() {}
func (Answered) input()      {}
func (Unmasked) input()      {}
func (ApplyDone) input()     {}
func (PublishDone) input()   {}
func (CloseNow) input()      {}
func (Stop) input()          {}
func (Tick) input()          {}

// Finding is what the sharing check says of one upload.
type Finding struct {
	Sharing Sharing
	Wrong   []int // with Sound: members whose words do not lie on the polynomials of the others, ascending
}

// Sharing is whether a device's shares of its key are shares of one key.
type Sharing uint8

const (
	Unproved  Sharing = iota // fewer members accepted the upload than the check needs
	Sound                    // the words lie on one polynomial, but for those of Finding.Wrong
	Unsound                  // they do not: the upload would spoil the sum
	Oversized                // they do, and show that the vector is longer than the round allows
)

// bad says that the upload is left out whatever the members said of it.
func (s Sharing) bad() bool { return s == Unsound || s == Oversized }

// Ask is what a member is asked.
type Ask uint8

const (
	AskOpen    Ask = iota + 1 // check the plan, make the round's key
	AskReveal                 // see all keys of the round, give the coin
	AskBegin                  // fix the configuration
	AskJudge                  // open the envelopes of a batch
	AskSign                   // sign U
	AskAbandon                // sign the abandonment
	AskRelease                // answer the sum of shares over the certified U
)

var askNames = [...]string{"", "open", "reveal", "begin", "judge", "sign", "abandon", "release"}

func (a Ask) String() string {
	if int(a) < len(askNames) {
		return askNames[a]
	}
	return "ask"
}

// Request goes to one member. What it carries beyond this lies with the shell (plan, configuration, headers) or in
// Durable (U, certificate).
type Request struct {
	Member int
	Ask    Ask
	Batch  int  // for AskJudge: echoed in Judged and Failed
	IDs    []ID // for AskJudge
}

// Transition is one durable step. The shell writes it in one transaction, with compare-and-set on
// Durable.Version-1, together with its log record and, at FROZEN, the assembled partial sum.
type Transition struct {
	From, To State
	Durable  Durable
	Charge   bool      // move the reserved budget to spent (CERTIFIED)
	Free     bool      // give the reserved budget back (certified abandonment)
	Refused  []Refusal // at FROZEN: uploads in time that the members or the check refused; the others outside U are late
}

// Refusal is an upload in time that is not in U, and why: DropCommittee, DropSharing or DropNorm.
type Refusal struct {
	ID     ID
	Reason DropReason
}

// Work is local and slow; its end is told by an input.
type Work struct {
	Fold     []ID     // add these uploads to the partial sum; needs no answer
	Check    *Check   // compare the members' words on a batch: answered by Checked
	Assemble []Upload // make the partial sum hold exactly these: answered by Assembled
	Unmask   bool     // open the sum with the answers collected so far: answered by Unmasked
}

// Check compares what the members said of the sharing of a batch's uploads.
type Check struct {
	Batch   int
	IDs     []ID
	Members []int // those that have judged the batch, ascending
}

// Kind of an Event.
type Kind uint8

const (
	RoundOpened Kind = iota + 1 // devices may upload
	RoundClosing
	RoundFrozen
	RoundCertified
	RoundOpenedSum
	RoundApplied
	RoundPublished
	RoundAbandoned
	RoundSettled // an abandoned round has its certificate (Count 1) or gave up waiting for it (0)
	RoundLost
	MemberLeft // a committee node stopped answering
	MemberBack
	MemberDoubted // its lone complaints cost it its place in Q; Wrong of them are words that the others contradict
	MemberWrong   // its answer to the certificate was wrong and was corrected
	UploadRefused // a committee member refused an upload
	UploadWrong   // a committee member's words on an upload contradict the others'
	UploadUnsound // an upload's shares are not shares of one key, or its vector is too long
	UploadGone    // an upload was staged by a replica that is gone: it cannot be had, and is late
)

// Event is for people and metrics; nothing depends on it.
type Event struct {
	Kind   Kind
	Member int
	ID     ID
	Count  int
	Wrong  int
}

// Effects are carried out in the order of the fields, and Persist is durable before anything after it begins.
type Effects struct {
	Persist *Transition
	Send    []Request
	Work    []Work
	Events  []Event
	Wake    time.Time // when a Tick is wanted at the latest; zero: none
}
