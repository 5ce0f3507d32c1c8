package round

import "fmt"

// Retry says when it makes sense to try again.
type Retry uint8

const (
	RetryNever Retry = iota // not with this upload, round or key
	RetryNow                // the same bytes, soon
	RetryNext               // with a fresh upload in the next round
	RetryLater              // after somebody has repaired something
)

func (r Retry) String() string {
	return [...]string{"never", "now", "next round", "later"}[r&3]
}

// reason is one row of a closed enum: what a person reads, when to retry, how a metric calls it.
type reason struct {
	sentence string
	retry    Retry
	label    string
}

// AbandonReason says why a round ended with nothing opened.
type AbandonReason uint8

const (
	TooFewUploads    AbandonReason = iota + 1 // fewer than n_min at the deadline
	CommitteeAbsent                           // fewer than a quorum of members opened the round
	CommitteeLost                             // fewer than a quorum of members judged every upload
	SetUnsigned                               // fewer than a quorum of members signed the set in time
	StoppedByCaller                           // the operator or the caller stopped the round
	StorageFailed                             // the partial sum could not be made or kept
	lastAbandonPlus1                          // keep last
)

var abandonReasons = [...]reason{
	TooFewUploads:   {"too few devices took part before the deadline; nothing was opened", RetryNext, "too_few_uploads"},
	CommitteeAbsent: {"too few committee nodes answered to begin the round; start them and try again", RetryLater, "committee_absent"},
	CommitteeLost:   {"too few committee nodes stayed to the end of the collection; nothing was opened", RetryLater, "committee_lost"},
	SetUnsigned:     {"too few committee nodes signed the set in time; nothing was opened", RetryLater, "set_unsigned"},
	StoppedByCaller: {"the round was stopped before anything was opened", RetryNext, "stopped"},
	StorageFailed:   {"the server could not store the partial sum; free the data directory's disk and try again", RetryLater, "storage_failed"},
}

// LostReason says why a certified, charged round gave no sum.
type LostReason uint8

const (
	NoAnswers     LostReason = iota + 1 // fewer than c + rho members answered within the release window
	Disagreement                        // the members' answers do not fit one polynomial
	Garbage                             // the opened sum is out of range: somebody masked garbage
	lastLostPlus1                       // keep last
)

var lostReasons = [...]reason{
	NoAnswers:    {"the committee certified the set but too few nodes released their share; the budget stays spent", RetryLater, "no_answers"},
	Disagreement: {"the committee's answers contradict each other; nothing is published and the budget stays spent", RetryLater, "answers_disagree"},
	Garbage:      {"the opened sum is out of range, because an upload was garbage; nothing is published and the budget stays spent", RetryNext, "garbage_sum"},
}

// DropReason says why an upload is not, or will not be, in the set.
type DropReason uint8

const (
	DropNoRound     DropReason = iota + 1 // no such round
	DropClosed                            // the collection is closed
	DropFull                              // n_max uploads are staged
	DropConflict                          // another upload of this device is staged
	DropHeader                            // malformed or badly signed header
	DropNotEnrolled                       // the key has no valid enrolment
	DropConfig                            // header for another configuration
	DropVector                            // wrong length, hash or range
	DropCommittee                         // committee members could not open their envelopes
	DropSpent                             // the device's budget on this task is spent
	DropDied                              // the stream ended before the vector was complete
	DropStorage                           // the server could not store the upload
	DropSlow                              // too many requests of this device
	DropSharing                           // the shares of the key are not shares of one key
	DropNotEligible                       // not drawn for this round, or of another shard of it
	DropNorm                              // the vector is longer than the round allows
	lastDropPlus1                         // keep last
)

var dropReasons = [...]reason{
	DropNoRound:     {"there is no such round", RetryNext, "no_round"},
	DropClosed:      {"the round had closed when the upload arrived", RetryNext, "closed"},
	DropFull:        {"the round has all the devices it may take", RetryNext, "full"},
	DropConflict:    {"another upload of this device is already staged for the round", RetryNever, "conflict"},
	DropHeader:      {"the upload's header is malformed or its signature does not verify", RetryNever, "header"},
	DropNotEnrolled: {"the device is not enrolled for this task", RetryNever, "not_enrolled"},
	DropConfig:      {"the upload was made for another configuration of the round", RetryNext, "config"},
	DropVector:      {"the vector's length, hash or range is wrong", RetryNow, "vector"},
	DropCommittee:   {"committee nodes could not open the upload's key shares", RetryNext, "committee"},
	DropSpent:       {"the device has spent its privacy budget on this task", RetryNever, "spent"},
	DropDied:        {"the connection ended before the upload was complete", RetryNow, "died"},
	DropStorage:     {"the server could not store the upload", RetryNow, "storage"},
	DropSlow:        {"too many requests in a short time", RetryLater, "rate"},
	DropSharing:     {"the upload's key shares do not belong to one key, so it would have spoilt the sum", RetryNext, "sharing"},
	DropNorm:        {"the upload is larger than the round allows for one device", RetryNext, "norm"},
	DropNotEligible: {"the device is not drawn for this round", RetryNext, "not_eligible"},
}

// DropReasons lists all of them, in order.
func DropReasons() []DropReason {
	all := make([]DropReason, 0, len(dropReasons))
	for r := DropReason(1); r < lastDropPlus1; r++ {
		all = append(all, r)
	}
	return all
}

func (r AbandonReason) row() reason { return row(abandonReasons[:], int(r)) }
func (r LostReason) row() reason    { return row(lostReasons[:], int(r)) }
func (r DropReason) row() reason    { return row(dropReasons[:], int(r)) }

func row(rows []reason, i int) reason {
	if i <= 0 || i >= len(rows) {
		return reason{fmt.Sprintf("unknown reason %d", i), RetryLater, "unknown"}
	}
	return rows[i]
}

// String is the metric label; Sentence is for people; Retry says when to try again.
func (r AbandonReason) String() string   { return r.row().label }
func (r AbandonReason) Sentence() string { return r.row().sentence }
func (r AbandonReason) Retry() Retry     { return r.row().retry }

// String is the metric label; Sentence is for people; Retry says when to try again.
func (r LostReason) String() string   { return r.row().label }
func (r LostReason) Sentence() string { return r.row().sentence }
func (r LostReason) Retry() Retry     { return r.row().retry }

// String is the metric label; Sentence is for people; Retry says when to try again.
func (r DropReason) String() string   { return r.row().label }
func (r DropReason) Sentence() string { return r.row().sentence }
func (r DropReason) Retry() Retry     { return r.row().retry }
