package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"testing"
	"time"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
	"tutti/client/transport/testserver"
	"tutti/model"
	"tutti/privacy/plan"
)

var heldTraining = plan.Training{Steps: 2, LearningRate: "0.05", Optimizer: "sgd", MaxLen: 6}

// late is a transport that does something before an upload goes out: close its round.
type late struct {
	client.Transport
	before  func()
	headers []*aggregation.Header
}

func (l *late) Upload(ctx context.Context, u client.Upload) (client.Receipt, error) {
	if f := l.before; f != nil {
		l.before = nil
		f()
	}
	h, err := aggregation.ParseHeader(u.Header)
	if err != nil {
		return client.Receipt{}, err
	}
	l.headers = append(l.headers, h)
	return l.Transport.Upload(ctx, u)
}

// tardy is a world with one device whose training is watched, and the model's versions.
type tardy struct {
	*world
	m        *late
	memory   *store.Memory
	o        client.Options
	d        *client.Device
	versions []model.Version
	trained  int
	during   func() // once, while the device trains
	now      time.Time
}

func newTardy(t *testing.T) *tardy {
	w := &tardy{world: newWorld(t), memory: &store.Memory{}, now: time.Now()}
	w.publish(5)
	w.o = w.options()
	w.m = &late{Transport: w.conn}
	w.o.Policy.AllowNoiseOff, w.o.Store, w.o.Transport = true, w.memory, w.m
	w.o.Now = func() time.Time { return w.now }
	w.o.Learner = func(ctx context.Context, l client.Lesson) (model.Update, error) {
		w.trained++
		if f := w.during; f != nil {
			w.during = nil
			f()
		}
		return l.Learn(ctx)
	}
	w.d = w.member(w.o, 0, 1, 2, 3, 4)
	return w
}

func (w *tardy) publish(seed uint64) {
	w.versions = append(w.versions, w.Publish(w.published(seed)))
}

// open opens a model round whose updates may be up to s versions behind.
func (w *tardy) open(s int) *testserver.Round {
	w.t.Helper()
	return w.Open(testserver.Spec{Kind: plan.Model, Dim: smallModel(w.t).Layout().Size(), Goal: 2, Training: heldTraining, Edit: func(p *plan.Plan) {
		for i := range s {
			p.Older = append(p.Older, plan.Digest(w.versions[len(w.versions)-2-i].Digest()))
		}
	}})
}

// only closes a round over the device and an idle one, and checks that the sum is the update of the model of a seed, weighted.
func (w *tardy) only(r *testserver.Round, seed uint64, weight float64) {
	w.t.Helper()
	sum, set := w.Close(r)
	want := trained(w.t, smallModel(w.t), seed, []int{0, 1, 2, 3, 4}, heldTraining)
	moved := false
	for i, x := range w.Decode(r, sum, len(set)).Values {
		moved = moved || want[i] != 0
		if d := float64(x) - weight*float64(want[i]); math.Abs(d) > 1e-4 {
			w.t.Fatalf("weight %d: sum %v, want %v times %v", i, x, weight, want[i])
		}
	}
	if !moved {
		w.t.Fatal("nothing was learned")
	}
}

// idle is a device that adds zeros: its history teaches nothing.
func (w *tardy) idle() *client.Device {
	o := w.options()
	o.Policy.AllowNoiseOff = true
	return w.member(o, 8)
}

// TestHeldUpdateGoesIntoTheNextRound: an upload that came too late is not trained again. A later round that allows its base
// takes the update, weighted by its staleness, from the version that it started from; both seals are charged.
func TestHeldUpdateGoesIntoTheNextRound(t *testing.T) {
	for s := range 3 {
		w := newTardy(t)
		idle := w.idle()
		first := w.open(0)
		w.m.before = func() { w.Abandon(first) } // before the upload arrives
		if o := w.want(w.d, client.Refused); o.Upload != client.UploadLate {
			t.Fatalf("%+v", o)
		}
		if b, _ := w.memory.Held(); b == nil {
			t.Fatal("the update is gone with its round")
		}
		for v := range s {
			w.publish(uint64(6 + v))
		}
		next := w.open(s)
		w.d.Close() // another process goes on
		w.d = w.world.open(w.o)
		if o := w.want(w.d, client.Contributed); o.Round != next.Number || w.trained != 1 {
			t.Fatalf("%d behind: %+v, trained %d times", s, o, w.trained)
		}
		w.want(idle, client.Contributed)
		if h := w.m.headers[len(w.m.headers)-1]; h.Base != aggregation.Digest(w.versions[0].Digest()) {
			t.Errorf("%d behind: sealed from base %x", s, h.Base[:4])
		}
		if got := w.d.Privacy(); got.Unnoised != 2 || w.Uploads(next.Number, got.Device) != 1 || w.Uploads(first.Number, got.Device) != 1 {
			t.Errorf("%d behind: %d rounds booked", s, got.Unnoised)
		}
		if b, _ := w.memory.Held(); b != nil {
			t.Error("the update was used and is still held")
		}
		w.only(next, 5, 1/math.Sqrt(1+float64(s)))
	}
}

// TestHeldUpdateThatIsTooOld: no plan allows its base any more, so that it is erased unsealed, and the device trains anew.
func TestHeldUpdateThatIsTooOld(t *testing.T) {
	for name, next := range map[string]func(w *tardy) *testserver.Round{
		"staleness bound": func(w *tardy) *testserver.Round { w.publish(6); w.publish(7); return w.open(1) },
		"no staleness":    func(w *tardy) *testserver.Round { w.publish(6); return w.open(0) },
		"other training": func(w *tardy) *testserver.Round {
			return w.Open(testserver.Spec{Kind: plan.Model, Dim: smallModel(w.t).Layout().Size(), Goal: 2, Training: plan.Training{Steps: 1, LearningRate: "0.05", Optimizer: "sgd"}})
		},
		"a week": func(w *tardy) *testserver.Round {
			w.now = w.now.Add(8 * 24 * time.Hour)
			r := w.Open(testserver.Spec{Kind: plan.Model, Dim: smallModel(w.t).Layout().Size(), Goal: 2, Training: heldTraining,
				Edit: func(p *plan.Plan) { p.Deadline = w.now.Add(time.Hour).Unix() }})
			return r
		},
	} {
		w := newTardy(t)
		first := w.open(0)
		w.m.before = func() { w.Abandon(first) }
		w.want(w.d, client.Refused)
		before, _ := w.memory.Held()
		r := next(w)
		o := w.want(w.d, client.Contributed)
		if o.Round != r.Number || w.trained != 2 {
			t.Errorf("%s: %+v, trained %d times", name, o, w.trained)
		}
		h := w.m.headers[len(w.m.headers)-1]
		if h.Base != aggregation.Digest(w.versions[len(w.versions)-1].Digest()) || before == nil {
			t.Errorf("%s: sealed from an old base", name)
		}
	}
}

// TestSlowTrainingTakesNoPlace: the round closed while the device trained. It asks before it charges and seals, and goes
// into the round that is open by then; the first one cost it nothing.
func TestSlowTrainingTakesNoPlace(t *testing.T) {
	w := newTardy(t)
	idle := w.idle()
	first := w.open(0)
	var next *testserver.Round
	w.during = func() {
		w.Abandon(first)
		w.publish(6)
		next = w.open(1)
		w.now = w.now.Add(time.Minute)
	}
	if o := w.want(w.d, client.Contributed); o.Round != next.Number {
		t.Fatalf("%+v", o)
	}
	w.want(idle, client.Contributed)
	if s := w.d.Privacy(); s.Unnoised != 1 || w.trained != 1 || w.Uploads(first.Number, s.Device) != 0 {
		t.Errorf("%d rounds booked, trained %d times", s.Unnoised, w.trained)
	}
	w.only(next, 5, 1/math.Sqrt2)
}

// TestSlowTrainingFindsNoRound: nothing is open; the update waits, and nothing is charged. Nor is it where the next round
// takes none that old; then it is erased.
func TestSlowTrainingFindsNoRound(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		w := newTardy(t)
		first := w.open(0)
		w.during = func() {
			w.Abandon(first)
			if reopened {
				w.publish(6)
				w.open(0)
			}
			w.now = w.now.Add(time.Minute)
		}
		w.want(w.d, client.Waiting)
		if s := w.d.Privacy(); s.Unnoised != 0 || s.Rounds != 0 || len(w.m.headers) != 0 {
			t.Errorf("%+v", s)
		}
		if b, _ := w.memory.Held(); (b == nil) != reopened {
			t.Errorf("held: %d bytes, another round is open: %v", len(b), reopened)
		}
	}
}

// TestHeldIsErased: by Forget, by a user who opts out, by the end of the task.
func TestHeldIsErased(t *testing.T) {
	for name, end := range map[string]func(w *tardy){
		"forget": func(w *tardy) {
			if err := w.d.Forget(); err != nil {
				t.Fatal(err)
			}
		},
		"opt out": func(w *tardy) {
			w.d.Close()
			w.o.OptOut = true
			w.open(0)
			w.want(w.world.open(w.o), client.NothingToDo)
		},
		"finished": func(w *tardy) { w.Finish(); w.want(w.d, client.NothingToDo) },
	} {
		w := newTardy(t)
		first := w.open(0)
		w.m.before = func() { w.Abandon(first) }
		w.want(w.d, client.Refused)
		if b, _ := w.memory.Held(); b == nil {
			t.Fatal("nothing is held")
		}
		end(w)
		if b, _ := w.memory.Held(); b != nil {
			t.Errorf("%s: still held", name)
		}
	}
}

// TestHeldIsSealed: what lies in the store shows nothing of the update, and another key, or a changed byte, makes it as good as
// gone: the device wakes up and trains again.
func TestHeldIsSealed(t *testing.T) {
	w := newTardy(t)
	first := w.open(0)
	w.m.before = func() { w.Abandon(first) }
	w.want(w.d, client.Refused)
	sealed, _ := w.memory.Held()
	update := trained(t, smallModel(t), 5, []int{0, 1, 2, 3, 4}, heldTraining)
	for _, x := range update[:8] {
		bits := math.Float32bits(x)
		if x != 0 && bytes.Contains(sealed, []byte{byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)}) {
			t.Fatal("a number of the update lies open")
		}
	}
	w.d.Close()
	sealed[len(sealed)/2] ^= 1
	w.d = w.world.open(w.o)
	if b, _ := w.memory.Held(); b != nil {
		t.Error("a spoilt update is kept")
	}
	w.open(0)
	if w.want(w.d, client.Contributed); w.trained != 2 {
		t.Errorf("trained %d times", w.trained)
	}
}

// TestCrashWithHeldUpdate kills the process at every write of a device that is late for one round and takes part in the next,
// before and after the write, and wakes it up again: no round has two seals, what arrived is charged, and once the update is
// with the server it is gone.
func TestCrashWithHeldUpdate(t *testing.T) {
	deaths := 0
	for _, after := range []bool{false, true} {
		for point := 0; ; point++ {
			lived := lateCrash(t, point, after)
			if lived {
				break
			}
			deaths++
		}
	}
	if deaths < 16 {
		t.Errorf("%d deaths", deaths)
	}
}

func lateCrash(t *testing.T, point int, after bool) (lived bool) {
	t.Helper()
	at := fmt.Sprintf("death at write %d (after: %v)", point, after)
	w := newTardy(t)
	w.d.Close()
	m := &mortal{Memory: w.memory, left: -1, after: after, seals: map[[32]byte]bool{}}
	w.o.Store = m
	w.o.Policy.AllowNoiseOff = false
	costly := func(s int) *testserver.Round {
		return w.Open(testserver.Spec{Kind: plan.Model, Dim: smallModel(t).Layout().Size(), Goal: 2, Training: heldTraining, Rho: big.NewRat(1, 2), Edit: func(p *plan.Plan) {
			for i := range s {
				p.Older = append(p.Older, plan.Digest(w.versions[len(w.versions)-2-i].Digest()))
			}
		}})
	}
	first := costly(0)
	w.m.before = func() { w.Abandon(first) }
	w.d = w.world.open(w.o)
	m.left = point
	w.contribute(w.d)
	w.Abandon(first)
	w.publish(6)
	next := costly(1)
	for range 2 {
		w.contribute(w.d)
	}
	lived = !m.dead
	m.dead, m.left = false, -1
	d, err := client.Open(w.o)
	if err != nil {
		t.Fatalf("%s: the device does not wake up: %v", at, err)
	}
	for range 3 {
		if o := w.contribute(d); o.Kind == client.Failed {
			t.Fatalf("%s: then %+v", at, o)
		}
	}
	s := d.Privacy()
	if w.Uploads(first.Number, s.Device) > 1 || w.Uploads(next.Number, s.Device) > 1 || len(m.seals) > 2 {
		t.Fatalf("%s: %d and %d uploads, %d seals", at, w.Uploads(first.Number, s.Device), w.Uploads(next.Number, s.Device), len(m.seals))
	}
	want := new(big.Rat).Mul(next.Plan.Rho(), big.NewRat(int64(len(m.seals)), 1))
	if s.Spent.Cmp(want) < 0 || s.Spent.Cmp(big.NewRat(2, 1)) > 0 {
		t.Fatalf("%s: %v spent on %d seals", at, s.Spent, len(m.seals))
	}
	if w.Count(next) == 1 {
		if b, _ := w.memory.Held(); b != nil {
			t.Fatalf("%s: used, and still held", at)
		}
	}
	var saved []byte
	if saved, _ = w.memory.Pending(); saved != nil {
		t.Fatalf("%s: an upload of digest %x waits forever", at, sha256.Sum256(saved))
	}
	d.Close()
	return lived
}

// TestHeldDoesNotOutlive: an update that waits is erased when it is a week old, or older than what the user lets the history
// keep, and when the user opts out: also where no round is open, where there is no network, and where the device only wakes up.
func TestHeldDoesNotOutlive(t *testing.T) {
	const day = 24 * time.Hour
	wait := func(w *tardy) { w.want(w.d, client.Waiting) }
	wake := func(w *tardy) { w.d.Close(); w.d = w.world.open(w.o) }
	for name, c := range map[string]struct {
		keep, after time.Duration
		then        func(w *tardy)
		gone        bool
	}{
		"six days, no round":             {0, 6 * day, wait, false},
		"eight days, no round":           {0, 8 * day, wait, true},
		"eight days, woken up":           {0, 8 * day, wake, true},
		"a history of an hour":           {time.Hour, 2 * time.Hour, wait, true},
		"a history of an hour, woken up": {time.Hour, 2 * time.Hour, wake, true},
		"a history of a day":             {day, 2 * time.Hour, wait, false},
		"opted out, no network": {0, 0, func(w *tardy) {
			w.o.OptOut, w.o.Transport = true, nil
			wake(w)
		}, true},
	} {
		w := newTardy(t)
		w.d.Close()
		w.o.Retention = history.Retention{MaxAge: c.keep}
		w.d = w.world.open(w.o)
		for i := range 5 {
			if err := w.d.Record(client.Event{Item: number(i), Kind: history.View, Time: w.now.Unix() - 5 + int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		first := w.open(0)
		w.m.before = func() { w.Abandon(first) }
		w.want(w.d, client.Refused)
		if b, _ := w.memory.Held(); b == nil {
			t.Fatalf("%s: nothing is held", name)
		}
		w.now = w.now.Add(c.after)
		w.m.Transport = closed{w.m.Transport}
		c.then(w)
		if b, _ := w.memory.Held(); (b == nil) != c.gone {
			t.Errorf("%s: held %d bytes", name, len(b))
		}
	}
}

// closed is a transport of a server that has no round open, and looks at no clock.
type closed struct{ client.Transport }

func (closed) CheckIn(context.Context, client.CheckInRequest) (client.CheckIn, error) {
	return client.CheckIn{Protocol: client.Protocol, Wait: client.Wait{Reason: client.WaitNoRound, RetryAfter: time.Minute}}, nil
}
