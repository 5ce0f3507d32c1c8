package report

import (
	"bytes"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tutti/privacy/audit"
	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// roundWith plans and logs a round of which change sets what is special about it.
func (w *world) roundWith(kind plan.Kind, survived int, rho *big.Rat, change func(*plan.Plan), metrics ...ledger.Row) *ledger.Round {
	w.t.Helper()
	logged := w.plan(kind, rho, change)
	p, err := plan.Parse(logged.Bytes)
	if err != nil {
		w.t.Fatal(err)
	}
	logged.Stream = p.Stream()
	b := &ledger.Round{
		Task: "films", Round: w.round, What: kind.String(), Plan: logged.Digest(), Outcome: ledger.Published,
		Mechanism: p.Mechanism.AppendCanonical(nil), Survived: uint64(survived), NMin: 70, Participants: digest("set"), Noise: p.Mechanism.Noise,
		Rho: logged.Rho, Certificate: digest("certificate"), Aggregate: digest("sum"), Before: w.head, After: digest(fmt.Sprintf("after %d", w.round)),
		Metrics: metrics,
	}
	if p.Central != nil {
		b.Central = p.Central.Noise.String()
	}
	if p.Mechanism.Noise {
		expected := float64(survived) * (p.Mechanism.Sigma2.Float64() + 1.0/6)
		b.Meter = ledger.NewMeter(p.Mechanism.Pad(), expected, expected, 0)
	}
	w.head = b.After
	w.bodies = append(w.bodies, b)
	return b
}

func central(z string) func(*plan.Plan) {
	return func(p *plan.Plan) { p.Central = &plan.Central{Noise: plan.CentralGaussian, Z: z} }
}

// centralWorld is a task whose server adds the noise.
func centralWorld(t testing.TB) *world {
	w := newWorld(t)
	w.roundWith(plan.Popularity, 100, nil, central("4"))
	for range 3 {
		w.roundWith(plan.Model, 90, nil, central("2.5"))
	}
	return w
}

// streamWorld is a task with one stream of correlated noise over four model rounds.
func streamWorld(t testing.TB) *world {
	w := newWorld(t)
	w.roundWith(plan.Popularity, 100, nil, central("4"))
	for i := range uint32(4) {
		r := w.roundWith(plan.Model, 90, nil, func(p *plan.Plan) {
			p.Participations, p.Separation = 2, 2
			p.Central = &plan.Central{Noise: plan.CentralBLT, Z: "1.5", Theta: []string{"0.9"}, Omega: []string{"0.2"}, Rounds: 8, Index: i}
		})
		if i > 0 { // the stream is paid for
			w.bodies[len(w.bodies)-2].(*ledger.Plan).Rho = new(big.Rat)
			r.Rho = new(big.Rat)
		}
	}
	return w
}

// limitedWorld is a task whose plans let a device in twice, two rounds apart; its devices measure themselves.
func limitedWorld(t testing.TB) *world {
	w := newWorld(t)
	task := w.bodies[0].(*ledger.Task)
	task.Participations, task.Separation = 2, 2
	for i := range 6 {
		rows := []ledger.Row{{Label: "loss", Value: "2.31", Low: "2.20", High: "2.42"}, {Label: "history.short.ndcg10", Value: "0.11", Low: "0.09", High: "0.13"}}
		w.roundWith(plan.Model, 90, big.NewRat(int64(4+i), 50), func(p *plan.Plan) {
			p.Participations, p.Separation = 2, 2
			m, err := mechanism.Design(mechanism.Literal{Dim: 2, Clip: 1, NMin: 70, NMax: 130, Colluders: 7, Rho: big.NewRat(1, 1000), Noise: true, Unmetered: true})
			if err != nil {
				t.Fatal(err)
			}
			p.Metrics = &plan.Metrics{Names: []string{"loss", "history.short.ndcg10"}, Mechanism: m}
		}, rows...)
	}
	return w
}

func (w *world) verified() *Report {
	w.t.Helper()
	report, lines := w.files()
	res := Verify(report, lines, Options{Operator: public(1)})
	if res.Overall != Verified {
		for _, s := range res.Steps {
			if s.Verdict == Failed {
				w.t.Errorf("%s: %s: %s", s.Name, s.Reason, s.Detail)
			}
		}
		w.t.FailNow()
	}
	return res.Report
}

// TestCentral: there is a claim about what is released and none about the server, and the page says so in red.
func TestCentral(t *testing.T) {
	r := centralWorld(t).verified()
	if r.Privacy != PrivacyCentral || len(r.Claims) != 1 || r.Claims[0].View != ViewReleased {
		t.Fatalf("privacy %s, %d claims", r.Privacy, len(r.Claims))
	}
	// 1/(2 16) + 3/(2 6.25)
	if want := new(big.Rat).Add(big.NewRat(1, 32), big.NewRat(24, 100)); r.Claims[0].Rho != want.String() {
		t.Errorf("rho %s, want %s", r.Claims[0].Rho, want)
	}
	if r.Claims[0].Lone != nil {
		t.Error("a lone device's own noise, where devices add none")
	}
	if len(r.Alarms) != 1 || !strings.HasPrefix(r.Alarms[0], "THE SERVER SAW SUMS WITHOUT NOISE in 4 rounds") {
		t.Errorf("alarms %q", r.Alarms)
	}
	page := render(t, r)
	for _, wanted := range []string{`class="off"`, "privacy CENTRAL", "About what the server sees", "was trusted to add it", `role="alert"`} {
		if !strings.Contains(page, wanted) {
			t.Errorf("the page does not say %q", wanted)
		}
	}
}

// TestCentralNotSaid: an operator that hides whose noise it was fails.
func TestCentralNotSaid(t *testing.T) {
	in, lines := centralWorld(t).input()
	r := built(t, in)
	r.Privacy, r.Alarms = PrivacyOn, []string{}
	if res := Verify(signed(t, 1, r), lines, Options{}); res.Reason != ReasonPrivacyState {
		t.Errorf("%s %s", res.Overall, res.Reason)
	}
	r = built(t, in)
	server := r.Claims[0]
	server.View = ViewServer
	r.Claims = append([]Claim{server}, r.Claims...)
	if res := Verify(signed(t, 1, r), lines, Options{}); res.Reason != ReasonRho {
		t.Errorf("a claim about the server: %s %s", res.Overall, res.Reason)
	}
	w := centralWorld(t)
	roundOf(t, w, 1).Central = "blt"
	in.Records, in.Checkpoint, _ = w.ledger()
	if _, err := Build(in); err == nil || !strings.Contains(err.Error(), ReasonMechanism.String()) {
		t.Errorf("another noise than planned: %v", err)
	}
}

// TestStream: correlated noise is paid for once.
func TestStream(t *testing.T) {
	r := streamWorld(t).verified()
	// 1/(2 16) + 1/(2 2.25)
	if want := new(big.Rat).Add(big.NewRat(1, 32), big.NewRat(2, 9)); len(r.Claims) != 1 || r.Claims[0].Rho != want.String() {
		t.Errorf("%d claims, rho %s, want %s", len(r.Claims), r.Claims[0].Rho, want)
	}
}

// TestLimited: with k = 2 and b = 2, the dearest device is in rounds 4 and 6.
func TestLimited(t *testing.T) {
	w := limitedWorld(t)
	r := w.verified()
	var want big.Rat
	want.Add(roundOf(t, w, 3).Rho, roundOf(t, w, 5).Rho)
	c := r.Claims[0]
	if c.Rho != want.String() || c.MaxParticipations != 2 || c.MinSeparation != 2 || c.Rounds != 6 || len(r.Claims) != 2 {
		t.Errorf("rho %s, want %s; %d of %d rounds, %d apart", c.Rho, want.String(), c.MaxParticipations, c.Rounds, c.MinSeparation)
	}
	if all, _ := ratOf(r.Accounting.Rho); all.Cmp(&want) <= 0 {
		t.Errorf("all rounds together cost %s", r.Accounting.Rho)
	}
	if r.Rounds[5].EpsTotal != c.Epsilons[0].Epsilon {
		t.Errorf("epsilon after the last round %s, claimed %s", r.Rounds[5].EpsTotal, c.Epsilons[0].Epsilon)
	}
	groups := r.ModelCard.Groups
	if len(r.Metrics) != 12 || len(groups) != 2 || groups[1] != (GroupRow{"history: short", "ndcg10", 6, "0.11", "0.09", "0.13"}) {
		t.Errorf("%d metrics, groups %+v", len(r.Metrics), groups)
	}
	if !strings.Contains(c.Sentence, "at most 2 of the 6 rounds") {
		t.Error(c.Sentence)
	}
}

// TestLostIsNotReleased: a round that was opened and not published costs those nothing who see what is released.
func TestLostIsNotReleased(t *testing.T) {
	w := newWorld(t)
	w.run(plan.Popularity, big.NewRat(3, 100), 104, 0.4, nil)
	w.run(plan.Model, big.NewRat(1, 10), 90, 0, func(b *ledger.Round) {
		b.Outcome, b.After, b.Meter = ledger.Lost, b.Before, ledger.Meter{}
	})
	r := w.verified()
	server, _ := ratOf(r.Claims[0].Rho)
	released, _ := ratOf(r.Claims[1].Rho)
	if server.Cmp(new(big.Rat).Add(roundOf(t, w, 0).Rho, roundOf(t, w, 1).Rho)) != 0 || released.Cmp(roundOf(t, w, 0).Rho) != 0 {
		t.Errorf("server %s, released %s", server, released)
	}
}

// TestPages writes a page of every mode to the folder in TUTTI_PAGE_OUT, to be looked at.
func TestPages(t *testing.T) {
	dir := os.Getenv("TUTTI_PAGE_OUT")
	if dir == "" {
		t.Skip("TUTTI_PAGE_OUT names no folder")
	}
	audited, _ := sampleWorld(t).input()
	audited.Sections = append(append([]audit.Section{}, someAudits()...), someAttacks...)
	off := newWorld(t)
	off.run(plan.Popularity, big.NewRat(3, 100), 104, 0.4, nil)
	off.run(plan.Model, nil, 90, 0, nil)
	offInput, _ := off.input()
	centralInput, _ := centralWorld(t).input()
	limitedInput, _ := limitedWorld(t).input()
	for name, in := range map[string]Input{"audited": audited, "off": offInput, "central": centralInput, "limited": limitedInput} {
		var page bytes.Buffer
		if err := built(t, in).HTML(&page); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name+".html"), page.Bytes())
	}
}
