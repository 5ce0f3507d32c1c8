package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"tutti/model"
	"tutti/server/operator"
	"tutti/server/store"
)

// eventually waits until is says so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// look makes a view.
func look(t *testing.T, o *Operator) *operator.View {
	t.Helper()
	v, err := o.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// round runs a round of n devices and publishes a version of it.
func (w *world) publishRound(n int) []*device {
	w.t.Helper()
	r := w.start(w.spec(n, n, n+4))
	var devices []*device
	for i := range n {
		d := w.device()
		d.await()
		d.seal(i)
		d.deliver()
		devices = append(devices, d)
	}
	r.wait(w.t)
	w.must(r.err)
	_, err := w.server.Publish(context.Background(), Publication{Round: r.result, Version: &model.Version{}, Cause: "round"})
	w.must(err)
	return devices
}

// told counts the happenings of a name.
func (w *world) told(name string) (n int) {
	hs, err := w.server.st.Happenings(context.Background(), w.cfg.Task, 0, 10_000)
	w.must(err)
	for _, h := range hs {
		if h.Name == name {
			n++
		}
	}
	return n
}

// TestOperatorSees: what happened is seen by every replica, from the store alone, also by the next process; with counts, and
// with nothing that names a device.
func TestOperatorSees(t *testing.T) {
	w := newWorld(t, nil)
	var devices []*device
	for range 2 {
		devices = append(devices, w.publishRound(4)...)
	}
	o := w.server.Operate(nil)
	eventually(t, "both ends are told", func() bool { return w.told(operator.RoundEnded) == 2 })
	v := look(t, o)
	if v.Open != nil || v.State != operator.Running || v.Totals.Published != 2 || v.Totals.Counted != 8 || v.Log.Verdict.State != "ok" || v.Devices.Enrolled < 8 || v.Devices.Counted != 8 {
		t.Errorf("%+v", v)
	}
	for i, r := range v.Rounds {
		var names []string
		for _, p := range r.Phases {
			names = append(names, p.Name)
			if p.Seconds < 0 {
				t.Errorf("%s took %v", p.Name, p.Seconds)
			}
		}
		if r.Number != uint64(2-i) || r.State != "published" || r.Counted != 4 || r.Version != r.Number || !slices.Equal(names, []string{"created", "collecting", "frozen", "certified", "released", "applied"}) {
			t.Errorf("round %+v", r)
		}
	}
	if len(v.Versions) != 2 || v.Versions[0].Number != 2 || v.Versions[0].Round != 2 || v.Versions[1].Digest != v.Versions[0].Parent {
		t.Errorf("versions %+v", v.Versions)
	}
	w.stop()
	w.open()
	again := look(t, w.server.Operate(nil))
	if !slices.EqualFunc(again.Rounds, v.Rounds, func(a, b operator.Round) bool {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		return bytes.Equal(x, y)
	}) || again.Totals.Published != 2 || len(again.Totals.Phases) != 6 {
		t.Errorf("the next process sees %+v", again.Rounds)
	}
	told, err := w.server.Operate(nil).Happenings(t.Context(), 0, 10_000)
	if err != nil || len(told) < 20 {
		t.Fatalf("%d happenings, %v", len(told), err)
	}
	all, err := json.Marshal([]any{again, v, told})
	w.must(err)
	for _, d := range devices { // as bytes would be written, and as ids are logged
		id := d.id()
		for _, form := range [][]byte{[]byte(hex.EncodeToString(id[:])), []byte(hex.EncodeToString(d.public())), []byte(hex.EncodeToString(id[:])[:8])} {
			if bytes.Contains(all, form) {
				t.Fatalf("%s stands in what the operator sees", form)
			}
		}
	}
}

// TestOperatorWatchesRound: the round under way is seen as it goes, by its rows and by what was told.
func TestOperatorWatchesRound(t *testing.T) {
	w := newWorld(t, nil)
	o := w.server.Operate(nil)
	r := w.start(w.spec(3, 3, 8))
	for i := range 2 {
		d := w.device()
		d.await()
		d.seal(i)
		d.deliver()
	}
	eventually(t, "two uploads are staged", func() bool { v := look(t, o); return v.Open != nil && v.Open.Staged == 2 })
	v := look(t, o)
	if v.Open.Number != 1 || v.Open.Phase != "collecting" || v.Open.Goal != 3 || v.Open.Min != 3 || v.Open.Kind != "popularity" || !v.Open.Deadline.After(v.At) || v.Totals.Rounds != 0 || v.Sentence == "" {
		t.Errorf("%+v", v.Open)
	}
	w.must(o.Abandon(t.Context(), 1))
	r.wait(t)
	var abandoned *AbandonedError
	if !errors.As(r.err, &abandoned) {
		t.Fatalf("%v", r.err)
	}
	eventually(t, "its end is told", func() bool { return w.told(operator.RoundEnded) == 1 })
	v = look(t, o)
	if v.Open != nil || v.Rounds[0].Staged != 2 || v.Rounds[0].State != "abandoned" || v.Rounds[0].Reason != "stopped" || v.Rounds[0].Charged || v.Totals.Abandoned != 1 || v.Totals.InARow != 1 ||
		len(v.Totals.Abandons) != 1 || v.Totals.Abandons[0].Label != "stopped" {
		t.Errorf("%+v", v.Rounds[0])
	}
	if err := o.CloseRound(t.Context(), 1); !errors.Is(err, operator.ErrNoRound) {
		t.Errorf("closing a round that has ended: %v", err)
	}
}

// TestOperatorCloses: a collection ends when an operator asks, whoever of them was asked, and another round than the one that
// was meant goes on.
func TestOperatorCloses(t *testing.T) {
	w := newWorld(t, nil)
	o := w.server.Operate(nil)
	r := w.start(w.spec(8, 3, 8))
	for i := range 3 {
		d := w.device()
		d.await()
		d.seal(i)
		d.deliver()
	}
	if err := o.CloseRound(t.Context(), 2); !errors.Is(err, operator.ErrNoRound) {
		t.Errorf("closing a round that is not there: %v", err)
	}
	w.must(o.CloseRound(t.Context(), 0))
	r.wait(t)
	w.must(r.err)
	if r.result.N != 3 {
		t.Errorf("%d devices", r.result.N)
	}
}

// TestOperatorPauses: a paused task lets its round end and opens no other, also in the next process; a stopped one never does.
func TestOperatorPauses(t *testing.T) {
	w := newWorld(t, nil)
	o := w.server.Operate(nil)
	r := w.start(w.spec(3, 3, 6))
	d := w.device()
	d.await()
	w.must(o.Pause(t.Context()))
	for i := range 3 {
		if i > 0 {
			d = w.device()
			d.await()
		}
		d.seal(i)
		d.deliver()
	}
	r.wait(t)
	w.must(r.err)
	_, err := w.server.Publish(t.Context(), Publication{Round: r.result, Version: &model.Version{}, Cause: "round"})
	w.must(err)
	w.stop()
	w.open()
	o = w.server.Operate(nil)
	r = w.start(w.spec(3, 3, 6))
	eventually(t, "the pause is told", func() bool {
		return slices.ContainsFunc(w.seen(), func(e Event) bool { _, is := e.(Paused); return is })
	})
	if v := look(t, o); v.State != operator.Paused || v.Open != nil || len(v.Rounds) != 1 {
		t.Errorf("%v, open %+v", v.State, v.Open)
	}
	w.must(o.Resume(t.Context()))
	w.must(o.Resume(t.Context())) // twice is once
	eventually(t, "the next round opens", func() bool { v := look(t, o); return v.Open != nil && v.Open.Number == 2 })
	w.must(o.Abandon(t.Context(), 2))
	r.wait(t)
	w.must(o.Stop(t.Context()))
	if _, err := w.server.RunRound(t.Context(), w.spec(3, 3, 6)); !errors.Is(err, ErrStopped) {
		t.Errorf("a stopped task opens a round: %v", err)
	}
	if err := o.Resume(t.Context()); !errors.Is(err, operator.ErrStopped) {
		t.Errorf("a stopped task goes on: %v", err)
	}
	if v := look(t, o); v.State != operator.Stopped {
		t.Errorf("%v", v.State)
	}
}

// TestNewsNeverWaits: more events than are ever told at once neither block the round nor are kept.
func TestNewsNeverWaits(t *testing.T) {
	w := newWorld(t, nil)
	n := &news{s: w.server, queue: make(chan heard, 4), said: map[string]time.Time{}}
	for i := range 100 {
		n.hear(Closing{Round: uint64(i)})
	}
	if len(n.queue) != 4 || n.lost != 96 {
		t.Errorf("%d queued, %d lost", len(n.queue), n.lost)
	}
	for range 3 {
		n.said = map[string]time.Time{}
		<-n.queue
		for range 5 {
			n.hear(Waiting{Enrolled: 1, Want: 2}) // said once
		}
	}
	if len(n.queue) != 4 || n.lost != 96 {
		t.Errorf("%d queued, %d lost", len(n.queue), n.lost)
	}
}

// TestFinishedIsSeen: that the recipe is done is seen in the store, until another round is planned.
func TestFinishedIsSeen(t *testing.T) {
	w := newWorld(t, nil)
	w.publishRound(3)
	w.server.Finish()
	o := w.server.Operate(nil)
	if v := look(t, o); v.State != operator.Finished {
		t.Errorf("%v", v.State)
	}
	if state, err := w.server.st.TaskState(t.Context(), w.cfg.Task); err != nil || state != store.TaskRunning {
		t.Errorf("%v, %v", state, err)
	}
}

// TestOperatorRollsBack: an older version is published anew, once, when no round is under way, also when one was when it was asked.
func TestOperatorRollsBack(t *testing.T) {
	w := newWorld(t, nil)
	for range 2 {
		w.publishRound(3)
	}
	o := w.server.Operate(nil)
	if _, err := o.Rollback(t.Context(), 7, ""); !errors.Is(err, operator.ErrVersion) {
		t.Errorf("back to a version that is not there: %v", err)
	}
	if n, err := o.Rollback(t.Context(), 1, "worse"); err != nil || n != 3 {
		t.Fatalf("version %d, %v", n, err)
	}
	r := w.start(w.spec(3, 3, 6))
	eventually(t, "a round opens", func() bool { return look(t, o).Open != nil })
	if n, err := o.Rollback(t.Context(), 2, ""); err != nil || n != 0 {
		t.Fatalf("version %d under a round, %v", n, err)
	}
	w.must(o.Abandon(t.Context(), 0))
	r.wait(t)
	eventually(t, "the version is published", func() bool { return look(t, o).Versions[0].Number == 4 })
	if v := look(t, o).Versions; v[0].Cause != "rollback to 2" || v[1].Cause != "rollback to 1" {
		t.Errorf("%+v", v)
	}
	eventually(t, "it is kept that it was done", func() bool {
		_, found, err := w.server.st.Kept(context.Background(), w.cfg.Task, keptObeyed)
		return found && err == nil
	})
	w.stop()
	w.open()
	w.server.grant(t.Context())
	w.publishRound(3) // between rounds the next process looks at what was asked, too
	if v := look(t, w.server.Operate(nil)).Versions; v[0].Number != 5 || v[0].Cause != "round" {
		t.Errorf("asked once, done twice: %+v", v[0])
	}
}
