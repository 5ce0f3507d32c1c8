package attack

import (
	"context"
	"fmt"
	"math"

	"tutti/privacy/audit"
	"tutti/privacy/mechanism"
)

// FloatGaussian tells x = 0 from x = 1 by one output x + sigma*normal() in floating point, where normal is the ziggurat of
// math/rand and math/rand/v2 (NormFloat64): of all floats only a fraction can be x plus a noise that the generator can
// make, another fraction for every x (Mironov, "On significance of the least significant bits for differential privacy",
// CCS 2012; Jin et al., "Are we there yet? Timing and floating-point attacks on differential privacy systems", S&P 2022).
// Against our integers the same question has no answer: every output is possible either way. library adds the noise of
// the trusted-aggregator mode to x; against it the attack must do no better than the best test does against ideal noise.
func FloatGaussian(ctx context.Context, o Options, normal func() float64, library func(x, sigma float64) (float64, error), sigmas []float64, outputs int) (audit.Section, error) {
	s := audit.Section{
		Kind:        "float_gaussian",
		ThreatModel: "Sees one noised number and the size of its noise, and knows how the noise was made.",
		Setup:       fmt.Sprintf("%d outputs of x + sigma*NormFloat64(), x = 0 or 1 by a coin; share guessed right. Protected: the coordinates of encoded vectors; share that the other input could not have made.", outputs),
		Power:       "0.5 is guessing; the best test against ideal noise is right with Phi(1/(2 sigma)).",
	}
	naive := func(x, sigma float64) (float64, error) { return x + float64(sigma*normal()), nil }
	z, sound := newZiggurat(), true
	for _, sigma := range sigmas {
		right, err := z.guess(ctx, newStream(o.Seed, "float naive", 0), naive, sigma, outputs)
		if err != nil {
			return s, err
		}
		e := proportion(right, outputs, .05)
		addControl(&s, audit.Control{Setup: fmt.Sprintf("naive Gaussian, sigma = %g", sigma), Value: number(e.value), Detected: e.value > .99})
		if right, err = z.guess(ctx, newStream(o.Seed, "float library", 0), library, sigma, outputs); err != nil {
			return s, err
		}
		best := .5 * math.Erfc(-.5/sigma/math.Sqrt2)
		s.Values = append(s.Values, value(fmt.Sprintf("central mode's noise, sigma = %g (ideal noise %.3f)", sigma, best), proportion(right, outputs, .05)))
		sound = sound && proportion(right, outputs, strict).low <= best
	}
	return withIntegers(ctx, o, s, sound)
}

// guess counts how often the attack tells noised zeros from noised ones.
func (z *ziggurat) guess(ctx context.Context, coins *stream, noised func(x, sigma float64) (float64, error), sigma float64, outputs int) (right int, err error) {
	for range outputs {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		one, x := coins.coin(), 0.0
		if one {
			x = 1
		}
		y, err := noised(x, sigma)
		if err != nil {
			return 0, err
		}
		if decide(y, z.reaches(y, 0, sigma), z.reaches(y, 1, sigma)) == one {
			right++
		}
	}
	return right, nil
}

// FloatLaplace does the same against the textbook sampler x - b sgn(u) ln(1 - 2|u|) with u on the grid of 2^-53, and
// counts the outputs that the other input cannot have made at all.
func FloatLaplace(ctx context.Context, o Options, scales []float64, outputs int) (audit.Section, error) {
	s := audit.Section{
		Kind:        "float_laplace",
		ThreatModel: "Sees one noised number and the size of its noise, and knows how the noise was made.",
		Setup:       fmt.Sprintf("%d outputs of the textbook Laplace sampler, x = 0 or 1 by a coin; share that the other input could not have made. Protected: the same for the coordinates of encoded vectors.", outputs),
		Power:       "Every output that only one input can make gives that input away, whatever epsilon is claimed.",
	}
	random := newStream(o.Seed, "float laplace", 0)
	for _, b := range scales {
		certain := 0
		for range outputs {
			if err := ctx.Err(); err != nil {
				return s, err
			}
			x, other := 0.0, 1.0
			if random.coin() {
				x, other = 1, 0
			}
			sign := 1.0
			if random.coin() {
				sign = -1
			}
			y := x + laplace(b, sign, uint64(random.unit()*0x1p53))
			if !laplaceReaches(y, other, b) {
				certain++
			}
		}
		e := proportion(certain, outputs, .05)
		addControl(&s, audit.Control{Setup: fmt.Sprintf("textbook Laplace, b = %g", b), Value: number(e.value), Detected: e.low > .25})
	}
	return withIntegers(ctx, o, s, true)
}

// decide guesses x by which input can have made y; where both can, by which is nearer.
func decide(y float64, zero, one bool) bool {
	if zero != one {
		return one
	}
	return y > .5
}

// ziggurat knows what NormFloat64 can return: j*w[i] for 32-bit j and 128 weights, or anything beyond r.
type ziggurat struct{ w [128]float32 }

// zigguratR is where the tail begins.
const zigguratR = 3.442619855899

// newZiggurat computes the weights (Marsaglia and Tsang, "The ziggurat method for generating random variables", 2000).
func newZiggurat() *ziggurat {
	const area, m = 9.91256303526217e-3, 1 << 31
	var z ziggurat
	x := zigguratR
	q := area / math.Exp(-.5*x*x)
	z.w[0], z.w[127] = float32(q/m), float32(x/m)
	for i := 126; i >= 1; i-- {
		x = math.Sqrt(-2 * math.Log(area/x+math.Exp(-.5*x*x)))
		z.w[i] = float32(x / m)
	}
	return &z
}

// reaches says whether x + sigma*NormFloat64() can be y.
func (z *ziggurat) reaches(y, x, sigma float64) bool {
	noise := (y - x) / sigma
	if math.Abs(noise) >= zigguratR {
		return true // the tail has too many values to list
	}
	for _, w := range z.w {
		middle := math.Round(noise / float64(w))
		for j := middle - 1; j <= middle+1; j++ {
			if math.Abs(j) <= 1<<31 && x+float64(sigma*float64(j*float64(w))) == y {
				return true
			}
		}
	}
	return false
}

// laplace is the textbook noise for u = k 2^-53.
func laplace(b, sign float64, k uint64) float64 {
	return float64(sign * float64(b*math.Log(float64(k)*0x1p-53)))
}

// laplaceReaches says whether x plus the textbook noise can be y. The noise is monotone in k, so k is bisected.
func laplaceReaches(y, x, b float64) bool {
	for _, sign := range []float64{-1, 1} {
		at := func(k uint64) float64 { return -sign * (x + laplace(b, sign, k)) } // falls with k, for either sign
		want := -sign * y
		low, high := uint64(1), uint64(1)<<53
		for low < high {
			middle := low + (high-low)/2
			if at(middle) <= want {
				high = middle
			} else {
				low = middle + 1
			}
		}
		for k := max(low, 9) - 8; k <= low+8; k++ { // the logarithm may be off by a unit in the last place
			if k >= 1 && k < 1<<53 && at(k) == want {
				return true
			}
		}
	}
	return false
}

// addControl appends an arm without protection.
func addControl(s *audit.Section, c audit.Control) {
	if s.PositiveControl == nil {
		s.PositiveControl = &c
		return
	}
	s.MoreControls = append(s.MoreControls, c)
}

// withIntegers adds the protected arm: of the coordinates that devices with an update and without one send, how many can
// only be one of them?
func withIntegers(ctx context.Context, o Options, s audit.Section, sound bool) (audit.Section, error) {
	p, err := mechanism.Design(mechanism.Literal{Dim: 1000, Clip: 1, NMin: 2, NMax: 2, Z: 1, Noise: true})
	if err != nil {
		return s, err
	}
	noisy, err := mechanism.NewCodec(p)
	if err != nil {
		return s, err
	}
	bare, err := silent(p)
	if err != nil {
		return s, err
	}
	x := make([]float32, p.Dim)
	x[0] = 1
	rounded, err := bare.Encode(mechanism.Clip(x, p.Clip), newStream(o.Seed, "integers", 0))
	if err != nil {
		return s, err
	}
	base := append([]int32(nil), rounded.Values()...)
	tail := int32(p.InputBound - p.L2Bound)
	impossible, seen := 0, 0
	for i, sends := range [][]float32{x, make([]float32, p.Dim)} {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		encoded, err := noisy.Encode(mechanism.Clip(sends, p.Clip), newStream(o.Seed, "integers", i+1))
		if err != nil {
			return s, err
		}
		for k, y := range encoded.Values() {
			other := y // distance from what the other input would have been moved from
			if i == 1 {
				other = y - base[k]
			}
			seen++
			if max(other, -other) > tail+1 {
				impossible++
			}
		}
	}
	e := proportion(impossible, seen, .05)
	ours := audit.Value{Name: fmt.Sprintf("our integers, %d outputs", seen), Value: number(e.value), Low: number(e.low), High: number(e.high)}
	s.Values = append([]audit.Value{ours}, s.Values...)
	s.Bound = "0"
	judge(&s, sound && impossible == 0, "Every integer that a device sends could have come from any update.", "The output gives the input away beyond what ideal noise would.")
	return s, nil
}

// silent is the codec of a device that adds no noise: same grid, no share.
func silent(p mechanism.Params) (*mechanism.Codec, error) {
	p.Noise, p.Z, p.Sigma2, p.InputBound = false, 0, mechanism.Rational{Num: 0, Den: 1}, p.L2Bound
	return mechanism.NewCodec(p)
}
