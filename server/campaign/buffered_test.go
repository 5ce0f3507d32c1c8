package campaign_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"tutti/client"
	"tutti/client/fleet"
	"tutti/client/transport"
	"tutti/model"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
	"tutti/server/campaign"
)

// TestBuffered runs buffered-asynchronous rounds on the server, committee and devices that people run. Twelve devices train at
// once, two take a while, so that every round stays open for it, and two take several rounds: their updates go into a later
// round, from an older base, and every model round's plan names the versions that it takes. The budget holds.
func TestBuffered(t *testing.T) {
	w := newWorld(t)
	var err error
	const goal, rounds = people - 2, 5
	w.split, err = plan.PlanSplit(plan.Wish{Goal: goal, Epsilon: 8, Items: w.data.Catalogue.Len(), Dim: 500, Rounds: rounds, Model: plan.ModelForce})
	w.must(err)
	w.policy.MinCohort, w.policy.MaxRhoRound, w.policy.MaxRhoTotal = w.split.NMin, w.split.Rho, w.split.Rho
	w.start()
	conn, err := transport.Dial(transport.Config{Address: w.address, CAFile: w.files.CA})
	w.must(err)
	defer conn.Close()
	shared, err := client.NewShared(client.SharedConfig{Catalogue: w.data.Catalogue, Public: w.public})
	w.must(err)
	tokens, err := w.server.Tokens(t.Context(), people)
	w.must(err)
	var late atomic.Int64
	devices, err := fleet.New(fleet.Config{Policy: w.policy, Shared: shared, Transport: conn, Histories: w.data.Histories(), Tokens: tokens, Poll: 10 * time.Millisecond,
		Learner: func(device int) client.Learner {
			takes := map[int]time.Duration{0: 300, 1: 300, 2: 1200, 3: 1200}[device] * time.Millisecond
			return func(ctx context.Context, l client.Lesson) (model.Update, error) {
				if l.Plan.Kind == plan.Model {
					select {
					case <-time.After(takes):
					case <-ctx.Done():
						return model.Update{}, ctx.Err()
					}
				}
				return l.Learn(ctx)
			}
		},
		Observer: func(e fleet.Event) {
			if a, ok := e.(fleet.Answered); ok && a.Outcome.Staleness > 0 {
				late.Add(1)
			}
		}})
	w.must(err)
	w.must(devices.Enrol(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	followed := make(chan error, 1)
	go func() { followed <- devices.Follow(ctx) }()
	cfg := w.recipe(nil)
	cfg.Split, cfg.Staleness, cfg.Retries = w.split, 3, 3
	c, err := campaign.New(cfg)
	w.must(err)
	w.must(c.Run(ctx))
	w.server.Finish()
	w.must(<-followed)

	var older []int
	w.must(w.server.Ledger().Records(t.Context(), 0, func(r ledger.Record) error {
		if b, ok := r.Body.(*ledger.Plan); ok && b.What == plan.Model.String() {
			p, err := plan.Parse(b.Bytes)
			w.must(err)
			older = append(older, len(p.Older))
		}
		return nil
	}))
	for i, n := range older {
		if len(older) == rounds && n != min(i, 3) { // rounds that were abandoned make no version
			t.Errorf("model round %d takes updates up to %d behind", i+1, n)
		}
	}
	if late.Load() == 0 {
		t.Error("no update was late")
	}
	if total := w.server.Ledger().Totals().Spent; total.Cmp(w.split.Rho) > 0 {
		t.Errorf("%v spent of %v", total, w.split.Rho)
	}
}
