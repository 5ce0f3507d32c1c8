package transport_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"tutti/client"
	"tutti/client/transport"
	"tutti/client/transport/testserver"
	"tutti/model/dataset"
	"tutti/server/api"
)

// fake is a Devices service that does what a test says.
type fake struct {
	api.UnimplementedDevicesServer
	blob   []*api.GetBlobResponse
	err    error
	answer *api.UploadResponse
	early  bool // answer after the header

	mu     sync.Mutex
	chunks []*api.VectorChunk
	header *api.UploadHeader
}

func (f *fake) CheckIn(context.Context, *api.CheckInRequest) (*api.CheckInResponse, error) {
	if f.err != nil {
		return nil, f.err
	}
	return &api.CheckInResponse{
		Wait:    &api.Wait{RetryAfterMs: -5, Reason: api.WaitReason_WAIT_REASON_ROUND_FULL},
		Version: &api.SignedVersion{Version: []byte("v"), Signature: []byte("s")},
	}, nil
}

func (f *fake) GetBlob(_ *api.GetBlobRequest, stream grpc.ServerStreamingServer[api.GetBlobResponse]) error {
	for _, part := range f.blob {
		if err := stream.Send(part); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fake) Upload(stream grpc.ClientStreamingServer[api.UploadRequest, api.UploadResponse]) error {
	for {
		part, err := stream.Recv()
		if err != nil {
			break
		}
		f.mu.Lock()
		if h := part.GetHeader(); h != nil {
			f.header = h
		} else {
			f.chunks = append(f.chunks, part.GetChunk())
		}
		f.mu.Unlock()
		if f.early {
			break
		}
	}
	return stream.SendAndClose(f.answer)
}

func (f *fake) Receipt(context.Context, *api.ReceiptRequest) (*api.ReceiptResponse, error) {
	return &api.ReceiptResponse{State: api.UploadState_UPLOAD_STATE_ABANDONED, AbandonCertificate: []byte("c")}, f.err
}

// dial connects to the fake without a wire.
func dial(t *testing.T, f *fake) *transport.Conn {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	api.RegisterDevicesServer(server, f)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///fake", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return transport.New(conn)
}

func TestUploadInChunks(t *testing.T) {
	f := &fake{answer: &api.UploadResponse{State: api.UploadState_UPLOAD_STATE_STAGED, RetryAfterMs: 1500}}
	vector := bytes.Repeat([]byte("0123456789abcdef"), (2*transport.ChunkBytes+160)/16)
	r, err := dial(t, f).Upload(t.Context(), client.Upload{Task: "films", Round: 9, Header: []byte("head"), Vector: vector})
	if err != nil || r.State != client.UploadStaged || r.RetryAfter != 1500*time.Millisecond {
		t.Fatalf("%+v, %v", r, err)
	}
	if f.header.GetRound() != 9 || f.header.GetTask() != "films" || f.header.GetVectorBytes() != uint64(len(vector)) || string(f.header.GetHeader()) != "head" {
		t.Fatalf("header %v", f.header)
	}
	var got []byte
	for _, c := range f.chunks {
		if len(c.GetData()) > transport.ChunkBytes || c.GetOffset() != uint64(len(got)) {
			t.Fatalf("a chunk of %d bytes at %d after %d", len(c.GetData()), c.GetOffset(), len(got))
		}
		got = append(got, c.GetData()...)
	}
	if len(f.chunks) != 3 || !bytes.Equal(got, vector) {
		t.Fatalf("%d chunks, %d bytes", len(f.chunks), len(got))
	}
}

// TestAnswerBeforeTheEnd: a server that has made up its mind after the header
// is heard, though the sending breaks off.
func TestAnswerBeforeTheEnd(t *testing.T) {
	f := &fake{early: true, answer: &api.UploadResponse{State: api.UploadState_UPLOAD_STATE_REJECTED, Reason: api.RejectReason_REJECT_REASON_SPENT}}
	r, err := dial(t, f).Upload(t.Context(), client.Upload{Vector: make([]byte, 8<<20)})
	if err != nil || r.State != client.UploadRejected || r.Reason != client.RejectSpent {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestUploadPart(t *testing.T) {
	f := &fake{answer: &api.UploadResponse{}}
	if err := dial(t, f).UploadPart(t.Context(), client.Upload{Vector: make([]byte, 3*transport.ChunkBytes)}, transport.ChunkBytes+7); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		f.mu.Lock()
		n := len(f.chunks)
		announced := f.header.GetVectorBytes()
		f.mu.Unlock()
		if n == 2 && announced == 3*transport.ChunkBytes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d chunks, %d bytes announced", n, announced)
		}
		time.Sleep(time.Millisecond)
	}
}

func parts(b []byte, total int, sizes ...int) []*api.GetBlobResponse {
	var out []*api.GetBlobResponse
	at := 0
	for _, n := range sizes {
		out = append(out, &api.GetBlobResponse{Offset: uint64(at), Data: b[at : at+n], Total: uint64(total)})
		at += n
	}
	return out
}

func TestBlob(t *testing.T) {
	blob := []byte(strings.Repeat("private statistics ", 100))
	n := len(blob)
	digest := sha256.Sum256(blob)
	get := func(limit int64, parts ...*api.GetBlobResponse) ([]byte, error) {
		return dial(t, &fake{blob: parts}).Blob(t.Context(), digest, limit)
	}
	if got, err := get(int64(n), parts(blob, n, 100, 1000, n-1100)...); err != nil || !bytes.Equal(got, blob) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for name, bad := range map[string][]*api.GetBlobResponse{
		"nothing":             nil,
		"cut short":           parts(blob, n, 100),
		"more than announced": parts(blob, 150, 100, 100),
		"a gap":               {parts(blob, n, 100)[0], {Offset: 101, Data: blob[101:], Total: uint64(n)}},
		"an empty piece":      {{Offset: 0, Total: uint64(n)}},
		"a changed byte":      {{Data: append([]byte("P"), blob[1:]...), Total: uint64(n)}},
	} {
		if _, err := get(int64(n), bad...); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := get(int64(n)-1, parts(blob, n, n)...); err == nil {
		t.Error("a blob above the limit was taken")
	}
	huge := []*api.GetBlobResponse{{Data: []byte("x"), Total: 1 << 62}}
	if _, err := get(1<<20, huge...); err == nil {
		t.Error("a blob of 2^62 bytes was begun")
	}
}

func TestCheckInReadsDefensively(t *testing.T) {
	c, err := dial(t, &fake{}).CheckIn(t.Context(), client.CheckInRequest{})
	if err != nil || c.Offer != nil || c.Wait.RetryAfter != 0 || c.Wait.Reason != client.WaitRoundFull || string(c.Version.Version) != "v" {
		t.Fatalf("%+v, %v", c, err)
	}
	r, err := dial(t, &fake{}).Receipt(t.Context(), client.ReceiptRequest{})
	if err != nil || r.State != client.UploadAbandoned || string(r.Abandoned) != "c" {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestErrorsAreSentences: each trouble gives an error that a device can tell
// apart and a sentence that a person can act on.
func TestErrorsAreSentences(t *testing.T) {
	for _, c := range []struct {
		code codes.Code
		is   error
		says string
	}{
		{codes.Unavailable, client.ErrUnavailable, "no connection"},
		{codes.ResourceExhausted, client.ErrUnavailable, "busy"},
		{codes.PermissionDenied, client.ErrNotAllowed, "refused"},
		{codes.Unauthenticated, client.ErrNotAllowed, "refused"},
		{codes.NotFound, client.ErrNotFound, "no such"},
		{codes.Unimplemented, nil, "is it a tutti server"},
		{codes.Internal, nil, "Internal"},
	} {
		_, err := dial(t, &fake{err: status.Error(c.code, "why")}).CheckIn(t.Context(), client.CheckInRequest{})
		if err == nil || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%v: %v", c.code, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial(t, &fake{}).CheckIn(ctx, client.CheckInRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func shelf() *dataset.Catalogue {
	return dataset.NewCatalogue([]dataset.Item{{ID: 1}, {ID: 2}})
}

func TestTLS(t *testing.T) {
	server, other := testserver.New(t, shelf()), testserver.New(t, shelf())
	try := func(c transport.Config) error {
		conn, err := transport.Dial(c)
		if err != nil {
			return err
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = conn.CheckIn(ctx, client.CheckInRequest{})
		return err
	}
	// The right authority: the connection stands, and the server does not know us.
	if err := try(transport.Config{Address: server.Address(), CA: server.Authority()}); !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("the right authority: %v", err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, server.AuthorityPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := try(transport.Config{Address: server.Address(), CAFile: file}); !errors.Is(err, client.ErrNotAllowed) {
		t.Errorf("the right authority from a file: %v", err)
	}

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			c.Close()
		}
	}()
	for name, c := range map[string]struct {
		config transport.Config
		says   string
	}{
		"another authority":  {transport.Config{Address: server.Address(), CA: other.Authority()}, "check the CA file"},
		"no authority given": {transport.Config{Address: server.Address()}, "check the CA file"},
		"another name":       {transport.Config{Address: server.Address(), CA: server.Authority(), ServerName: "shop.example"}, "another name"},
		"nobody listens":     {transport.Config{Address: nobody, CA: server.Authority()}, "is the server running"},
		"no TLS":             {transport.Config{Address: plain.Addr().String(), CA: server.Authority()}, "does not speak TLS"},
		"no such name":       {transport.Config{Address: "nowhere.invalid:443", CA: server.Authority()}, "check the address"},
	} {
		err := try(c.config)
		if !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]transport.Config{
		"no address": {}, "no such file": {Address: "x:1", CAFile: filepath.Join(t.TempDir(), "none")}, "not a certificate": {Address: "x:1", CAFile: "dial.go"},
	} {
		if _, err := transport.Dial(c); err == nil {
			t.Errorf("%s: dialled", name)
		}
	}
}
