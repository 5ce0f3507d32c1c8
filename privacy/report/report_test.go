package report

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"tutti/privacy/accounting"
	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

func TestHonestReport(t *testing.T) {
	report, lines := sampleWorld(t).files()
	res := Verify(report, lines, Options{Operator: public(1)})
	for _, s := range res.Steps {
		t.Logf("%2d %-11s %s: %s", s.N, s.Verdict, s.Name, s.Detail)
	}
	if res.Overall != Verified || res.Reason != ReasonNone {
		t.Fatalf("%s, %s", res.Overall, res.Reason)
	}
	unchecked := 0
	for _, s := range res.Steps {
		if s.Verdict == NotChecked {
			unchecked++
			if len(s.Detail) < 20 {
				t.Errorf("%q does not say why it is not checked", s.Name)
			}
		} else if s.Verdict != OK {
			t.Errorf("%q: %s", s.Name, s.Verdict)
		}
	}
	if unchecked != 4 {
		t.Errorf("%d steps say that they cannot be checked, want 4", unchecked)
	}
	if res := Verify(report, lines, Options{}); res.Overall != Verified || res.Steps[2].Verdict != NotChecked {
		t.Errorf("without a pinned key: %s, step 3 %s", res.Overall, res.Steps[2].Verdict)
	}
	if res := Verify(report, nil, Options{}); res.Overall != Incomplete || res.Steps[3].Verdict != NotRun || res.Steps[19].Verdict != NotRun {
		t.Errorf("without a ledger: %s", res.Overall)
	}
}

// TestNumbers checks the report against figures computed here another way.
func TestNumbers(t *testing.T) {
	in, _ := sampleWorld(t).input()
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	want := big.NewRat(1, 100) // two statements at epsilon .1
	for _, rec := range in.Records {
		if b, ok := rec.Body.(*ledger.Round); ok {
			want.Add(want, b.Rho)
		}
	}
	c := r.Claims[0]
	if c.Rho != want.String() || r.Accounting.Rho != want.String() {
		t.Errorf("rho %s, want %s", c.Rho, want)
	}
	eps, err := accounting.EpsilonFromRho(want, 1e-6)
	if err != nil {
		t.Fatal(err)
	}
	if c.Epsilons[0].Epsilon != up(eps, 4) || c.Epsilons[0].Delta != "1e-06" || c.MaxParticipations != 5 {
		t.Errorf("epsilon %+v", c.Epsilons[0])
	}
	// A lone honest device has one share instead of 63: 63 times the rho of each round, plus the statements.
	lone := new(big.Rat).Sub(want, big.NewRat(1, 100))
	lone.Mul(lone, big.NewRat(63, 1)).Add(lone, big.NewRat(1, 100))
	if c.Lone.Rho != lone.FloatString(6) {
		t.Errorf("lone rho %s, want %s", c.Lone.Rho, lone.FloatString(6))
	}
	if !strings.Contains(c.Adversary, "honest-but-curious server, no sybils") || !strings.Contains(strings.Join(r.Limitations, " "), "The committee ran in one place") {
		t.Errorf("adversary %q, limitations %q", c.Adversary, r.Limitations)
	}
	if r.Dropout != (Dropout{Rounds: 5, Published: 5, Abandoned: 1, Min: 88, Median: 94, Max: 104}) {
		t.Errorf("dropout %+v", r.Dropout)
	}
	if r.NoiseMeter.WorstZ != "-1.20" || r.NoiseMeter.WorstRound != 2 || r.NoiseMeter.PooledZ != "0.31" || len(r.Alarms) != 0 {
		t.Errorf("meter %+v", r.NoiseMeter)
	}
	var share float64
	for _, s := range r.Accounting.Spent {
		x, _ := new(big.Rat).SetString(s.Share)
		share += toFloat(x)
	}
	if !near(share, 1, 0, 0.001) || len(r.Accounting.Spent) != 4 {
		t.Errorf("shares %+v", r.Accounting.Spent)
	}
	if r.Rounds[1].RhoTotal == "" || r.Rounds[4].EpsTotal >= c.Epsilons[0].Epsilon {
		t.Errorf("running totals %s, %s of %s", r.Rounds[1].RhoTotal, r.Rounds[4].EpsTotal, c.Epsilons[0].Epsilon)
	}
}

func TestIndependentSetting(t *testing.T) {
	in, lines := sampleWorld(t).input()
	in.Setting.SelfEnrolled, in.Setting.CommitteeOneRoof = false, false
	in.Limitations = []string{"Our own remark."}
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(r.Claims[0].Adversary, "honest-but-curious") || r.Assumptions[0].Status != statusTaken || strings.Contains(strings.Join(r.Limitations, " "), "one place") {
		t.Errorf("%q, %+v", r.Claims[0].Adversary, r.Assumptions[0])
	}
	data, err := Sign(key(1), r)
	if err != nil {
		t.Fatal(err)
	}
	if res := Verify(data, lines, Options{Operator: public(1)}); res.Overall != Verified {
		t.Errorf("%s: %s", res.Overall, res.Reason)
	}
}

func TestPrivacyOff(t *testing.T) {
	for name, grow := range map[string]func(*world){
		"noise": func(w *world) { w.run(plan.Model, nil, 90, 0, nil) },
	} {
		w := sampleWorld(t)
		grow(w)
		in, lines := w.input()
		r, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if r.Privacy != PrivacyOff || len(r.Claims) != 0 || len(r.Alarms) != 1 || !strings.Contains(r.Alarms[0], "without "+name) {
			t.Errorf("%s: privacy %q, %d claims, alarms %q", name, r.Privacy, len(r.Claims), r.Alarms)
		}
		data, _ := Sign(key(1), r)
		if res := Verify(data, lines, Options{Operator: public(1)}); res.Overall != Verified || !strings.Contains(res.Steps[14].Detail, "OFF") {
			t.Errorf("%s: %s %s, %q", name, res.Overall, res.Reason, res.Steps[14].Detail)
		}
		page := new(bytes.Buffer)
		if err := r.HTML(page); err != nil || !strings.Contains(page.String(), "PRIVACY OFF") || strings.Contains(page.String(), "changes the odds") {
			t.Errorf("%s: the page does not say that privacy is off (%v)", name, err)
		}
		// The same report, saying otherwise.
		r.Privacy, r.Alarms = PrivacyOn, []string{}
		data, _ = Sign(key(1), r)
		if res := Verify(data, lines, Options{Operator: public(1)}); res.Reason != ReasonPrivacyState {
			t.Errorf("%s hidden: %s %s", name, res.Overall, res.Reason)
		}
	}
}

// TestPendingRoundIsCharged: a round is logged when it has ended, and its sum is open before. A report that is written in
// between counts it.
func TestPendingRoundIsCharged(t *testing.T) {
	build := func(w *world) *Report {
		t.Helper()
		in, lines := w.input()
		r, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		data, err := Sign(w.operator, r)
		if err != nil {
			t.Fatal(err)
		}
		if res := Verify(data, lines, Options{Operator: public(1)}); res.Overall != Verified {
			t.Errorf("verify: %s %s", res.Overall, res.Reason)
		}
		return r
	}
	w := newWorld(t)
	w.run(plan.Popularity, big.NewRat(1, 10), 90, 0, nil)
	ended := build(w).Claims[0]
	w.plan(plan.Model, big.NewRat(1, 5), nil)
	r := build(w)
	c := r.Claims[0]
	rho, _ := new(big.Rat).SetString(c.Rho)
	want := new(big.Rat).Add(w.design(big.NewRat(1, 10)).Rho(), w.design(big.NewRat(1, 5)).Rho())
	if rho.Cmp(want) != 0 || c.MaxParticipations != 2 || r.Dropout.Pending != 1 || c.Lone.Rho != "18.900000" || ended.Lone.Rho != "6.300000" {
		t.Errorf("rho %s, want %s; %d rounds, %d pending, lone %s after %s", rho.FloatString(6), want.FloatString(6), c.MaxParticipations, r.Dropout.Pending, c.Lone.Rho, ended.Lone.Rho)
	}
	w = newWorld(t)
	w.run(plan.Popularity, big.NewRat(1, 10), 90, 0, nil)
	w.plan(plan.Model, nil, nil)
	if r = build(w); r.Privacy != PrivacyOff || len(r.Claims) > 0 || len(r.Alarms) == 0 {
		t.Errorf("a round without noise is under way: privacy %q, %d claims, alarms %q", r.Privacy, len(r.Claims), r.Alarms)
	}
}

func TestParseRefuses(t *testing.T) {
	report, _ := sampleWorld(t).files()
	for name, b := range map[string][]byte{
		"empty": nil, "null": []byte("null\n"), "array": []byte("[]\n"), "no end of line": bytes.TrimSuffix(report, []byte("\n")),
		"two ends of line": append(bytes.Clone(report), '\n'), "space": append([]byte(" "), report...),
		"unknown field":    bytes.Replace(report, []byte(`{"abandoned"`), []byte(`{"aa":1,"abandoned"`), 1),
		"name in capitals": bytes.Replace(report, []byte(`"abandoned"`), []byte(`"Abandoned"`), 1),
		"another schema":   bytes.Replace(report, []byte("tutti.report/v2"), []byte("tutti.report/v3"), 1),
		"indented":         func() []byte { var b bytes.Buffer; _ = json.Indent(&b, report, "", " "); return b.Bytes() }(),
	} {
		if _, err := Parse(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	r, err := Parse(report)
	if err != nil {
		t.Fatal(err)
	}
	r.Run.Operator = "a\u2028b"
	if _, err := Sign(key(1), r); err == nil {
		t.Error("a line separator is signed, which RFC 8785 spells otherwise")
	}
	r.Run.Operator = "a\xffb"
	if _, err := Sign(key(1), r); err == nil {
		t.Error("text that is not UTF-8 is signed")
	}
	if _, err := Sign(nil, r); err == nil {
		t.Error("signed without a key")
	}
}

func FuzzParse(f *testing.F) {
	report, _ := sampleWorld(f).files()
	f.Add(report)
	f.Add([]byte(`{"schema":"tutti.report/v2"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		if err != nil {
			return
		}
		again, err := canonical(r)
		if err != nil || !bytes.Equal(append(again, '\n'), data) {
			t.Fatalf("read, but written as %s (%v)", again, err)
		}
	})
}
