package fleet

import (
	"context"
	"sync"
	"time"

	"tutti/client"
)

// longestWait bounds how long a device of Follow sleeps, whatever the server wishes: a fleet has no nights.
const longestWait = 3 * time.Second

// Follow enrols the devices and lets each follow the server by itself, as apps do:
// it contributes, sleeps as long as the server says (at least Poll, at most three
// seconds), and asks again, until the task is finished (nil) or ctx ends. Devices
// that train for long hold nobody up. Cohort, Workers and Fault have no part in it.
func (f *Fleet) Follow(ctx context.Context) error {
	if err := f.enrolPatiently(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, i := range f.all() {
		all.Go(func() {
			if err := f.follow(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (f *Fleet) follow(ctx context.Context, i int) error {
	for {
		var o client.Outcome
		began := time.Now()
		err := f.awake(i, None, func(d *client.Device) error {
			o, _ = d.Contribute(ctx)
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		}
		if o.Kind == client.Contributed || o.Kind == client.Refused || o.Kind == client.Failed {
			f.counts.outcome(o, None)
			f.cfg.Observer(Answered{Round: o.Round, Device: i, Outcome: o, Took: time.Since(began)})
		}
		if o.Kind == client.NothingToDo {
			return nil
		}
		if err := sleep(ctx, min(max(o.RetryAfter, f.cfg.Poll), longestWait)); err != nil {
			return context.Cause(ctx)
		}
	}
}
