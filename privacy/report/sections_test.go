package report

import (
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"tutti/privacy/accounting"
	"tutti/privacy/audit"
	"tutti/privacy/ledger"
)

// someAudits is a canary run on the sample world's claim: what tutti audit writes. A Gaussian pair passes at level 0.001,
// so an unlucky seed would fail the gate; this one does not.
var someAudits = sync.OnceValue(func() []audit.Section {
	rho, err := accounting.RhoForEpsilon(7, 1e-6) // the sample world claims 7.49
	if err != nil {
		panic(err)
	}
	test, err := audit.NewTest(rho, 1e-6, 400, 1, audit.Seed{4, 5})
	if err != nil {
		panic(err)
	}
	run, err := audit.Run(test.Plan, test.Seed, func(int) error { return nil })
	if err != nil {
		panic(err)
	}
	list, err := test.Sections(run)
	if err != nil {
		panic(err)
	}
	var out []audit.Section
	for _, s := range list {
		out = append(out, *s)
	}
	return out
})

// someAttacks are in the form of tutti attack: an attack that stays within its bound, and one whose control failed.
var someAttacks = []audit.Section{
	{Kind: "inversion_update", ThreatModel: "one upload", Setup: "rank items by embedding-row norm", Values: []audit.Value{{Name: "auc", Value: "0.51", Low: "0.47", High: "0.55"}},
		Bound: "0.76", PositiveControl: &audit.Control{Setup: "no mask, no noise", Value: "1.000", Detected: true}, Power: "finds an AUC of 0.55", Verdict: audit.VerdictPass, Reason: "The upload is masked."},
	{Kind: "lira_sample", ThreatModel: "released model", Setup: "16 shadows", Values: []audit.Value{{Name: "tpr_at_fpr_1", Value: "0.012", Low: "0.004", High: "0.03"}},
		Bound: "0.244", PositiveControl: &audit.Control{Setup: "no noise", Value: "0.011"}, Power: "weak", Verdict: audit.VerdictBroken, Reason: "It did not succeed without protection either."},
}

func auditStep(res Result) Step {
	i := slices.IndexFunc(res.Steps, func(s Step) bool { return strings.HasPrefix(s.Name, "Audits and attacks") })
	return res.Steps[i]
}

// reportWith is the sample world's report with these sections.
func reportWith(t *testing.T, w *world, list []audit.Section, edit func(*Report)) Result {
	t.Helper()
	in, lines := w.input()
	in.Sections = list
	r := built(t, in)
	if edit != nil {
		edit(r)
	}
	return Verify(signed(t, 1, r), lines, Options{Operator: public(1)})
}

// TestAuditsRecomputed: the step recomputes what carries scores, and says what does not.
func TestAuditsRecomputed(t *testing.T) {
	res := reportWith(t, sampleWorld(t), someAudits(), nil)
	step := auditStep(res)
	if res.Overall != Verified || step.Verdict != OK || !strings.Contains(step.Detail, "gates passed on this report's claim") {
		t.Fatalf("%s %s: %s %q", res.Overall, res.Reason, step.Verdict, step.Detail)
	}
	res = reportWith(t, sampleWorld(t), someAttacks, nil)
	if step := auditStep(res); res.Overall != Verified || step.Verdict != NotChecked || !strings.Contains(step.Detail, "broken, and so shows nothing: lira_sample") {
		t.Errorf("%s: %s %q", res.Overall, step.Verdict, step.Detail)
	}
	if alarms := res.Report.Alarms; len(alarms) != 1 || !strings.Contains(alarms[0], "is broken and shows nothing") {
		t.Errorf("alarms %q", alarms)
	}
	if risks := res.Report.DPIA.Risks; risks[1].Test != "attacks[0]: inversion_update" || !strings.Contains(risks[1].Result, "auc 0.51 (bound 0.76); without protection 1.000") {
		t.Errorf("%+v", risks[1])
	}
}

// TestAuditsOfAnotherClaim: gates that audited a weaker claim say nothing about this one.
func TestAuditsOfAnotherClaim(t *testing.T) {
	w := newWorld(t)
	w.run(1, big.NewRat(3, 100), 104, 0.4, nil)
	if step := auditStep(reportWith(t, w, someAudits(), nil)); step.Verdict != NotChecked || !strings.Contains(step.Detail, "audited another claim") {
		t.Errorf("%s %q", step.Verdict, step.Detail)
	}
}

// TestAuditsEdited: whoever edits an audit, or signs a failed gate, does not pass.
func TestAuditsEdited(t *testing.T) {
	gate := slices.IndexFunc(someAudits(), func(s audit.Section) bool { return s.Gate })
	for name, c := range map[string]struct {
		edit func(*Report)
		want Reason
	}{
		"score":   {func(r *Report) { s := r.Audits[gate].Scores; s[0], s[1] = s[1]+"1", s[0] }, ReasonAudit},
		"value":   {func(r *Report) { r.Audits[gate].Values[0].Value = "0.1000" }, ReasonAudit},
		"verdict": {func(r *Report) { r.Audits[0].Verdict = audit.VerdictFail }, ReasonAudit},
		"seed":    {func(r *Report) { r.Audits[gate].Seed = strings.Repeat("0", 64) }, ReasonAudit},
		"commit":  {func(r *Report) { r.Audits[gate].Commit = strings.Repeat("0", 64) }, ReasonAudit},
		"kind":    {func(r *Report) { r.Attacks, r.Audits = r.Audits, r.Attacks }, ReasonAudit},
		"a gate that failed": {func(r *Report) {
			r.Attacks = []audit.Section{someAttacks[0]}
			r.Attacks[0].Gate, r.Attacks[0].Verdict = true, audit.VerdictFail
			_, r.Attacks, _ = sortSections(r.Attacks)
			r.Alarms = []string{}
		}, ReasonAuditGate},
	} {
		in, lines := sampleWorld(t).input()
		in.Sections = someAudits()
		r := built(t, in)
		c.edit(r)
		res := Verify(signed(t, 1, r), lines, Options{Operator: public(1)})
		if step := auditStep(res); res.Overall != FailedAll || step.Reason != c.want {
			t.Errorf("%s: %s, step %s %s %q", name, res.Overall, step.Verdict, step.Reason, step.Detail)
		}
	}
}

// TestAuditCommitted: a commitment that stands in the log is counted.
func TestAuditCommitted(t *testing.T) {
	w := sampleWorld(t)
	if step := auditStep(reportWith(t, w, someAudits(), nil)); !strings.Contains(step.Detail, "no commitment stands in the log") {
		t.Errorf("%q", step.Detail)
	}
	for _, s := range someAudits() {
		if d, ok := digestOf(s.Commit); ok {
			w.bodies = append(w.bodies, &ledger.Note{Task: "films", Topic: "canary_commit", Digest: d})
			break
		}
	}
	if step := auditStep(reportWith(t, w, someAudits(), nil)); !strings.Contains(step.Detail, "1 of 1 commitments stand in the log") {
		t.Errorf("%q", step.Detail)
	}
}
