package audit

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// ErrUnknownKind is returned by Recompute for a kind that carries nothing to
// recompute: an attack's, whose figures are a statement.
var ErrUnknownKind = errors.New("audit: this kind carries nothing to recompute")

// ErrMismatch is wrapped where a section does not follow from its scores.
var ErrMismatch = errors.New("audit: the section does not follow from its scores")

func mismatch(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMismatch, fmt.Sprintf(format, args...))
}

// Recompute derives the section again from its inputs, its seed and its
// scores and compares: the commitment, the coins, every value within the
// rounding of other processors, the controls, the gate and the verdict. That
// the scores themselves are right only Replay shows.
func (s *Section) Recompute() error {
	if err := s.check(); err != nil {
		return err
	}
	again, err := s.again()
	if err != nil {
		return err
	}
	if s.Commit != again.Commit {
		return mismatch("the commitment is not that of the seed and the inputs")
	}
	if err := sameValues("input", s.Inputs, again.Inputs); err != nil {
		return err
	}
	if err := sameValues("value", s.Values, again.Values); err != nil {
		return err
	}
	if err := sameControls(s.Controls(), again.Controls()); err != nil {
		return err
	}
	for _, f := range []struct{ name, have, want string }{
		{"verdict", s.Verdict, again.Verdict}, {"threat model", s.ThreatModel, again.ThreatModel}, {"setup", s.Setup, again.Setup},
		{"power", s.Power, again.Power}, {"reason", s.Reason, again.Reason},
		{"gate", strconv.FormatBool(s.Gate), strconv.FormatBool(again.Gate)},
		{"parametric", strconv.FormatBool(s.Parametric), strconv.FormatBool(again.Parametric)},
	} {
		if f.have != f.want {
			return mismatch("the %s is %.60q, not %.60q", f.name, f.have, f.want)
		}
	}
	if !sameNumber(s.Bound, again.Bound) {
		return mismatch("the bound is %s, not %s", s.Bound, again.Bound)
	}
	return nil
}

// again builds the section from what it carries.
func (s *Section) again() (*Section, error) {
	if s.Kind == KindNoiseMeter {
		return s.meterAgain()
	}
	i := slices.IndexFunc(canaryKinds, func(k canaryKind) bool { return k.kind == s.Kind })
	if i < 0 && s.Kind != KindOneShot {
		return nil, ErrUnknownKind
	}
	t, err := parseTest(s)
	if err != nil {
		return nil, err
	}
	if s.Kind == KindOneShot {
		return t.oneShotSection(s.Scores)
	}
	if s.PositiveControl == nil || len(s.MoreControls) != 1 {
		return nil, mismatch("it has not the two controls of its kind")
	}
	return t.section(canaryKinds[i], s.Scores, s.PositiveControl.Scores, s.MoreControls[0].Scores)
}

func (s *Section) meterAgain() (*Section, error) {
	parse := func(setup string, written []string) (Readings, error) {
		scores, err := readScores(written)
		return Readings{setup, scores}, err
	}
	rounds, err := parse(s.Setup, s.Scores)
	if err != nil {
		return nil, err
	}
	var controls []Readings
	for _, c := range s.Controls() {
		r, err := parse(c.Setup, c.Scores)
		if err != nil {
			return nil, err
		}
		controls = append(controls, r)
	}
	return MeterSection(rounds, controls)
}

// sameValues compares figures by name and up to one unit of the last digit
// that this package writes.
func sameValues(what string, have, want []Value) error {
	if len(have) != len(want) {
		return mismatch("%d %ss, not %d", len(have), what, len(want))
	}
	for i, w := range want {
		h := have[i]
		if h.Name != w.Name || !sameNumber(h.Value, w.Value) || !sameNumber(h.Low, w.Low) || !sameNumber(h.High, w.High) {
			return mismatch("the %s %s is %.60q, not %s", what, w.Name, h.Value, w.Value)
		}
	}
	return nil
}

func sameControls(have, want []Control) error {
	for i, w := range want {
		if have[i].Setup != w.Setup || have[i].Detected != w.Detected || !sameNumber(have[i].Value, w.Value) {
			return mismatch("control %d is not what its scores give", i+1)
		}
	}
	return nil
}

func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err == nil && err2 == nil && math.Abs(x-y) <= 1.5e-4+1e-6*math.Abs(y)
}

// Replay runs the canary run of a section again from its seed, through this
// program's mechanism, and compares every score. step is as in Run. A
// version whose sampler uses its randomness in another way has other scores.
func (s *Section) Replay(step func(done int) error) error {
	t, err := parseTest(s)
	if err != nil {
		return err
	}
	out, err := Run(t.Plan, t.Seed, step)
	if err != nil {
		return err
	}
	want := [][]string{armValid: s.Scores}
	if s.PositiveControl != nil && len(s.MoreControls) > 0 {
		want = [][]string{armValid: s.Scores, armHalf: s.MoreControls[0].Scores, armNone: s.PositiveControl.Scores}
	}
	for arm, scores := range want {
		if !slices.Equal(scores, writeScores(out.Scores[arm], scorePlaces)) {
			return mismatch("the run that follows from the seed has other scores")
		}
	}
	return nil
}

// ReplaySteps is how often Replay calls step.
func (s *Section) ReplaySteps() (int, error) {
	t, err := parseTest(s)
	return t.Plan.Steps(), err
}
