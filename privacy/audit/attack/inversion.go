package attack

import (
	"context"
	"fmt"
	"math"

	"tutti/privacy/audit"
	"tutti/privacy/mechanism"
)

// Kind is one kind of vector that leaves a phone, with the attack that reads items out of it.
type Kind struct {
	Name    string
	Devices int
	Dim     int
	Clip    float64

	Vector func(device int) []float32 // what training or counting produced, before anything protects it
	Held   func(device int) []int32   // the items that it was made of

	Items int
	Score func(vector []float32, out []float64) // how much each item seems to be in it; NaN: the vector cannot speak of the item
}

// auc ranks all items by what a vector shows and compares with what the device held; ok is false where it held nothing
// that the vector can speak of.
func (k Kind) auc(vector []float32, held []int32) (a float64, ok bool) {
	score := make([]float64, k.Items)
	k.Score(vector, score)
	in := make(map[int32]bool, len(held))
	for _, item := range held {
		in[item] = true
	}
	cases := make([]scored, 0, k.Items)
	inside := 0
	for item, s := range score {
		if math.IsNaN(s) {
			continue
		}
		cases = append(cases, scored{s, in[int32(item)]})
		if in[int32(item)] {
			inside++
		}
	}
	if inside == 0 || inside == len(cases) {
		return 0, false
	}
	return auc(cases), true
}

// over averages the AUC over the first devices of what see shows of each.
func (k Kind) over(devices int, see func(device int) ([]float32, error)) (estimate, error) {
	var list []float64
	for i := range devices {
		vector, err := see(i)
		if err != nil {
			return estimate{}, err
		}
		if a, ok := k.auc(vector, k.Held(i)); ok {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return estimate{}, fmt.Errorf("attack: no device has a %s vector with items in it", k.Name)
	}
	return mean(list), nil
}

const (
	// succeeds is the AUC from which an attack counts as successful.
	succeeds = .80
	// exact is the AUC from which an attack counts as having read the whole history.
	exact = .95
)

// InvertUpdate reads items out of one device's bare vector, and out of the masked one that the server really gets. The
// first kind is the positive control; further kinds say what else leaves a phone, and how much it shows.
func InvertUpdate(ctx context.Context, o Options, kinds []Kind, targets int) (audit.Section, error) {
	s := audit.Section{
		Kind:        "inversion_update",
		ThreatModel: "The server looks at the upload of one device and ranks all items by how much they seem to be in it.",
		Setup:       fmt.Sprintf("%d devices; area under the ROC curve of held against other items, mean over devices. Protected: the same vectors clipped, encoded without noise, and masked by a real round; the server inverts rotation and scale.", targets),
		Power:       "0.5 is guessing, 1.000 is the exact history. A sound mask is taken for a broken one in a thousandth of the runs, for each kind.",
	}
	work := o.steps(len(kinds) * targets)
	passes := true
	for _, k := range kinds {
		bare, err := k.over(targets, func(i int) ([]float32, error) { return k.Vector(i), nil })
		if err != nil {
			return s, err
		}
		masked, err := o.masked(ctx, k, targets, work)
		if err != nil {
			return s, err
		}
		s.Values = append(s.Values, value(k.Name+", masked", masked))
		needed := exact
		if s.PositiveControl != nil {
			needed = succeeds
		}
		addControl(&s, audit.Control{Setup: k.Name + ", bare", Value: fixed(bare.value), Detected: bare.value >= needed})
		passes = passes && masked.floor <= .5
	}
	judge(&s, passes, "Of a masked upload nothing can be read.", "A masked upload shows items.")
	return s, nil
}

// masked attacks the masked uploads of devices of a kind.
func (o Options) masked(ctx context.Context, k Kind, targets int, work *steps) (estimate, error) {
	p, err := mechanism.Design(mechanism.Literal{Dim: k.Dim, Clip: k.Clip, NMin: 2, NMax: 1000})
	if err != nil {
		return estimate{}, err
	}
	codec, err := mechanism.NewCodec(p)
	if err != nil {
		return estimate{}, err
	}
	round, err := newSecureRound(newStream(o.Seed, "masked "+k.Name, 0), secureParams(p.PaddedDim, p.InputBound, p.NMin, p.NMax, 0), targets, 2)
	if err != nil {
		return estimate{}, err
	}
	width := round.cfg.Params().WordBits()
	return k.over(targets, func(i int) ([]float32, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		encoded, err := codec.Encode(mechanism.Clip(k.Vector(i), k.Clip), newStream(o.Seed, "masked", i))
		if err != nil {
			return nil, err
		}
		up, err := round.seal(i, encoded.Values())
		if err != nil {
			return nil, err
		}
		work.add(1)
		seen := make([]int64, p.PaddedDim)
		shrink := max(0, width-20)
		for j, w := range words(up.Vector, p.PaddedDim, width) { // centred, and small enough to be taken for a sum
			seen[j] = (int64(w) - 1<<(width-1)) >> shrink
		}
		decoded, err := codec.DecodeSum(seen, p.NMax)
		return decoded.Values, err
	})
}

// InvertShare reads items out of an upload that carries the device's noise share but no mask, in rounds of each size: the
// noise of one share shrinks as the round grows, so a share alone protects nobody. The protected arm is that of
// InvertUpdate; here it is repeated with the largest round's noise.
func InvertShare(ctx context.Context, o Options, k Kind, sizes []int, targets int) (audit.Section, error) {
	s := audit.Section{
		Kind:        "inversion_share",
		ThreatModel: "The server looks at uploads that carry a noise share of z = 1 for the whole round, but no mask.",
		Setup:       fmt.Sprintf("%s; %d devices; mean area under the ROC curve. Protected: the masked upload.", k.Name, targets),
		Power:       "0.5 is guessing. The share of n devices has a standard deviation of the clip divided by the root of n.",
	}
	work := o.steps((len(sizes) + 1) * targets)
	var largest estimate
	for _, n := range sizes {
		p, err := mechanism.Design(mechanism.Literal{Dim: k.Dim, Clip: k.Clip, NMin: n, NMax: n, Z: 1, Noise: true})
		if err != nil {
			return s, err
		}
		codec, err := mechanism.NewCodec(p)
		if err != nil {
			return s, err
		}
		label := fmt.Sprintf("share %d", n)
		largest, err = k.over(targets, func(i int) ([]float32, error) {
			work.add(1)
			return alone(ctx, codec, k.Vector(i), newStream(o.Seed, label, i))
		})
		if err != nil {
			return s, err
		}
		s.Values = append(s.Values, value(fmt.Sprintf("share alone, n = %d", n), largest))
	}
	masked, err := o.masked(ctx, k, targets, work)
	if err != nil {
		return s, err
	}
	s.Values = append([]audit.Value{value("share and mask", masked)}, s.Values...)
	last := sizes[len(sizes)-1]
	s.PositiveControl = &audit.Control{
		Setup: fmt.Sprintf("share alone, n = %d", last), Value: fixed(largest.value), Detected: largest.value >= succeeds,
	}
	judge(&s, masked.floor <= .5, "With the mask nothing can be read; without it the share of a large round hides little.", "A masked upload shows items.")
	return s, nil
}

// alone is what one encoded vector shows: decoding is linear, so it is decoded as if the others had sent zeros.
func alone(ctx context.Context, codec *mechanism.Codec, x []float32, random *stream) ([]float32, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := codec.Params()
	encoded, err := codec.Encode(mechanism.Clip(x, p.Clip), random)
	if err != nil {
		return nil, err
	}
	sum := make([]int64, p.PaddedDim)
	for i, v := range encoded.Values() {
		sum[i] = int64(v)
	}
	decoded, err := codec.DecodeSum(sum, p.NMin)
	return decoded.Values, err
}
