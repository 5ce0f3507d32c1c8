package grpc

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/privacy/ledger"
	"tutti/server/api"
	"tutti/server/round"
)

// Bounds of the wire, checked before anything is done with a field.
const (
	maxChunk = 256 << 10
	maxTask  = 64
	maxToken = 256
	maxKey   = 64
	overhead = 4 << 10 // of a message, beside its one large field
)

type devices struct {
	api.UnimplementedDevicesServer
	*services
}

func (d devices) Enroll(ctx context.Context, r *api.EnrollRequest) (*api.EnrollResponse, error) {
	if len(r.GetTask()) > maxTask || len(r.GetToken()) > maxToken || len(r.GetPublicKey()) > maxKey || len(r.GetProof()) > maxKey {
		return nil, d.statusOf("enrol", fmt.Errorf("%w: a field is too long", ErrBad))
	}
	enrolment, err := d.backend.Enroll(ctx, Enrollment{Task: r.GetTask(), Token: r.GetToken(), PublicKey: r.GetPublicKey(), Proof: r.GetProof()})
	if err != nil {
		return nil, d.statusOf("enrol", err)
	}
	return &api.EnrollResponse{Enrolment: enrolment}, nil
}

func (d devices) CheckIn(ctx context.Context, r *api.CheckInRequest) (*api.CheckInResponse, error) {
	if len(r.GetTask()) > maxTask || len(r.GetPublicKey()) > maxKey || len(r.GetEnrolment()) > maxKey || len(r.GetSignature()) > maxKey {
		return nil, d.statusOf("check in", fmt.Errorf("%w: a field is too long", ErrBad))
	}
	a, err := d.backend.CheckIn(ctx, CheckIn{
		Task: r.GetTask(), PublicKey: r.GetPublicKey(), Enrolment: r.GetEnrolment(), Time: time.Unix(r.GetTimeUnix(), 0),
		LogSize: r.GetLogSize(), Protocol: r.GetProtocol(), Signature: r.GetSignature(),
	})
	if err != nil {
		return nil, d.statusOf("check in", err)
	}
	out := new(api.CheckInResponse)
	if o := a.Offer; o != nil {
		out.Offer = &api.Offer{Plan: o.Plan, PlanSignature: o.PlanSignature, Config: o.Config, Logged: loggedTo(o.Logged)}
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
	for at := int64(r.GetOffset()); at < size; {
		piece := make([]byte, min(maxChunk, size-at)) // gRPC may hold on to what it sends
		if n, err := content.ReadAt(piece, at); n < len(piece) {
			return d.statusOf("blob", err)
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

// Upload takes the header, then the vector in order, piece by piece; nothing is held but the piece at hand.
func (d devices) Upload(stream grpc.ClientStreamingServer[api.UploadRequest, api.UploadResponse]) error {
	select {
	case d.uploads <- struct{}{}:
		defer func() { <-d.uploads }()
	default:
		return d.statusOf("upload", ErrBusy)
	}
	in := d.receive(stream)
	first, err := in.next(d.limits.Idle)
	if err != nil {
		return err
	}
	h := first.GetHeader()
	if h == nil || len(h.GetHeader()) > d.limits.Header || len(h.GetTask()) > maxTask {
		return d.statusOf("upload", fmt.Errorf("%w: an upload begins with a header of at most %d bytes", ErrBad, d.limits.Header))
	}
	up, receipt, err := d.backend.BeginUpload(stream.Context(), h.GetTask(), h.GetRound(), h.GetHeader(), h.GetVectorBytes())
	if err != nil {
		return d.statusOf("upload", err)
	}
	if up != nil {
		if receipt, err = d.take(stream.Context(), in, up, h.GetVectorBytes()); err != nil {
			return d.statusOf("upload", err)
		}
	}
	return stream.SendAndClose(&api.UploadResponse{State: states[receipt.State], Reason: drops[receipt.Reason], RetryAfterMs: receipt.After.Milliseconds()})
}

// take moves the vector from the stream to the backend.
func (d devices) take(ctx context.Context, in *incoming, up Upload, total uint64) (Receipt, error) {
	for at := uint64(0); at < total; {
		m, err := in.nextOr(d.limits.Idle, up.Left())
		if err != nil {
			up.Abort(round.DropDied)
			return Receipt{}, err
		}
		c := m.GetChunk()
		if c == nil || c.GetOffset() != at || len(c.GetData()) == 0 || len(c.GetData()) > maxChunk || at+uint64(len(c.GetData())) > total {
			up.Abort(round.DropVector)
			return Receipt{State: Rejected, Reason: round.DropVector}, nil
		}
		if err := up.Write(c.GetData()); err != nil {
			up.Abort(round.DropStorage)
			return Receipt{}, err
		}
		at += uint64(len(c.GetData()))
	}
	return up.Finish(ctx)
}

// incoming reads a stream ahead by one message, so that a reader can give up on a sender that has gone silent.
type incoming struct {
	messages chan *api.UploadRequest
	err      error // set before messages is closed
}

func (d devices) receive(stream grpc.ClientStreamingServer[api.UploadRequest, api.UploadResponse]) *incoming {
	in := &incoming{messages: make(chan *api.UploadRequest)}
	go func() {
		defer close(in.messages)
		for {
			m, err := stream.Recv()
			if err != nil {
				in.err = err
				return
			}
			select {
			case in.messages <- m:
			case <-stream.Context().Done(): // also when the handler has returned
				in.err = stream.Context().Err()
				return
			}
		}
	}()
	return in
}

func (in *incoming) next(idle time.Duration) (*api.UploadRequest, error) { return in.nextOr(idle, nil) }

func (in *incoming) nextOr(idle time.Duration, left <-chan struct{}) (*api.UploadRequest, error) {
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case m, ok := <-in.messages:
		if ok {
			return m, nil
		}
		if in.err == io.EOF {
			return nil, status.Error(codes.InvalidArgument, "the upload ended before it was complete")
		}
		return nil, in.err
	case <-left:
		return nil, status.Error(codes.Aborted, "another stream sends this upload now")
	case <-timer.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "nothing arrived for %v", idle)
	}
}

var waits = map[Wait]api.WaitReason{
	WaitNoRound:  api.WaitReason_WAIT_REASON_NO_ROUND,
	WaitFull:     api.WaitReason_WAIT_REASON_ROUND_FULL,
	WaitCounted:  api.WaitReason_WAIT_REASON_ALREADY_COUNTED,
	WaitProtocol: api.WaitReason_WAIT_REASON_PROTOCOL,
	WaitFinished: api.WaitReason_WAIT_REASON_TASK_FINISHED,
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
