package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
	"tutti/model"
)

// TestRecommendDoesNotWait: while a device trains, it records, recommends and
// answers; what it records is not in the round.
func TestRecommendDoesNotWait(t *testing.T) {
	w := newWorld(t)
	w.Publish(w.published(1))
	training, goOn := make(chan []int32), make(chan struct{})
	o := w.options()
	o.Learner = func(ctx context.Context, l client.Lesson) (model.Update, error) {
		training <- l.History
		<-goOn
		return l.Learn(ctx)
	}
	d := w.member(o, 3)
	w.Open(popularityRound(3))
	done := make(chan client.Outcome)
	go func() { done <- w.contribute(d) }()
	if history := <-training; !slices.Equal(history, []int32{3}) {
		t.Errorf("the device trains on %v", history)
	}
	w.record(d, 5)
	list := recommend(t, d, client.Request{Count: 12})
	for _, r := range list {
		if r.Item == number(5) {
			t.Error("what was just recorded is recommended")
		}
	}
	if s := d.Privacy(); s.Events != 2 || s.Spent.Sign() != 0 {
		t.Errorf("while it trains: %+v", s)
	}
	close(goOn)
	if out := <-done; out.Kind != client.Contributed {
		t.Fatalf("%+v", out)
	}
	if s := d.Privacy(); s.Events != 2 {
		t.Errorf("after it trained: %d events", s.Events)
	}
}

func TestForgetErases(t *testing.T) {
	w := newWorld(t)
	w.Publish(w.published(1))
	dir := t.TempDir()
	o := w.options()
	o.Store = openFiles(t, dir)
	d := w.member(o, 1, 2)
	r := w.Open(popularityRound(3))
	w.want(d, client.Contributed)
	name := d.Privacy().Device
	if err := d.Forget(); err != nil {
		t.Fatal(err)
	}
	if err := d.Record(client.Event{Item: 100, Kind: history.View}); !errors.Is(err, client.ErrClosed) {
		t.Fatalf("after Forget: %v", err)
	}
	if s := d.Privacy(); s.Events != 0 || s.Spent != nil {
		t.Fatalf("after Forget: %+v", s)
	}
	o.Store, o.Token = openFiles(t, dir), w.Token()
	d = w.open(o)
	if s := d.Privacy(); s.Events != 0 || s.Spent.Sign() != 0 || s.Enrolled || s.Model != 0 || s.Device == name || s.LogSize != 0 {
		t.Fatalf("a new device remembers: %+v", s)
	}
	if w.Count(r) != 1 {
		t.Fatal("what was sent before is the server's")
	}
}

func TestWrongKeyAndOtherTask(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	d := w.open(o)
	w.record(d, 1)
	d.Close()
	other := o
	other.Key = secret(8)
	if _, err := client.Open(other); !errors.Is(err, client.ErrTampered) {
		t.Errorf("another key: %v", err)
	}
	other = o
	other.Policy.Task = "shoes"
	if _, err := client.Open(other); err == nil {
		t.Error("the store of another task was opened")
	}
	for name, spoil := range map[string]func(*client.Options){
		"no key": func(o *client.Options) { o.Key = client.Key{} }, "no store": func(o *client.Options) { o.Store = nil },
		"nothing shared": func(o *client.Options) { o.Shared = nil }, "no operator": func(o *client.Options) { o.Policy.Operator = nil },
	} {
		bad := o
		spoil(&bad)
		if _, err := client.Open(bad); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

// TestMissingMemoryIsSeen: who takes the history or the state away, and with it
// what was spent, does not get a device that begins anew.
func TestMissingMemoryIsSeen(t *testing.T) {
	w := newWorld(t)
	for name, take := range map[string]func(*store.Memory) error{
		"the history":        func(m *store.Memory) error { return m.RewriteHistory(0, nil) },
		"one record":         func(m *store.Memory) error { first, r, _ := m.History(); return m.RewriteHistory(first, r[:1]) },
		"the state":          func(m *store.Memory) error { return m.SaveState(nil) },
		"a byte of a record": func(m *store.Memory) error { _, r, _ := m.History(); r[1][20] ^= 1; return nil },
		"the records' order": func(m *store.Memory) error {
			first, r, _ := m.History()
			slices.Reverse(r)
			return m.RewriteHistory(first, r)
		},
	} {
		o := w.options()
		memory := &store.Memory{}
		o.Store = memory
		d := w.open(o)
		w.record(d, 1, 2)
		w.want(d, client.Waiting)
		d.Close()
		if err := take(memory); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Open(o); !errors.Is(err, client.ErrTampered) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// lyingLine is a transport that hands out other bytes than were asked for.
type lyingLine struct{ client.Transport }

func (l lyingLine) Blob(ctx context.Context, digest [32]byte, limit int64) ([]byte, error) {
	b, err := l.Transport.Blob(ctx, digest, limit)
	if len(b) > 0 {
		b[len(b)-1] ^= 1
	}
	return b, err
}

// TestDeviceChecksWhatATransportGives: the device does not rely on a transport
// to check digests.
func TestDeviceChecksWhatATransportGives(t *testing.T) {
	w := newWorld(t)
	w.Publish(w.published(1))
	o := w.options()
	o.Transport = lyingLine{w.conn}
	d := w.open(o)
	if out := w.refuses(d, client.ReasonBlob, 0); !errors.Is(out.Err, client.ErrDigest) {
		t.Fatalf("%v", out.Err)
	}
}

func TestNothingShowsTheUser(t *testing.T) {
	w := newWorld(t)
	d := w.device(3)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		if s := fmt.Sprintf(verb, d); s != "client.Device(redacted)" {
			t.Errorf("%s shows %.60s", verb, s)
		}
		if s := fmt.Sprintf(verb, secret(7)); s != "history.Key(redacted)" {
			t.Errorf("%s shows %.60s", verb, s)
		}
	}
}

// TestRetention keeps the newest events, on disk as in memory.
func TestRetention(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Retention = history.Retention{MaxEvents: 4}
	d := w.open(o)
	w.record(d, 0, 1, 2, 3, 4, 5, 6, 7)
	if n := d.Privacy().Events; n < 4 || n > 5 {
		t.Fatalf("%d events kept", n)
	}
	d.Close()
	d = w.open(o)
	if n := d.Privacy().Events; n < 4 || n > 5 {
		t.Fatalf("%d events kept on disk", n)
	}
	w.Publish(w.published(1))
	w.want(d, client.Waiting)
	for _, r := range recommend(t, d, client.Request{Count: 12}) {
		if r.Item >= number(4) && r.Item <= number(7) {
			t.Fatalf("item %d was met lately", r.Item)
		}
	}
}
