package audit

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"tutti/privacy/accounting"
)

const testDelta = 1e-6

func mustTest(t testing.TB, eps float64, canaries, rounds int) Test {
	t.Helper()
	rho, err := accounting.RhoForEpsilon(eps, testDelta)
	if err != nil {
		t.Fatal(err)
	}
	test, err := NewTest(rho, testDelta, canaries, rounds, Seed{7})
	if err != nil {
		t.Fatal(err)
	}
	return test
}

func mustRun(t testing.TB, test Test) (map[string]*Section, *Outcome) {
	t.Helper()
	out, err := Run(test.Plan, test.Seed, func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	list, err := test.Sections(out)
	if err != nil {
		t.Fatal(err)
	}
	meter, err := test.MeterSectionOf(out)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*Section{}
	for _, s := range append(list, meter) {
		if err := s.Recompute(); err != nil {
			t.Fatalf("%s: %v", s.Kind, err)
		}
		all[s.Kind] = s
	}
	return all, out
}

// smallRun is one run that several tests look at: epsilon 8, 2,000 canaries.
var smallRun = sync.OnceValues(func() (Test, map[string]*Section) {
	t := new(testing.T)
	test := mustTest(t, 8, 2000, 1)
	all, _ := mustRun(t, test)
	return test, all
})

// The mechanism as it is passes: seeds are fixed, and another seed would be
// refuted by a gate with a probability of at most .001, and leave half the
// noise unseen with one of 1e-12 at epsilon 8.
func TestTheMechanismPasses(t *testing.T) {
	_, all := smallRun()
	for kind, want := range map[string]string{
		KindGaussianPair: VerdictPass, KindOneShot: VerdictInfo, KindNoiseMeter: VerdictPass, KindOneRun: VerdictInfo, KindOneRunFDP: VerdictInfo,
	} {
		s := all[kind]
		t.Logf("%s: %s, %v; %s", kind, s.Verdict, s.Values, s.Power)
		if s.Verdict != want {
			t.Errorf("%s: verdict %s (%s), want %s", kind, s.Verdict, s.Reason, want)
		}
	}
	if p := all[KindGaussianPair]; !p.Gate || !p.Parametric || !p.PositiveControl.Detected || !p.MoreControls[0].Detected {
		t.Errorf("the Gaussian pair is no gate with two detected controls: %+v", p.Verdict)
	}
	if all[KindOneRun].Gate || all[KindOneRunFDP].Gate || all[KindOneShot].Gate {
		t.Error("what cannot decide a claim of 8 gates it")
	}
}

// Up to epsilon 2 the one-run test is a gate: it sees that noise is absent,
// but half the noise it does not see, and says so.
func TestOneRunIsHonestAboutItsPower(t *testing.T) {
	all, _ := mustRun(t, mustTest(t, 2, 2000, 1))
	s := all[KindOneRun]
	if !s.Gate || s.Parametric || !s.PositiveControl.Detected || s.MoreControls[0].Detected || s.Verdict != VerdictInconclusive {
		t.Errorf("verdict %s, gate %v, no noise seen %v, half seen %v", s.Verdict, s.Gate, s.PositiveControl.Detected, s.MoreControls[0].Detected)
	}
	few, _ := mustRun(t, mustTest(t, 2, 20, 1))
	if s := few[KindOneRun]; s.Verdict != VerdictInfo || s.Gate {
		t.Errorf("twenty canaries cannot refute epsilon 2, and the verdict is %s", s.Verdict)
	}
}

// A broken mechanism is refuted. Each of these has more leakage than is
// claimed, so that another seed would miss it with a probability below 1e-4:
// the last is 4.2 standard errors of the Gaussian pair beyond its bound.
func TestBrokenMechanismsFail(t *testing.T) {
	for name, c := range map[string]struct {
		eps      float64
		silent   int // of 48
		canaries int
	}{
		"no noise":                  {4, 48, 1000},
		"half the noise":            {4, 36, 1000},
		"one in three has no noise": {8, 16, 5000},
	} {
		t.Run(name, func(t *testing.T) {
			test := mustTest(t, c.eps, c.canaries, 1)
			test.Plan.Silent[armValid] = c.silent
			all, _ := mustRun(t, test)
			for _, kind := range []string{KindGaussianPair, KindNoiseMeter} {
				if s := all[kind]; s.Verdict != VerdictFail {
					t.Errorf("%s: verdict %s: %s; %v", kind, s.Verdict, s.Reason, s.Values)
				}
			}
		})
	}
}

// Noise that is absent from the data and present in the padding hides from
// the meter, not from the canaries.
func TestCanariesSeeWhatTheMeterDoesNot(t *testing.T) {
	test := mustTest(t, 2, 2000, 1)
	out, err := Run(test.Plan, test.Seed, func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	out.Scores[armValid] = out.Scores[armNone]
	list, err := test.Sections(out)
	if err != nil {
		t.Fatal(err)
	}
	meter, err := test.MeterSectionOf(out)
	if err != nil {
		t.Fatal(err)
	}
	if list[0].Kind != KindOneRun || list[0].Verdict != VerdictFail || list[2].Verdict != VerdictFail || meter.Verdict != VerdictPass {
		t.Errorf("one-run %s, pair %s, meter %s", list[0].Verdict, list[2].Verdict, meter.Verdict)
	}
}

// A test whose unprotected arm finds nothing is broken, not passed.
func TestNoVerdictWithoutPositiveControl(t *testing.T) {
	test, all := smallRun()
	coins := rand.New(rand.NewPCG(1, 2))
	noise := make([]string, test.Plan.Canaries)
	for i := range noise {
		noise[i] = fixed(coins.NormFloat64(), scorePlaces)
	}
	good := all[KindGaussianPair]
	for name, c := range map[string]struct {
		none, half []string
		want       string
	}{
		"no control":   {noise, good.MoreControls[0].Scores, VerdictBroken},
		"half control": {good.PositiveControl.Scores, noise, VerdictInconclusive},
		"both":         {good.PositiveControl.Scores, good.MoreControls[0].Scores, VerdictPass},
	} {
		s, err := test.section(canaryKinds[2], good.Scores, c.none, c.half)
		if err != nil || s.Verdict != c.want {
			t.Errorf("%s: %v, %v", name, s.Verdict, err)
		}
	}
}

// Several rounds compose to the same claim: the score's noise is that of
// exact Gaussian noise of the total rho, within 5 standard errors (6e-7).
func TestRoundsCompose(t *testing.T) {
	test := mustTest(t, 8, 1000, 4)
	all, out := mustRun(t, test)
	if got := len(out.Meters[armValid]); got != 4 {
		t.Errorf("%d meter readings of 4 rounds", got)
	}
	p, err := NewPair(split(out.Scores[armValid], test.Seed.Coins(1000)))
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(p.Mu-test.Mu()) > 5*p.Error {
		t.Errorf("mu %.3f +- %.3f, the accountant says %.3f", p.Mu, p.Error, test.Mu())
	}
	if all[KindGaussianPair].Verdict != VerdictPass {
		t.Error(all[KindGaussianPair].Reason)
	}
}

func TestReplay(t *testing.T) {
	all, _ := mustRun(t, mustTest(t, 8, 40, 2))
	s := all[KindGaussianPair]
	steps := 0
	if err := s.Replay(func(int) error { steps++; return nil }); err != nil {
		t.Error(err)
	}
	if want, err := s.ReplaySteps(); err != nil || steps != want {
		t.Errorf("%d steps, %v", steps, err)
	}
	s.Scores = slices.Clone(s.Scores)
	s.Scores[3] = "0.123"
	if err := s.Replay(func(int) error { return nil }); !errors.Is(err, ErrMismatch) {
		t.Errorf("invented scores: %v", err)
	}
	stop := errors.New("stop")
	if err := s.Replay(func(int) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
}

// Whatever is edited in a section is noticed when it is recomputed.
func TestRecomputeNoticesEdits(t *testing.T) {
	_, all := smallRun()
	edits := map[string]func(*Section){
		"value":          func(s *Section) { s.Values[0].Value = "0.1" },
		"interval":       func(s *Section) { s.Values[1].High = "99" },
		"name":           func(s *Section) { s.Values[0].Name = "epsilon" },
		"dropped value":  func(s *Section) { s.Values = s.Values[1:] },
		"bound":          func(s *Section) { s.Bound = "80" },
		"claim":          func(s *Section) { s.Inputs[0].Value = "80" },
		"rho":            func(s *Section) { s.Inputs[3].Value = "9" },
		"alpha":          func(s *Section) { s.Inputs[2].Value = "0.000001" },
		"verdict":        func(s *Section) { s.Verdict = VerdictFail },
		"gate":           func(s *Section) { s.Gate = !s.Gate },
		"parametric":     func(s *Section) { s.Parametric = !s.Parametric },
		"power":          func(s *Section) { s.Power = "sees everything" },
		"reason":         func(s *Section) { s.Reason = "fine" },
		"threat model":   func(s *Section) { s.ThreatModel = "strong" },
		"setup":          func(s *Section) { s.Setup = "large" },
		"seed":           func(s *Section) { s.Seed = "00" + s.Seed[2:] },
		"commitment":     func(s *Section) { s.Commit = "00" + s.Commit[2:] },
		"score":          func(s *Section) { s.Scores = append([]string{"500.000"}, s.Scores[1:]...) },
		"missing score":  func(s *Section) { s.Scores = s.Scores[1:] },
		"no number":      func(s *Section) { s.Scores = append([]string{"NaN"}, s.Scores[1:]...) },
		"control":        func(s *Section) { s.MoreControls[0].Detected = !s.MoreControls[0].Detected },
		"control value":  func(s *Section) { s.PositiveControl.Value = "1" },
		"control setup":  func(s *Section) { s.PositiveControl.Setup = "other" },
		"control scores": func(s *Section) { s.PositiveControl.Scores = s.Scores },
		"no controls":    func(s *Section) { s.MoreControls = nil },
		"more arms":      func(s *Section) { s.Inputs[11].Value += " 1" },
	}
	for name, edit := range edits {
		s := clone(t, all[KindGaussianPair])
		edit(s)
		if err := s.Recompute(); err == nil {
			t.Errorf("edited %s: not noticed", name)
		} else if !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrForm) && !errors.Is(err, ErrRange) {
			t.Errorf("edited %s: %v", name, err)
		}
	}
	meter := clone(t, all[KindNoiseMeter])
	meter.Scores[0] = "-6.0000"
	if err := meter.Recompute(); !errors.Is(err, ErrMismatch) {
		t.Errorf("edited reading: %v", err)
	}
	if err := (&Section{Kind: "lira", Verdict: VerdictInfo}).Recompute(); !errors.Is(err, ErrUnknownKind) {
		t.Errorf("an attack: %v", err)
	}
}

func clone(t testing.TB, s *Section) *Section {
	t.Helper()
	data, err := s.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSection(data)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestSectionForm(t *testing.T) {
	_, all := smallRun()
	for kind, s := range all {
		data, err := s.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSection(data)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if err := again.Recompute(); err != nil {
			t.Errorf("%s, read back: %v", kind, err)
		}
		text := string(data)
		for what, bad := range map[string]string{
			"no line's end": strings.TrimSuffix(text, "\n"),
			"white space":   " " + text,
			"two":           text + text,
			"other schema":  strings.Replace(text, Schema, "tutti.audit/v9", 1),
			"more fields":   strings.Replace(text, `"kind":`, `"extra":1,"kind":`, 1),
			"twice":         strings.Replace(text, `"kind":`, `"kind":"x","kind":`, 1),
			"other case":    strings.Replace(text, `"kind":`, `"Kind":`, 1),
			"verdict":       strings.Replace(text, `"verdict":"`, `"verdict":"x`, 1),
			"kind":          strings.Replace(text, `"kind":"`, `"kind":"X`, 1),
			"null list":     strings.Replace(text, `"inputs":[`, `"inputs":null,"x":[`, 1),
		} {
			if _, err := ParseSection([]byte(bad)); !errors.Is(err, ErrForm) {
				t.Errorf("%s with %s: %v", kind, what, err)
			}
		}
	}
	for name, s := range map[string]*Section{
		"hidden text": {Kind: "x", Verdict: VerdictInfo, Setup: "a\u2028b"}, "long text": {Kind: "x", Verdict: VerdictInfo, Setup: strings.Repeat("a", maxText+1)},
		"scores": {Kind: "x", Verdict: VerdictInfo, Scores: make([]string, MaxScores+1)}, "long number": {Kind: "x", Verdict: VerdictInfo, Commit: strings.Repeat("0", maxNumber+1)},
		"no verdict": {Kind: "x"}, "no kind": {Verdict: VerdictInfo},
	} {
		if _, err := s.Canonical(); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFirstSum(t *testing.T) {
	test := mustTest(t, 8, 40, 1)
	devices, want := 0, []int64(nil)
	sum, err := FirstSum(test.Plan, test.Seed, func(values []int32, bound int64) error {
		devices++
		if want == nil {
			want = make([]int64, len(values))
		}
		for i, v := range values {
			if int64(v) > bound || int64(v) < -bound {
				t.Fatalf("%d is beyond the bound of %d", v, bound)
			}
			want[i] += int64(v)
		}
		return nil
	})
	if err != nil || devices != 40+test.Plan.Honest || !slices.Equal(sum, want) {
		t.Errorf("%d devices, %v", devices, err)
	}
	stop := errors.New("stop")
	if _, err := FirstSum(test.Plan, test.Seed, func([]int32, int64) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
}

func TestPlansOutOfRange(t *testing.T) {
	good := mustTest(t, 8, 40, 1)
	for name, edit := range map[string]func(*Test){
		"canaries": func(t *Test) { t.Plan.Canaries = MaxCanaries + 40 }, "uneven": func(t *Test) { t.Plan.Batch = 7 },
		"honest": func(t *Test) { t.Plan.Honest = 3 }, "rounds": func(t *Test) { t.Plan.Rounds = 0 }, "rho": func(t *Test) { t.Plan.Rho = nil },
		"clip": func(t *Test) { t.Plan.Clip = math.NaN() }, "arms": func(t *Test) { t.Plan.Silent = nil }, "silent": func(t *Test) { t.Plan.Silent = []int{99} },
	} {
		test := good
		edit(&test)
		if _, err := Run(test.Plan, test.Seed, func(int) error { return nil }); !errors.Is(err, ErrRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	weak := mustTest(t, 1, 40, 25) // much noise in each round: more devices share it
	if _, err := weak.Plan.Params(weak.Seed); err != nil || weak.Plan.Honest != 192 {
		t.Errorf("epsilon 1 over 25 rounds: %d honest devices, %v", weak.Plan.Honest, err)
	}
	if _, err := NewTest(nil, testDelta, 40, 1, Seed{}); !errors.Is(err, ErrRange) {
		t.Errorf("no rho: %v", err)
	}
	if _, err := MeterSection(Readings{}, nil); !errors.Is(err, ErrRange) {
		t.Errorf("no readings: %v", err)
	}
}
