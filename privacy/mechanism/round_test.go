package mechanism

import (
	"bytes"
	"math"
	"testing"
)

// oneCoordinate returns a codec of one coordinate in grid units of 1/4096,
// without noise, whose norm bound is changed to bound.
func oneCoordinate(t *testing.T, bound int64) *Codec {
	p := Params{
		Dim: 1, PaddedDim: 1, Block: 1, Clip: 1, ClipGrid: 4096, L2Bound: l2Bound(4096, 1), Sigma2: Rational{0, 1},
		NMin: 1, NMax: 1, SumLimit: defaultSumLimit,
	}
	p.InputBound = p.L2Bound
	c := mustCodec(t, p)
	c.params.L2Bound = bound
	return c
}

// 1/2 is 2048 grid units without a fraction: a bound of 2048 admits it, a
// bound of 2047 refuses every rounding, and then nothing stays behind.
func TestNormCheckIsExact(t *testing.T) {
	half := Clip([]float32{0.5}, 1)
	e, err := oneCoordinate(t, 2048).Encode(half, seeded(1))
	if err != nil || e.Values()[0] != 2048 {
		t.Errorf("a vector at the bound: %v", err)
	}
	c := oneCoordinate(t, 2047)
	if e, err := c.Encode(half, seeded(1)); err == nil || e.Values() != nil {
		t.Error("a vector beyond the bound is encoded")
	}
	if c.values[0] != 0 {
		t.Error("a vector that was refused stays in memory without noise")
	}
}

// Under a bound that most roundings exceed, every encoding is still within it:
// the others were drawn again.
func TestRoundingIsDrawnAgainUntilTheNormIsWithin(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 1 << 10, Clip: 1, NMin: 1, NMax: 1})
	x := Clip(testVector(p.Dim, 4), 1)
	c := mustCodec(t, p)
	norms := func(seed uint64) (square int64) {
		e, err := c.Encode(x, seeded(seed))
		if err != nil {
			t.Fatal(err)
		}
		for _, y := range e.Values() {
			square += int64(y) * int64(y)
		}
		return square
	}
	free := int64(math.MaxInt64)
	const draws = 40
	for seed := range uint64(draws) {
		free = min(free, norms(seed))
	}
	// about one draw in 40 is within the least norm of 40; fixed seeds, none of which fails 128 times
	c.params.L2Bound = int64(math.Sqrt(float64(free))) + 1
	over := 0
	for seed := range uint64(draws) {
		if got := norms(seed); got > c.params.L2Bound*c.params.L2Bound {
			over++
		}
	}
	if over > 0 {
		t.Errorf("%d of %d encodings exceed the bound", over, draws)
	}
}

// The fraction of a coordinate is the probability of rounding up: 0.3 and
// -0.3 grid units, counted over 20,000 devices.
func TestRoundingIsUnbiased(t *testing.T) {
	const draws = 20000
	for _, fraction := range []float64{0.3, -0.3, 0.75} {
		c := oneCoordinate(t, 4097)
		x := Clip([]float32{float32((100 + fraction) / 4096)}, 1)
		up := 0.0
		for seed := range uint64(draws) {
			e, err := c.Encode(x, seeded(seed))
			if err != nil {
				t.Fatal(err)
			}
			up += float64(e.Values()[0]) - 100
		}
		// 5 standard deviations of at most sqrt(1/4): false rejection 6e-7, fixed draws
		if mean := up / draws; math.Abs(mean-fraction) > 5*0.5/math.Sqrt(draws) {
			t.Errorf("%g is rounded to %g in the mean", fraction, mean)
		}
	}
}

// All 48 bytes key the stream: one that differs in any of them is another.
func TestEveryByteOfTheSeedCounts(t *testing.T) {
	first := make([]byte, 32)
	seededStream([streamSeed]byte{}).fill(first)
	for i := range streamSeed {
		var seed [streamSeed]byte
		seed[i] = 1
		other := make([]byte, 32)
		seededStream(seed).fill(other)
		if bytes.Equal(first, other) {
			t.Errorf("byte %d does not matter", i)
		}
	}
}
