package audit

import (
	"encoding/hex"
	"fmt"
	"math"

	"tutti/privacy/accounting"
)

// What every section of a canary run says about itself.
const (
	canaryModel = "White box, every aggregate: the attacker sees each opened sum, knows the update of every honest device and all " +
		"parameters, chose the canaries and knows them; it does not know the coins and the noise."
	canarySetup = "Canary devices, each with a unit vector of full clip norm orthogonal to the others, send it or zeros by a fair coin. " +
		"All devices go through Clip, Encode and DecodeSum; in place of the secure sum, which is exact, stands the integer sum of " +
		"what the devices encode. Only the honest devices add noise: the canaries count as the plan's colluders, so that the sum " +
		"carries the claimed noise and no more. Coins, canaries and noise follow from the seed; no person's data are in it."
)

// statistic is what one kind of audit computes from the scores of one arm.
// The first value is the lower bound on epsilon.
type statistic func(t Test, scores []float64, coins []bool) ([]Value, error)

// canaryKind is one audit of a canary run.
type canaryKind struct {
	kind       string
	parametric bool
	compute    statistic
	ceiling    func(t Test) (float64, error) // the most it could show
	gate       func(epsilon float64) bool
	power      func(t Test, epsilon float64) (string, error)
}

var canaryKinds = []canaryKind{
	{KindOneRun, false, oneRun, oneRunCeiling, func(eps float64) bool { return eps <= OneRunLimit }, oneRunPower},
	{KindOneRunFDP, true, oneRunFDP, oneRunFDPCeiling, func(float64) bool { return false }, oneRunFDPPower},
	{KindGaussianPair, true, gaussianPair, func(Test) (float64, error) { return math.Inf(1), nil }, func(float64) bool { return true }, gaussianPairPower},
}

// Sections returns what a canary run of t shows: one section for each of
// one_run, one_run_fdp, gaussian_pair and one_shot.
func (t Test) Sections(out *Outcome) ([]*Section, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if len(out.Scores) != arms {
		return nil, outOfRange("%d arms of scores", len(out.Scores))
	}
	written := make([][]string, arms)
	for a, scores := range out.Scores {
		written[a] = writeScores(scores, scorePlaces)
	}
	var all []*Section
	for _, k := range canaryKinds {
		s, err := t.section(k, written[armValid], written[armNone], written[armHalf])
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	s, err := t.oneShotSection(written[armValid])
	return append(all, s), err
}

// frame is what sections of a canary run share.
func (t Test) frame(kind string, scores []string) (*Section, error) {
	inputs, err := t.inputs()
	if err != nil {
		return nil, err
	}
	commit, err := t.Commitment()
	return &Section{
		Schema: Schema, Kind: kind, ThreatModel: canaryModel, Setup: canarySetup, Inputs: inputs,
		Scores: scores, Commit: commit, Seed: hex.EncodeToString(t.Seed[:]),
	}, err
}

// section judges one kind from scores as they are written.
func (t Test) section(k canaryKind, valid, none, half []string) (*Section, error) {
	s, err := t.frame(k.kind, valid)
	if err != nil {
		return nil, err
	}
	eps, err := t.Epsilon()
	if err != nil {
		return nil, err
	}
	s.Bound, s.Parametric, s.Gate = fixed(eps, 4), k.parametric, k.gate(eps)
	if s.Power, err = k.power(t, eps); err != nil {
		return nil, err
	}
	coins := t.Seed.Coins(t.Plan.Canaries)
	if s.Values, err = t.judge(k, valid, coins); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		setup  string
		scores []string
	}{
		{"the same run, no device adds noise", none},
		{"the same run, three of four honest devices add no noise: half the standard deviation", half},
	} {
		found, err := t.judge(k, c.scores, coins)
		if err != nil {
			return nil, err
		}
		control := Control{Setup: c.setup, Value: found[0].Value, Detected: above(found[0].Value, eps), Scores: c.scores}
		if s.PositiveControl == nil {
			s.PositiveControl = &control
		} else {
			s.MoreControls = append(s.MoreControls, control)
		}
	}
	ceiling, err := k.ceiling(t)
	s.decide(eps, ceiling)
	return s, err
}

func (t Test) judge(k canaryKind, written []string, coins []bool) ([]Value, error) {
	if len(written) != t.Plan.Canaries {
		return nil, malformed("%d scores of %d canaries", len(written), t.Plan.Canaries)
	}
	scores, err := readScores(written)
	if err != nil {
		return nil, err
	}
	return k.compute(t, scores, coins)
}

func above(decimal string, limit float64) bool {
	v, err := readScores([]string{decimal})
	return err == nil && v[0] > limit
}

// decide applies the rule: a bound above the claim refutes it; otherwise the
// arm without noise has to be refuted, or the test is broken (or cannot
// refute such a claim at all); otherwise half the noise has to be refuted,
// or the test is too weak to pass anything.
func (s *Section) decide(claim, ceiling float64) {
	switch {
	case above(s.Values[0].Value, claim):
		s.Verdict = VerdictFail
		s.Reason = fmt.Sprintf("At least epsilon %s leaks; %s is claimed.", s.Values[0].Value, s.Bound)
	case ceiling <= claim:
		s.Verdict, s.Gate = VerdictInfo, false
		s.Reason = fmt.Sprintf("With this many canaries even perfect guesses show no more than epsilon %s, so nothing follows for a claim of %s.", fixed(ceiling, 2), s.Bound)
	case !s.PositiveControl.Detected:
		s.Verdict = VerdictBroken
		s.Reason = "Without any noise the same test found nothing: it does not work."
	case !s.MoreControls[0].Detected:
		s.Verdict = VerdictInconclusive
		s.Reason = "The absence of noise is detected, half the noise is not: too few canaries for this claim."
	default:
		s.Verdict = VerdictPass
		s.Reason = fmt.Sprintf("No more than epsilon %s could be shown where %s is claimed; without noise and with half of it the same test refutes the claim.", s.Values[0].Value, s.Bound)
	}
}

func oneRun(t Test, scores []float64, coins []bool) ([]Value, error) {
	all := guessed(scores, coins)
	at := func(g Guesses, alpha float64) (float64, error) { return EpsilonOneRun(g, t.Delta, alpha) }
	lower, g, err := best(all, t.Alpha, at)
	if err != nil {
		return nil, err
	}
	study, _, err := best(all, studyAlpha, at)
	return []Value{
		{Name: "eps_lower", Value: fixed(lower, 4)}, count("guesses", g.Guessed), count("correct", g.Correct),
		{Name: "eps_lower_at_alpha_0.05", Value: fixed(study, 4)},
	}, err
}

func oneRunFDP(t Test, scores []float64, coins []bool) ([]Value, error) {
	all := guessed(scores, coins)
	mu, g, err := best(all, t.Alpha, MuOneRunFDP)
	if err != nil {
		return nil, err
	}
	lower, err := EpsilonOfMu(mu, t.Delta)
	if err != nil {
		return nil, err
	}
	study, _, err := best(all, studyAlpha, MuOneRunFDP)
	if err != nil {
		return nil, err
	}
	study, err = EpsilonOfMu(study, t.Delta)
	return []Value{
		{Name: "eps_lower", Value: fixed(lower, 4)}, {Name: "mu_lower", Value: fixed(mu, 4)},
		count("guesses", g.Guessed), count("correct", g.Correct), {Name: "eps_lower_at_alpha_0.05", Value: fixed(study, 4)},
	}, err
}

func gaussianPair(t Test, scores []float64, coins []bool) ([]Value, error) {
	p, err := NewPair(split(scores, coins))
	if err != nil {
		return nil, err
	}
	lower, err := EpsilonOfMu(p.Lower(t.Alpha), t.Delta)
	if err != nil {
		return nil, err
	}
	study, err := EpsilonOfMu(p.Lower(studyAlpha), t.Delta)
	if err != nil {
		return nil, err
	}
	estimate, err := EpsilonOfMu(max(0, p.Mu), t.Delta)
	const two = 1.959963984540054 // Phi^-1(.975)
	return []Value{
		{Name: "eps_lower", Value: fixed(lower, 4)},
		{Name: "mu", Value: fixed(p.Mu, 4), Low: fixed(p.Mu-two*p.Error, 4), High: fixed(p.Mu+two*p.Error, 4)},
		{Name: "mu_lower", Value: fixed(p.Lower(t.Alpha), 4)}, {Name: "eps_estimate", Value: fixed(estimate, 4)},
		{Name: "eps_lower_at_alpha_0.05", Value: fixed(study, 4)},
	}, err
}

func count(name string, n int) Value { return Value{Name: name, Value: fmt.Sprint(n)} }

// The most that a bound can be with this many canaries.

func oneRunCeiling(t Test) (float64, error) {
	most, _, err := best(perfect(t.Plan.Canaries), t.Alpha, func(g Guesses, alpha float64) (float64, error) {
		return EpsilonOneRun(g, t.Delta, alpha)
	})
	return most, err
}

func oneRunFDPCeiling(t Test) (float64, error) {
	most, _, err := best(perfect(t.Plan.Canaries), t.Alpha, MuOneRunFDP)
	if err != nil {
		return 0, err
	}
	return EpsilonOfMu(most, t.Delta)
}

func oneRunPower(t Test, eps float64) (string, error) {
	most, err := oneRunCeiling(t)
	if err != nil {
		return "", err
	}
	weakest, err := t.weakestFound(func(g Guesses, alpha float64) (bool, error) {
		p, err := PValueOneRun(g, eps, t.Delta)
		return p < alpha, err
	})
	return fmt.Sprintf("%s Perfect guesses by %d canaries would show epsilon %.2f at level %s; to refute epsilon %.2f takes %.0f guesses without "+
		"an error. This test gates claims up to %g only.", weakest, t.Plan.Canaries, most, shortest(t.Alpha), eps, PerfectGuesses(eps, t.Alpha), OneRunLimit), err
}

func oneRunFDPPower(t Test, eps float64) (string, error) {
	most, err := oneRunFDPCeiling(t)
	if err != nil {
		return "", err
	}
	claimed, err := accounting.MuForEpsilon(eps, t.Delta)
	if err != nil {
		return "", err
	}
	weakest, err := t.weakestFound(func(g Guesses, alpha float64) (bool, error) { return refutesCurve(g, alpha, claimed), nil })
	return fmt.Sprintf("%s Perfect guesses by %d canaries would show epsilon %.2f at level %s. It holds for Gaussian trade-off curves and gates nothing.",
		weakest, t.Plan.Canaries, most, shortest(t.Alpha)), err
}

// weakestFound says how much too small Gaussian noise has to be for a test
// of guesses to refute the claim, with as many right guesses as are expected.
func (t Test) weakestFound(refuted func(Guesses, float64) (bool, error)) (string, error) {
	var failed error
	found := func(factor float64) bool {
		for _, g := range expected(t.Plan.Canaries, t.Mu()*factor) {
			yes, err := refuted(g, t.Alpha/float64(len(fractions)))
			if err != nil {
				failed = err
			}
			if yes {
				return true
			}
		}
		return false
	}
	for _, factor := range [...]float64{1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 5, 7, 10, 20, 50, 100} {
		if found(factor) {
			return fmt.Sprintf("Finds, about every other time, noise of a standard deviation %s times too small.", shortest(factor)), failed
		}
	}
	return "Does not find noise 100 times too small.", failed
}

// gaussianPairPower says how much too small the noise has to be to be found:
// the true mu has to exceed the claim's by the margins of both errors.
func gaussianPairPower(t Test, eps float64) (string, error) {
	claimed, err := accounting.MuForEpsilon(eps, t.Delta)
	if err != nil {
		return "", err
	}
	n := float64(t.Plan.Canaries)
	needed := claimed
	for range 20 { // the standard error grows a little with mu
		needed = claimed - (normalQuantile(t.Alpha)+normalQuantile(studyAlpha))*math.Sqrt(4/n+needed*needed/(2*n))
	}
	return fmt.Sprintf("Finds, with 95 %%, noise of a standard deviation %.2f times too small for the claim, or less. It takes the noise's shape, Gaussian, "+
		"on trust and measures its size: hence parametric.", needed/t.Mu()), nil
}
