package grpc

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"tutti/privacy/ledger"
	"tutti/server/api"
	"tutti/server/round"
)

// Bounds of the wire, checked before anything is done with a field.
const (
	maxChunk  = 256 << 10
	maxTask   = 64
	maxToken  = 256
	maxKey    = 64
	maxSuites = 16
	maxProof  = 8 << 10 // of an attestation
	overhead  = 4 << 10 // of a message, beside its one large field
)

type devices struct {
	api.UnimplementedDevicesServer
	*services
}

func (d devices) Enroll(ctx context.Context, r *api.EnrollRequest) (*api.EnrollResponse, error) {
	if len(r.GetTask()) > maxTask || len(r.GetToken()) > maxToken || len(r.GetPublicKey()) > maxKey || len(r.GetProof()) > maxKey || len(r.GetAttestation()) > maxProof {
		return nil, d.statusOf("enrol", fmt.Errorf("%w: a field is too long", ErrBad))
	}
	enrolment, err := d.backend.Enroll(ctx, Enrollment{Task: r.GetTask(), Token: r.GetToken(), PublicKey: r.GetPublicKey(), Proof: r.GetProof(),
		Attestation: r.GetAttestation(), Certificate: certificateOf(ctx)})
	if err != nil {
		return nil, d.statusOf("enrol", err)
	}
	return &api.EnrollResponse{Enrolment: enrolment}, nil
}

// certificateOf is the client certificate of a connection, whose chain the handshake has verified; nil: none was shown.
func certificateOf(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	t, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(t.State.VerifiedChains) == 0 || len(t.State.PeerCertificates) == 0 {
		return nil
	}
	return t.State.PeerCertificates[0]
}

func (d devices) CheckIn(ctx context.Context, r *api.CheckInRequest) (*api.CheckInResponse, error) {
	if len(r.GetTask()) > maxTask || len(r.GetPublicKey()) > maxKey || len(r.GetEnrolment()) > maxKey || len(r.GetSignature()) > maxKey || len(r.GetSuites()) > maxSuites {
		return nil, d.statusOf("check in", fmt.Errorf("%w: a field is too long", ErrBad))
	}
	a, err := d.backend.CheckIn(ctx, CheckIn{
		Task: r.GetTask(), PublicKey: r.GetPublicKey(), Enrolment: r.GetEnrolment(), Time: time.Unix(r.GetTimeUnix(), 0),
		LogSize: r.GetLogSize(), Protocol: r.GetProtocol(), Signature: r.GetSignature(),
		Suites: r.GetSuites(), ModelFormat: r.GetModelFormat(), LastRound: r.GetLastRound(), Rounds: r.GetRounds(), Resting: r.GetResting(),
	})
	if err != nil {
		return nil, d.statusOf("check in", err)
	}
	out := &api.CheckInResponse{Protocol: a.Protocol}
	if o := a.Offer; o != nil {
		out.Offer = &api.Offer{Plan: o.Plan, PlanSignature: o.PlanSignature, Config: o.Config, Logged: loggedTo(o.Logged)}
		out.Retry = &api.Retry{AcceptedMs: a.Accepted.Milliseconds(), RefusedMs: a.Refused.Milliseconds()}
	} else {
		out.Wait = &api.Wait{RetryAfterMs: a.After.Milliseconds(), Reason: waits[a.Wait]}
	}
	if a.Version != nil {
		out.Version = &api.SignedVersion{Version: a.Version.Version, Signature: a.Version.Signature}
	}
	return out, nil
}

// loggedTo is a plan's place in the log on the wire.
func loggedTo(l ledger.Logged) *api.Logged {
	return &api.Logged{Checkpoint: l.Checkpoint, Seq: l.Seq, TimeUnix: l.Time, Prev: l.Prev[:],
		Inclusion: l.Inclusion, Consistency: l.Consistency, Extension: l.Extension}
}

func (d devices) GetBlob(r *api.GetBlobRequest, stream grpc.ServerStreamingServer[api.GetBlobResponse]) error {
	if len(r.GetDigest()) != 32 {
		return d.statusOf("blob", fmt.Errorf("%w: a digest of %d bytes", ErrBad, len(r.GetDigest())))
	}
	content, size, closer, err := d.backend.Blob([32]byte(r.GetDigest()))
	if err != nil {
		return d.statusOf("blob", err)
	}
	defer closer.Close()
	if r.GetOffset() > uint64(size) {
		return d.statusOf("blob", fmt.Errorf("%w: offset %d of %d bytes", ErrBad, r.GetOffset(), size))
	}
	return d.pieces("blob", content, int64(r.GetOffset()), size, stream)
}

func (d devices) GetDelta(r *api.GetDeltaRequest, stream grpc.ServerStreamingServer[api.GetBlobResponse]) error {
	if len(r.GetDigest()) != 32 || len(r.GetBase()) != 32 {
		return d.statusOf("delta", fmt.Errorf("%w: digests of %d and %d bytes", ErrBad, len(r.GetDigest()), len(r.GetBase())))
	}
	content, size, closer, err := d.backend.Delta(stream.Context(), [32]byte(r.GetDigest()), [32]byte(r.GetBase()))
	if err != nil {
		return d.statusOf("delta", err)
	}
	defer closer.Close()
	return d.pieces("delta", content, 0, size, stream)
}

// pieces sends content from an offset on.
func (d devices) pieces(what string, content io.ReaderAt, at, size int64, stream grpc.ServerStreamingServer[api.GetBlobResponse]) error {
	for at < size {
		piece := make([]byte, min(maxChunk, size-at)) // gRPC may hold on to what it sends
		if n, err := content.ReadAt(piece, at); n < len(piece) {
			return d.statusOf(what, err)
		}
		if err := stream.Send(&api.GetBlobResponse{Offset: uint64(at), Data: piece, Total: uint64(size)}); err != nil {
			return err
		}
		at += int64(len(piece))
	}
	return nil
}

func (d devices) Receipt(ctx context.Context, r *api.ReceiptRequest) (*api.ReceiptResponse, error) {
	if len(r.GetTask()) > maxTask || len(r.GetDeviceId()) != len(round.ID{}) {
		return nil, d.statusOf("receipt", fmt.Errorf("%w: a field has the wrong length", ErrBad))
	}
	a, err := d.backend.Receipt(ctx, r.GetTask(), r.GetRound(), round.ID(r.GetDeviceId()), r.GetLogSize())
	if err != nil {
		return nil, d.statusOf("receipt", err)
	}
	return &api.ReceiptResponse{State: states[a.State], Reason: drops[a.Reason], AbandonCertificate: a.Abandon,
		Receipt: a.Proof, Consistency: a.Consistency}, nil
}

var waits = map[Wait]api.WaitReason{
	WaitNoRound:  api.WaitReason_WAIT_REASON_NO_ROUND,
	WaitFull:     api.WaitReason_WAIT_REASON_ROUND_FULL,
	WaitCounted:  api.WaitReason_WAIT_REASON_ALREADY_COUNTED,
	WaitProtocol: api.WaitReason_WAIT_REASON_PROTOCOL,
	WaitFinished: api.WaitReason_WAIT_REASON_TASK_FINISHED,

	WaitServerOld:   api.WaitReason_WAIT_REASON_SERVER_OLD,
	WaitSuite:       api.WaitReason_WAIT_REASON_SUITE,
	WaitModelFormat: api.WaitReason_WAIT_REASON_MODEL_FORMAT,
	WaitResting:     api.WaitReason_WAIT_REASON_RESTING,
}

var states = map[State]api.UploadState{
	Staged:    api.UploadState_UPLOAD_STATE_STAGED,
	Counted:   api.UploadState_UPLOAD_STATE_COUNTED,
	Late:      api.UploadState_UPLOAD_STATE_LATE,
	Rejected:  api.UploadState_UPLOAD_STATE_REJECTED,
	Abandoned: api.UploadState_UPLOAD_STATE_ABANDONED,
	Unknown:   api.UploadState_UPLOAD_STATE_UNKNOWN,
}

var drops = map[round.DropReason]api.RejectReason{
	round.DropNoRound:     api.RejectReason_REJECT_REASON_NO_SUCH_ROUND,
	round.DropClosed:      api.RejectReason_REJECT_REASON_ROUND_CLOSED,
	round.DropFull:        api.RejectReason_REJECT_REASON_ROUND_FULL,
	round.DropConflict:    api.RejectReason_REJECT_REASON_CONFLICT,
	round.DropHeader:      api.RejectReason_REJECT_REASON_HEADER,
	round.DropNotEnrolled: api.RejectReason_REJECT_REASON_NOT_ENROLLED,
	round.DropConfig:      api.RejectReason_REJECT_REASON_WRONG_CONFIG,
	round.DropVector:      api.RejectReason_REJECT_REASON_VECTOR,
	round.DropCommittee:   api.RejectReason_REJECT_REASON_COMMITTEE,
	round.DropSpent:       api.RejectReason_REJECT_REASON_SPENT,
	round.DropSharing:     api.RejectReason_REJECT_REASON_SHARING,
	round.DropNorm:        api.RejectReason_REJECT_REASON_NORM,
	round.DropNotEligible: api.RejectReason_REJECT_REASON_NOT_ELIGIBLE,
}
