package client

import "time"

// Reason says why a device refused, or why the server did not take an upload.
// The set is closed; each has a label for metrics, a sentence for the user and
// a time after which asking again makes sense. What a plan broke in the
// device's policy is a plan.Reason of its own: see Outcome.Policy.
type Reason uint8

// The reasons to refuse.
const (
	ReasonNone Reason = iota
	ReasonPolicy
	ReasonConfig
	ReasonVersionSignature
	ReasonVersionMalformed
	ReasonVersionRolledBack
	ReasonVersionForked
	ReasonVersionUnknown
	ReasonBlob
	ReasonModel
	ReasonNotEnrolled
	ReasonUnsupported
	ReasonServer
	ReasonNotEligible
	ReasonShard
	ReasonNorm
	ReasonSanity
	reasons
)

const (
	retrySoon  = 15 * time.Minute
	retryLater = 4 * time.Hour
	retryDays  = 24 * time.Hour
)

var reasonTable = [reasons]struct {
	label, sentence string
	retry           time.Duration
}{
	ReasonNone:              {"none", "Nothing was refused.", 0},
	ReasonPolicy:            {"policy", "The round asks for more than this device's policy allows.", retryLater},
	ReasonConfig:            {"config", "The round's configuration is not the one that its signed plan describes.", retryDays},
	ReasonVersionSignature:  {"version_signature", "The model is not signed by the operator that this device trusts: its task file and the server do not belong together. Get the task file from the operator anew.", retryDays},
	ReasonVersionMalformed:  {"version_malformed", "The description of the model cannot be read.", retryDays},
	ReasonVersionRolledBack: {"version_rolled_back", "The server offers an older model than this device already has.", retryDays},
	ReasonVersionForked:     {"version_forked", "The server shows two different models under one number.", retryDays},
	ReasonVersionUnknown:    {"version_unknown", "The round starts from a model that the server does not hand out.", retrySoon},
	ReasonBlob:              {"blob", "A part of the model did not arrive as it was published.", retrySoon},
	ReasonModel:             {"model", "The model does not fit this app's catalogue.", retryDays},
	ReasonNotEnrolled:       {"not_enrolled", "This device is not enrolled in the task.", retryLater},
	ReasonUnsupported:       {"unsupported", "The round asks for something that this program cannot do; update the app.", retryDays},
	ReasonNotEligible:       {"not_eligible", "The lot did not choose this device for the round; it may for the next.", retrySoon},
	ReasonShard:             {"shard", "The server shows this device another group's part of the round.", retrySoon},
	ReasonNorm:              {"norm", "The noised update came out longer than the round allows for one device. Nothing was sent; the round's charge stays.", retrySoon},
	ReasonSanity:            {"sanity", "The new model did much worse on this device's own history than the one before, which goes on serving. The server does not learn of it.", retrySoon},
	ReasonServer:            {"server", "The server did not take the upload.", retrySoon},
}

// String is the reason's label, such as "version_forked".
func (r Reason) String() string {
	if r < reasons {
		return reasonTable[r].label
	}
	return label(nil, int(r))
}

// Sentence says it to a user.
func (r Reason) Sentence() string {
	if r < reasons {
		return reasonTable[r].sentence
	}
	return label(nil, int(r))
}

// RetryAfter is when asking again makes sense.
func (r Reason) RetryAfter() time.Duration {
	if r < reasons {
		return reasonTable[r].retry
	}
	return retryDays
}
