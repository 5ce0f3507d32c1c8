package transport

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/client"
	"tutti/server/api"
)

// How often an upload that breaks off is taken up again without the server having come any further, and how long a wait in
// between may be; for a longer one the call returns, and says how long.
const (
	resumptions = 4
	longestWait = 15 * time.Second
)

// Upload streams the header, then the vector. A stream that breaks is resumed: the server is asked how far it has come,
// and only the rest is sent. u.Again asks before the first byte.
func (t *Conn) Upload(ctx context.Context, u client.Upload) (client.Receipt, error) {
	offset, idle := uint64(0), 0
	for ask := u.Again; ; ask = true {
		receipt, done, err := client.Receipt{}, false, error(nil)
		if ask {
			before := offset
			if offset, receipt, done, err = t.reached(ctx, u); offset > before {
				idle = 0
			}
		}
		if err == nil && !done {
			receipt, err = t.stream(ctx, u, offset)
		}
		if err == nil {
			return receipt, nil
		}
		wait, again := t.again(ctx, err, idle)
		if idle++; !again || idle > resumptions {
			return client.Receipt{}, t.explain(ctx, "uploading", err)
		}
		if sleep(ctx, wait) != nil {
			return client.Receipt{}, t.explain(ctx, "uploading", context.Cause(ctx))
		}
	}
}

// again says whether an upload that failed in this way may go on, and after how long.
func (t *Conn) again(ctx context.Context, err error, tries int) (time.Duration, bool) {
	if ctx.Err() != nil || errors.Is(err, errSilent) {
		return 0, false
	}
	s := status.Convert(err)
	wait := retryOf(s)
	switch reason := reasonOf(s); {
	case reason == api.ReasonChecksum, reason == api.ReasonOffset:
		return 0, true
	case reason == api.ReasonSlow, reason == api.ReasonBusy, reason == api.ReasonRate, reason == api.ReasonStopping:
	case s.Code() != codes.Unavailable || reason != "" || !t.passing(s.Message()):
		return 0, false
	}
	if wait == 0 {
		wait = 100 * time.Millisecond << tries
	}
	return jitter(wait), wait <= longestWait
}

// jitter spreads those out who were told the same: up to half as much again, never less. This randomness is no secret.
func jitter(d time.Duration) time.Duration { return d + time.Duration(rand.Float64()*float64(d)/2) }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reached asks how far an upload has come; done says that it is complete, and the receipt what became of it.
func (t *Conn) reached(ctx context.Context, u client.Upload) (offset uint64, r client.Receipt, done bool, err error) {
	ctx, _, stop := t.watch(ctx)
	defer stop()
	answer, err := t.devices.PutChunk(ctx, &api.PutChunkRequest{Header: headerOf(u, 0)})
	if status.Code(err) == codes.Unimplemented { // a server from before there was resuming
		return 0, r, false, nil
	}
	if err != nil {
		return 0, r, false, t.silent(ctx, err)
	}
	if answer.GetState() != api.UploadState_UPLOAD_STATE_UNSPECIFIED {
		return 0, client.Receipt{State: uploadState(answer.GetState()), Reason: rejectReason(answer.GetReason()),
			RetryAfter: milliseconds(answer.GetRetryAfterMs())}, true, nil
	}
	return min(answer.GetOffset(), uint64(len(u.Vector))), r, false, nil
}

func headerOf(u client.Upload, offset uint64) *api.UploadHeader {
	return &api.UploadHeader{Task: u.Task, Round: u.Round, Header: u.Header, VectorBytes: uint64(len(u.Vector)), Offset: offset}
}

// stream sends an upload from an offset on.
func (t *Conn) stream(ctx context.Context, u client.Upload, offset uint64) (client.Receipt, error) {
	ctx, progress, stop := t.watch(ctx)
	defer stop()
	stream, err := t.begin(ctx, u, int(offset), len(u.Vector), progress)
	if err != nil && !errors.Is(err, io.EOF) { // io.EOF: the server has answered already
		return client.Receipt{}, t.silent(ctx, err)
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return client.Receipt{}, t.silent(ctx, err)
	}
	return client.Receipt{State: uploadState(answer.GetState()), Reason: rejectReason(answer.GetReason()),
		RetryAfter: milliseconds(answer.GetRetryAfterMs())}, nil
}

// silent tells a server that says nothing from a call that was given up.
func (t *Conn) silent(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// UploadPart sends the header and the first n bytes of the vector, and then
// breaks the stream off: what a device does that dies in the middle. It is for
// fault tests.
func (t *Conn) UploadPart(ctx context.Context, u client.Upload, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := t.begin(ctx, u, 0, min(n, len(u.Vector)), func() {}); err != nil && !errors.Is(err, io.EOF) {
		return t.explain(ctx, "uploading", err)
	}
	select { // time for what was sent to leave the buffers
	case <-ctx.Done():
	case <-time.After(partDelay):
	}
	return nil
}

const partDelay = 20 * time.Millisecond

// begin opens the stream and sends the header and the vector's bytes from one place to another.
func (t *Conn) begin(ctx context.Context, u client.Upload, from, to int, progress func()) (api.Devices_UploadClient, error) {
	stream, err := t.devices.Upload(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&api.UploadRequest{Part: &api.UploadRequest_Header{Header: headerOf(u, uint64(from))}})
	for offset := from; err == nil && offset < to; offset += ChunkBytes {
		err = stream.Send(&api.UploadRequest{Part: &api.UploadRequest_Chunk{Chunk: api.Chunk(uint64(offset), u.Vector[offset:min(offset+ChunkBytes, to)])}})
		progress()
	}
	return stream, err
}
