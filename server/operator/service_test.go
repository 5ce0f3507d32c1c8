package operator

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"tutti/server/api"
)

// stage is a listener over a scene, with keys.
type stage struct {
	*scene
	key     ed25519.PrivateKey
	address string
	t       *testing.T
}

func newStage(t *testing.T) *stage {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{view: fullView(), changed: make(chan struct{}, 1)}
	l, err := NewListener(Services{Source: s, Control: s, Report: s, Auth: Auth{Task: "films", Key: public, Clock: still}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Serve(on) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &stage{s, private, on.Addr().String(), t}
}

// client has a token; scope write or not.
func (s *stage) client(write bool) *Client {
	s.t.Helper()
	token, err := NewToken(s.key, "films", "ana", write, still(), time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.with(token)
}

func (s *stage) with(token string) *Client {
	s.t.Helper()
	c, err := Dial(s.address, token, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// TestTokens: who has no token, or another one, sees nothing; who may look changes nothing.
func TestTokens(t *testing.T) {
	s := newStage(t)
	_, other, _ := ed25519.GenerateKey(nil)
	sign := func(key ed25519.PrivateKey, task string, from time.Time, valid time.Duration) string {
		token, err := NewToken(key, task, "ana", true, from, valid)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for what, token := range map[string]string{
		"none": "", "nonsense": "x.y.z", "another key's": sign(other, "films", still(), time.Hour), "another task's": sign(s.key, "books", still(), time.Hour),
		"an old one": sign(s.key, "films", still().Add(-3*time.Hour), time.Hour),
	} {
		c := s.with(token)
		if _, err := c.api.Status(t.Context(), &api.StatusRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", what, err)
		}
		if err := c.Pause(t.Context()); err == nil {
			t.Errorf("%s: paused", what)
		}
		if err := c.Watch(t.Context(), 0, true, func(*Happening, *View) error { return errHere }); err == nil || errors.Is(err, errHere) {
			t.Errorf("%s: watches", what)
		}
		if s.get("/metrics", token) != http.StatusUnauthorized {
			t.Errorf("%s: reads the metrics", what)
		}
	}
	reader := s.client(false)
	if v, err := reader.View(t.Context()); err != nil || v.Task != "films" {
		t.Errorf("%+v, %v", v, err)
	}
	for name, do := range map[string]func(Control) error{
		"pause":  func(c Control) error { return c.Pause(t.Context()) },
		"resume": func(c Control) error { return c.Resume(t.Context()) },
		"stop":   func(c Control) error { return c.Stop(t.Context()) },
		"close":  func(c Control) error { return c.CloseRound(t.Context(), 1) }, "abandon": func(c Control) error { return c.Abandon(t.Context(), 1) },
		"rollback": func(c Control) error { _, err := c.Rollback(t.Context(), 1, ""); return err },
		"rollout":  func(c Control) error { return c.Rollout(t.Context(), 1, 10, "") },
	} {
		if err := do(reader); err == nil || !strings.Contains(err.Error(), "may only look") {
			t.Errorf("%s with a token for reading: %v", name, err)
		}
		if err := do(s.client(true)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(s.done) != 1 || s.done[0] != name {
			t.Errorf("%s did %v", name, s.done)
		}
		s.done = nil
	}
}

// TestEveryCallIsGuarded: every method of the service either only reads or wants the write scope, so that one that is added
// later is not open by default.
func TestEveryCallIsGuarded(t *testing.T) {
	reading := []string{"Status", "Rounds", "Versions", "Watch", "Report"}
	for _, m := range api.Operator_ServiceDesc.Methods {
		full := "/" + api.Operator_ServiceDesc.ServiceName + "/" + m.MethodName
		reads := strings.Contains(" "+strings.Join(reading, " ")+" ", " "+m.MethodName+" ")
		if writing[full] == reads {
			t.Errorf("%s: reads %v, wants the write scope %v", full, reads, writing[full])
		}
	}
}

func (s *stage) get(path, token string) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	io.Copy(io.Discard, a.Body)
	return a.StatusCode
}

// TestClient: what is asked over the wire is what the source says.
func TestClient(t *testing.T) {
	s := newStage(t)
	c := s.client(true)
	v, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent, _ := json.Marshal(s.view)
	got, _ := json.Marshal(v)
	if !bytes.Equal(sent, got) {
		t.Errorf("%s\nbecame\n%s", sent, got)
	}
	r, err := c.api.Rounds(t.Context(), &api.RoundsRequest{Before: 7, Limit: 2})
	if err != nil || len(r.Rounds) != 2 || !bytes.Contains(r.Rounds[0], []byte(`"number":6`)) || !bytes.Contains(r.Rounds[1], []byte(`"number":5`)) {
		t.Errorf("%s, %v", r.GetRounds(), err)
	}
	vs, err := c.api.Versions(t.Context(), &api.VersionsRequest{})
	if err != nil || len(vs.Versions) != len(s.view.Versions) {
		t.Errorf("%d versions, %v", len(vs.GetVersions()), err)
	}
	var ledger bytes.Buffer
	if note, err := c.Report(t.Context(), &ledger); err != nil || string(note) != "note" || ledger.Len() != piece+1 {
		t.Errorf("%q, %d bytes, %v", note, ledger.Len(), err)
	}
	if n, err := c.Rollback(t.Context(), 3, "why"); err != nil || n != 9 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := c.Rollback(t.Context(), 3, strings.Repeat("x", maxNote+1)); err == nil {
		t.Error("a long note")
	}
	s.err = ErrNoRound
	if err := c.CloseRound(t.Context(), 1); !errors.Is(err, ErrNoRound) {
		t.Errorf("%v", err)
	}
	s.err = ErrStopped
	if err := c.Resume(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
}

// TestWatch: what happens arrives once each and in order, from where the caller was; and the view when it changes.
func TestWatch(t *testing.T) {
	s := newStage(t)
	for i := range uint64(maxPage + 5) {
		s.happens = append(s.happens, Happening{Seq: i + 1, Name: RoundMoved, Words: "x", Data: []byte("{}")})
	}
	c := s.client(false)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	last, views := uint64(3), 0
	err := c.Watch(ctx, last, true, func(h *Happening, v *View) error {
		if h != nil {
			if h.Seq != last+1 {
				t.Errorf("%d after %d", h.Seq, last)
			}
			last = h.Seq
		}
		if v != nil {
			if views++; views == 2 {
				return errHere
			}
			s.mu.Lock()
			next := *s.view
			next.Sentence = "another"
			s.view = &next
			s.happens = append(s.happens, Happening{Seq: maxPage + 6, Name: OtherNews, Words: "y", Data: []byte("{}")})
			s.mu.Unlock()
		}
		return nil
	})
	if !errors.Is(err, errHere) || last != maxPage+6 || views != 2 {
		t.Errorf("%v, up to %d, %d views", err, last, views)
	}
	hs, err := c.Happenings(t.Context(), 0, 7)
	if err != nil || len(hs) != 7 || hs[6].Seq != 7 {
		t.Errorf("%d, %v", len(hs), err)
	}
}

// TestFarAwayWantsTLS: a token is not sent in the clear to another machine.
func TestFarAwayWantsTLS(t *testing.T) {
	if _, err := Dial("192.0.2.1:7180", "token", nil); err == nil {
		t.Error("dialled")
	}
	for address, is := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "0.0.0.0:1": false, ":1": false, "10.0.0.1:1": false, "x": false} {
		if Loopback(address) != is {
			t.Errorf("%s", address)
		}
	}
	c, err := Dial("127.0.0.1:1", "token", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.View(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("%v", err)
	}
}
