package client

import (
	"context"
	"time"
)

// Stages takes part in an offered round as Contribute does, and says how long
// each stage took.
func (d *Device) Stages(ctx context.Context, offer *Offer) (map[string]time.Duration, error) {
	took := map[string]time.Duration{}
	last := time.Now()
	lap := func(stage string) {
		now := time.Now()
		took[stage] += now.Sub(last)
		last = now
	}
	o, r := d.opts.Shared.open(d.opts.Policy, offer)
	if r != nil {
		return nil, r
	}
	lap("verify the offer")
	st, err := d.snapshot()
	if err != nil {
		return nil, err
	}
	if _, r := d.follow(&st, o, offer); r != nil {
		return nil, r
	}
	lap("policy and log")
	encoded, bound, err := d.encode(ctx, o)
	if err != nil {
		return nil, err
	}
	lap("learn, clip, encode")
	if err := d.chargeFor(&st, o); err != nil {
		return nil, err
	}
	lap("charge")
	u, err := d.seal(o, encoded, bound)
	if err != nil {
		return nil, err
	}
	lap("seal and save")
	out := d.send(ctx, u)
	lap("send and book")
	return took, out.Err
}
