package client

import (
	"context"
	"errors"
	"strconv"
	"time"

	"tutti/privacy/ledger"
)

// Transport is the way to the server. Nothing that comes back is believed
// before the device has verified it. Implementations are safe for concurrent
// use; client/transport is the one over gRPC.
type Transport interface {
	// Enroll exchanges a one-time token for the enroller's signature over the
	// device's key.
	Enroll(ctx context.Context, r EnrollRequest) (enrolment []byte, err error)
	// CheckIn asks for the open round and the newest model.
	CheckIn(ctx context.Context, r CheckInRequest) (CheckIn, error)
	// Blob fetches the bytes with the given SHA-256, at most limit of them. The
	// digest has been checked when it returns.
	Blob(ctx context.Context, digest [32]byte, limit int64) ([]byte, error)
	// Delta fetches what makes the blob named digest of the blob named base (package
	// model/delta), at most limit bytes of it; ErrNotFound where the server has
	// nothing smaller than the blob. None of it has been checked when it returns.
	Delta(ctx context.Context, digest, base [32]byte, limit int64) ([]byte, error)
	// Upload sends one sealed upload. Sending the same bytes again is answered
	// in the same way.
	Upload(ctx context.Context, u Upload) (Receipt, error)
	// Receipt asks what became of an upload.
	Receipt(ctx context.Context, r ReceiptRequest) (Receipt, error)
}

// EnrollRequest presents a one-time token.
type EnrollRequest struct {
	Task      string
	Token     string
	PublicKey []byte // Ed25519, 32 bytes
	Proof     []byte // signature by that key over EnrollMessage

	Attestation []byte // what the server's attestor wants to see, where it has one
}

// CheckInRequest says who asks and how much of the log it has seen.
type CheckInRequest struct {
	Task      string
	PublicKey []byte
	Enrolment []byte
	Time      int64 // seconds since 1970
	LogSize   uint64
	Protocol  uint32 // newest that the device speaks; it speaks the one before too
	Signature []byte // by the device, over CheckInMessage

	Suites      []uint32 // envelopes that it can seal for
	ModelFormat uint32   // newest format of model versions that it reads

	// What would make it refuse every offer, so that it is not given a place that
	// another needs.
	LastRound uint64 // newest round that it has sealed for; 0: none
	Rounds    uint32 // rounds that it was charged for
	Resting   uint64 // by its own limits it takes no part in rounds before this one
}

// CheckIn is the server's answer: an offer or a wait, and the newest version.
type CheckIn struct {
	Offer   *Offer // nil: nothing to do now
	Wait    Wait
	Version *SignedVersion // nil before the first is published

	Protocol uint32        // that the answer is of; 0: 1
	Accepted time.Duration // with an offer: when to come again once the upload is in; 0: not said
	Refused  time.Duration // with an offer: when to come again if the device does not take part; 0: not said
}

// Offer is an open round as it came in, nothing verified.
type Offer struct {
	Plan          []byte // canonical plan
	PlanSignature []byte
	Config        []byte // canonical configuration of the aggregation
	Logged        ledger.Logged
}

// Wait is a server's answer that there is nothing to do.
type Wait struct {
	RetryAfter time.Duration
	Reason     WaitReason
}

// SignedVersion is a published version as it came in, nothing verified.
type SignedVersion struct {
	Version   []byte // canonical model.Version
	Signature []byte // operator's Ed25519
}

// Upload is a sealed upload, ready to be sent.
type Upload struct {
	Task   string
	Round  uint64
	Header []byte // canonical aggregation header
	Vector []byte // masked vector
	Again  bool   // it may have been sent before, and the server may have a part of it
}

// ReceiptRequest names an upload.
type ReceiptRequest struct {
	Task   string
	Round  uint64
	Device [16]byte
	// LogSize is how much of the log the device has seen.
	LogSize uint64
}

// Receipt says what the server did with an upload.
type Receipt struct {
	State      UploadState
	Reason     RejectReason
	RetryAfter time.Duration
	Abandoned  []byte // certificate of the committee, with UploadAbandoned only

	Proof       []byte   // canonical ledger.Receipt, with UploadCounted once the round's record is in the log
	Consistency [][]byte // from the device's log size to the proof's checkpoint
}

// What a device must tell apart among the errors of a Transport.
var (
	ErrUnavailable = errors.New("the server cannot be reached")  // asking again later makes sense
	ErrNotAllowed  = errors.New("the server does not allow it")  // not enrolled, a token already used
	ErrNotFound    = errors.New("the server has no such thing")  // a blob or a round
	ErrDigest      = errors.New("the bytes are not those named") // a blob that does not have its digest
)

// Later is an error of a Transport that says when asking again makes sense.
type Later interface {
	error
	RetryAfter() time.Duration
}

// WaitReason says why there is nothing to do.
type WaitReason uint8

// The reasons to wait.
const (
	WaitUnspecified WaitReason = iota
	WaitNoRound
	WaitRoundFull
	WaitAlreadyCounted
	WaitProtocol
	WaitTaskFinished
	WaitServerOld
	WaitSuite
	WaitModelFormat
	WaitResting
	waitReasons
)

var waitNames = [waitReasons]string{"unspecified", "no_round", "round_full", "already_counted", "protocol", "task_finished",
	"server_old", "suite", "model_format", "resting"}

var waitSentences = [waitReasons]string{
	"The server has nothing to do for this device now.",
	"No round is open now.",
	"The open round has enough devices.",
	"This device has already taken part in the open round.",
	"This app is too old for the server; update the app.",
	"The task is finished; no round will open any more.",
	"This app is newer than the server can serve; the operator has to update the server.",
	"The server's rounds seal their keys in a way that this app does not know; update the app.",
	"The server's models have a format that this app cannot read; update the app.",
	"This device has taken part often enough for now, and rests.",
}

// String is the reason's label.
func (r WaitReason) String() string { return label(waitNames[:], int(r)) }

// Sentence says it to a user.
func (r WaitReason) Sentence() string { return label(waitSentences[:], int(r)) }

// UploadState is what became of an upload.
type UploadState uint8

// The states of an upload.
const (
	UploadUnspecified UploadState = iota
	UploadStaged                  // durable on the server, not yet in a set
	UploadCounted                 // in the certified set
	UploadLate                    // came after the round had closed
	UploadRejected                // not taken, see the reason
	UploadAbandoned               // the committee certified that nothing was opened
	UploadUnknown                 // the server knows nothing of it
	uploadStates
)

var uploadNames = [uploadStates]string{"unspecified", "staged", "counted", "late", "rejected", "abandoned", "unknown"}

// String is the state's label.
func (s UploadState) String() string { return label(uploadNames[:], int(s)) }

// RejectReason says why the server did not take an upload.
type RejectReason uint8

// The reasons to reject.
const (
	RejectUnspecified RejectReason = iota
	RejectNoSuchRound
	RejectRoundClosed
	RejectRoundFull
	RejectConflict
	RejectHeader
	RejectNotEnrolled
	RejectWrongConfig
	RejectVector
	RejectCommittee
	RejectSpent
	RejectSharing
	RejectNotEligible
	RejectNorm
	rejectReasons
)

var rejectNames = [rejectReasons]string{"unspecified", "no_such_round", "round_closed", "round_full", "conflict", "header",
	"not_enrolled", "wrong_config", "vector", "committee", "spent", "sharing", "not_eligible", "norm"}

var rejectSentences = [rejectReasons]string{
	"The server did not take the upload and gave no reason.",
	"The server knows no such round.",
	"The round had closed before the upload was complete.",
	"The round had enough devices before the upload was complete.",
	"The server holds another upload of this device for the round.",
	"The server could not read the upload's header.",
	"The server does not know this device as enrolled.",
	"The upload was made for another configuration of the round.",
	"The masked vector did not arrive as it was sent.",
	"A committee member could not open its share of the key.",
	"By the server's books this device's budget on the task is spent.",
	"The committee's shares of the key did not belong together.",
	"By the server's books the lot did not choose this device for the round.",
	"The upload did not prove to be as short as one device's has to be; it is left out of the sum.",
}

// String is the reason's label.
func (r RejectReason) String() string { return label(rejectNames[:], int(r)) }

// Sentence says it to a user.
func (r RejectReason) Sentence() string { return label(rejectSentences[:], int(r)) }

// label names an enum's value; a value from a newer server is its number.
func label(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "code " + strconv.Itoa(i)
}
