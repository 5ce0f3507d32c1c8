package client_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"tutti/client"
	"tutti/client/store"
)

var errCrash = errors.New("the process has died here")

// mortal is a store whose process dies at the write of a given number, before
// or after it takes place; from then on nothing works. What was written stays.
type mortal struct {
	*store.Memory
	left  int  // writes until death; negative: immortal
	after bool // the last write takes place
	dead  bool
	seals map[[32]byte]bool // different uploads that were sealed and saved
}

func (m *mortal) write(do func() error) error {
	if m.dead {
		return errCrash
	}
	if m.left == 0 {
		m.dead = true
		if m.after {
			_ = do()
		}
		return errCrash
	}
	m.left--
	return do()
}

func (m *mortal) SaveState(b []byte) error {
	return m.write(func() error { return m.Memory.SaveState(b) })
}

func (m *mortal) SavePending(b []byte) error {
	return m.write(func() error {
		m.seals[sha256.Sum256(b)] = true
		return m.Memory.SavePending(b)
	})
}

func (m *mortal) DropPending() error { return m.write(m.Memory.DropPending) }

func (m *mortal) SaveHeld(b []byte) error {
	return m.write(func() error { return m.Memory.SaveHeld(b) })
}

func (m *mortal) DropHeld() error { return m.write(m.Memory.DropHeld) }

func (m *mortal) SaveBlob(d [32]byte, b []byte) error {
	return m.write(func() error { return m.Memory.SaveBlob(d, b) })
}

func (m *mortal) KeepBlobs(d [][32]byte) error {
	return m.write(func() error { return m.Memory.KeepBlobs(d) })
}

func (m *mortal) AppendHistory(b []byte) error {
	return m.write(func() error { return m.Memory.AppendHistory(b) })
}

// cut is a transport that loses one upload: on the way there, or the answer.
type cut struct {
	client.Transport
	lose  bool
	there bool // the upload arrives, its answer does not
}

func (c *cut) Upload(ctx context.Context, u client.Upload) (client.Receipt, error) {
	if !c.lose {
		return c.Transport.Upload(ctx, u)
	}
	c.lose = false
	if c.there {
		if _, err := c.Transport.Upload(ctx, u); err != nil {
			return client.Receipt{}, err
		}
	}
	return client.Receipt{}, fmt.Errorf("lost: %w", client.ErrUnavailable)
}

// TestCrashAnywhere kills the process at every write from its birth to the end
// of a first Contribute (identity, history, enrolment, model, charge, upload, receipt), before and after the write, and
// starts it again. Whatever happened, the round has at most one seal, an upload
// that the server saw is charged, and the device goes on.
func TestCrashAnywhere(t *testing.T) {
	w := newWorld(t)
	w.Publish(w.published(1))
	deaths := 0
	for _, after := range []bool{false, true} {
		for point := 0; ; point++ {
			lived := crashAt(t, w, point, after)
			if lived {
				if point < 10 {
					t.Fatalf("only %d writes in a whole Contribute", point)
				}
				break
			}
			deaths++
		}
	}
	if deaths < 20 {
		t.Fatalf("%d deaths", deaths)
	}
}

func crashAt(t *testing.T, w *world, point int, after bool) (lived bool) {
	t.Helper()
	at := fmt.Sprintf("death at write %d (after: %v)", point, after)
	o := w.options()
	m := &mortal{Memory: &store.Memory{}, left: point, after: after, seals: map[[32]byte]bool{}}
	o.Store = m
	d, err := client.Open(o)
	if err == nil {
		err = errors.Join(d.Record(client.Event{Item: number(1), Kind: 1}), d.Enroll(t.Context()))
	}
	r := w.Open(popularityRound(2))
	if err == nil {
		_, err = d.Contribute(t.Context())
	}
	lived = !m.dead
	if lived != (err == nil) && !after {
		t.Fatalf("%s: error %v", at, err)
	}
	sent := w.Count(r) == 1

	m.dead, m.left = false, -1
	d, err = client.Open(o)
	if err != nil {
		t.Fatalf("%s: the device does not wake up: %v", at, err)
	}
	w.enrol(d)
	if !w.Invited(r, d.Privacy().Device) { // it died before the server had enrolled it
		r = w.Open(popularityRound(2))
	}
	rho := r.Plan.Rho()
	s := d.Privacy()
	if (sent || len(m.seals) > 0) && s.Spent.Cmp(rho) != 0 {
		t.Fatalf("%s: sealed, and %v spent", at, s.Spent)
	}
	for range 3 {
		if o := w.contribute(d); o.Kind == client.Failed || o.Kind == client.Refused {
			t.Fatalf("%s: then %+v", at, o)
		}
	}
	s = d.Privacy()
	if len(m.seals) > 1 || w.Uploads(r.Number, s.Device) > 1 {
		t.Fatalf("%s: %d seals in one round", at, len(m.seals))
	}
	if s.Spent.Cmp(rho) != 0 { // charged once, whether or not the upload got through
		t.Fatalf("%s: %v spent on the round", at, s.Spent)
	}
	if len(m.seals) == 1 && w.Count(r) != 1 {
		t.Fatalf("%s: a sealed upload never arrived", at)
	}
	w.Open(popularityRound(2))
	w.want(d, client.Contributed)
	if s := d.Privacy(); s.Spent.Cmp(new(big.Rat).Mul(rho, big.NewRat(2, 1))) != 0 || s.Model != 1 {
		t.Fatalf("%s: after the next round %+v", at, s)
	}
	d.Close()
	return lived
}

// TestLostUpload: an upload that got lost, or whose answer did, is sent again
// byte for byte, also by a process that was started anew.
func TestLostUpload(t *testing.T) {
	for _, there := range []bool{false, true} {
		w := newWorld(t)
		line := &cut{Transport: w.conn, lose: true, there: there}
		o := w.options()
		o.Transport = line
		memory := &store.Memory{}
		o.Store = memory
		d := w.member(o, 2)
		r := w.Open(popularityRound(2))
		if out := w.contribute(d); out.Kind != client.Failed || !errors.Is(out.Err, client.ErrUnavailable) {
			t.Fatalf("%+v", out)
		}
		pending, err := memory.Pending()
		if err != nil || pending == nil {
			t.Fatalf("nothing is pending: %v", err)
		}
		d.Close()
		d = w.open(o)
		if out := w.want(d, client.Contributed); out.Round != r.Number {
			t.Fatalf("%+v", out)
		}
		s := d.Privacy()
		if w.Uploads(r.Number, s.Device) != 1 || w.Count(r) != 1 || s.Spent.Cmp(r.Plan.Rho()) != 0 {
			t.Fatalf("there %v: %d different uploads, %v spent", there, w.Uploads(r.Number, s.Device), s.Spent)
		}
		if pending, _ := memory.Pending(); pending != nil {
			t.Fatal("the upload is still pending after its receipt")
		}
	}
}

// TestOptOutHoldsBackWhatWasSealed: a user who opts out while an upload waits
// sends it no more.
func TestOptOutHoldsBackWhatWasSealed(t *testing.T) {
	w := newWorld(t)
	memory := &store.Memory{}
	o := w.options()
	o.Store, o.Transport = memory, &cut{Transport: w.conn, lose: true}
	d := w.member(o, 2)
	r := w.Open(popularityRound(2))
	w.want(d, client.Failed)
	d.Close()
	o.OptOut = true
	d = w.open(o)
	w.want(d, client.NothingToDo)
	if pending, _ := memory.Pending(); pending != nil || w.Count(r) != 0 {
		t.Fatalf("%d bytes wait, %d uploads arrived", len(pending), w.Count(r))
	}
}

// TestPendingOutlivesItsRound: the round closed while the upload waited; the
// device books it and takes part in the next one in the same call.
func TestPendingOutlivesItsRound(t *testing.T) {
	w := newWorld(t)
	line := &cut{Transport: w.conn, lose: true}
	o := w.options()
	o.Transport = line
	d := w.member(o, 2)
	others := []*client.Device{w.device(1), w.device(1)}
	r := w.Open(popularityRound(2))
	w.contribute(d)
	for _, other := range others {
		w.want(other, client.Contributed)
	}
	w.Close(r)
	next := w.Open(popularityRound(2))
	if out := w.want(d, client.Contributed); out.Round != next.Number {
		t.Fatalf("%+v", out)
	}
	s := d.Privacy()
	if len(s.Refusals) != 1 || s.Refusals[0].Reason != client.ReasonServer {
		t.Fatalf("the late upload was booked as %+v", s.Refusals)
	}
}
