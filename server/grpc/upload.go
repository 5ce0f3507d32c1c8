package grpc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"tutti/server/api"
	"tutti/server/round"
)

// Upload takes the header, then the vector in order, piece by piece; nothing is held but the piece at hand. A stream that
// breaks leaves the upload resting, for one that says the right offset or for PutChunk.
func (d devices) Upload(stream grpc.ClientStreamingServer[api.UploadRequest, api.UploadResponse]) error {
	ctx := stream.Context()
	in := d.receive(stream)
	first, err := in.next(d.limits.Idle, nil, nil)
	if err != nil {
		return err
	}
	h := first.GetHeader()
	if h == nil || len(h.GetHeader()) > d.limits.Header || len(h.GetTask()) > maxTask || len(h.GetDigest()) > 0 {
		return d.statusOf("upload", fmt.Errorf("%w: an upload begins with a header of at most %d bytes", ErrBad, d.limits.Header))
	}
	t, receipt, err := d.open(ctx, h)
	if err == nil && t != nil && h.GetOffset() != t.at && h.GetOffset() == 0 { // anew, from a client that did not ask
		t.up.Abort(round.DropDied)
		d.transfers.end(t)
		t, receipt, err = d.open(ctx, h)
	}
	if err != nil {
		return d.statusOf("upload", err)
	}
	if t != nil {
		if h.GetOffset() != t.at {
			d.transfers.release(t)
			return d.statusOf("upload", wrongOffset(h.GetOffset(), t.at))
		}
		if receipt, err = d.take(ctx, in, t); err != nil {
			return d.statusOf("upload", err)
		}
	}
	return stream.SendAndClose(&api.UploadResponse{State: states[receipt.State], Reason: drops[receipt.Reason], RetryAfterMs: receipt.After.Milliseconds()})
}

func wrongOffset(said, is uint64) error {
	return withReason(codes.OutOfRange, api.ReasonOffset, fmt.Sprintf("the upload stands at %d bytes, not at %d", is, said), 0)
}

// open finds the transfer of a header or begins one; without a transfer the receipt is the answer.
func (d devices) open(ctx context.Context, h *api.UploadHeader) (*transfer, Receipt, error) {
	key := keyOf(h.GetTask(), h.GetRound(), h.GetVectorBytes(), sha256.Sum256(h.GetHeader()))
	if t, err := d.transfers.claim(ctx, key); t != nil || err != nil {
		return t, Receipt{}, err
	}
	up, receipt, err := d.backend.BeginUpload(ctx, h.GetTask(), h.GetRound(), h.GetHeader(), h.GetVectorBytes())
	if err != nil || up == nil {
		return nil, receipt, err
	}
	return d.transfers.begin(key, up, h.GetVectorBytes()), Receipt{}, nil
}

// take moves the vector from the stream to the backend.
func (d devices) take(ctx context.Context, in *incoming, t *transfer) (Receipt, error) {
	whole := time.Now().Add(d.limits.Idle + time.Duration(t.total-t.at)*time.Second/time.Duration(d.limits.Slowest))
	for t.at < t.total {
		m, err := in.next(min(d.limits.Idle, time.Until(whole)), t.up.Left(), t.yield)
		switch {
		case errors.Is(err, errLeft):
			t.up.Abort(round.DropDied)
			d.transfers.end(t)
			return Receipt{}, superseded()
		case err != nil:
			d.transfers.release(t)
			return Receipt{}, err
		}
		if done, receipt, err := d.piece(t, m.GetChunk()); done || err != nil {
			return receipt, err
		}
	}
	return d.finish(ctx, t)
}

// piece adds one chunk to a transfer that the caller holds. With done or an error the hold is over: a damaged chunk leaves
// the upload resting, one that does not fit ends it.
func (d devices) piece(t *transfer, c *api.VectorChunk) (done bool, r Receipt, err error) {
	n := uint64(len(c.GetData()))
	if c == nil || c.GetOffset() != t.at || n == 0 || n > maxChunk || n > t.total-t.at {
		t.up.Abort(round.DropVector)
		d.transfers.end(t)
		return true, Receipt{State: Rejected, Reason: round.DropVector}, nil
	}
	if !c.Intact() {
		d.transfers.release(t)
		return true, Receipt{}, withReason(codes.DataLoss, api.ReasonChecksum, fmt.Sprintf("the chunk at %d was damaged on the way", t.at), 0)
	}
	switch err := t.up.Write(c.GetData()); {
	case errors.Is(err, ErrOver):
		t.up.Abort(round.DropClosed)
		d.transfers.end(t)
		return true, Receipt{State: Late, Reason: round.DropClosed}, nil
	case err != nil:
		t.up.Abort(round.DropStorage)
		d.transfers.end(t)
		return true, Receipt{}, err
	}
	t.at += n
	return false, Receipt{}, nil
}

func (d devices) finish(ctx context.Context, t *transfer) (Receipt, error) {
	defer d.transfers.end(t)
	return t.up.Finish(ctx)
}

// PutChunk is Upload in single calls: with a chunk it adds it, without one it says how far the upload has come. A chunk that
// is not the next one is not taken, and the answer says which is; so that a call whose answer was lost can be repeated.
func (d devices) PutChunk(ctx context.Context, r *api.PutChunkRequest) (*api.PutChunkResponse, error) {
	h, c := r.GetHeader(), r.GetChunk()
	if len(h.GetHeader()) > d.limits.Header || len(h.GetTask()) > maxTask || len(c.GetData()) > maxChunk ||
		len(h.GetDigest()) > 0 && (len(h.GetDigest()) != sha256.Size || len(h.GetHeader()) > 0) {
		return nil, d.statusOf("chunk", fmt.Errorf("%w: a field has the wrong length", ErrBad))
	}
	t, receipt, err := d.find(ctx, h)
	if err != nil {
		return nil, d.statusOf("chunk", err)
	}
	if t == nil {
		return &api.PutChunkResponse{Offset: h.GetVectorBytes(), State: states[receipt.State], Reason: drops[receipt.Reason], RetryAfterMs: receipt.After.Milliseconds()}, nil
	}
	if c == nil || c.GetOffset() != t.at {
		at := t.at
		d.transfers.release(t)
		return &api.PutChunkResponse{Offset: at}, nil
	}
	done, receipt, err := d.piece(t, c)
	if !done && err == nil {
		if t.at < t.total {
			at := t.at
			d.transfers.release(t)
			return &api.PutChunkResponse{Offset: at}, nil
		}
		receipt, err = d.finish(ctx, t)
	}
	if err != nil {
		return nil, d.statusOf("chunk", err)
	}
	return &api.PutChunkResponse{Offset: t.at, State: states[receipt.State], Reason: drops[receipt.Reason], RetryAfterMs: receipt.After.Milliseconds()}, nil
}

// find is open for a header, or for the digest of one.
func (d devices) find(ctx context.Context, h *api.UploadHeader) (*transfer, Receipt, error) {
	if len(h.GetDigest()) == 0 {
		return d.open(ctx, h)
	}
	t, err := d.transfers.claim(ctx, keyOf(h.GetTask(), h.GetRound(), h.GetVectorBytes(), [32]byte(h.GetDigest())))
	if t == nil && err == nil {
		err = withReason(codes.FailedPrecondition, api.ReasonUnknown, "no such upload is under way here: send its header", 0)
	}
	return t, Receipt{}, err
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

var errLeft = errors.New("the place of this upload is taken")

func superseded() error {
	return withReason(codes.Aborted, api.ReasonSuperseded, "another stream sends this upload now, or its place was taken", 0)
}

// next is the next message; errLeft when the upload has lost its place.
func (in *incoming) next(idle time.Duration, left, yield <-chan struct{}) (*api.UploadRequest, error) {
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case m, ok := <-in.messages:
		if ok {
			return m, nil
		}
		if in.err == io.EOF {
			return nil, fmt.Errorf("%w: the upload ended before it was complete", ErrBad)
		}
		return nil, in.err
	case <-left:
		return nil, errLeft
	case <-yield:
		return nil, superseded()
	case <-timer.C:
		return nil, withReason(codes.DeadlineExceeded, api.ReasonSlow, fmt.Sprintf("nothing arrived for %v, or far too slowly", idle.Round(time.Millisecond)), 0)
	}
}
