package transport

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"tutti/client"
	"tutti/privacy/ledger"
	"tutti/server/api"
)

// ChunkBytes is the size of an upload's chunks, and the most that is accepted
// in one message of a blob.
const ChunkBytes = 256 << 10

const maxProof = 64 // hashes in a proof: a log has fewer than 2^63 records

var _ client.Transport = (*Conn)(nil)

// Enroll exchanges a token for an enrolment.
func (t *Conn) Enroll(ctx context.Context, r client.EnrollRequest) ([]byte, error) {
	ctx, _, stop := t.watch(ctx)
	defer stop()
	answer, err := t.devices.Enroll(ctx, &api.EnrollRequest{
		Task: r.Task, Token: r.Token, PublicKey: r.PublicKey, Proof: r.Proof, Attestation: r.Attestation,
	})
	if err != nil {
		return nil, t.explain(ctx, "enrolling", err)
	}
	return answer.GetEnrolment(), nil
}

// CheckIn asks for the open round and the newest model.
func (t *Conn) CheckIn(ctx context.Context, r client.CheckInRequest) (client.CheckIn, error) {
	ctx, _, stop := t.watch(ctx)
	defer stop()
	answer, err := t.devices.CheckIn(ctx, &api.CheckInRequest{
		Task: r.Task, PublicKey: r.PublicKey, Enrolment: r.Enrolment, TimeUnix: r.Time,
		Signature: r.Signature, LogSize: r.LogSize, Protocol: r.Protocol,
		Suites: r.Suites, ModelFormat: r.ModelFormat, LastRound: r.LastRound, Rounds: r.Rounds, Resting: r.Resting,
	})
	if err != nil {
		return client.CheckIn{}, t.explain(ctx, "checking in", err)
	}
	c := client.CheckIn{Protocol: answer.GetProtocol(), Accepted: milliseconds(answer.GetRetry().GetAcceptedMs()), Refused: milliseconds(answer.GetRetry().GetRefusedMs())}
	if o := answer.GetOffer(); o != nil {
		logged, err := loggedOf(o.GetLogged())
		if err != nil {
			return client.CheckIn{}, fmt.Errorf("checking in: %w", err)
		}
		c.Offer = &client.Offer{Plan: o.GetPlan(), PlanSignature: o.GetPlanSignature(), Config: o.GetConfig(), Logged: logged}
	}
	if w := answer.GetWait(); w != nil {
		c.Wait = client.Wait{RetryAfter: milliseconds(w.GetRetryAfterMs()), Reason: waitReason(w.GetReason())}
	}
	if v := answer.GetVersion(); v != nil {
		c.Version = &client.SignedVersion{Version: v.GetVersion(), Signature: v.GetSignature()}
	}
	return c, nil
}

// loggedOf bounds what the server says of the plan's place in its log.
func loggedOf(l *api.Logged) (ledger.Logged, error) {
	out := ledger.Logged{Checkpoint: l.GetCheckpoint(), Seq: l.GetSeq(), Time: l.GetTimeUnix()}
	if len(l.GetPrev()) == len(out.Prev) {
		out.Prev = ledger.Digest(l.GetPrev())
	}
	var errs [3]error
	out.Inclusion, errs[0] = hashes(l.GetInclusion())
	out.Consistency, errs[1] = hashes(l.GetConsistency())
	out.Extension, errs[2] = hashes(l.GetExtension())
	return out, errors.Join(errs[:]...)
}

func hashes(proof [][]byte) ([][]byte, error) {
	if len(proof) > maxProof {
		return nil, fmt.Errorf("the server sent a proof of %d hashes", len(proof))
	}
	for _, h := range proof {
		if len(h) != sha256.Size {
			return nil, fmt.Errorf("the server sent a hash of %d bytes", len(h))
		}
	}
	return proof, nil
}

// Blob fetches a blob in order, at most limit bytes, and checks its digest.
func (t *Conn) Blob(ctx context.Context, digest [32]byte, limit int64) ([]byte, error) {
	ctx, progress, stop := t.watch(ctx)
	defer stop()
	stream, err := t.devices.GetBlob(ctx, &api.GetBlobRequest{Digest: digest[:]})
	if err != nil {
		return nil, t.explain(ctx, fetching, err)
	}
	blob, err := t.pieces(ctx, stream, limit, progress)
	if err == nil && sha256.Sum256(blob) != digest {
		err = fmt.Errorf("%s: %w", fetching, client.ErrDigest)
	}
	if err != nil {
		return nil, err
	}
	return blob, nil
}

// Delta fetches what makes one blob of another, at most limit bytes of it.
func (t *Conn) Delta(ctx context.Context, digest, base [32]byte, limit int64) ([]byte, error) {
	ctx, progress, stop := t.watch(ctx)
	defer stop()
	stream, err := t.devices.GetDelta(ctx, &api.GetDeltaRequest{Digest: digest[:], Base: base[:]})
	if err != nil {
		return nil, t.explain(ctx, fetching, err)
	}
	return t.pieces(ctx, stream, limit, progress)
}

const fetching = "fetching a part of the model"

// pieces puts a stream of pieces together, which come in order and are limit bytes at most.
func (t *Conn) pieces(ctx context.Context, stream grpc.ServerStreamingClient[api.GetBlobResponse], limit int64, progress func()) ([]byte, error) {
	var blob []byte
	for {
		part, err := stream.Recv()
		progress()
		if errors.Is(err, io.EOF) {
			return blob, nil
		}
		if err != nil {
			return nil, t.explain(ctx, fetching, err)
		}
		if part.GetTotal() > uint64(limit) {
			return nil, fmt.Errorf("%s: %d bytes are offered, at most %d are taken", fetching, part.GetTotal(), limit)
		}
		if part.GetOffset() != uint64(len(blob)) || len(part.GetData()) == 0 || len(part.GetData()) > ChunkBytes ||
			part.GetOffset()+uint64(len(part.GetData())) > part.GetTotal() {
			return nil, errors.New(fetching + ": the pieces do not fit together")
		}
		if blob == nil {
			blob = make([]byte, 0, part.GetTotal())
		}
		blob = append(blob, part.GetData()...)
	}
}

// Receipt asks what became of an upload.
func (t *Conn) Receipt(ctx context.Context, r client.ReceiptRequest) (client.Receipt, error) {
	ctx, _, stop := t.watch(ctx)
	defer stop()
	answer, err := t.devices.Receipt(ctx, &api.ReceiptRequest{Task: r.Task, Round: r.Round, DeviceId: r.Device[:], LogSize: r.LogSize})
	if err != nil {
		return client.Receipt{}, t.explain(ctx, "asking for a receipt", err)
	}
	proof, err := hashes(answer.GetConsistency())
	if err != nil {
		return client.Receipt{}, fmt.Errorf("asking for a receipt: %w", err)
	}
	return client.Receipt{State: uploadState(answer.GetState()), Reason: rejectReason(answer.GetReason()),
		Abandoned: answer.GetAbandonCertificate(), Proof: answer.GetReceipt(), Consistency: proof}, nil
}

const maxRetry = 30 * 24 * time.Hour

// milliseconds reads a server's wish, which may be anything.
func milliseconds(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), int64(maxRetry/time.Millisecond))) * time.Millisecond
}
