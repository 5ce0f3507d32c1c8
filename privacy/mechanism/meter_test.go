package mechanism

import (
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
