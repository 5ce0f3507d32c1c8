package testserver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/aggregation"
	"tutti/client"
	"tutti/model"
	"tutti/model/delta"
	"tutti/privacy/ledger"
	"tutti/server/api"
)

// Enroll implements api.DevicesServer.
func (s *Server) Enroll(_ context.Context, r *api.EnrollRequest) (*api.EnrollResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by, known := s.tokens[r.GetToken()]
	if !known || by != nil && !bytes.Equal(by, r.GetPublicKey()) {
		return nil, status.Error(codes.PermissionDenied, "the token is unknown or used")
	}
	if len(r.GetPublicKey()) != ed25519.PublicKeySize || !ed25519.Verify(r.GetPublicKey(), client.EnrollMessage(r.GetTask(), r.GetToken()), r.GetProof()) {
		return nil, status.Error(codes.PermissionDenied, "the key is not held")
	}
	s.tokens[r.GetToken()] = r.GetPublicKey()
	answer := &api.EnrollResponse{Enrolment: aggregation.Enrol(s.enroller, Task, r.GetPublicKey())}
	if s.lie.Enroll != nil {
		s.lie.Enroll(answer)
	}
	return answer, nil
}

// CheckIn implements api.DevicesServer.
func (s *Server) CheckIn(_ context.Context, r *api.CheckInRequest) (*api.CheckInResponse, error) {
	message := client.CheckInMessage(r.GetTask(), r.GetPublicKey(), r.GetTimeUnix(), r.GetLogSize())
	if !aggregation.VerifyEnrolment(public(s.enroller), Task, r.GetPublicKey(), r.GetEnrolment()) ||
		!ed25519.Verify(r.GetPublicKey(), message, r.GetSignature()) {
		return nil, status.Error(codes.PermissionDenied, "not enrolled")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := &api.CheckInResponse{Version: s.version}
	id := aggregation.IDOf(r.GetPublicKey())
	switch {
	case s.finished:
		answer.Wait = &api.Wait{Reason: api.WaitReason_WAIT_REASON_TASK_FINISHED}
	case s.round == nil:
		answer.Wait = &api.Wait{Reason: api.WaitReason_WAIT_REASON_NO_ROUND, RetryAfterMs: 20}
	case !s.round.invites(id) && !s.lie.InviteAll:
		answer.Wait = &api.Wait{Reason: api.WaitReason_WAIT_REASON_NO_ROUND, RetryAfterMs: 20}
	case s.round.staged[id] != nil:
		answer.Wait = &api.Wait{Reason: api.WaitReason_WAIT_REASON_ALREADY_COUNTED, RetryAfterMs: 20}
	default:
		offer, err := s.offer(r.GetLogSize())
		if err != nil {
			return nil, err
		}
		answer.Offer = offer
	}
	if s.lie.CheckIn != nil {
		s.lie.CheckIn(answer)
	}
	return answer, nil
}

func (s *Server) offer(from uint64) (*api.Offer, error) {
	r := s.round
	o := &api.Offer{Plan: r.signed.Bytes, PlanSignature: r.signed.Signature, Config: r.cfg.Marshal()}
	at, _ := ledger.OpenCheckpoint(r.Plan.Checkpoint, LogOrigin, public(s.operator)) // a plan may lie
	note := s.checkpoint()
	l, err := ledger.ProvePlan(r.record, note, s.log.Size(), from, min(at.Size, s.log.Size()), s.log.Hashes)
	if err != nil { // the log has forgotten the plan
		o.Logged = &api.Logged{Checkpoint: note}
		return o, nil
	}
	o.Logged = &api.Logged{Checkpoint: note, Seq: l.Seq, TimeUnix: l.Time, Prev: l.Prev[:],
		Inclusion: l.Inclusion, Consistency: l.Consistency, Extension: l.Extension}
	return o, nil
}

// receipt completes the answer about a counted device once its round is closed, which logs it.
func (s *Server) receipt(r *Round, id aggregation.DeviceID, from uint64, answer *api.ReceiptResponse) {
	index := slices.Index(r.set, id)
	if r.ended == nil || index < 0 {
		return
	}
	ids := make([][16]byte, len(r.set))
	for i := range ids {
		ids[i] = r.set[i]
	}
	path, err := ledger.ProveParticipant(ids, index)
	s.must(err)
	inclusion, err := ledger.ProveInclusion(s.log.Size(), r.ended.Seq, s.log.Hashes)
	s.must(err)
	record, err := r.ended.Encode()
	s.must(err)
	proof := ledger.Receipt{Device: id, Index: uint64(index), Path: path, Record: record, Inclusion: inclusion,
		Checkpoint: s.checkpoint(), Operator: public(s.operator)}
	answer.Receipt, err = proof.Encode()
	s.must(err)
	answer.Consistency, err = ledger.ProveConsistency(min(from, s.log.Size()), s.log.Size(), s.log.Hashes)
	s.must(err)
}

// GetBlob implements api.DevicesServer.
func (s *Server) GetBlob(r *api.GetBlobRequest, stream grpc.ServerStreamingServer[api.GetBlobResponse]) error {
	if len(r.GetDigest()) != len(model.Digest{}) {
		return status.Error(codes.InvalidArgument, "a digest of another length")
	}
	digest := model.Digest(r.GetDigest())
	s.mu.Lock()
	b, found := s.blobs[digest]
	if found && s.lie.Blob != nil {
		b = s.lie.Blob(digest, bytes.Clone(b))
	}
	s.mu.Unlock()
	if !found {
		return status.Error(codes.NotFound, "no such blob")
	}
	return pieces(b, stream)
}

// GetDelta implements api.DevicesServer.
func (s *Server) GetDelta(r *api.GetDeltaRequest, stream grpc.ServerStreamingServer[api.GetBlobResponse]) error {
	if len(r.GetDigest()) != len(model.Digest{}) || len(r.GetBase()) != len(model.Digest{}) {
		return status.Error(codes.InvalidArgument, "a digest of another length")
	}
	digest := model.Digest(r.GetDigest())
	s.mu.Lock()
	want, base, lie := s.blobs[digest], s.blobs[model.Digest(r.GetBase())], s.lie.Delta
	s.mu.Unlock()
	d, err := delta.Encode(base, want)
	if lie != nil {
		d, err = lie(digest, d)
	}
	if errors.Is(err, delta.ErrUseless) {
		return status.Error(codes.NotFound, "no delta")
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.deltas++
	s.mu.Unlock()
	return pieces(d, stream)
}

// Deltas is how many deltas were handed out.
func (s *Server) Deltas() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deltas
}

func pieces(b []byte, stream grpc.ServerStreamingServer[api.GetBlobResponse]) error {
	const chunk = 256 << 10
	for at := 0; at < len(b); at += chunk {
		part := b[at:min(at+chunk, len(b))]
		if err := stream.Send(&api.GetBlobResponse{Offset: uint64(at), Data: part, Total: uint64(len(b))}); err != nil {
			return err
		}
	}
	return nil
}

// Upload implements api.DevicesServer.
func (s *Server) Upload(stream grpc.ClientStreamingServer[api.UploadRequest, api.UploadResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	head := first.GetHeader()
	s.mu.Lock()
	r := s.rounds[head.GetRound()]
	s.mu.Unlock()
	if r == nil {
		return stream.SendAndClose(reject(api.RejectReason_REJECT_REASON_NO_SUCH_ROUND))
	}
	h, err := aggregation.ParseHeader(head.GetHeader())
	if err != nil {
		return stream.SendAndClose(reject(api.RejectReason_REJECT_REASON_HEADER))
	}
	path, _ := r.people.Path(h.ID)
	if aggregation.VerifyHeader(r.cfg, h, path) != nil {
		return stream.SendAndClose(reject(api.RejectReason_REJECT_REASON_HEADER))
	}
	vector, err := receive(stream, head.GetVectorBytes(), uint64(r.cfg.Params().VectorLen()))
	if err != nil {
		return err
	}
	if aggregation.HashVector(vector) != h.VecHash {
		return stream.SendAndClose(reject(api.RejectReason_REJECT_REASON_VECTOR))
	}
	answer, err := s.stage(r, h, vector)
	if err != nil {
		return err
	}
	return stream.SendAndClose(answer)
}

func receive(stream grpc.ClientStreamingServer[api.UploadRequest, api.UploadResponse], announced, want uint64) ([]byte, error) {
	var vector []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		chunk := part.GetChunk()
		if chunk == nil || chunk.GetOffset() != uint64(len(vector)) || uint64(len(vector)+len(chunk.GetData())) > want {
			return nil, status.Error(codes.InvalidArgument, "the pieces do not fit together")
		}
		vector = append(vector, chunk.GetData()...)
	}
	if uint64(len(vector)) != want || announced != want {
		return nil, status.Error(codes.InvalidArgument, fmt.Sprintf("%d bytes of a vector, want %d", len(vector), want))
	}
	return vector, nil
}

// Receipt implements api.DevicesServer.
func (s *Server) Receipt(_ context.Context, r *api.ReceiptRequest) (*api.ReceiptResponse, error) {
	if len(r.GetDeviceId()) != len(aggregation.DeviceID{}) {
		return nil, status.Error(codes.InvalidArgument, "a device id of another length")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	round := s.rounds[r.GetRound()]
	if round == nil {
		return nil, status.Error(codes.NotFound, errNoRound.Error())
	}
	id := aggregation.DeviceID(r.GetDeviceId())
	answer := &api.ReceiptResponse{State: api.UploadState_UPLOAD_STATE_UNKNOWN}
	if state, known := round.state[id]; known {
		answer.State = state
	}
	if answer.State == api.UploadState_UPLOAD_STATE_COUNTED {
		s.receipt(round, id, r.GetLogSize(), answer)
	}
	if round.cert != nil {
		answer.State, answer.AbandonCertificate = api.UploadState_UPLOAD_STATE_ABANDONED, round.cert
	}
	if s.lie.Receipt != nil {
		s.lie.Receipt(id, answer)
	}
	return answer, nil
}
