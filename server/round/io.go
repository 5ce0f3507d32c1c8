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
	// Begun: a member fixed the configuration.
	Begun struct{ Member int }
	// Staged: uploads are durable and verified by the server.
	Staged struct{ Uploads []Upload }
	// Judged: a member's verdicts on a batch, one each; true is accepted.
	Judged struct {
		Member, Batch int
		Accepted      []bool
	}
	// Failed: a request to a member did not succeed. Batch is set for AskJudge. Final says that the member refuses and
	// will go on refusing; otherwise it is asked again.
	Failed struct {
		Member int
		Ask    Ask
		Batch  int
		Final  bool
	}
	// Assembled: the partial sum holds exactly the set of the last Assemble and is durable beside the next transition.
	Assembled struct{ Err bool }
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
	// Unmasked: the result of the last Unmask. Zero is success.
	Unmasked struct{ Fault LostReason }
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
func (Begun) input()         {}
func (Staged) input()        {}
func (Judged) input()        {}
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

// Ask is what a member is asked.
type Ask uint8

const (
	AskOpen    Ask = iota + 1 // check the plan, make the round's key
	AskBegin                  // fix the configuration
	AskJudge                  // open the envelopes of a batch
	AskSign                   // sign U
	AskAbandon                // sign the abandonment
	AskRelease                // answer the sum of shares over the certified U
)

var askNames = [...]string{"", "open", "begin", "judge", "sign", "abandon", "release"}

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
	Charge   bool // move the reserved budget to spent (CERTIFIED)
	Free     bool // give the reserved budget back (certified abandonment)
	Refused  []ID // at FROZEN: uploads in time that the members refused; the others outside U are late
}

// Work is local and slow; its end is told by an input.
type Work struct {
	Fold     []ID     // add these uploads to the partial sum; needs no answer
	Assemble []Upload // make the partial sum hold exactly these: answered by Assembled
	Unmask   bool     // open the sum with the answers collected so far: answered by Unmasked
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
	MemberDoubted // its lone complaints cost it its place in Q
	UploadRefused // committee members refused an upload
)

// Event is for people and metrics; nothing depends on it.
type Event struct {
	Kind   Kind
	Member int
	ID     ID
	Count  int
}

// Effects are carried out in the order of the fields, and Persist is durable before anything after it begins.
type Effects struct {
	Persist *Transition
	Send    []Request
	Work    []Work
	Events  []Event
	Wake    time.Time // when a Tick is wanted at the latest; zero: none
}
