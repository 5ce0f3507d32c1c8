package report

import (
	"fmt"
	"math"
	"strconv"

	"tutti/privacy/ledger"
)

// Limits of the noise meter: a round below alarmZ, or all rounds together beyond pooledZ, are named. A round of honest
// devices falls below -5 with probability 3e-7.
const (
	alarmZ  = -5.0
	pooledZ = 4.0
)

// meterReading is one round's reading, recomputed from the measured variance.
type meterReading struct {
	round    uint64
	z, ratio float64
}

// readMeters recomputes every reading: z = (measured/expected - 1) sqrt(coords/2) with the expectation of
// |U| (sigma^2 + 1/6) from the round's own numbers.
func (f *facts) readMeters() ([]meterReading, *Failure) {
	var out []meterReading
	for _, r := range f.rounds {
		m, p := r.record.Meter, r.plan.plan.Mechanism
		if m.Coords == 0 {
			if r.record.Noise && r.record.Outcome == ledger.Published {
				return nil, fail(ReasonNoiseMeter, "round %d was opened and its noise was not measured", r.record.Round)
			}
			continue
		}
		measured, err := strconv.ParseFloat(m.Measured, 64)
		expected, err2 := strconv.ParseFloat(m.Expected, 64)
		z, err3 := strconv.ParseFloat(m.Z, 64)
		if err != nil || err2 != nil || err3 != nil || !(measured >= 0) || math.IsInf(measured, 0) || m.Coords != uint64(p.Pad()) {
			return nil, fail(ReasonNoiseMeter, "round %d has no readable measurement", r.record.Round)
		}
		want := float64(r.record.Survived) * (p.Sigma2.Float64() + 1.0/6)
		again := (measured/want - 1) * math.Sqrt(float64(m.Coords)/2)
		if !near(expected, want, 1e-9, 0) || !near(z, again, 1e-6, 1e-6) {
			return nil, fail(ReasonNoiseMeter, "round %d: the reading does not follow from the measured variance", r.record.Round)
		}
		out = append(out, meterReading{r.record.Round, again, measured / want})
	}
	return out, nil
}

// near says whether a is b up to a relative and an absolute tolerance.
func near(a, b, relative, absolute float64) bool {
	return math.Abs(a-b) <= absolute+relative*math.Abs(b)
}

// meterSummary is the report's section and its alarms.
func meterSummary(readings []meterReading) NoiseMeter {
	s := NoiseMeter{Rounds: uint64(len(readings)), PooledZ: "", WorstZ: "", Alarms: []string{}}
	if len(readings) == 0 {
		return s
	}
	worst, sum := readings[0], 0.0
	for _, r := range readings {
		sum += r.z
		if r.z < worst.z {
			worst = r
		}
		if r.z < alarmZ {
			s.Alarms = append(s.Alarms, fmt.Sprintf("Round %d carried %.1f %% of the promised noise variance (z = %.1f): some devices sent too little noise.", r.round, 100*r.ratio, r.z))
		}
	}
	pooled := sum / math.Sqrt(float64(len(readings)))
	if math.Abs(pooled) > pooledZ {
		s.Alarms = append(s.Alarms, fmt.Sprintf("Over all rounds the noise is off by %.1f standard errors.", pooled))
	}
	s.PooledZ, s.WorstZ, s.WorstRound = fixed(pooled, 2), fixed(worst.z, 2), worst.round
	return s
}

// fixed is a decimal with so many places.
func fixed(x float64, places int) string { return strconv.FormatFloat(x, 'f', places, 64) }
