package audit

import (
	"strings"
	"testing"
)

func TestOverall(t *testing.T) {
	canary := func(kind, eps, verdict string, gate bool) *Section {
		return &Section{Kind: kind, Inputs: []Value{{Name: "epsilon", Value: eps}, {Name: "delta", Value: "1"}}, Seed: "00", Verdict: verdict, Gate: gate}
	}
	meter := func(verdict string) *Section { return &Section{Kind: KindNoiseMeter, Verdict: verdict, Gate: true} }
	pass := canary(KindGaussianPair, "1", VerdictPass, true)
	for name, c := range map[string]struct {
		sections []*Section
		want     string
		remark   string
	}{
		"passes":              {[]*Section{pass, meter(VerdictPass), canary(KindOneShot, "1", VerdictInfo, false)}, VerdictPass, ""},
		"one gate of two":     {[]*Section{pass, canary(KindOneRun, "1", VerdictInconclusive, true)}, VerdictPass, "one_run"},
		"no gate passes":      {[]*Section{canary(KindOneRun, "1", VerdictInconclusive, true)}, VerdictInconclusive, "No gate"},
		"only a statement":    {[]*Section{canary(KindOneRun, "1", VerdictInfo, false)}, VerdictInconclusive, "No gate"},
		"another claim":       {[]*Section{pass, canary(KindGaussianPair, "2", VerdictInconclusive, true)}, VerdictInconclusive, "epsilon 2"},
		"fails":               {[]*Section{pass, canary(KindOneRun, "1", VerdictFail, true), canary(KindOneRun, "2", VerdictBroken, true)}, VerdictFail, "one_run"},
		"fails without gate":  {[]*Section{pass, canary(KindOneRunFDP, "1", VerdictFail, false)}, VerdictPass, ""},
		"broken":              {[]*Section{pass, canary(KindOneRun, "1", VerdictBroken, true)}, VerdictInconclusive, "broken"},
		"the meter fails":     {[]*Section{pass, meter(VerdictFail)}, VerdictFail, "noise_meter"},
		"nothing was audited": {nil, VerdictInconclusive, "No claim"},
		"only the meter":      {[]*Section{meter(VerdictPass)}, VerdictInconclusive, "No claim"},
	} {
		verdict, remarks := Overall(c.sections)
		all := strings.Join(remarks, "\n")
		if verdict != c.want || c.remark == "" && all != "" || !strings.Contains(all, c.remark) {
			t.Errorf("%s: %s, %q", name, verdict, all)
		}
	}
}
