package client_test

import (
	"math/big"
	"testing"

	"tutti/client"
	"tutti/client/transport/testserver"
	"tutti/model/stats"
	"tutti/privacy/plan"
)

// TestSumIsExact takes three devices through a round without noise: the opened
// sum is the sum of their vectors.
func TestSumIsExact(t *testing.T) {
	w := newWorld(t)
	spec := testserver.Spec{Kind: plan.Popularity, Dim: items, Goal: 3}
	met := [][]int{{0, 1, 2, 3}, {3}, {}}
	var devices []*client.Device
	for _, history := range met {
		o := w.options()
		o.Policy.AllowNoiseOff = true
		devices = append(devices, w.member(o, history...))
	}
	r := w.Open(spec)
	want := make([]float64, items)
	for k, history := range met {
		d := devices[k]
		out := w.want(d, client.Contributed)
		if out.Round != r.Number || out.Upload != client.UploadStaged {
			t.Fatalf("outcome of round %d, %v", out.Round, out.Upload)
		}
		var sequence []int32
		for _, i := range history {
			sequence = append(sequence, int32(i))
		}
		for i, x := range stats.PopularityVector(sequence, items) {
			want[i] += float64(x)
		}
		if s := d.Privacy(); s.Unnoised != 1 || s.Spent.Sign() != 0 {
			t.Fatalf("a round without noise was booked as %+v", s)
		}
	}
	sum, set := w.Close(r)
	if len(set) != len(met) {
		t.Fatalf("%d devices in the sum", len(set))
	}
	for i, x := range w.Decode(r, sum, len(set)).Values {
		if d := float64(x) - want[i]; d > 1e-4 || d < -1e-4 {
			t.Errorf("item %d: sum %v, want %v", i, x, want[i])
		}
	}
}

func TestChargeAndReceipts(t *testing.T) {
	w := newWorld(t)
	d := w.open(w.options())
	w.record(d, 1, 2)
	if s := d.Privacy(); s.Enrolled || s.Leaving.Kind != "" || s.Left.Cmp(big.NewRat(4, 1)) != 0 {
		t.Fatalf("a new device says %+v", s)
	}
	if o := w.want(d, client.Waiting); o.RetryAfter == 0 {
		t.Fatal("waiting without a time")
	}
	other := w.device(3)
	r := w.Open(popularityRound(2))
	preview, err := d.DryRun(t.Context())
	if err != nil || preview.Outcome.Kind != client.Contributed || preview.Leaving.Numbers != items || preview.Leaving.Cohort != 2 {
		t.Fatalf("dry run: %+v, %v", preview, err)
	}
	if s := d.Privacy(); s.Spent.Sign() != 0 || w.Count(r) != 0 {
		t.Fatal("the dry run was charged or sent")
	}
	w.want(d, client.Contributed)
	rho := r.Plan.Rho()
	s := d.Privacy()
	if s.Spent.Cmp(rho) != 0 || s.Open != 1 || s.Counted != 0 || !(s.Epsilon > 0) || s.Delta != 1e-6 || s.Leaving.Kind != "popularity" {
		t.Fatalf("after one round: %+v", s)
	}
	if o := w.want(d, client.Waiting); o.Sentence != client.WaitAlreadyCounted.Sentence() {
		t.Fatalf("asked again in the round: %+v", o)
	}
	w.want(other, client.Contributed)
	if _, set := w.Close(r); len(set) != 2 {
		t.Fatalf("%d devices in the sum", len(set))
	}
	w.want(d, client.Waiting)
	if s := d.Privacy(); s.Counted != 1 || s.Open != 0 || s.Spent.Cmp(rho) != 0 {
		t.Fatalf("after the receipt: %+v", s)
	}
	w.Finish()
	w.want(d, client.NothingToDo)
}

func TestRefundOnlyByCertificate(t *testing.T) {
	w := newWorld(t)
	d := w.device(1)
	r := w.Open(popularityRound(3))
	w.want(d, client.Contributed)
	rho := r.Plan.Rho()

	w.Lie(testserver.Lies{Receipt: abandonWithoutProof(nil)})
	w.contribute(d)
	if s := d.Privacy(); s.Spent.Cmp(rho) != 0 || s.Open != 1 {
		t.Fatalf("a bare word of abandonment was believed: spent %v, open %d", s.Spent, s.Open)
	}

	w.Lie(testserver.Lies{})
	w.Abandon(r)
	w.want(d, client.Waiting)
	if s := d.Privacy(); s.Spent.Sign() != 0 || s.Open != 0 || s.Counted != 0 {
		t.Fatalf("after the certificate: spent %v, open %d", s.Spent, s.Open)
	}
	// The certificate of one round frees no other.
	r2 := w.Open(popularityRound(3))
	w.want(d, client.Contributed)
	w.Lie(testserver.Lies{Receipt: abandonWithoutProof(r.Certificate())})
	w.contribute(d)
	if s := d.Privacy(); s.Spent.Cmp(r2.Plan.Rho()) != 0 {
		t.Fatalf("another round's certificate freed the charge: spent %v", s.Spent)
	}
}

func TestBudgetEndsTheTask(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Policy.MaxRhoTotal = big.NewRat(3, 4)
	d := w.member(o, 1)
	w.Abandon(w.Open(popularityRound(3)))
	w.Open(popularityRound(3))
	w.want(d, client.Contributed)
	w.Open(popularityRound(3))
	w.refuses(d, client.ReasonPolicy, plan.ReasonBudget)
	s := d.Privacy()
	if len(s.Refusals) != 1 || s.Refusals[0].Policy != plan.ReasonBudget || s.Refusals[0].Count != 1 || s.Last.Kind != client.Refused {
		t.Fatalf("the refusal was booked as %+v, %+v", s.Refusals, s.Last)
	}
}

func TestOptOutSendsNothing(t *testing.T) {
	w := newWorld(t)
	w.Publish(w.published(1))
	o := w.options()
	o.OptOut = true
	d := w.member(o, 1)
	r := w.Open(popularityRound(3))
	w.want(d, client.NothingToDo)
	if s := d.Privacy(); s.Spent.Sign() != 0 || s.Model != 1 || w.Count(r) != 0 {
		t.Fatalf("a device that opted out: %+v, %d uploads", s, w.Count(r))
	}
}
