package operator

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"tutti/server/round"
)

// fullView is a view with something everywhere.
func fullView() *View {
	end := still().Add(30 * 24 * time.Hour)
	v := &View{At: still(), Task: "films", Purpose: "tests", Opened: morning, State: Running, Privacy: Privacy{On: true, Trust: "devices"},
		Budget: Budget{Bounded: true, Rho: 1, Epsilon: 8, Spent: Cost{0.5, 5}, Left: 0.4, Delta: "1e-06", History: []Spending{{At: morning, What: "opening"}},
			Forecast: Forecast{Known: true, Rounds: 4, Stop: still().Add(time.Hour)}},
		Devices: Devices{Enrolled: 12}, Log: Log{Size: 7, Verdict: Verdict{State: "ok"}},
		Open: &Open{Number: 10, Kind: "model", Phase: "collecting", Opened: still(), Deadline: still().Add(time.Minute), Goal: 100, Staged: 40, Accepted: 30, Refused: []Reason{}, Phases: []Phase{}},
		Totals: Totals{Rounds: 9, Published: 8, Abandoned: 1, Counted: 80, Abandons: []Reason{{Label: round.TooFewUploads.String(), Count: 1}},
			Refused: []Reason{{Label: round.DropVector.String(), Count: 3}}, Phases: []Histogram{{Name: "collecting", Bounds: PhaseBounds, Counts: make([]uint64, len(PhaseBounds)), Count: 9, Sum: 1e6}}},
		Nodes:    []Node{{Address: "n1:1", Up: true}, {Address: "n2:1", Wrong: 2}},
		Replicas: []Replica{{Name: "a", Drives: true, Answers: true}}, Leases: []Lease{{Name: "task/films", Holder: "a", Token: 3}},
		Machine: Machine{Certificate: &end, DiskFree: 5, DiskTotal: 10}, Aliases: []Alias{}, Warnings: []Warning{}, Versions: []Version{{Number: 8}, {Number: 7}}}
	for n := uint64(9); n > 0; n-- {
		v.Rounds = append(v.Rounds, Round{Number: n, State: "published", Ended: still(), Goal: 10, Counted: 9, Collect: 60, Meter: &Meter{Coords: 1, Ratio: 1.1, Z: 0.4}})
	}
	v.Quality = []Quality{{Round: 9, Figures: []Figure{{"hit10", 0.4, 0.3, 0.5}, {"something", 1, 1, 1}}}}
	return v
}

func scrape(t *testing.T, s *scene) string {
	t.Helper()
	h, err := metricsHandler(s, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestMetrics: every metric is told, with the view's numbers; where the view cannot be had, that is told and nothing else.
func TestMetrics(t *testing.T) {
	s := &scene{view: fullView()}
	text := scrape(t, s)
	for _, name := range Metrics() {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("%s is not told", name)
		}
	}
	for _, line := range []string{
		`tutti_task_state{state="running"} 1`, `tutti_task_state{state="paused"} 0`, `tutti_rounds_total{outcome="published"} 8`, `tutti_rounds_abandoned_total{reason="too_few_uploads"} 1`,
		`tutti_uploads_dropped_total{reason="vector"} 3`, `tutti_participation_ratio 0.9`, `tutti_participation_low_rounds 0`, `tutti_budget_used_ratio 0.6`, `tutti_epsilon_spent 5`,
		`tutti_round_staged 40`, `tutti_round_collect_seconds 60`, `tutti_committee_node_up{node="n2:1"} 0`, `tutti_committee_node_wrong_total{node="n2:1"} 2`, `tutti_drives 1`, `tutti_lease_token 3`,
		`tutti_quality{bound="low",metric="hit10"} 0.3`, `tutti_certificate_expiry_seconds 2.592e+06`, `tutti_round_phase_seconds_count{phase="collecting"} 9`, `tutti_view_ok 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	s.err = errHere
	text = scrape(t, s)
	if !strings.Contains(text, "tutti_view_ok 0\n") || strings.Contains(text, "tutti_rounds_total") {
		t.Error("numbers of a view that was not there")
	}
}

var sample = regexp.MustCompile(`(?m)^(tutti_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? `)
var label = regexp.MustCompile(`(\w+)="([^"]*)"`)

// TestLabelsAreClosed: the values of every label come from sets that no device has a say in, so that nothing names a device
// and the number of series is bounded.
func TestLabelsAreClosed(t *testing.T) {
	v := fullView()
	v.Quality[0].Figures = append(v.Quality[0].Figures, Figure{Name: "device 17"})
	v.Totals.Refused = append(v.Totals.Refused, Reason{Label: "device 17", Count: 1})
	v.Totals.Abandons = append(v.Totals.Abandons, Reason{Label: "device 17", Count: 1})
	text := scrape(t, &scene{view: v})
	if strings.Contains(text, "device 17") {
		t.Error("a label from outside the closed sets")
	}
	var states, drops, abandons []string
	for _, r := range round.DropReasons() {
		drops = append(drops, r.String())
	}
	for _, r := range abandonReasons() {
		abandons = append(abandons, r.String())
	}
	for s := round.Created; s <= round.Lost; s++ {
		states = append(states, s.String())
	}
	allowed := map[string][]string{"state": {"running", "paused", "stopped", "finished"}, "outcome": states, "phase": states, "reason": append(drops, abandons...),
		"node": {"n1:1", "n2:1"}, "metric": {"hit10", "ndcg10", "loss", "clip"}, "bound": {"value", "low", "high"}, "le": nil}
	series := 0
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		series++
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			values, known := allowed[l[1]]
			if !known || values != nil && !slices.Contains(values, l[2]) {
				t.Errorf("%s has the label %s", m[1], l[0])
			}
		}
	}
	if series > 200 {
		t.Errorf("%d series", series)
	}
}

// TestAlertRules: every metric that a rule names is one that is told, and promtool proves the rules where it is installed.
func TestAlertRules(t *testing.T) {
	rules, err := os.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\btutti_\w+`)
	for _, name := range append(names.FindAllString(string(rules), -1), names.FindAllString(string(tests), -1)...) {
		if !slices.Contains(Metrics(), name) {
			t.Errorf("%s is not told", name)
		}
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	for _, a := range alerts {
		if strings.Count(string(tests), "alertname: "+a[1]+"\n") < 2 {
			t.Errorf("%s is not proven to fire and to be silent", a[1])
		}
	}
	for _, limit := range []string{fmt.Sprint("tutti_participation_low_rounds >= ", warnRounds), fmt.Sprint("tutti_budget_used_ratio > ", warnBudget), fmt.Sprint("tutti_rounds_failed_in_a_row >= ", warnFailures),
		fmt.Sprint("abs(tutti_noise_meter_z) > ", MeterLimit), fmt.Sprintf("tutti_certificate_expiry_seconds < %d * 86400", warnCertificate/(24*time.Hour)), fmt.Sprint("tutti_disk_free_bytes / tutti_disk_bytes < ", warnDisk)} {
		if !strings.Contains(string(rules), "expr: "+limit+"\n") {
			t.Errorf("the rules and the status warn at different limits: %s", limit)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (the package prometheus brings it): the rules were not run")
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", "alerts_test.yaml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
