package server

import (
	"context"
	"errors"
	"math/big"
	"testing"

	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server/api"
)

// TestProofsOverTheWire: the offer proves the plan, and every counted device gets a receipt that holds, from this process
// and from the next; nobody gets one before the log tells of the round.
func TestProofsOverTheWire(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start(w.spec(3, 3, 4))
	devices := w.together(3)
	receipt := func(d *device) *api.ReceiptResponse {
		id := d.id()
		answer, err := d.rpc.Receipt(context.Background(), &api.ReceiptRequest{Task: "test", Round: 1, DeviceId: id[:], LogSize: 1})
		w.must(err)
		return answer
	}
	r.wait(t)
	w.must(r.err)
	if got := receipt(devices[0]); len(got.GetReceipt()) != 0 || got.GetState() != api.UploadState_UPLOAD_STATE_COUNTED {
		t.Errorf("%v before the log tells of the round", got.GetState())
	}
	w.publish(r.result)

	offer := devices[0].offer
	signed := plan.Signed{Bytes: offer.GetPlan(), Signature: offer.GetPlanSignature()}
	p, err := plan.Open(signed, w.server.Operator())
	w.must(err)
	l := offer.GetLogged()
	logged := ledger.Logged{Checkpoint: l.GetCheckpoint(), Seq: l.GetSeq(), Time: l.GetTimeUnix(), Prev: ledger.Digest(l.GetPrev()),
		Inclusion: l.GetInclusion(), Consistency: l.GetConsistency(), Extension: l.GetExtension()}
	kept, _, err := ledger.Witness{}.FollowPlan(logged, planRecord(p, signed, ledger.Digest{}), p.Checkpoint, ledger.Origin("test"), w.server.Operator())
	w.must(err)

	check := func() {
		t.Helper()
		for _, d := range devices {
			answer := receipt(d)
			proof, err := ledger.ParseReceipt(answer.GetReceipt())
			w.must(err)
			c, err := proof.Verify(w.server.Operator())
			w.must(err)
			if c.Device != d.id() || c.Round != 1 || c.Survived != 3 || c.Outcome != ledger.Published {
				t.Errorf("%+v", c)
			}
			consistency, err := w.server.st.Proof(kept.Last.Size, c.Log.Size)
			w.must(err)
			if _, _, err := kept.Follow(proof.Checkpoint, ledger.Origin("test"), w.server.Operator(), consistency); err != nil {
				t.Error(err)
			}
		}
	}
	check()
	w.stop()
	w.open()
	check()
}

// TestParticipationsBoundTheTask: with k = 1 the budget bears any number of rounds that it bears one of.
func TestParticipationsBoundTheTask(t *testing.T) {
	w := newWorldOf(t, 5, func(w *world) {
		w.noisy = true
		w.cfg.Budget, w.cfg.Participations = big.NewRat(11, 40), 1 // a round costs 1/4
	})
	for round := range 3 { // three rounds of one device each time
		r := w.start(w.spec(4, 4, 5))
		w.together(4)
		r.wait(t)
		w.must(r.err)
		if r.result.Plan.Participations != 1 {
			t.Errorf("the plan allows %d rounds", r.result.Plan.Participations)
		}
		w.publish(r.result)
		if total := w.server.Ledger().Totals(); total.Spent.Cmp(r.result.Rho) != 0 {
			t.Errorf("after %d rounds a device can have lost %v", round+1, total.Spent)
		}
	}
	dear := w.spec(4, 4, 5)
	m, err := mechanism.Design(mechanism.Literal{Dim: 64, Clip: 1, NMin: 4, NMax: 5, Noise: true, Colluders: 1, Rho: big.NewRat(1, 2)})
	w.must(err)
	dear.Mechanism = m
	var spent *BudgetError
	if _, err := w.server.RunRound(context.Background(), dear); !errors.As(err, &spent) {
		t.Errorf("a round beyond what one device may lose: %v", err)
	}
	w.cfg.Participations = 2
	w.stop()
	if s, err := Open(w.cfg); err == nil {
		s.Close()
		t.Error("another limit on participations is taken for the same task")
	}
	w.cfg.Participations = 1
	w.open()
}
