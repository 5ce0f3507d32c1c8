package client_test

import (
	"math/big"
	"testing"
	"time"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/transport/testserver"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/api"
)

// counted takes two devices through a round and closes it.
func (w *world) counted() (*client.Device, *client.Device, *testserver.Round) {
	w.t.Helper()
	a, b := w.device(1), w.device(2)
	r := w.Open(popularityRound(2))
	w.want(a, client.Contributed)
	w.want(b, client.Contributed)
	w.Close(r)
	return a, b, r
}

// TestContributionStandsInTheLog: a counted device fetches the proof, verifies and keeps it, and anyone can verify it.
func TestContributionStandsInTheLog(t *testing.T) {
	w := newWorld(t)
	a, b, r := w.counted()
	for _, d := range []*client.Device{a, b} {
		w.want(d, client.Waiting)
		s := d.Privacy()
		if s.Counted != 1 || s.Proven != 1 || s.Unproven != 0 || s.Open != 0 || s.Rounds != 1 || len(d.Receipts()) != 1 {
			t.Fatalf("%+v with %d receipts", s, len(d.Receipts()))
		}
		receipt, err := ledger.ParseReceipt(d.Receipts()[0])
		if err != nil {
			t.Fatal(err)
		}
		c, err := receipt.Verify(w.Policy().Operator)
		if err != nil || c.Device != s.Device || c.Round != r.Number || c.Survived != 2 || c.Log.Size != s.LogSize {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// TestCountedAndNotProven: the server says that it counted the device, and shows no proof in time, another device's, a
// damaged one, or one of another log. The charge stays, the device says so, and an honest proof settles it later.
func TestCountedAndNotProven(t *testing.T) {
	type lie = func(w *world, other []byte, r *api.ReceiptResponse)
	for name, c := range map[string]struct {
		lie    lie
		forked bool
		later  bool // evidence only once a proof is overdue
	}{
		"none":           {func(_ *world, _ []byte, r *api.ReceiptResponse) { r.Receipt = nil }, false, true},
		"another's":      {func(_ *world, other []byte, r *api.ReceiptResponse) { r.Receipt = other }, false, false},
		"damaged":        {func(_ *world, _ []byte, r *api.ReceiptResponse) { r.Receipt[len(r.Receipt)/2] ^= 1 }, false, false},
		"cut short":      {func(_ *world, _ []byte, r *api.ReceiptResponse) { r.Receipt = r.Receipt[:40] }, false, false},
		"not consistent": {func(_ *world, _ []byte, r *api.ReceiptResponse) { r.Consistency = nil }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d, other, r := w.counted()
			w.want(other, client.Waiting)
			theirs := other.Receipts()[0]
			w.Lie(testserver.Lies{Receipt: func(_ aggregation.DeviceID, r *api.ReceiptResponse) {
				if r.Receipt != nil {
					c.lie(w, theirs, r)
				}
			}})
			w.want(d, client.Waiting)
			if s := d.Privacy(); s.Proven != 0 || (s.Unproven == 1) == c.later || s.Forked != c.forked || s.Counted != 1 || s.Spent.Cmp(r.Plan.Rho()) != 0 {
				t.Fatalf("%+v", s)
			}
			w.Open(popularityRound(2)) // its plan is in the log: the proof of the round before is overdue
			w.want(d, client.Contributed)
			w.want(d, client.Waiting)
			proven := 0
			if c.forked { // the offer has brought the device to the log of the receipt: nothing is left to prove of that
				proven = 1
			}
			if s := d.Privacy(); s.Proven != uint64(proven) || s.Unproven != 1-proven || s.Counted != 1 || s.Rounds != 2 {
				t.Fatalf("%+v", s)
			}
			w.Lie(testserver.Lies{})
			w.want(d, client.Waiting)
			if s := d.Privacy(); s.Proven != 1 || s.Unproven != 0 || s.Counted != 1 {
				t.Fatalf("after an honest proof: %+v", s)
			}
		})
	}
}

// TestOwnLimits: how often, and how far apart, is for the device to count; a round that was given back does not count.
func TestOwnLimits(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Policy.MaxParticipations, o.Policy.MinSeparation = 2, 3
	memory := o.Store
	d := w.member(o, 1)
	given := w.Open(popularityRound(3)) // round 1
	w.want(d, client.Contributed)
	w.Abandon(given)
	w.want(d, client.Waiting)
	if s := d.Privacy(); s.Rounds != 0 || s.Spent.Sign() != 0 {
		t.Fatalf("after the certificate %+v", s)
	}
	for _, want := range []plan.Reason{plan.ReasonSeparation, plan.ReasonSeparation, plan.Accepted, plan.ReasonSeparation, plan.ReasonSeparation, plan.Accepted,
		plan.ReasonParticipations} { // rounds 2 to 8
		w.Open(popularityRound(3))
		if want == plan.Accepted {
			w.want(d, client.Contributed)
			continue
		}
		w.refuses(d, client.ReasonPolicy, want)
		d.Close() // the counters are in the store
		o.Store = memory
		d = w.open(o)
	}
	if s := d.Privacy(); s.Rounds != 2 {
		t.Errorf("%+v", s)
	}
	own := w.device(1)
	spec := popularityRound(3)
	spec.Edit = func(p *plan.Plan) { p.Participations, p.Separation = 1, 1 }
	w.Open(spec)
	w.want(own, client.Contributed)
	w.Open(spec)
	w.refuses(own, client.ReasonPolicy, plan.ReasonParticipations)
}

// TestClockGoesBack: a clock that falls behind the newest charge is not believed, but for as much as clocks drift.
func TestClockGoesBack(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	off := time.Duration(0)
	o.Now = func() time.Time { return time.Now().Add(off) }
	d := w.member(o, 1)
	w.Open(popularityRound(3))
	w.want(d, client.Contributed)
	r := w.Open(popularityRound(3))
	off = -10 * time.Minute
	w.refuses(d, client.ReasonPolicy, plan.ReasonClock)
	if w.Count(r) != 0 {
		t.Fatal("sent")
	}
	off = -4 * time.Minute
	w.want(d, client.Contributed)
	off = 48 * time.Hour // far ahead every round is over, and nothing is believed of it
	w.Open(popularityRound(3))
	w.refuses(d, client.ReasonPolicy, plan.ReasonDeadline)
	off = 0
	w.want(d, client.Contributed)
	if s := d.Privacy(); s.Rounds != 3 || s.Spent.Cmp(new(big.Rat).Mul(r.Plan.Rho(), big.NewRat(3, 1))) != 0 {
		t.Errorf("%+v", s)
	}
}
