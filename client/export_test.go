package client

import (
	"context"
	"time"

	"tutti/privacy/plan"
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
	h, err := d.heldFor(o.plan)
	if err == nil && h == nil && o.plan.Kind == plan.Model {
		h, err = d.train(ctx, o.plan)
	}
	if err != nil {
		return nil, err
	}
	encoded, base, err := d.encode(ctx, o, h)
	if err != nil {
		return nil, err
	}
	lap("learn, clip, encode")
	if err := d.chargeFor(&st, o); err != nil {
		return nil, err
	}
	lap("charge")
	u, err := d.seal(o, base, encoded)
	if err != nil {
		return nil, err
	}
	lap("seal and save")
	out := d.send(ctx, u)
	lap("send and book")
	return took, out.Err
}

// Overlong takes part in an offered round with a vector as long as its bound
// allows, far beyond the norm, in place of what the device would have made.
func (d *Device) Overlong(ctx context.Context, offer *Offer) Outcome {
	o, r := d.opts.Shared.open(d.opts.Policy, offer)
	if r != nil {
		return r.outcome(0)
	}
	st, err := d.snapshot()
	if err != nil {
		return failed(err)
	}
	if _, r := d.follow(&st, o, offer); r != nil {
		return r.outcome(o.plan.Round)
	}
	p := o.config.Params()
	encoded := make([]int32, p.Dim())
	for i := range encoded {
		encoded[i] = int32(p.Bound())
	}
	return d.commit(ctx, &st, o, o.plan.Base, encoded)
}
