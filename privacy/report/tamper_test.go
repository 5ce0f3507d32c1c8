package report

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tutti/privacy/ledger"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// exhibit is what a reader holds in hand: the two files, a checkpoint kept from earlier, the key it pinned.
type exhibit struct {
	report, lines, older []byte
}

// tamperings are the named ways of the design (privacy.md, section 5.5) and some more. Each must fail for the reason named.
// Where the operator itself cheats, it signs everything anew: log, checkpoint, plans and report.
var tamperings = []struct {
	name string
	want Reason
	make func(t *testing.T) exhibit
}{
	{"honest", ReasonNone, func(t *testing.T) exhibit { return honest(t) }},
	{"honest-with-older-bases", ReasonNone, func(t *testing.T) exhibit {
		w := sampleWorld(t)
		staleRound(t, w, digest("distilled"))
		report, lines := w.files()
		return exhibit{report: report, lines: lines}
	}},
	{"older-base-that-never-was", ReasonModelChain, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { staleRound(t, w, digest("elsewhere")) })
	}},
	{"report-digit-changed", ReasonSignature, func(t *testing.T) exhibit {
		e := honest(t)
		e.report = swapOnce(t, e.report, `"committee_members":5`, `"committee_members":9`)
		return e
	}},
	{"report-reformatted", ReasonForm, func(t *testing.T) exhibit {
		e := honest(t)
		e.report = swapOnce(t, e.report, `{"abandoned":[`, `{ "abandoned":[`)
		return e
	}},
	{"report-cut", ReasonForm, func(t *testing.T) exhibit { e := honest(t); e.report = e.report[:len(e.report)/2]; return e }},
	{"ledger-digit-changed", ReasonPrev, func(t *testing.T) exhibit { return withRow(t, 2, `"survived":104`, `"survived":105`) }},
	{"ledger-digit-changed-in-the-last", ReasonTree, func(t *testing.T) exhibit { return withRow(t, -1, `"late","9"`, `"late","8"`) }},
	{"ledger-line-broken", ReasonLedgerLine, func(t *testing.T) exhibit { return withRow(t, 2, `{"seq":2`, `{"seq": 2`) }},
	{"record-deleted", ReasonSequence, func(t *testing.T) exhibit {
		return withRows(t, func(rows [][]byte) [][]byte { return slices.Delete(rows, 4, 5) })
	}},
	{"records-reordered", ReasonSequence, func(t *testing.T) exhibit {
		return withRows(t, func(rows [][]byte) [][]byte { rows[4], rows[5] = rows[5], rows[4]; return rows })
	}},
	{"record-inserted", ReasonSequence, func(t *testing.T) exhibit {
		return withRows(t, func(rows [][]byte) [][]byte { return slices.Insert(rows, 4, rows[3]) })
	}},
	{"log-truncated", ReasonTree, func(t *testing.T) exhibit {
		return withRows(t, func(rows [][]byte) [][]byte { return rows[:len(rows)-1] })
	}},
	{"log-continued", ReasonTree, func(t *testing.T) exhibit {
		w := sampleWorld(t)
		w.say("one more", ledger.Row{Label: "x", Value: "1", Low: "0", High: "2"})
		_, _, lines := w.ledger()
		return exhibit{report: honest(t).report, lines: lines}
	}},
	{"log-forked", ReasonCheckpoint, func(t *testing.T) exhibit {
		other := sampleWorld(t)
		roundOf(t, other, 0).Participants = digest("another set")
		other.bodies = other.bodies[:6]
		_, note, _ := other.ledger()
		return kept(t, note)
	}},
	{"log-shrunk", ReasonCheckpoint, func(t *testing.T) exhibit {
		longer := sampleWorld(t)
		longer.say("later")
		_, note, _ := longer.ledger()
		return kept(t, note)
	}},
	{"checkpoint-of-another-task", ReasonCheckpoint, func(t *testing.T) exhibit {
		note, err := ledger.SignCheckpoint(key(1), ledger.Checkpoint{Origin: "news/log", Size: 3, Root: digest("news")})
		if err != nil {
			t.Fatal(err)
		}
		return kept(t, note)
	}},
	{"checkpoint-of-another-operator", ReasonCheckpoint, func(t *testing.T) exhibit {
		note, err := ledger.SignCheckpoint(key(9), ledger.Checkpoint{Origin: "films/log", Size: 3, Root: digest("films")})
		if err != nil {
			t.Fatal(err)
		}
		return kept(t, note)
	}},
	{"edited-and-signed-with-a-new-key", ReasonOperator, func(t *testing.T) exhibit {
		in, lines := sampleWorld(t).input()
		r := built(t, in)
		r.Claims[0].Epsilons[0].Epsilon = "1.0000"
		return exhibit{report: signed(t, 9, r), lines: lines}
	}},
	{"epsilon-smaller", ReasonEpsilon, func(t *testing.T) exhibit {
		return edited(t, func(r *Report) { r.Claims[0].Epsilons[0].Epsilon = "5.0000" })
	}},
	{"epsilon-of-the-other-view-smaller", ReasonEpsilon, func(t *testing.T) exhibit {
		return edited(t, func(r *Report) { r.Claims[1].Epsilons[0].Epsilon = "5.0000" })
	}},
	{"trade-off-friendlier", ReasonEpsilon, func(t *testing.T) exhibit {
		return edited(t, func(r *Report) { r.Claims[0].Tradeoff[2].TPR = "0.0500" })
	}},
	{"rho-smaller", ReasonRho, func(t *testing.T) exhibit { return edited(t, func(r *Report) { r.Claims[0].Rho = "1/2" }) }},
	{"participations-fewer", ReasonContent, func(t *testing.T) exhibit { return edited(t, func(r *Report) { r.Claims[0].MaxParticipations = 1 }) }},
	{"sigma-lower-in-one-round", ReasonMechanism, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { weaken(t, roundOf(t, w, 1)) })
	}},
	{"sigma-lower-with-its-rho", ReasonRho, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { r := roundOf(t, w, 1); r.Rho = weaken(t, r).Rho() })
	}},
	{"model-hashes-swapped", ReasonModelChain, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) {
			a, b := roundOf(t, w, 2), roundOf(t, w, 3)
			a.After, b.After = b.After, a.After
		})
	}},
	{"fewer-devices-than-promised", ReasonCohort, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { roundOf(t, w, 0).Survived = 69 })
	}},
	{"round-cheaper", ReasonRho, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { roundOf(t, w, 2).Rho = big.NewRat(1, 100) })
	}},
	{"statement-free", ReasonTelemetry, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { statement(w).Rho = big.NewRat(1, 2000) })
	}},
	{"plan-of-another-operator", ReasonPlan, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { w.bodies[1].(*ledger.Plan).Signature = make([]byte, 64) })
	}},
	{"round-without-plan", ReasonPlan, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { w.bodies = slices.Delete(w.bodies, 1, 2) })
	}},
	{"figures-that-no-plan-asks-for", ReasonMechanism, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) {
			roundOf(t, w, 2).Metrics = []ledger.Row{{Label: "age", Value: "31", Low: "30", High: "32"}}
		})
	}},
	{"more-rounds-than-the-task-allows", ReasonPlan, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { w.bodies[0].(*ledger.Task).Participations = 2 })
	}},
	{"budget-exceeded", ReasonBudget, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { w.bodies[0].(*ledger.Task).Budget = big.NewRat(1, 2) })
	}},
	{"noise-skipped-by-devices", ReasonNoiseMeter, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { w.run(plan.Model, big.NewRat(1, 1000), 90, -7.2, nil) })
	}},
	{"meter-friendlier", ReasonNoiseMeter, func(t *testing.T) exhibit {
		return cheated(t, func(t *testing.T, w *world) { roundOf(t, w, 3).Meter.Z = "0" })
	}},
}

// TestTampering: each exhibit fails with its reason, and the honest one is verified. With TUTTI_TAMPER_OUT it writes
// them, one folder each, and cases.json, for other verifiers.
func TestTampering(t *testing.T) { tamperTest(t, "") }

// TestTamperFiles writes the exhibits to the folder in TUTTI_TAMPER_OUT: for each case NAME/report.json, ledger.jsonl
// and, where the reader kept one, checkpoint.txt; and cases.json with the operator's key and the reasons.
func TestTamperFiles(t *testing.T) {
	dir := os.Getenv("TUTTI_TAMPER_OUT")
	if dir == "" {
		t.Skip("TUTTI_TAMPER_OUT names no folder")
	}
	tamperTest(t, dir)
}

// tamperCase is one row of cases.json. Reasons are all that Verify names, the first first; a verifier that checks less
// finds at least one of them, or says that it does not look there.
type tamperCase struct {
	Name       string   `json:"name"`
	Verdict    string   `json:"verdict"`
	Reason     string   `json:"reason"`
	Reasons    []string `json:"reasons"`
	Detail     string   `json:"detail"`
	Checkpoint bool     `json:"checkpoint"` // the reader kept one
}

func tamperTest(t *testing.T, dir string) {
	var cases []tamperCase
	for _, c := range tamperings {
		e := c.make(t)
		opt := Options{Operator: public(1)}
		if e.older != nil {
			opt.Older = [][]byte{e.older}
		}
		res := Verify(e.report, e.lines, opt)
		row := tamperCase{Name: c.name, Verdict: string(res.Overall), Reasons: []string{}, Checkpoint: e.older != nil}
		for _, s := range res.Steps {
			if s.Verdict != Failed {
				continue
			}
			if row.Reason == "" {
				row.Reason, row.Detail = s.Reason.String(), s.Detail
			}
			if !slices.Contains(row.Reasons, s.Reason.String()) {
				row.Reasons = append(row.Reasons, s.Reason.String())
			}
		}
		if c.want == ReasonNone {
			if res.Overall != Verified {
				t.Errorf("%s: %s %s", c.name, res.Overall, res.Reason)
			}
		} else if res.Overall != FailedAll || !slices.Contains(row.Reasons, c.want.String()) {
			t.Errorf("%s: %s for %q, want %s", c.name, res.Overall, row.Reasons, c.want)
		}
		cases = append(cases, row)
		if dir != "" {
			writeExhibit(t, filepath.Join(dir, c.name), e)
		}
	}
	if dir == "" {
		return
	}
	index, err := json.MarshalIndent(map[string]any{"operator": hexDigest([32]byte(public(1))), "cases": cases}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "cases.json"), append(index, '\n'))
}

func writeExhibit(t *testing.T, dir string, e exhibit) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "report.json"), e.report)
	writeFile(t, filepath.Join(dir, "ledger.jsonl"), e.lines)
	if e.older != nil {
		writeFile(t, filepath.Join(dir, "checkpoint.txt"), e.older)
	}
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func honest(t *testing.T) exhibit {
	report, lines := sampleWorld(t).files()
	return exhibit{report: report, lines: lines}
}

func kept(t *testing.T, note []byte) exhibit {
	e := honest(t)
	e.older = note
	return e
}

func swapOnce(t *testing.T, data []byte, from, to string) []byte {
	t.Helper()
	if bytes.Count(data, []byte(from)) != 1 {
		t.Fatalf("%d times %s", bytes.Count(data, []byte(from)), from)
	}
	return bytes.Replace(data, []byte(from), []byte(to), 1)
}

func withRows(t *testing.T, change func([][]byte) [][]byte) exhibit {
	e := honest(t)
	rows := bytes.SplitAfter(e.lines, []byte("\n"))
	e.lines = bytes.Join(change(rows[:len(rows)-1]), nil)
	return e
}

func withRow(t *testing.T, i int, from, to string) exhibit {
	return withRows(t, func(rows [][]byte) [][]byte {
		at := (i + len(rows)) % len(rows)
		rows[at] = swapOnce(t, rows[at], from, to)
		return rows
	})
}

func built(t *testing.T, in Input) *Report {
	t.Helper()
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func signed(t *testing.T, by byte, r *Report) []byte {
	t.Helper()
	data, err := Sign(key(by), r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// edited is an honest log with a report that its operator changed.
func edited(t *testing.T, change func(*Report)) exhibit {
	in, lines := sampleWorld(t).input()
	r := built(t, in)
	change(r)
	return exhibit{report: signed(t, 1, r), lines: lines}
}

// cheated is a log that its operator changed before it signed it, with the report of the honest log moved over, or the
// one that Build makes of it where Build makes one.
func cheated(t *testing.T, change func(*testing.T, *world)) exhibit {
	t.Helper()
	w := sampleWorld(t)
	change(t, w)
	records, note, lines := w.ledger()
	in, _ := sampleWorld(t).input()
	r := built(t, in)
	in.Records, in.Checkpoint = records, note
	if again, err := Build(in); err == nil {
		r = again
	}
	last, err := ledger.OpenCheckpoint(note, "films/log", public(1))
	if err != nil {
		t.Fatal(err)
	}
	r.Transparency.Checkpoint, r.Transparency.TreeSize, r.Transparency.Root = string(note), last.Size, hexDigest(last.Root)
	return exhibit{report: signed(t, 1, r), lines: lines}
}

func roundOf(t *testing.T, w *world, i int) *ledger.Round {
	t.Helper()
	for _, b := range w.bodies {
		if r, ok := b.(*ledger.Round); ok {
			if i == 0 {
				return r
			}
			i--
		}
	}
	t.Fatal("no such round")
	return nil
}

// weaken lowers sigma in a round's record by the least there is.
func weaken(t *testing.T, r *ledger.Round) mechanism.Params {
	t.Helper()
	p, err := mechanism.ParseParams(r.Mechanism)
	if err != nil {
		t.Fatal(err)
	}
	p.Sigma2.Num--
	r.Mechanism = p.AppendCanonical(nil)
	return p
}

// staleRound adds a version 4 and a round whose plan lets updates start from it and from the given version 3.
func staleRound(t *testing.T, w *world, third plan.Digest) {
	t.Helper()
	w.bodies = append(w.bodies, &ledger.Version{Task: "films", Number: 4, Parent: w.head, Digest: digest("fourth"), Cause: "model"})
	w.head = digest("fourth")
	w.roundWith(plan.Model, 90, big.NewRat(1, 100), func(p *plan.Plan) { p.BaseNumber, p.Older = 4, []plan.Digest{third} })
}

// TestTamperNames: names are folders of other verifiers' tests.
func TestTamperNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range tamperings {
		if seen[c.name] || strings.Trim(c.name, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("the name %q", c.name)
		}
		seen[c.name] = true
	}
}
