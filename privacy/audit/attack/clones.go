package attack

import (
	"context"
	"fmt"
	"io"
	"math"

	"tutti/privacy/audit"
	"tutti/privacy/mechanism"
)

// Clones copies a device, as a snapshot of a virtual machine does, and has the server subtract what original and copy
// send: noise that both draw from a copied generator cancels, and what is left is the exact difference of their updates.
// system is where devices get their randomness, in practice crypto/rand; original and copy read it one after the other.
// It protects as far as the operating system does: Linux reseeds its generator when a virtual machine was cloned; a
// system that does not would give both the same bytes, and no code above it could tell.
func Clones(ctx context.Context, o Options, system io.Reader) (audit.Section, error) {
	s := audit.Section{
		Kind:        "cloned_rng",
		ThreatModel: "The server knows that two devices are copies of one, generators included, and subtracts their uploads.",
		Setup:       "Two vectors of norm 1 with a noise share of z = 1 for two; correlation of the two noises. Protected: both read the system's generator anew for every upload; nothing of it is kept in the device's state.",
	}
	p, err := mechanism.Design(mechanism.Literal{Dim: 1000, Clip: 1, NMin: 2, NMax: 2, Z: 1, Noise: true})
	if err != nil {
		return s, err
	}
	limit := 3.89 / math.Sqrt(float64(p.PaddedDim))
	s.Bound = number(limit)
	s.Power = fmt.Sprintf("%d coordinates: independent noises correlate by less than %.4f but once in ten thousand runs.", p.PaddedDim, limit)
	if err := ctx.Err(); err != nil {
		return s, err
	}
	copied, err := correlation(p, newStream(o.Seed, "snapshot", 0), newStream(o.Seed, "snapshot", 0))
	if err != nil {
		return s, err
	}
	fresh, err := correlation(p, system, system)
	if err != nil {
		return s, err
	}
	half := 1.96 / math.Sqrt(float64(p.PaddedDim))
	s.Values = []audit.Value{value("correlation, each from the system", estimate{value: fresh, low: fresh - half, high: fresh + half})}
	s.PositiveControl = &audit.Control{Setup: "generator state copied: correlation", Value: fixed(copied), Detected: copied > .99}
	judge(&s, math.Abs(fresh) < limit, "Copies of a device share no noise.", "Copies of a device share noise.")
	return s, nil
}

// correlation is that of the noises that two devices with nothing to say send.
func correlation(p mechanism.Params, a, b io.Reader) (float64, error) {
	var noise [2][]int32
	for i, random := range []io.Reader{a, b} {
		codec, err := mechanism.NewCodec(p)
		if err != nil {
			return 0, err
		}
		encoded, err := codec.Encode(mechanism.Clip(make([]float32, p.Dim), p.Clip), random)
		if err != nil {
			return 0, err
		}
		noise[i] = encoded.Values()
	}
	var xy, xx, yy float64
	for i, x := range noise[0] {
		y := noise[1][i]
		xy += float64(x) * float64(y)
		xx += float64(x) * float64(x)
		yy += float64(y) * float64(y)
	}
	return xy / math.Sqrt(xx*yy), nil
}
