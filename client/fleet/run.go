package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"tutti/client"
)

// Run enrols the devices and follows the server: it waits for a round to open,
// asks the round's devices to contribute, and waits for the next one, until the
// task is finished (nil) or ctx ends. A server that does not answer is waited for.
func (f *Fleet) Run(ctx context.Context) error {
	if err := f.enrolPatiently(ctx); err != nil {
		return err
	}
	last, deaf := uint64(0), 0
	for turn := 0; ; turn++ {
		open, finished, err := f.probe(ctx, last, turn)
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
		if open == nil {
			if err := sleep(ctx, f.cfg.Poll); err != nil {
				return err
			}
			continue
		}
		if err := f.round(ctx, open); err != nil {
			return err
		}
		last = open.Plan.Round
	}
}

// enrolPatiently is Enrol with a server that may not be there yet.
func (f *Fleet) enrolPatiently(ctx context.Context) error {
	for deaf := 1; ; deaf++ {
		err := f.Enrol(ctx)
		if err == nil || !errors.Is(err, client.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if err := backoff(ctx, deaf); err != nil {
			return err
		}
	}
}

// probe asks whether a round after last is open: what a device was shown of it,
// or nil. It asks the devices in the order in which the next round would,
// another one each turn, since only those that the lot admits are shown a round,
// and takes nothing from them.
func (f *Fleet) probe(ctx context.Context, last uint64, turn int) (open *client.Preview, finished bool, err error) {
	order := f.order(last + 1)
	err = f.awake(order[turn%len(order)], None, func(d *client.Device) error {
		preview, err := d.DryRun(ctx)
		if err != nil {
			return err
		}
		finished = preview.Outcome.Kind == client.NothingToDo
		if preview.Plan.Round > last && preview.Config != nil {
			open = &preview
		}
		return nil
	})
	return open, finished, err
}

// order is the seeded order in which the devices are asked for a round.
func (f *Fleet) order(round uint64) []int {
	return rand.New(rand.NewPCG(f.cfg.Seed, round)).Perm(len(f.devices))
}

// round asks the devices of a round: those that its lot admits, in the seeded
// order, up to Cohort.
func (f *Fleet) round(ctx context.Context, open *client.Preview) error {
	start, p := time.Now(), open.Plan
	eligible := slices.DeleteFunc(f.order(p.Round), func(i int) bool { return !open.Config.Eligible(f.devices[i].id) })
	asked := eligible[:min(max(f.cfg.Cohort(p), 0), len(eligible))]
	f.cfg.Observer(RoundSeen{Plan: p, Eligible: len(eligible), Asked: len(asked)})
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
