package client_test

import (
	"testing"

	"tutti/client"
	"tutti/client/transport/testserver"
	"tutti/privacy/plan"
)

// checked is a round in which every upload's norm is proven.
func checked(goal int) testserver.Spec {
	spec := popularityRound(goal)
	spec.Edit = func(p *plan.Plan) { p.CheckNorm, p.Packing = true, 1 }
	return spec
}

// TestNormCheckedRound goes through a whole round whose uploads prove their norm, with a device that takes part in no other.
func TestNormCheckedRound(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Policy.CheckNorm = true
	strict := w.member(o, 1)
	lax := w.device(2)
	w.Open(popularityRound(2))
	w.refuses(strict, client.ReasonPolicy, plan.ReasonUncheckedNorm)
	plain := w.want(lax, client.Contributed)
	less := lax.Privacy().Leaving.Bytes
	r := w.Open(checked(2))
	if plain.Round == r.Number {
		t.Fatal("no new round")
	}
	w.want(strict, client.Contributed)
	w.want(lax, client.Contributed)
	if _, set := w.Close(r); len(set) != 2 {
		t.Errorf("%d devices in the sum", len(set))
	}
	if more := lax.Privacy().Leaving.Bytes; more < less+50_000 {
		t.Errorf("%d bytes with the proof, %d without", more, less)
	}
}

// TestOverlongVector: a device whose own vector is beyond the round's norm sends nothing, says so, keeps the charge that it had written
// down, and goes on with the next round.
func TestOverlongVector(t *testing.T) {
	w := newWorld(t)
	var offer *client.Offer
	o := w.options()
	o.Transport = catcher{o.Transport, &offer}
	d := w.member(o, 1)
	w.device(2) // a population of two
	w.Open(checked(2))
	if _, err := d.DryRun(t.Context()); err != nil || offer == nil {
		t.Fatalf("no offer: %v", err)
	}
	out := d.Overlong(t.Context(), offer)
	if out.Kind != client.Refused || out.Reason != client.ReasonNorm || out.Sentence != client.ReasonNorm.Sentence() {
		t.Fatalf("%v: %s, %v", out.Label(), out.Sentence, out.Err)
	}
	cost := d.Privacy().Spent
	if cost.Sign() <= 0 {
		t.Error("the charge got lost")
	}
	w.want(d, client.Waiting)
	if now := d.Privacy().Spent; now.Cmp(cost) != 0 {
		t.Errorf("spent %v, then %v", cost, now)
	}
	r := w.Open(checked(2))
	w.want(d, client.Contributed)
	if now := d.Privacy().Spent; now.Cmp(cost) <= 0 || w.Count(r) != 1 {
		t.Errorf("spent %v, then %v with %d uploads", cost, now, w.Count(r))
	}
}
