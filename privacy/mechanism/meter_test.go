package mechanism

import (
	"errors"
	"math"
	"testing"
)

// meterOf runs n devices with clipped random updates, the first silent of
// which add no noise, and reads the meter.
func meterOf(t *testing.T, p Params, n, silent int, seed uint64) NoiseMeter {
	c, mute := mustCodec(t, p), quiet(t, p)
	sum := make([]int64, p.PaddedDim)
	x := Clip(testVector(p.Dim, seed), p.Clip)
	for i := range n {
		device := c
		if i < silent {
			device = mute
		}
		accumulate(t, device, x, seeded(seed<<20+uint64(i)), sum)
	}
	decoded, err := c.DecodeSum(sum, n)
	if err != nil {
		t.Fatal(err)
	}
	return decoded.Meter
}

// One silent device of 20 takes 5 % of the variance, as five of 100 do, and
// gives the same scores. With P padding coordinates the score is normal with mean -0.05 sqrt(P/2) and standard
// deviation 0.95: -9.05 at P = 65,536 (above -5 with probability 1e-5) and
// -6.4 at the least P of 32,768 (above -5 with probability 0.07 in one
// round, so eight rounds are pooled there: above -5 with probability 2e-5).
func TestNoiseMeterSeesFivePercentSilent(t *testing.T) {
	literal := Literal{Dim: 3000, Clip: 1, NMin: 14, NMax: 26, Colluders: 1, Z: 1, Pad: 1 << 16, Noise: true}
	meter := meterOf(t, mustDesign(t, literal), 20, 1, 1)
	t.Logf("pad %d: z %.2f", meter.PadCoords, meter.ZScore)
	if meter.ZScore > -5 {
		t.Errorf("1 silent of 20 gives z = %g with %d padding coordinates", meter.ZScore, meter.PadCoords)
	}
	literal.Pad = 0
	p := mustDesign(t, literal)
	calm, alarmed := 0.0, 0.0
	const rounds = 8
	for r := range uint64(rounds) {
		calm += meterOf(t, p, 20, 0, 10+r).ZScore / rounds
		alarmed += meterOf(t, p, 20, 1, 30+r).ZScore / rounds
	}
	t.Logf("pad %d, mean of %d rounds: z %.2f calm, %.2f with 1 silent", p.Pad(), rounds, calm, alarmed)
	if alarmed > -5 {
		t.Errorf("1 silent of 20 gives a mean z of %g", alarmed)
	}
	// standard deviation 1/sqrt(8): 4.5 of them, false rejection 7e-6
	if math.Abs(calm) > 4.5/math.Sqrt(rounds) {
		t.Errorf("the meter is not calm: mean z %g", calm)
	}
}

func TestNoiseMeterIsCalmForZeroUpdates(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 100, Clip: 1, NMin: 20, NMax: 30, Z: 1, Noise: true})
	c := mustCodec(t, p)
	sum := make([]int64, p.PaddedDim)
	for i := range 20 {
		accumulate(t, c, Clip(make([]float32, 100), 1), seeded(uint64(i)), sum)
	}
	decoded, err := c.DecodeSum(sum, 20)
	if err != nil {
		t.Fatal(err)
	}
	m := decoded.Meter
	if m.PadCoords != p.Pad() || m.ExpectedVar < 20*p.Sigma2.Float64() {
		t.Errorf("the meter states %+v", m)
	}
	if math.Abs(m.ZScore) > 5 { // false rejection 6e-7
		t.Errorf("z = %g", m.ZScore)
	}
}

// The meter's numbers for a padding whose mean square is known.
func TestNoiseMeterIsItsFormula(t *testing.T) {
	p := Params{Dim: 1, PaddedDim: 1 + 50000, Sigma2: Rational{200, 3}}
	expected := 10 * (200.0/3 + 1.0/6)
	got := p.readMeter(1.1*expected*50000, 10)
	// 0.1 sqrt(50000/2) = 15.811
	if got.PadCoords != 50000 || math.Abs(got.ExpectedVar/expected-1) > 1e-12 ||
		math.Abs(got.MeasuredVar/expected-1.1) > 1e-12 || math.Abs(got.ZScore-15.8113883) > 1e-6 {
		t.Errorf("%+v", got)
	}
}

// Six shares of variance 16, and 1/6 each for the rounding: 97 in all.
func TestNoiseOnSumCountsTheRounding(t *testing.T) {
	p := Params{Clip: 1, ClipGrid: 2, Sigma2: Rational{16, 1}}
	if got := p.NoiseOnSum(6); math.Abs(got-math.Sqrt(97)/2) > 1e-12 {
		t.Errorf("%g", got)
	}
}

// Noise of a trusted aggregator may push each coordinate so far and no
// further, and a reach that cannot be is refused.
func TestDecodeNoisedReachesAsFarAsItIsTold(t *testing.T) {
	const n = 3
	p := mustDesign(t, Literal{Dim: 8, Clip: 1, NMin: 2, NMax: 4})
	c := mustCodec(t, p)
	sum := make([]int64, p.PaddedDim)
	for _, test := range []struct {
		at, reach int64
		n         int
		refused   bool
	}{
		{n * p.InputBound, 0, n, false},
		{n*p.InputBound + 1, 0, n, true},
		{n*p.InputBound + 1, 1, n, false},
		{n*p.InputBound + 1000, 1000, n, false},
		{n*p.InputBound + 1000 + n, 1000, n, true}, // the reach is rounded up to whole devices
		{-n*p.InputBound - 1000, 1000, n, false},
		{0, -1, n, true},
		{0, MaxSumLimit + 1, n, true},
		{0, 0, 0, true},
		{0, 0, 5, true},
		{MaxSumLimit + 1, MaxSumLimit, 4, true}, // a decoded block must stay exact
	} {
		sum[3] = test.at
		got, err := c.DecodeNoised(sum, test.n, test.reach)
		if refused := errors.Is(err, ErrMismatch); refused != test.refused || !refused && len(got.Values) != 8 {
			t.Errorf("%+v: %v", test, err)
		}
	}
	if c.params != p {
		t.Error("the codec's own parameters changed")
	}
}

// A metrics vector has no padding: it is decoded within its noise, and no
// meter is read from nothing.
func TestUnmeteredVectorIsDecodedWithoutAMeter(t *testing.T) {
	const n, d = 60, 16
	p := mustDesign(t, Literal{Dim: d, Clip: 2, NMin: 50, NMax: 80, Colluders: 5, Z: 0.5, Noise: true, Unmetered: true})
	if p.PaddedDim != d || p.Pad() != 0 || p.Rho() == nil {
		t.Fatalf("%+v", p)
	}
	c := mustCodec(t, p)
	sum, want := make([]int64, p.PaddedDim), make([]float64, d)
	for i := range n {
		x := Clip(testVector(d, uint64(i)), p.Clip)
		for j, v := range x.data.values {
			want[j] += float64(v)
		}
		accumulate(t, c, x, seeded(uint64(i)+77), sum)
	}
	decoded, err := c.DecodeSum(sum, n)
	if err != nil {
		t.Fatal(err)
	}
	if decoded.Meter != (NoiseMeter{}) {
		t.Errorf("a meter without padding: %+v", decoded.Meter)
	}
	square := 0.0
	for j, v := range decoded.Values {
		square += math.Pow((float64(v)-want[j])/p.NoiseOnSum(n), 2)
	}
	// chi-square of 16 degrees: outside [2.5, 50] with probability 1e-4; one fixed draw
	if square < 2.5 || square > 50 {
		t.Errorf("16 coordinates are off by a chi-square of %g", square)
	}
}
