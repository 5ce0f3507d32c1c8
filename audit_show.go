package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"tutti/privacy/audit"
)

// auditResult is tutti audit as one JSON document.
type auditResult struct {
	Verdict  string       `json:"verdict"`
	Remarks  []string     `json:"remarks"`
	Out      string       `json:"out"`
	Sections []auditEntry `json:"sections"`
}

// auditEntry is a section without its scores, which are in the file.
type auditEntry struct {
	File            string          `json:"file"`
	Kind            string          `json:"kind"`
	Inputs          []audit.Value   `json:"inputs"`
	Values          []audit.Value   `json:"values"`
	Bound           string          `json:"bound"`
	PositiveControl *audit.Control  `json:"positive_control"`
	MoreControls    []audit.Control `json:"more_controls"`
	Power           string          `json:"power"`
	Parametric      bool            `json:"parametric"`
	Gate            bool            `json:"gate"`
	Verdict         string          `json:"verdict"`
	Reason          string          `json:"reason"`
}

// showAudit prints what was found and turns it into an exit code.
func (a *app) showAudit(u *ui, dir string, found []auditSection) error {
	all := make([]*audit.Section, len(found))
	for i, s := range found {
		all[i] = s.Section
	}
	verdict, remarks := audit.Overall(all)
	if a.json {
		result := auditResult{Verdict: verdict, Remarks: append([]string{}, remarks...), Out: dir}
		for _, s := range found {
			result.Sections = append(result.Sections, entryOf(s))
		}
		if err := a.emit(result); err != nil {
			return err
		}
		return auditExit(verdict)
	}
	u.close()
	u.print(canaryTable(found))
	u.print(meterTable(found))
	for _, line := range auditLegend(found) {
		u.say("%s", line)
	}
	for _, r := range remarks {
		u.say("! %s", r)
	}
	u.say("%s. The sections are in %s; tutti report --audits takes them in, tutti audit --replay runs one again.", strings.ToUpper(verdict), dir)
	return auditExit(verdict)
}

func entryOf(s auditSection) auditEntry {
	e := auditEntry{
		File: s.file, Kind: s.Kind, Inputs: s.Inputs, Values: s.Values, Bound: s.Bound, MoreControls: []audit.Control{},
		Power: s.Power, Parametric: s.Parametric, Gate: s.Gate, Verdict: s.Verdict, Reason: s.Reason,
	}
	if s.PositiveControl != nil {
		c := *s.PositiveControl
		c.Scores = []string{}
		e.PositiveControl = &c
	}
	for _, c := range s.MoreControls {
		c.Scores = []string{}
		e.MoreControls = append(e.MoreControls, c)
	}
	return e
}

// canaryTable has a row for every test of every claim.
func canaryTable(found []auditSection) (table.Row, []table.Row) {
	names := map[string]string{
		audit.KindOneRun: "one-run", audit.KindOneRunFDP: "one-run, f-DP", audit.KindGaussianPair: "Gaussian pair (parametric)", audit.KindOneShot: "one-shot estimate",
	}
	var rows []table.Row
	last := -1
	for _, s := range found {
		name, ok := names[s.Kind]
		if !ok {
			continue
		}
		claim := ""
		if s.claim != last {
			eps, _ := s.Input("epsilon")
			delta, _ := s.Input("delta")
			claim, last = rounded(eps)+" (δ "+scientific(delta)+")", s.claim
		}
		none, half := "", ""
		if s.PositiveControl != nil && len(s.MoreControls) > 0 {
			none, half = rounded(s.PositiveControl.Value)+seen(*s.PositiveControl), rounded(s.MoreControls[0].Value)+seen(s.MoreControls[0])
		}
		verdict := s.Verdict
		if s.Gate {
			verdict += ", gate"
		}
		rows = append(rows, table.Row{claim, name, rounded(s.Values[0].Value), none, half, verdict})
	}
	return table.Row{"claimed ε", "test", "ε shown ≥", "without noise", "with half of it", "verdict"}, rows
}

func seen(c audit.Control) string {
	if c.Detected {
		return " found"
	}
	return " missed"
}

// rounded shortens a decimal for people.
func rounded(decimal string) string {
	v, err := strconv.ParseFloat(decimal, 64)
	if err != nil {
		return decimal
	}
	if v > 1000 {
		return "> 1000"
	}
	return fmt.Sprintf("%.2f", v)
}

// scientific writes a small decimal with an exponent.
func scientific(decimal string) string {
	v, err := strconv.ParseFloat(decimal, 64)
	if err != nil {
		return decimal
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func meterTable(found []auditSection) (table.Row, []table.Row) {
	var rows []table.Row
	for _, s := range found {
		if s.Kind != audit.KindNoiseMeter {
			continue
		}
		of := "report's rounds"
		if s.claim >= 0 {
			of = "canary run, ε " + claimedBy(found, s.claim)
		}
		pooled, _ := s.Find("pooled_z")
		rows = append(rows, table.Row{of, len(s.Scores), s.Values[0].Value, pooled, s.PositiveControl.Value, lastValue(s.MoreControls), s.Verdict})
	}
	return table.Row{"noise meter", "sums", "worst shortfall", "pooled z", "without noise", "1 of 16 silent", "verdict"}, rows
}

func claimedBy(found []auditSection, claim int) string {
	for _, s := range found {
		if eps, ok := s.Input("epsilon"); ok && s.claim == claim {
			return rounded(eps)
		}
	}
	return "?"
}

func lastValue(controls []audit.Control) string {
	if len(controls) == 0 {
		return ""
	}
	return controls[len(controls)-1].Value
}

// auditLegend says how to read the tables, and the power of the gates.
func auditLegend(found []auditSection) []string {
	lines := []string{
		"ε shown: what canaries prove to leak, wrong with a probability of at most 0.001 (one-shot: an estimate, proves nothing).",
		"Shortfall: standard errors of noise missing; 5 in a round is an alarm.",
	}
	for _, s := range found {
		if s.Kind == audit.KindGaussianPair || s.Kind == audit.KindOneRun && s.Gate {
			lines = append(lines, fmt.Sprintf("Power, %s at ε %s: %s", strings.ReplaceAll(s.Kind, "_", " "), claimedBy(found, s.claim), s.Power))
		}
	}
	return lines
}
