package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"tutti/privacy/ledger"
	"tutti/privacy/plan"
)

func render(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPage: the page loads nothing, runs nothing, and its policy lets exactly its own style in.
func TestPage(t *testing.T) {
	in, _ := sampleWorld(t).input()
	in.Run.Operator = `<script>alert(1)</script>`
	in.Utility[0].Name = `"><img src=x onerror=alert(1)>`
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	page := render(t, r)
	for _, banned := range []string{"<script", "<img", "<iframe", "<link", "javascript:", "http://", "https://", "url(", " style=", "ZgotmplZ", "<no value>"} {
		if strings.Contains(page, banned) {
			t.Errorf("the page holds %q", banned)
		}
	}
	inside := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	hash := sha256.Sum256([]byte(inside[1]))
	if want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(html.UnescapeString(page), want) {
		t.Error("the content security policy does not name the style that the page has")
	}
	for _, wanted := range []string{r.Claims[0].Sentence, r.Claims[0].Epsilons[0].Epsilon, r.Transparency.Root, "width=device-width", "prefers-color-scheme:dark", "The committee ran in one place", "not enforced"} {
		if !strings.Contains(html.UnescapeString(page), wanted) {
			t.Errorf("the page does not say %q", wanted)
		}
	}
	if n := strings.Count(page, "<rect class=\"model\""); n != 3+3+1 { // three columns of the budget, three of the devices, and the legend
		t.Errorf("%d model rectangles", n)
	}
	if strings.Contains(page, "PRIVACY OFF") || strings.Contains(page, `role="alert"`) {
		t.Error("an alarm without a cause")
	}
}

func TestPageOfManyRounds(t *testing.T) {
	w := newWorld(t)
	for range 600 {
		w.run(plan.Model, big.NewRat(1, 2000), 90, 0, nil)
	}
	in, _ := w.input()
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.view()
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Rows) != shownRounds || v.Cut == "" || len(v.Burn.Columns) > mostColumns || len(r.Rounds) != 600 {
		t.Errorf("%d rows, %d columns, %q", len(v.Rows), len(v.Burn.Columns), v.Cut)
	}
	var sum float64
	for _, s := range thin(r.steps()) {
		sum += s.rho
	}
	total, _ := ratOf(r.Accounting.Rho)
	if !near(sum, toFloat(total), 1e-9, 0) {
		t.Errorf("the chart shows rho %g of %g", sum, toFloat(total))
	}
}

// TestPageOfLittle: a task in which nothing happened, one without a budget, one with lost rounds only.
func TestPageOfLittle(t *testing.T) {
	w := newWorld(t)
	in, _ := w.input()
	in.Utility = nil
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	if page := render(t, r); !strings.Contains(page, "0.0000") {
		t.Error("nothing happened, and epsilon is not 0")
	}
	w.bodies[0].(*ledger.Task).Budget = nil
	w.run(plan.Model, big.NewRat(1, 100), 90, 0, func(b *ledger.Round) {
		b.Outcome, b.After, b.Meter = ledger.Lost, b.Before, ledger.Meter{}
	})
	in, _ = w.input()
	if r, err = Build(in); err != nil {
		t.Fatal(err)
	}
	page := render(t, r)
	if !strings.Contains(page, "1 round charged, with nothing published.") || strings.Contains(page, "of the budget spent") {
		t.Error("a lost round without a budget is not told")
	}
}

// TestPageOfAnything: a report that nobody verified may hold anything, and still only text comes out.
func TestPageOfAnything(t *testing.T) {
	wild := &Report{
		Task: Task{Budget: "1e999999999", Delta: "0.5"}, Accounting: Accounting{Rho: "x", Spent: []Spent{{What: "y"}}},
		Rounds:    []Round{{Rho: "1e999999999", MeterZ: "NaN"}, {Rho: "1/3", What: `"><script>`, MeterZ: "-1e300", After: "z"}},
		Telemetry: []Telemetry{{Epsilon: "inf", Rows: []TelemetryRow{{}}}}, Utility: []Utility{{NDCG: Value{"NaN", "-1", "1e9"}}},
	}
	if page := render(t, wild); strings.Contains(page, "<script") {
		t.Error("a script came through")
	}
	wild.Task.Delta = "none"
	if err := wild.HTML(new(bytes.Buffer)); err == nil {
		t.Error("a page without a delta has no epsilon axis")
	}
}

// TestNeverAnonymous: whether something is anonymous is for an authority to say; the report never says it of itself.
func TestNeverAnonymous(t *testing.T) {
	for _, w := range []*world{sampleWorld(t), centralWorld(t), limitedWorld(t)} {
		r := w.verified()
		text, err := canonical(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{string(text), render(t, r)} {
			if strings.Contains(strings.ToLower(s), "anonym") {
				t.Error("the report calls something anonymous")
			}
		}
	}
}
