package client_test

import (
	"testing"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/transport/testserver"
	"tutti/privacy/plan"
)

// lotWorld is a world with many enrolled devices, and a round whose plan was changed.
func lotWorld(t *testing.T, n int, change func(*plan.Plan)) (*world, []*client.Device, *testserver.Round) {
	w := newWorld(t)
	var devices []*client.Device
	for i := range n {
		devices = append(devices, w.device(i%items))
	}
	spec := testserver.Spec{Kind: plan.Popularity, Dim: items, Goal: 8, Rho: popularityRound(3).Rho, Edit: change}
	return w, devices, w.Open(spec)
}

// TestLot: half of the devices are drawn. The others wait; when the server invites them all the same, they refuse.
// Of 16 devices all or none are drawn with probability 2^-15.
func TestLot(t *testing.T) {
	w, devices, r := lotWorld(t, 16, func(p *plan.Plan) { p.Threshold = aggregation.EveryDevice / 2; p.Goal = 8 })
	drawn := 0
	for _, d := range devices {
		w.Lie(testserver.Lies{})
		if preview, err := d.DryRun(t.Context()); err != nil {
			t.Fatal(err)
		} else if preview.Config != nil {
			drawn++
			if !preview.Config.Eligible(d.Privacy().Device) {
				t.Error("the server offered the round to a device that was not drawn")
			}
			w.want(d, client.Contributed)
			continue
		}
		w.want(d, client.Waiting)
		w.Lie(testserver.Lies{InviteAll: true})
		o := w.refuses(d, client.ReasonNotEligible, 0)
		if s := d.Privacy(); s.Spent.Sign() != 0 || s.Open != 0 || w.Uploads(r.Number, s.Device) != 0 || s.LogSize == 0 || o.Round != r.Number {
			t.Errorf("a device that was not drawn was charged or sent, or forgot the log: %+v", s)
		}
	}
	if drawn == 0 || drawn == len(devices) || w.Count(r) != drawn {
		t.Errorf("%d of %d devices drawn, %d uploads", drawn, len(devices), w.Count(r))
	}
}

// TestOtherShard: the round has two groups, and the server shows everybody the first one's configuration.
// Of 16 devices all belong to one group with probability 2^-15.
func TestOtherShard(t *testing.T) {
	w, devices, r := lotWorld(t, 16, func(p *plan.Plan) { p.Groups, p.Goal = 2, 16 })
	mine, others := 0, 0
	for _, d := range devices {
		o := w.contribute(d)
		switch {
		case o.Kind == client.Contributed:
			mine++
		case o.Kind == client.Refused && o.Reason == client.ReasonShard:
			others++
			if s := d.Privacy(); s.Spent.Sign() != 0 || w.Uploads(r.Number, s.Device) != 0 {
				t.Errorf("charged or sent: %+v", s)
			}
		default:
			t.Fatalf("outcome %v (%v): %v", o.Kind, o.Label(), o.Err)
		}
	}
	if mine == 0 || others == 0 || w.Count(r) != mine {
		t.Errorf("%d devices of the first group, %d of the other, %d uploads", mine, others, w.Count(r))
	}
}

// TestEnrolledTooLate: a device that enrols while a round is open waits for the next one.
func TestEnrolledTooLate(t *testing.T) {
	w := newWorld(t)
	w.Open(popularityRound(3))
	d := w.device(1)
	w.want(d, client.Waiting)
	w.Open(popularityRound(3))
	w.want(d, client.Contributed)
}

// TestPostQuantumRound goes through a whole round with post-quantum envelopes.
func TestPostQuantumRound(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Policy.PostQuantum = true
	strict := w.member(o, 1)
	lax := w.device(2)
	w.Open(popularityRound(2))
	w.refuses(strict, client.ReasonPolicy, plan.ReasonPostQuantum)
	spec := popularityRound(2)
	spec.Edit = func(p *plan.Plan) { p.Suite = aggregation.SuiteMLKEM768X25519 }
	r := w.Open(spec)
	w.want(strict, client.Contributed)
	w.want(lax, client.Contributed)
	if _, set := w.Close(r); len(set) != 2 {
		t.Errorf("%d devices in the sum", len(set))
	}
}
