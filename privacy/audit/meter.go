package audit

import (
	"fmt"
	"math"
	"strconv"
)

// Limits of the noise meter: a round more than meterAlarm standard errors
// short of its noise, or all rounds together more than meterPooled off.
const (
	meterAlarm  = 5.0 // one round of honest devices: 3e-7
	meterPooled = 4.0 // all rounds: 6e-5
)

const (
	meterModel = "No attacker: the padding of every opened sum holds noise only, and its variance is compared with the promised one. " +
		"An adversary can hide from it, so no claim rests on it; it finds devices that forget their noise."
	meterPower = "Devices that add no noise show in one round as soon as they are more than about 500/sqrt(P/2) percent of all, P being the padding; with 32,768: 4 of 100."
	meterZ     = 4 // decimals
)

// Readings are the z-scores of the noise meter, one per round, of one arm.
type Readings struct {
	Setup  string
	Scores []float64
}

// MeterSection judges the readings of a task's rounds, or of a canary run.
// The first control is the arm without any noise.
func MeterSection(rounds Readings, controls []Readings) (*Section, error) {
	s := &Section{Schema: Schema, Kind: KindNoiseMeter, ThreatModel: meterModel, Setup: rounds.Setup, Power: meterPower, Bound: shortest(meterAlarm), Gate: true}
	s.Inputs = []Value{{Name: "alarm", Value: shortest(meterAlarm)}, {Name: "pooled_limit", Value: shortest(meterPooled)}, count("rounds", len(rounds.Scores))}
	s.Scores = writeScores(rounds.Scores, meterZ)
	for _, c := range controls {
		control := Control{Setup: c.Setup, Scores: writeScores(c.Scores, meterZ)}
		if s.PositiveControl == nil {
			s.PositiveControl = &control
		} else {
			s.MoreControls = append(s.MoreControls, control)
		}
	}
	return s, s.judgeMeter()
}

// judgeMeter fills in what follows from the readings.
func (s *Section) judgeMeter() error {
	values, alarm, err := readMeter(s.Scores)
	if err != nil {
		return err
	}
	s.Values = values
	undetected, broken := 0, s.PositiveControl == nil
	judge := func(c *Control) error {
		found, detected, err := readMeter(c.Scores)
		if err == nil {
			c.Value, c.Detected = found[0].Value, detected
			if !detected {
				undetected++
			}
		}
		return err
	}
	if !broken {
		if err := judge(s.PositiveControl); err != nil {
			return err
		}
		broken = !s.PositiveControl.Detected
	}
	for i := range s.MoreControls {
		if err := judge(&s.MoreControls[i]); err != nil {
			return err
		}
	}
	switch {
	case alarm:
		s.Verdict, s.Reason = VerdictFail, fmt.Sprintf("The noise is not what was promised: worst shortfall %s standard errors, all rounds %s.", values[0].Value, values[1].Value)
	case broken:
		s.Verdict, s.Reason = VerdictBroken, "There is no arm without noise that the meter saw."
	case undetected > 0:
		s.Verdict, s.Reason = VerdictInconclusive, "Not every arm with too little noise was seen."
	default:
		s.Verdict, s.Reason = VerdictPass, fmt.Sprintf("The promised noise arrived: worst shortfall %s standard errors, all rounds %s; every arm with too little noise was seen.", values[0].Value, values[1].Value)
	}
	return nil
}

// readMeter returns the shortfall of the worst round and what all rounds say
// together, and whether either is alarming.
func readMeter(written []string) ([]Value, bool, error) {
	scores, err := readScores(written)
	if err != nil {
		return nil, false, err
	}
	if len(scores) == 0 {
		return nil, false, outOfRange("no round was measured")
	}
	worst, sum := 0, 0.0
	for i, z := range scores {
		sum += z
		if z < scores[worst] {
			worst = i
		}
	}
	short := max(0, -scores[worst])
	pooled := sum / math.Sqrt(float64(len(scores)))
	values := []Value{
		{Name: "worst_shortfall", Value: fixed(short, 2)}, {Name: "pooled_z", Value: fixed(pooled, 2)},
		{Name: "worst_reading", Value: strconv.Itoa(worst + 1)}, count("rounds", len(scores)),
	}
	return values, short > meterAlarm || math.Abs(pooled) > meterPooled, nil
}

// MeterSectionOf judges the meter of a canary run by itself.
func (t Test) MeterSectionOf(out *Outcome) (*Section, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if len(out.Meters) != arms {
		return nil, outOfRange("%d arms of readings", len(out.Meters))
	}
	return MeterSection(Readings{"The canary run's own sums.", out.Meters[armValid]}, t.MeterControls(out))
}

// MeterControls are the readings of the canary run's arms with too little
// noise, to judge a task's rounds beside.
func (t Test) MeterControls(out *Outcome) []Readings {
	return []Readings{
		{"sums of which no device added noise", out.Meters[armNone]},
		{"sums of which three of four devices added no noise", out.Meters[armHalf]},
		{"sums of which one of sixteen devices added no noise", out.Meters[armFew]},
	}
}
