package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"tutti/client"
	"tutti/privacy/plan"
)

// Run follows the server: it waits for a round to open, asks the round's
// devices to contribute, and waits for the next one, until the task is finished
// (nil) or ctx ends. A server that does not answer is waited for.
func (f *Fleet) Run(ctx context.Context) error {
	last, deaf := uint64(0), 0
	for turn := 0; ; turn++ {
		p, finished, err := f.probe(ctx, last, turn)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case finished:
			return nil
		case errors.Is(err, client.ErrUnavailable):
			deaf++
			if err := backoff(ctx, deaf); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		deaf = 0
		if p == nil {
			if err := sleep(ctx, f.cfg.Poll); err != nil {
				return err
			}
			continue
		}
		if err := f.round(ctx, *p); err != nil {
			return err
		}
		last = p.Round
	}
}

// probe asks whether a round after last is open: the plan, or nil. It asks the
// devices in the order in which the next round would, another one each turn,
// and takes nothing from them.
func (f *Fleet) probe(ctx context.Context, last uint64, turn int) (p *plan.Plan, finished bool, err error) {
	order := f.order(last + 1)
	err = f.awake(order[turn%len(order)], None, func(d *client.Device) error {
		if err := d.Enroll(ctx); err != nil {
			return err
		}
		preview, err := d.DryRun(ctx)
		if err != nil {
			return err
		}
		finished = preview.Outcome.Kind == client.NothingToDo
		if preview.Plan.Round > last {
			p = &preview.Plan
		}
		return nil
	})
	return p, finished, err
}

// order is the seeded order in which the devices are asked for a round.
func (f *Fleet) order(round uint64) []int {
	return rand.New(rand.NewPCG(f.cfg.Seed, round)).Perm(len(f.devices))
}

// round asks the devices of a round.
func (f *Fleet) round(ctx context.Context, p plan.Plan) error {
	start := time.Now()
	asked := f.order(p.Round)
	asked = asked[:min(max(f.cfg.Cohort(p), 0), len(asked))]
	f.cfg.Observer(RoundSeen{Plan: p, Asked: len(asked)})
	f.counts.asked.Add(int64(len(asked)))
	var kinds [5]atomic.Int64
	err := f.each(ctx, asked, func(ctx context.Context, i int) error {
		o, err := f.ask(ctx, p.Round, i)
		if err == nil && int(o.Kind) < len(kinds) {
			kinds[o.Kind].Add(1)
		}
		return err
	})
	if err != nil {
		return err
	}
	f.cfg.Observer(RoundAsked{Round: p.Round, Took: time.Since(start),
		Contributed: int(kinds[client.Contributed].Load()), Waiting: int(kinds[client.Waiting].Load() + kinds[client.NothingToDo].Load()),
		Refused: int(kinds[client.Refused].Load()), Failed: int(kinds[client.Failed].Load())})
	return nil
}
