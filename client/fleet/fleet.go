package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tutti/aggregation"
	"tutti/client"
	"tutti/client/history"
	"tutti/client/store"
)

// Fleet is many devices. Its methods are safe for concurrent use.
type Fleet struct {
	cfg     Config
	key     client.Key
	devices []device
	counts  counters
}

// device is one sleeping device: its memory, and its history until that is
// written into it.
type device struct {
	mu       sync.Mutex // held while the device is awake
	store    store.Memory
	recorded bool
	id       aggregation.DeviceID // once it is enrolled
	enrolled bool
}

// New makes the devices; nothing is sent.
func New(cfg Config) (*Fleet, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	return &Fleet{cfg: cfg, key: key, devices: make([]device, len(cfg.Histories))}, nil
}

// Len is the number of devices.
func (f *Fleet) Len() int { return len(f.devices) }

// With wakes one device up for the caller; use must not keep it.
func (f *Fleet) With(i int, use func(*client.Device) error) error {
	if i < 0 || i >= len(f.devices) {
		return fmt.Errorf("fleet: device %d of %d", i, len(f.devices))
	}
	return f.awake(i, None, use)
}

// awake opens device i, writes its history down the first time, and closes it
// again.
func (f *Fleet) awake(i int, fault Fault, use func(*client.Device) error) error {
	dev := &f.devices[i]
	dev.mu.Lock()
	defer dev.mu.Unlock()
	o := client.Options{Policy: f.cfg.Policy, Key: f.key, Store: &dev.store, Shared: f.cfg.Shared, Transport: f.cfg.Transport,
		Token: f.cfg.Tokens[i], Retention: history.Retention{MaxEvents: history.MaxRecordEvents}}
	if f.cfg.Learner != nil {
		o.Learner = f.cfg.Learner(i)
	}
	o.Learner = fault.spoilt(o.Learner)
	o.Transport = counting{faulty{o.Transport, fault}, &f.counts}
	d, err := client.Open(o)
	if err != nil {
		return fmt.Errorf("fleet: device %d: %w", i, err)
	}
	defer d.Close()
	if !dev.recorded {
		if err := d.Record(f.events(i)...); err != nil {
			return fmt.Errorf("fleet: device %d: %w", i, err)
		}
		dev.recorded = true
	}
	return use(d)
}

// events is a history in the app's own numbers.
func (f *Fleet) events(i int) []client.Event {
	items := f.cfg.Shared.Catalogue().Items
	events := make([]client.Event, 0, len(f.cfg.Histories[i]))
	for k, item := range f.cfg.Histories[i] {
		if item < 0 || int(item) >= len(items) {
			continue
		}
		e := client.Event{Item: items[item].ID, Kind: history.View, Time: int64(k + 1)}
		if f.cfg.Times != nil && f.cfg.Times[i] != nil {
			e.Time = f.cfg.Times[i][k]
		}
		events = append(events, e)
	}
	return events
}

// each runs do for the devices, Workers at a time, and returns the first error.
func (f *Fleet) each(ctx context.Context, devices []int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(f.cfg.Workers, len(devices)) {
		group.Go(func() {
			for ctx.Err() == nil {
				k := int(next.Add(1)) - 1
				if k >= len(devices) {
					return
				}
				if err := do(ctx, devices[k]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

func (f *Fleet) all() []int {
	list := make([]int, len(f.devices))
	for i := range list {
		list[i] = i
	}
	return list
}

// Enrol enrols every device that is not enrolled yet. Only who is enrolled when
// a round opens can take part in it.
func (f *Fleet) Enrol(ctx context.Context) error {
	return f.each(ctx, f.all(), func(ctx context.Context, i int) error {
		for attempt := 1; ; attempt++ {
			err := f.awake(i, None, func(d *client.Device) error { return f.enrol(ctx, i, d) })
			if err == nil {
				return nil
			}
			if !errors.Is(err, client.ErrUnavailable) || ctx.Err() != nil || attempt == maxAttempts {
				return err
			}
			if err := backoff(ctx, attempt); err != nil {
				return err
			}
		}
	})
}

// enrol enrols device i, which is awake, if it is not enrolled yet.
func (f *Fleet) enrol(ctx context.Context, i int, d *client.Device) error {
	dev := &f.devices[i]
	if dev.enrolled {
		return nil
	}
	if err := d.Enroll(ctx); err != nil {
		return err
	}
	dev.id, dev.enrolled = d.Privacy().Device, true
	done := f.counts.enrolled.Add(1)
	f.cfg.Observer(Enrolled{Device: i, Done: int(done), Of: len(f.devices)})
	return nil
}

// maxAttempts at reaching a server that does not answer, for one device.
const maxAttempts = 5

// Settle wakes every device that waits to hear what became of a round. Call it
// after the last round.
func (f *Fleet) Settle(ctx context.Context) error {
	return f.each(ctx, f.all(), func(ctx context.Context, i int) error {
		return f.awake(i, None, func(d *client.Device) error {
			if d.Privacy().Open == 0 {
				return nil
			}
			_, err := d.Contribute(ctx)
			return err
		})
	})
}

// ask wakes one device up for a round, again if the server did not answer.
func (f *Fleet) ask(ctx context.Context, round uint64, i int) (client.Outcome, error) {
	fault := None
	if f.cfg.Fault != nil {
		fault = f.cfg.Fault(round, i)
	}
	start := time.Now()
	var o client.Outcome
	for attempt := 1; ; attempt++ {
		err := f.awake(i, fault, func(d *client.Device) error {
			o, _ = d.Contribute(ctx)
			if o.Kind == client.Contributed && o.Round < round { // an upload that was left over
				o, _ = d.Contribute(ctx)
			}
			return nil
		})
		if err != nil {
			return o, err
		}
		if o.Kind != client.Failed || !errors.Is(o.Err, client.ErrUnavailable) || attempt == maxAttempts {
			break
		}
		if err := backoff(ctx, attempt); err != nil {
			return o, err
		}
		f.counts.retried.Add(1)
	}
	if ctx.Err() != nil {
		return o, ctx.Err()
	}
	f.counts.outcome(o, fault)
	f.cfg.Observer(Answered{Round: round, Device: i, Outcome: o, Fault: fault, Took: time.Since(start)})
	return o, nil
}
