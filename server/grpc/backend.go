// Package grpc is the server's wire: the Devices and Log services of server/api over a Backend that the server is. It
// bounds what comes in before it is allocated, limits rates, streams uploads to the backend piece by piece, and maps
// errors to gRPC status in one file.
package grpc

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"time"

	"tutti/privacy/ledger"
	"tutti/server/api"
	"tutti/server/round"
)

// Backend is what the services need of a server.
type Backend interface {
	// Enroll spends a one-time token on a device's key; the answer is the enroller's signature.
	Enroll(ctx context.Context, r Enrollment) ([]byte, error)
	// CheckIn verifies who asks and offers the open round, or says how long to wait.
	CheckIn(ctx context.Context, r CheckIn) (Answer, error)
	// Blob opens content-addressed bytes.
	Blob(digest [32]byte) (content io.ReaderAt, size int64, closer io.Closer, err error)
	// Delta opens what makes one blob of another (package model/delta); ErrNone where it would not be smaller.
	Delta(ctx context.Context, digest, base [32]byte) (content io.ReaderAt, size int64, closer io.Closer, err error)
	// BeginUpload judges a header. With a nil Upload the Receipt is the whole answer; otherwise exactly vectorBytes are
	// written and then Finish is called, or Abort.
	BeginUpload(ctx context.Context, task string, number uint64, header []byte, vectorBytes uint64) (Upload, Receipt, error)
	// Receipt says what became of an upload. Of one that was counted it is proven to a device that has seen logSize records,
	// once the log tells of it.
	Receipt(ctx context.Context, task string, number uint64, device round.ID, logSize uint64) (Receipt, error)

	Checkpoint(ctx context.Context) ([]byte, error)
	Consistency(ctx context.Context, from, to uint64) ([][]byte, error)
	Records(ctx context.Context, from uint64, each func(seq uint64, record []byte) error) error
}

// Upload is one upload under way.
type Upload interface {
	// Write takes the next bytes of the vector; an error is ErrOver or a storage error.
	Write(p []byte) error
	// Finish verifies the vector and makes the upload durable.
	Finish(ctx context.Context) (Receipt, error)
	// Abort gives up an upload that Finish was not called for.
	Abort(why round.DropReason)
	// Left is closed when somebody else takes this upload's place: it is aborted then.
	Left() <-chan struct{}
	// Rest says whether nobody is sending at the moment. The place of an upload that rests may go to a device that sends.
	Rest(resting bool)
}

// Enrollment is a request to enrol.
type Enrollment struct {
	Task, Token      string
	PublicKey, Proof []byte
	Attestation      []byte            // for the server's attestor
	Certificate      *x509.Certificate // of the connection, verified; nil: none was shown
}

// CheckIn is a device's request for work.
type CheckIn struct {
	Task      string
	PublicKey []byte
	Enrolment []byte
	Time      time.Time
	LogSize   uint64
	Protocol  uint32
	Signature []byte

	Suites      []uint32 // none: those of protocol 1
	ModelFormat uint32   // 0: 1
	LastRound   uint64   // newest round that the device has sealed for
	Rounds      uint32   // rounds that it was charged for
	Resting     uint64   // by its own limits it takes no part in rounds before this one
}

// Answer is what a check-in is told.
type Answer struct {
	Offer   *Offer
	Wait    Wait
	After   time.Duration
	Version *SignedVersion

	Protocol uint32        // that the answer is of
	Accepted time.Duration // with an offer: when to come again once the upload is in
	Refused  time.Duration // with an offer: when to come again if the device does not take part
}

// Offer is an open round.
type Offer struct {
	Plan, PlanSignature, Config []byte
	Logged                      ledger.Logged
}

// SignedVersion is a published model version.
type SignedVersion struct{ Version, Signature []byte }

// Wait says why there is nothing to do.
type Wait uint8

const (
	WaitNoRound Wait = iota + 1
	WaitFull
	WaitCounted
	WaitProtocol
	WaitFinished
	WaitServerOld
	WaitSuite
	WaitModelFormat
	WaitResting
)

// Receipt is what became of an upload.
type Receipt struct {
	State   State
	Reason  round.DropReason // with Rejected
	After   time.Duration
	Abandon []byte // certificate, with Abandoned

	Proof       []byte   // canonical ledger.Receipt, with Counted
	Consistency [][]byte // from the device's log to that of the proof
}

// State of an upload, as a device is told.
type State uint8

const (
	Staged State = iota + 1
	Counted
	Late
	Rejected
	Abandoned
	Unknown
)

// Errors that a Backend returns, mapped to status in status.go. Any other error is the server's own trouble.
var (
	ErrUnauthenticated = errors.New("the signature or enrolment does not hold")
	ErrDenied          = errors.New("not allowed")
	ErrToken           = errors.New("the token is unknown")
	ErrTokenUsed       = errors.New("the token was used by another device")
	ErrAttestation     = errors.New("the attestation is not accepted")
	ErrCertificate     = errors.New("a client certificate of the operator's authority is needed")
	ErrTask            = errors.New("there is no such task here")
	ErrBad             = errors.New("malformed request")
	ErrNone            = errors.New("no such thing")
	ErrBusy            = errors.New("too much to do now, try again shortly")
	ErrClock           = errors.New("the device's clock and the server's are too far apart")
	ErrOver            = errors.New("the round takes no more uploads") // of Upload.Write: the upload is late
)

// TryLater is ErrBusy with a time: one device asks too often.
type TryLater struct {
	Why   string
	After time.Duration
}

func (e *TryLater) Error() string { return e.Why }

// Unwrap is ErrBusy.
func (e *TryLater) Unwrap() error { return ErrBusy }

func (e *TryLater) reason() string { return api.ReasonRate }
