package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/server/api"
	"tutti/server/keys"
)

// stall opens an upload stream, sends the header and a piece, and then nothing.
func (d *device) stall(ctx context.Context) grpc.ClientStreamingClient[api.UploadRequest, api.UploadResponse] {
	d.w.t.Helper()
	header, err := d.sealed.Header.Marshal()
	d.w.must(err)
	stream, err := d.rpc.Upload(ctx)
	d.w.must(err)
	d.w.must(stream.Send(&api.UploadRequest{Part: &api.UploadRequest_Header{Header: &api.UploadHeader{
		Task: "test", Round: d.round(), Header: header, VectorBytes: uint64(len(d.sealed.Vector))}}}))
	d.w.must(stream.Send(&api.UploadRequest{Part: &api.UploadRequest_Chunk{Chunk: api.Chunk(0, d.sealed.Vector[:10])}}))
	return stream
}

// die begins an upload and breaks off once the server has it under way.
func (d *device) die() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d.stall(ctx)
	d.w.untilUnder(1)
}

// untilUnder waits until n uploads are under way.
func (w *world) untilUnder(n int) {
	for range 500 {
		in := w.server.round.groups[0].taking()
		in.mu.Lock()
		under := len(in.under)
		in.mu.Unlock()
		if under == n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Errorf("there never were %d uploads under way", n)
}

func TestSlowSendersLoseTheirPlaceOnly(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Idle, c.Limits.Uploads = 300*time.Millisecond, 2 })
	r := w.start(w.spec(3, 3, 8))
	var devices []*device
	for i := range 3 {
		d := w.device()
		d.await()
		d.seal(i)
		devices = append(devices, d)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	slow := []grpc.ClientStreamingClient[api.UploadRequest, api.UploadResponse]{devices[0].stall(ctx), devices[1].stall(ctx)}
	w.untilUnder(2)
	if _, err := devices[2].send(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a third upload where two are allowed: %v", err)
	}
	for _, s := range slow {
		if err := s.RecvMsg(new(api.UploadResponse)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a sender that went silent: %v", err)
		}
	}
	for _, d := range devices {
		if got := d.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
			t.Errorf("afterwards: %v", got)
		}
	}
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, []int{0, 1, 2})
	w.publish(r.result)
}

// TestNewerStreamTakesOver: a device that lost its connection does not wait for the server to notice.
func TestNewerStreamTakesOver(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start(w.spec(3, 3, 8))
	d := w.device()
	d.await()
	d.seal(5)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	old := d.stall(ctx)
	w.untilUnder(1)
	if got := d.deliver(); got != api.UploadState_UPLOAD_STATE_STAGED {
		t.Errorf("the newer stream: %v", got)
	}
	if err := old.RecvMsg(new(api.UploadResponse)); status.Code(err) != codes.Aborted {
		t.Errorf("the older stream: %v", err)
	}
	w.together(2)
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	exact(t, r.result, []int{0, 1, 5})
	w.publish(r.result)
}

func TestNoMoreOffersThanPlaces(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start(w.spec(3, 3, 3))
	var devices []*device
	for i := range 3 {
		d := w.device()
		d.await()
		d.seal(i)
		devices = append(devices, d)
	}
	late := w.device()
	if a, err := late.checkIn(); err != nil || a.GetWait().GetReason() != api.WaitReason_WAIT_REASON_ROUND_FULL || a.GetWait().GetRetryAfterMs() <= 0 {
		t.Errorf("a fourth device of three: %v %v", a, err)
	}
	devices[0].deliver()
	if a, err := devices[0].checkIn(); err != nil || a.GetWait().GetReason() != api.WaitReason_WAIT_REASON_ALREADY_COUNTED {
		t.Errorf("a device whose upload is staged: %v %v", a, err)
	}
	for _, d := range devices[1:] {
		d.deliver()
	}
	r.wait(t)
	if r.err != nil {
		t.Fatal(r.err)
	}
	w.publish(r.result)
	if a, err := late.checkIn(); err != nil || a.GetWait().GetReason() != api.WaitReason_WAIT_REASON_NO_ROUND {
		t.Errorf("between rounds: %v %v", a, err)
	}
	w.server.Finish()
	if a, err := late.checkIn(); err != nil || a.GetWait().GetReason() != api.WaitReason_WAIT_REASON_TASK_FINISHED {
		t.Errorf("after the task: %v %v", a, err)
	}
}

func TestImpatientDevice(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.PerIdent = 1 })
	d, other := w.device(), w.device()
	refused := false
	for range 30 {
		if _, err := d.checkIn(); status.Code(err) == codes.ResourceExhausted {
			refused = true
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !refused {
		t.Error("thirty check-ins at once were answered")
	}
	if _, err := other.checkIn(); err != nil {
		t.Errorf("another device pays for it: %v", err)
	}
}

func TestBlobsVersionsAndLog(t *testing.T) {
	w := newWorld(t, nil)
	blob := bytes.Repeat([]byte("0123456789"), 60_000)
	digest := sha256.Sum256(blob)
	ctx := context.Background()
	if _, err := w.server.Publish(ctx, Publication{Version: &model.Version{Params: digest}, Cause: "start"}); err == nil {
		t.Error("a version whose blob is missing was published")
	}
	v, err := w.server.Publish(ctx, Publication{Version: &model.Version{Params: digest}, Blobs: [][]byte{blob}, Cause: "start"})
	w.must(err)
	d := w.device()
	a, err := d.checkIn()
	w.must(err)
	if got, err := model.ParseVersion(a.GetVersion().GetVersion()); err != nil || got != v {
		t.Errorf("offered version %+v, %v; published %+v", got, err, v)
	}
	fetch := func(digest []byte, offset uint64) ([]byte, error) {
		stream, err := d.rpc.GetBlob(ctx, &api.GetBlobRequest{Digest: digest, Offset: offset})
		w.must(err)
		var out []byte
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			if err != nil {
				return out, err
			}
			out = append(out, m.GetData()...)
		}
	}
	for _, offset := range []uint64{0, 1, 300_000, uint64(len(blob))} {
		if got, err := fetch(digest[:], offset); err != nil || !bytes.Equal(got, blob[offset:]) {
			t.Errorf("from %d: %d bytes, %v", offset, len(got), err)
		}
	}
	for _, c := range []struct {
		digest []byte
		offset uint64
		want   codes.Code
	}{{make([]byte, 32), 0, codes.NotFound}, {digest[:5], 0, codes.InvalidArgument}, {digest[:], 1 << 60, codes.InvalidArgument}} {
		if _, err := fetch(c.digest, c.offset); status.Code(err) != c.want {
			t.Errorf("blob %x from %d: %v, want %v", c.digest[:2], c.offset, err, c.want)
		}
	}

	log := api.NewLogClient(w.conn)
	note, err := log.Checkpoint(ctx, &api.CheckpointRequest{})
	w.must(err)
	c, err := ledger.OpenCheckpoint(note.GetCheckpoint(), "tutti/test", w.server.Operator())
	if err != nil || c.Size != 2 {
		t.Errorf("checkpoint %+v, %v", c, err)
	}
	if _, err := log.Consistency(ctx, &api.ConsistencyRequest{From: 1, To: 9}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a proof of records that do not exist: %v", err)
	}
	entries, err := log.Entries(ctx, &api.EntriesRequest{})
	w.must(err)
	for seq := uint64(0); ; seq++ {
		e, err := entries.Recv()
		if errors.Is(err, io.EOF) {
			if seq != 2 {
				t.Errorf("%d entries", seq)
			}
			break
		}
		w.must(err)
		if r, err := ledger.Decode(e.GetRecord()); err != nil || r.Seq != seq || e.GetSeq() != seq {
			t.Errorf("entry %d: %+v, %v", seq, r, err)
		}
	}
}

func TestTransport(t *testing.T) {
	w := newWorld(t, nil)
	other, err := keys.DevCerts(t.TempDir(), time.Now())
	w.must(err)
	ours, err := keys.ClientTLS(keys.Files{CA: w.files.CA})
	w.must(err)
	strange, err := keys.ClientTLS(keys.Files{CA: other.CA})
	w.must(err)
	old := ours.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, c := range map[string]struct {
		creds credentials.TransportCredentials
		good  bool
	}{
		"our authority":     {credentials.NewTLS(ours), true},
		"another authority": {credentials.NewTLS(strange), false},
		"TLS 1.2":           {credentials.NewTLS(old), false},
		"no TLS":            {insecure.NewCredentials(), false},
	} {
		conn, err := grpc.NewClient(w.address, grpc.WithTransportCredentials(c.creds))
		w.must(err)
		r, err := healthpb.NewHealthClient(conn).Check(context.Background(), &healthpb.HealthCheckRequest{})
		if good := err == nil && r.GetStatus() == healthpb.HealthCheckResponse_SERVING; good != c.good {
			t.Errorf("%s: %v, %v", name, r, err)
		}
		conn.Close()
	}
}

// TestServeAfterClose: a server that is closed before it serves leaves no port behind.
func TestServeAfterClose(t *testing.T) {
	w := newWorld(t, nil)
	s := w.server
	w.stop()
	l, err := listen("")
	w.must(err)
	if err := s.Serve(l); !errors.Is(err, ErrClosed) {
		t.Errorf("serving a closed server: %v", err)
	}
	again, err := net.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	again.Close()
}
