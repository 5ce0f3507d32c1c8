package attack

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"tutti/aggregation"
	"tutti/aggregation/mask"
	"tutti/privacy/audit"
	"tutti/privacy/mechanism"
)

// BadDevices sends vectors that poison a sum: NaN, infinities, huge and denormal numbers through the device's own code,
// and, from a device that runs its own code, a masked vector far beyond the bound.
func BadDevices(ctx context.Context, o Options) (audit.Section, error) {
	s := audit.Section{
		Kind:        "bad_device",
		ThreatModel: "One device of ten sends nonsense: a broken app, or its owner.",
		Setup:       "Ten vectors of norm 1; error of the sum over the honest nine, in clips. The masked vector is changed after masking, by half of what a sum may hold, and signed again.",
		Power:       "A device that keeps to the bound moves the sum by at most one clip: no protection finds that.",
		Bound:       "1",
	}
	work := o.steps(len(poisons()) + 2)
	worst, naive := 0.0, math.Inf(1)
	for _, p := range poisons() {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		bare, ours, err := o.poisoned(p)
		if err != nil {
			return s, err
		}
		work.add(1)
		worst = max(worst, ours)
		if p.harmful {
			naive = min(naive, bare)
		}
		s.Values = append(s.Values, audit.Value{Name: p.name, Value: fixed(ours)})
	}
	s.PositiveControl = &audit.Control{Setup: "floats summed as they come, NaN, infinite and huge: least error", Value: number(naive), Detected: naive > 100}
	poisoned, err := o.beyondBound(0)
	if err != nil {
		return s, err
	}
	work.add(1)
	clean, err := o.beyondBound(normBound)
	if err != nil {
		return s, err
	}
	work.add(1)
	s.MoreControls = []audit.Control{
		{Setup: "masked vector changed, no norm check: the sum opens, error in bounds", Value: fixed(poisoned.error), Detected: poisoned.error > 1 && poisoned.refused == ""},
		{Setup: "ten full coordinates summed in 16 bits: error in bounds", Value: fixed(wrapped()), Detected: wrapped() > 1},
	}
	s.Values = append(s.Values,
		audit.Value{Name: "masked vector changed, norm check: error", Value: fixed(clean.error)},
		audit.Value{Name: "refused with", Value: clean.refused})
	s.Values = append([]audit.Value{{Name: "largest error", Value: fixed(worst)}}, s.Values...)
	detected := !slices.ContainsFunc(s.Controls(), func(c audit.Control) bool { return !c.Detected })
	s.PositiveControl.Detected = detected
	judge(&s, worst <= 1.001 && clean.error == 0 && clean.refused != "", "What does not fit is cut to the clip or left out; the sum of the others stays exact.", "A device moved the sum by more than its clip.")
	return s, nil
}

// poison is what a bad device puts into its update.
type poison struct {
	name    string
	value   float32
	harmful bool // ruins a plain sum
}

func poisons() []poison {
	return []poison{
		{"NaN", float32(math.NaN()), true}, {"+Inf", float32(math.Inf(1)), true}, {"-Inf", float32(math.Inf(-1)), true},
		{"1e30 everywhere", 1e30, true}, {"largest float", math.MaxFloat32, true}, {"denormals", 1e-45, false}, {"zeros", 0, false},
	}
}

// poisoned is how far the sum of ten vectors is from that of the nine honest ones, in clips: as a plain sum of floats, and
// through clip, codec and exact sum, without noise so that the error is the poison's.
func (o Options) poisoned(p poison) (bare, ours float64, err error) {
	const dim, devices = 1000, 10
	params, err := mechanism.Design(mechanism.Literal{Dim: dim, Clip: 1, NMin: devices, NMax: devices})
	if err != nil {
		return 0, 0, err
	}
	codec, err := mechanism.NewCodec(params)
	if err != nil {
		return 0, 0, err
	}
	honest, plain := make([]float64, dim), make([]float64, dim)
	sum := make([]int64, params.PaddedDim)
	for i := range devices {
		random, x := newStream(o.Seed, "poison "+p.name, i), make([]float32, dim)
		for j := range x {
			x[j] = float32(random.normal())
		}
		x = atClip(x, 1)
		if i == 0 {
			for j := range x {
				x[j] = p.value
			}
		}
		for j, v := range x {
			plain[j] += float64(v)
			if i > 0 {
				honest[j] += float64(v)
			}
		}
		encoded, err := codec.Encode(mechanism.Clip(x, 1), random)
		if err != nil {
			return 0, 0, err
		}
		for j, v := range encoded.Values() {
			sum[j] += int64(v)
		}
	}
	decoded, err := codec.DecodeSum(sum, devices)
	if err != nil {
		return 0, 0, err
	}
	for j, h := range honest {
		bare += (plain[j] - h) * (plain[j] - h)
		ours += (float64(decoded.Values[j]) - h) * (float64(decoded.Values[j]) - h)
	}
	if math.IsNaN(bare) {
		bare = math.Inf(1)
	}
	return math.Sqrt(bare), math.Sqrt(ours), nil
}

const (
	wireDim   = 1024
	wireBound = 1000
	normBound = 4000
)

// beyond is what came of a round with a device that changes its masked vector.
type beyond struct {
	error   float64 // of the opened sum over the devices in it, largest coordinate, in bounds of one device
	refused string  // why the device was left out; "": it was not
}

// beyondBound runs a real round in which the last of ten devices adds half the sum's range to a coordinate of its masked
// vector, and signs what it made. norm 0 is a round without the norm check.
func (o Options) beyondBound(norm int64) (beyond, error) {
	const devices = 10
	r, err := newSecureRound(newStream(o.Seed, "beyond", int(norm)), secureParams(wireDim, wireBound, 2, devices, norm), devices, 2)
	if err != nil {
		return beyond{}, err
	}
	want, out := make([]int64, wireDim), beyond{}
	var ups []*aggregation.Upload
	for i := range devices {
		x := make([]int32, wireDim)
		x[i], x[wireDim-1] = wireBound, 50
		up, err := r.seal(i, x)
		if err != nil {
			return out, err
		}
		if i == devices-1 {
			if err := r.shift(up, r.devices[i]); err != nil {
				return out, err
			}
		}
		if err := r.accept(up); err != nil {
			if !errors.Is(err, aggregation.ErrNorm) {
				return out, err
			}
			out.refused = err.Error()
			continue
		}
		for j, v := range x {
			want[j] += int64(v)
		}
		ups = append(ups, up)
	}
	sum, _, err := r.open(ups)
	if err != nil {
		return out, err
	}
	for j, v := range sum {
		out.error = max(out.error, math.Abs(float64(v-want[j]))/wireBound)
	}
	return out, nil
}

// shift adds half of what the sum may hold to coordinate 0 of a masked vector, and signs the upload again as its device can
// (the label is that of the aggregation's specification).
func (r *secureRound) shift(up *aggregation.Upload, device ed25519.PrivateKey) error {
	p := r.cfg.Params()
	ring, err := mask.Choose(mask.Standard, p.Dim(), p.NMax(), p.Bound())
	if err != nil {
		return err
	}
	units := float64(int64(p.NMax()) * p.Bound() / 2)
	width, delta := p.WordBits(), float64(ring.Q>>ring.LogT) // a unit of the sum is Delta*P/q on the wire
	add := uint64(math.Round(units * delta / float64(ring.Q) * math.Ldexp(1, width)))
	first := binary.LittleEndian.Uint64(up.Vector)
	low := uint64(1)<<width - 1
	binary.LittleEndian.PutUint64(up.Vector, first&^low|(first+add)&low)
	up.Header.VecHash = aggregation.HashVector(up.Vector)
	digest := up.Header.Digest()
	up.Header.Signature = ed25519.Sign(device, append([]byte("tutti/agg/v1/upload\x00"), digest[:]...))
	return nil
}

// wrapped is how wrong the sum of ten full coordinates is in 16 bits, in bounds: arithmetic modulo a power of two that is
// too small wraps without a word.
func wrapped() float64 {
	const bound = 10_000
	var sum int16
	for range 10 {
		sum += bound
	}
	return math.Abs(float64(sum)-10*bound) / bound
}
