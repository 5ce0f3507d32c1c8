package transport

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"tutti/client"
	"tutti/server/api"
)

// silent is a server that takes every request and never answers.
type silent struct{ api.UnimplementedDevicesServer }

func (silent) CheckIn(ctx context.Context, _ *api.CheckInRequest) (*api.CheckInResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silent) GetBlob(_ *api.GetBlobRequest, stream grpc.ServerStreamingServer[api.GetBlobResponse]) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

func (silent) Upload(stream grpc.ClientStreamingServer[api.UploadRequest, api.UploadResponse]) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

// TestSilentServer: a server that holds a call without a word does not hold the device, whose Contribute, and with it
// Close, would wait for ever.
func TestSilentServer(t *testing.T) {
	l := bufconn.Listen(1 << 16)
	s := grpc.NewServer()
	api.RegisterDevicesServer(s, silent{})
	go s.Serve(l)
	defer s.Stop()
	conn, err := grpc.NewClient("passthrough:///silent", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return l.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d := New(conn)
	d.silence = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // of the test, if nothing else ends the calls
	defer cancel()
	calls := map[string]func() error{
		"check in": func() error { _, err := d.CheckIn(ctx, client.CheckInRequest{}); return err },
		"blob":     func() error { _, err := d.Blob(ctx, [32]byte{}, 10); return err },
		"upload": func() error {
			_, err := d.Upload(ctx, client.Upload{Vector: make([]byte, 8*ChunkBytes)}) // more than the window takes
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, client.ErrUnavailable) || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
