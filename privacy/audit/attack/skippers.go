package attack

import (
	"context"
	"fmt"
	"math"

	"tutti/privacy/accounting"
	"tutti/privacy/audit"
	"tutti/privacy/mechanism"
)

// alarm is the score of the noise meter below which (-5) a round counts as short of noise: by chance once in three million
// rounds. A round whose expected score is at the alarm is found in every second case.
const alarm = 5

// SilentNoise has some of n devices send their vectors without noise and reads the noise meter of the opened sum.
// Nothing else in the sum tells: it decodes, and the claim is wrong. The section passes where every score is where it is
// expected (each one off by more than 3.09 standard deviations in two of a thousand runs), and expected beyond the alarm.
func SilentNoise(ctx context.Context, o Options, n int, skip []int) (audit.Section, error) {
	s := audit.Section{
		Kind:        "silent_noise",
		ThreatModel: "Faulty devices send correct vectors but no noise share.",
	}
	p, err := mechanism.Design(mechanism.Literal{Dim: 5000, Clip: 1, NMin: n, NMax: n, Z: 1, Noise: true})
	if err != nil {
		return s, err
	}
	s.Setup = fmt.Sprintf("%d devices with random vectors, noise sized for z = 1, one round for each figure; %d noise coordinates; expected: -share*sqrt(pad/2).", n, p.Pad())
	s.Power = fmt.Sprintf("One silent device moves the score by %.2f; five of a hundred are expected at %.1f.", -math.Sqrt(float64(p.Pad())/2)/float64(n), -.05*math.Sqrt(float64(p.Pad())/2))
	honest, err := o.codecs(p)
	if err != nil {
		return s, err
	}
	bare, err := silent(p)
	if err != nil {
		return s, err
	}
	work := o.steps(n * (len(skip) + 1))
	passes := true
	for _, silents := range append([]int{0}, skip...) {
		meter, err := o.meter(ctx, honest, bare, n, silents, work)
		if err != nil {
			return s, err
		}
		expected := 0 - float64(silents)/float64(n)*math.Sqrt(float64(p.Pad())/2)
		e := audit.Value{Name: fmt.Sprintf("score with %d silent (expected %.1f)", silents, expected), Value: fixed(meter.ZScore), Low: fixed(meter.ZScore - 1.96), High: fixed(meter.ZScore + 1.96)}
		s.Values = append(s.Values, e)
		passes = passes && math.Abs(meter.ZScore-expected) < strictSigmas
		if silents == 0 {
			continue
		}
		passes = passes && expected < -alarm
		claimed, really, err := silentEpsilon(p, n-silents)
		if err != nil {
			return s, err
		}
		addControl(&s, audit.Control{Setup: fmt.Sprintf("nobody reads the meter, %d silent: the sum opens, epsilon at 1e-6 is %.2f instead of %.2f", silents, really, claimed), Value: fixed(really), Detected: really > claimed})
	}
	judge(&s, passes, "The meter reads what it should: about 0 for an honest round, beyond the alarm at -5 for every short one.", "The noise meter does not read what it should.")
	return s, nil
}

// meter opens the sum of a round in which the first silents devices add no noise.
func (o Options) meter(ctx context.Context, honest []*mechanism.Codec, bare *mechanism.Codec, n, silents int, work *steps) (mechanism.NoiseMeter, error) {
	p := honest[0].Params()
	x := func(i int) []float32 {
		random, v := newStream(o.Seed, "silent vector", i), make([]float32, p.Dim)
		for j := range v {
			v[j] = float32(random.normal())
		}
		return v
	}
	sum, err := o.summing(ctx, honest, n-silents, fmt.Sprintf("honest of %d", silents), x, work)
	if err != nil {
		return mechanism.NoiseMeter{}, err
	}
	if silents > 0 {
		more, err := o.summing(ctx, []*mechanism.Codec{bare}, silents, "silent", func(i int) []float32 { return x(n - 1 - i) }, work)
		if err != nil {
			return mechanism.NoiseMeter{}, err
		}
		for j, v := range more {
			sum[j] += v
		}
	}
	decoded, err := honest[0].DecodeSum(sum, n)
	return decoded.Meter, err
}

// silentEpsilon is what a sum claims at delta 1e-6, and what it costs when only so many devices bring their noise.
func silentEpsilon(p mechanism.Params, noisy int) (claimed, really float64, err error) {
	mu, err := muOf(p)
	if err != nil {
		return 0, 0, err
	}
	if claimed, err = accounting.GaussianEpsilon(mu, 1e-6); err != nil {
		return 0, 0, err
	}
	really, err = accounting.GaussianEpsilon(mu*math.Sqrt(float64(p.NMin-p.Colluders)/float64(noisy)), 1e-6)
	return claimed, really, err
}
