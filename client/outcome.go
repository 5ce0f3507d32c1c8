package client

import (
	"time"

	"tutti/privacy/plan"
)

// Outcome is what came of one call of Contribute.
type Outcome struct {
	Kind       OutcomeKind
	Round      uint64        // of the offer or upload that it is about; 0 if none
	Upload     UploadState   // with Contributed: UploadStaged or UploadCounted
	Staleness  uint32        // with Contributed: versions between the one that the update started from and the newest
	RetryAfter time.Duration // when asking again makes sense
	Reason     Reason        // with Refused
	Policy     plan.Reason   // with ReasonPolicy: which of the policy's rules
	Reject     RejectReason  // with ReasonServer: what the server said
	Model      Reason        // ReasonSanity: the newest model does not serve here, the one before does; see Status.Doubted
	Sentence   string        // says it to the user, always set
	Err        error         // with Failed, and with Refused where there is more to say
}

// OutcomeKind is one of five.
type OutcomeKind uint8

// The outcomes.
const (
	NothingToDo OutcomeKind = iota // the task is finished, or the user has opted out
	Contributed                    // an upload is with the server
	Waiting                        // nothing to do now: ask again after RetryAfter
	Refused                        // the device would not, or the server did not take it
	Failed                         // something broke: see Err; nothing was lost
	outcomeKinds
)

var outcomeNames = [outcomeKinds]string{"nothing_to_do", "contributed", "waiting", "refused", "failed"}

// String is the outcome's label.
func (k OutcomeKind) String() string { return label(outcomeNames[:], int(k)) }

// Label names the outcome in metrics: its kind, and for a refusal its reason,
// such as "refused/policy/budget" or "refused/server/round_full".
func (o Outcome) Label() string {
	if o.Kind != Refused {
		return o.Kind.String()
	}
	label := o.Kind.String() + "/" + o.Reason.String()
	switch o.Reason {
	case ReasonPolicy:
		label += "/" + o.Policy.String()
	case ReasonServer:
		label += "/" + o.Reject.String()
	}
	return label
}
