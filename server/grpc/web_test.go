package grpc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"tutti/server/api"
)

// web serves the site's services for browsers as well; the client speaks HTTP/1.1 or 2.
func (s *site) web(w Web) (base string, one, two *http.Client) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	go s.server.ServeWeb(l, w)
	client := func(h2 bool) *http.Client {
		t := &http.Transport{TLSClientConfig: s.tls(), Protocols: new(http.Protocols)}
		t.Protocols.SetHTTP1(!h2)
		t.Protocols.SetHTTP2(h2)
		s.t.Cleanup(t.CloseIdleConnections)
		return &http.Client{Transport: t, Timeout: 20 * time.Second}
	}
	return "https://" + l.Addr().String(), client(false), client(true)
}

func post(t *testing.T, c *http.Client, url, contentType string, body []byte, header ...string) (int, http.Header, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	if a.TLS == nil || a.TLS.Version < 0x0304 {
		t.Errorf("TLS %+v", a.TLS)
	}
	return a.StatusCode, a.Trailer, b
}

const connectHeader, connectVersion = "Connect-Protocol-Version", "1"

// TestWebProtocols asks the same question in every protocol.
func TestWebProtocols(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	base, one, two := s.web(Web{})
	ask := &api.CheckInRequest{Task: "films", PublicKey: make([]byte, 32)}
	for name, c := range map[string]*http.Client{"HTTP/1.1": one, "HTTP/2": two} {
		code, _, b := post(t, c, base+api.Devices_CheckIn_FullMethodName, "application/json", []byte(`{"task":"films","publicKey":"AAAA"}`), connectHeader, connectVersion)
		var got struct {
			Wait struct{ RetryAfterMs, Reason string }
		}
		if err := json.Unmarshal(b, &got); err != nil || code != 200 || got.Wait.Reason != "WAIT_REASON_NO_ROUND" || got.Wait.RetryAfterMs != "1000" {
			t.Errorf("%s, Connect in JSON: %d, %s, %v", name, code, b, err)
		}
		for protocol, option := range map[string][]connect.ClientOption{"Connect": nil, "gRPC-Web": {connect.WithGRPCWeb()}, "Connect JSON": {connect.WithProtoJSON()}} {
			call := connect.NewClient[api.CheckInRequest, api.CheckInResponse](c, base+api.Devices_CheckIn_FullMethodName, option...)
			a, err := call.CallUnary(t.Context(), connect.NewRequest(ask))
			if err != nil || a.Msg.GetWait().GetReason() != api.WaitReason_WAIT_REASON_NO_ROUND {
				t.Errorf("%s, %s: %v, %v", name, protocol, a, err)
			}
		}
		s.desk.blob = bytes.Repeat([]byte("0123456789"), 100_000)
		blob := connect.NewClient[api.GetBlobRequest, api.GetBlobResponse](c, base+api.Devices_GetBlob_FullMethodName, connect.WithGRPCWeb())
		stream, err := blob.CallServerStream(t.Context(), connect.NewRequest(&api.GetBlobRequest{Digest: make([]byte, 32)}))
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for stream.Receive() {
			all = append(all, stream.Msg().GetData()...)
		}
		if stream.Err() != nil || !bytes.Equal(all, s.desk.blob) {
			t.Errorf("%s, a blob over gRPC-Web: %d bytes, %v", name, len(all), stream.Err())
		}
	}
	// gRPC-Web by hand, frames and all: what a browser's library does.
	b, err := proto.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
	code, _, answer := post(t, one, base+api.Devices_CheckIn_FullMethodName, "application/grpc-web+proto", frame, "X-Grpc-Web", "1")
	if code != 200 || len(answer) < 5 || answer[0] != 0 || !strings.Contains(strings.ToLower(string(answer)), "grpc-status: 0") && !strings.Contains(strings.ToLower(string(answer)), "grpc-status:0") {
		t.Errorf("gRPC-Web by hand: %d, %q", code, answer)
	}
	// And gRPC itself, for a device behind a proxy that knows one port.
	conn, err := grpc.NewClient(strings.TrimPrefix(base, "https://"), grpc.WithTransportCredentials(credentials.NewTLS(s.tls())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := api.NewDevicesClient(conn).CheckIn(t.Context(), ask); err != nil {
		t.Errorf("gRPC: %v", err)
	}
}

// TestUploadFromABrowser sends an upload chunk by chunk over Connect in JSON and in protobuf, with the digest of the header
// once the upload is under way.
func TestUploadFromABrowser(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	base, one, _ := s.web(Web{})
	for i, option := range [][]connect.ClientOption{nil, {connect.WithProtoJSON()}, {connect.WithGRPCWeb()}} {
		header, vector := vectorOf(2*maxChunk+77, byte(i))
		call := connect.NewClient[api.PutChunkRequest, api.PutChunkResponse](one, base+api.Devices_PutChunk_FullMethodName, option...)
		h := &api.UploadHeader{Task: "films", Round: 1, Header: header, VectorBytes: uint64(len(vector))}
		a, err := call.CallUnary(t.Context(), connect.NewRequest(&api.PutChunkRequest{Header: h}))
		if err != nil {
			t.Fatal(err)
		}
		h.Header, h.Digest = nil, digestOf(header)
		for at := a.Msg.GetOffset(); a.Msg.GetState() == 0; at = a.Msg.GetOffset() {
			piece := api.Chunk(at, vector[at:min(at+maxChunk, uint64(len(vector)))])
			if a, err = call.CallUnary(t.Context(), connect.NewRequest(&api.PutChunkRequest{Header: h, Chunk: piece})); err != nil {
				t.Fatal(err)
			}
		}
		if a.Msg.GetState() != api.UploadState_UPLOAD_STATE_STAGED {
			t.Errorf("%v", a.Msg)
		}
	}
	if begun, under, staged := s.desk.count(); begun != 3 || under != 0 || staged != 3 {
		t.Errorf("%d begun, %d under way, %d staged", begun, under, staged)
	}
}

// TestOrigins: a page of an origin that is named may speak to the server, any other may not, and without names none.
func TestOrigins(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	for _, c := range []struct {
		allowed []string
		origin  string
		may     bool
	}{
		{nil, "https://shop.example", false},
		{[]string{"https://shop.example"}, "https://shop.example", true},
		{[]string{"https://shop.example"}, "https://shop.example.evil.example", false},
		{[]string{"https://shop.example"}, "http://shop.example", false},
		{[]string{"https://shop.example"}, "null", false},
	} {
		base, one, _ := s.web(Web{Origins: c.allowed})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, base+api.Devices_CheckIn_FullMethodName, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", c.origin)
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		r.Header.Set("Access-Control-Request-Headers", "connect-protocol-version,content-type")
		a, err := one.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if got := a.Header.Get("Access-Control-Allow-Origin"); (got == c.origin) != c.may || got == "*" {
			t.Errorf("%v, a page of %s: %q", c.allowed, c.origin, got)
		}
	}
	for _, bad := range []string{"*", "shop.example", "https://*.shop.example", "https://shop.example/path", "file:///x"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.server.ServeWeb(l, Web{Origins: []string{bad}}); err == nil {
			t.Errorf("%q is taken for an origin", bad)
		}
	}
}

// TestWebRefuses: bodies too long, panics and requests too many are answered, and the server goes on.
func TestWebRefuses(t *testing.T) {
	s := newSite(t, Limits{PerHost: 20, Header: 1000})
	base, one, _ := s.web(Web{})
	long, err := proto.Marshal(&api.PutChunkRequest{Header: &api.UploadHeader{Header: make([]byte, 4*maxChunk)}})
	if err != nil {
		t.Fatal(err)
	}
	if code, _, b := post(t, one, base+api.Devices_PutChunk_FullMethodName, "application/proto", long, connectHeader, connectVersion); code < 400 || len(b) > 1000 {
		t.Errorf("a body of %d bytes: %d, %.200s", len(long), code, b)
	}
	s.desk.panics = true
	if code, _, b := post(t, one, base+api.Devices_CheckIn_FullMethodName, "application/json", []byte(`{}`), connectHeader, connectVersion); code != 500 || !strings.Contains(string(b), sentenceFailed) {
		t.Errorf("a panic: %d, %s", code, b)
	}
	s.desk.panics = false
	refused := 0
	for range 5000 { // until the bucket is empty, however slow the machine
		if refused > 0 {
			break
		}
		r, _ := http.NewRequest(http.MethodPost, base+api.Devices_CheckIn_FullMethodName, strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(connectHeader, connectVersion)
		a, err := one.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode == http.StatusTooManyRequests {
			if refused++; a.Header.Get("Retry-After") == "" {
				t.Error("it does not say when to try again")
			}
		}
	}
	if refused == 0 {
		t.Error("5,000 requests in a row were answered")
	}
	if code, _, _ := post(t, one, base+"/secrets", "text/plain", nil); code != http.StatusNotFound && code != http.StatusTooManyRequests {
		t.Errorf("another path: %d", code)
	}
}

// TestWebDrains: a request under way is answered, the listener closes.
func TestWebDrains(t *testing.T) {
	s := newSite(t, Limits{PerHost: 1e6})
	s.desk.gate = make(chan struct{})
	base, one, _ := s.web(Web{})
	header, vector := vectorOf(100, 1)
	call := connect.NewClient[api.PutChunkRequest, api.PutChunkResponse](one, base+api.Devices_PutChunk_FullMethodName)
	answered := make(chan error, 1)
	go func() {
		a, err := call.CallUnary(context.Background(), connect.NewRequest(&api.PutChunkRequest{Chunk: api.Chunk(0, vector),
			Header: &api.UploadHeader{Task: "films", Header: header, VectorBytes: 100}}))
		if err == nil && a.Msg.GetState() != api.UploadState_UPLOAD_STATE_STAGED {
			err = errors.New(a.Msg.String())
		}
		answered <- err
	}()
	eventually(t, "it is under way", func() bool { _, under, _ := s.desk.count(); return under == 1 })
	done := make(chan struct{})
	go func() { s.server.Drain(10 * time.Second); close(done) }()
	time.Sleep(50 * time.Millisecond)
	close(s.desk.gate)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-done
	if _, err := one.Post(base, "", nil); err == nil {
		t.Error("it answers still")
	}
	if s.desk.staged[string(header)] != 1 || sha256.Size != len(header) {
		t.Error("what was acknowledged is not there")
	}
}
