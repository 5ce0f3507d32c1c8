package fleet_test

import (
	"context"
	"math/big"
	"testing"
	"time"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
	"tutti/server"
)

// TestRealServerInGroups takes a fleet through a round in two groups: every device contributes to its own, the combined sum is
// exact, and each is charged once. Of twenty devices one group has fewer than three with probability below 2^-11.
func TestRealServerInGroups(t *testing.T) {
	w := newTownOf(t, func(c *server.Config) { c.Groups, c.Enrolled = 2, devices })
	w.policy.MinCohort = 3
	f := w.fleet(nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()

	first := w.groupRound(f, 1, nil)
	if first.N != devices || len(first.Groups) != 2 || first.Groups[0].N+first.Groups[1].N != devices {
		t.Fatalf("%d devices in %+v", first.N, first.Groups)
	}
	for k, g := range first.Groups {
		if g.Outcome != ledger.Published {
			t.Errorf("group %d is %+v", k, g)
		}
	}
	w.exact(first, func(int) bool { return true })
	w.publish(first)
	second := w.groupRound(f, 2, big.NewRat(1, 2))
	w.publish(second)
	w.server.Finish()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.must(f.Settle(ctx))
	for i := range devices {
		w.must(f.With(i, func(d *client.Device) error {
			if s := d.Privacy(); s.Counted != 2 || s.Spent.Cmp(second.Rho) != 0 {
				t.Errorf("device %d: counted %d, spent %v, last %+v", i, s.Counted, s.Spent, s.Last)
			}
			return nil
		}))
	}
}

// groupRound runs a popularity round over groups of at least three, and closes it when every device of f has its receipt:
// an upload that is stored but has not reached the round's machine yet would be late.
func (w *town) groupRound(f *fleet.Fleet, number int64, rho *big.Rat) *server.RoundResult {
	w.t.Helper()
	m, err := mechanism.Design(mechanism.Literal{Dim: w.catalogue.Len(), Clip: 1, NMin: 3, NMax: 30, Rho: rho, Noise: rho != nil})
	w.must(err)
	go func() {
		for w.t.Context().Err() == nil {
			if f.Counters().Contributed == number*devices {
				w.server.CloseCollection()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	r, err := w.server.RunRound(w.t.Context(), server.RoundSpec{Kind: plan.Popularity, Goal: 2 * devices, Mechanism: m,
		Items: w.catalogue.Digest(), Collect: 5 * time.Minute})
	w.must(err)
	return r
}
