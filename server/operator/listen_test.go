package operator

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/server/api"
)

// TestStrangersHoldNothing: a call without a token is answered before its message is read, so that nobody keeps it open.
func TestStrangersHoldNothing(t *testing.T) {
	s := newStage(t)
	two := new(http.Protocols)
	two.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: &http.Transport{Protocols: two}}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	never, hold := io.Pipe()
	defer hold.Close()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+api.Operator_Status_FullMethodName, never)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("TE", "trailers")
	got, err := c.Do(r)
	if err != nil {
		t.Fatalf("a call without a token waits for its message: %v", err)
	}
	defer got.Body.Close()
	if got.Header.Get("Grpc-Status") != "16" {
		t.Errorf("%v", got.Header)
	}
}

// TestSlowBodies: who says that a body comes, and does not send it, loses the connection.
func TestSlowBodies(t *testing.T) {
	defer func(d time.Duration) { bodyPatience = d }(bodyPatience)
	bodyPatience = 50 * time.Millisecond
	s := newStage(t)
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /login HTTP/1.1\r\nHost: "+s.address+"\r\nContent-Length: 100\r\n\r\ntoken="); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the connection of a body that does not come stays: %v", err)
	}
}

// TestWatchEndsWithItsToken: a stream is not longer than what opened it.
func TestWatchEndsWithItsToken(t *testing.T) {
	s := newStage(t)
	token, err := NewToken(s.key, "films", "ana", false, still(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, views := range []bool{true, false} {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		err = s.with(token).Watch(ctx, 0, views, func(*Happening, *View) error { return nil })
		stop()
		if err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("views %v: %v", views, err)
		}
	}
}

// TestNotes: a note is one line that a terminal shows as it is.
func TestNotes(t *testing.T) {
	s := newStage(t)
	c := s.client(true)
	for _, note := range []string{"\x1b]0;x\a", "two\nlines", "\u009b2J", "right\u202eleft"} {
		if _, err := c.Rollback(t.Context(), 3, note); err == nil {
			t.Errorf("rolled back with %q", note)
		}
		if err := c.Rollout(t.Context(), 3, 10, note); err == nil {
			t.Errorf("rolled out with %q", note)
		}
	}
	if len(s.done) != 0 {
		t.Errorf("did %v", s.done)
	}
	if _, err := c.api.Rollback(t.Context(), &api.RollbackRequest{Version: 3, Note: "a\x00b"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
	if err := c.Rollout(t.Context(), 3, 10, "Überall gut: 10 % mehr"); err != nil {
		t.Error(err)
	}
}

// TestServeUntilClosed: a listener that ends by itself is an error, and is said.
func TestServeUntilClosed(t *testing.T) {
	s := newStage(t)
	var said bytes.Buffer
	l, err := NewListener(Services{Source: s, Auth: Auth{Task: "films", Clock: still}, Log: hclog.New(&hclog.LoggerOptions{Output: &said})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	on.Close()
	if l.Serve(on) == nil || !strings.Contains(said.String(), "not answered") {
		t.Errorf("nothing is said of a listener that ended: %q", &said)
	}
}
