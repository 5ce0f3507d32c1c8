package main

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tutti/privacy/audit"
	"tutti/privacy/report"
)

// testSeed makes the runs of these tests the same every time.
var testSeed = strings.Repeat("5a", 32)

func TestAudit(t *testing.T) {
	dir := t.TempDir()
	out := wants(t, exitDone, "", "audit", "--epsilon", "8", "--canaries", "2000", "--seed", testSeed, "--out", dir, "--json")
	var result auditResult
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Verdict != audit.VerdictPass {
		t.Fatalf("%v: %s", err, out)
	}
	commitments, err := os.ReadFile(filepath.Join(dir, "audit_commitments.txt"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]*audit.Section{}
	for _, e := range result.Sections {
		s, err := readSection(filepath.Join(dir, e.File))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Recompute(); err != nil {
			t.Errorf("%s: %v", e.File, err)
		}
		if !strings.Contains(string(commitments), s.Commit) {
			t.Errorf("%s: its commitment was not written beforehand", e.File)
		}
		if e.File != "audit_"+s.Kind+".json" || e.Verdict != s.Verdict {
			t.Errorf("%s holds a section of kind %s, %s", e.File, s.Kind, s.Verdict)
		}
		kinds[s.Kind] = s
	}
	if len(kinds) != 5 || !kinds[audit.KindGaussianPair].MoreControls[0].Detected {
		t.Errorf("%d kinds, or half the noise was not seen", len(kinds))
	}
	auditReplays(t, dir, kinds[audit.KindOneRun])
}

// auditReplays: what was written holds when it is run again, and an invented score does not.
func auditReplays(t *testing.T, dir string, s *audit.Section) {
	t.Helper()
	wants(t, exitDone, "every score from the seed", "audit", "--replay", filepath.Join(dir, "audit_one_run.json"), "--replay", filepath.Join(dir, "audit_noise_meter.json"))
	middle := 0 // a score that no guess rests on
	for i, v := range s.Scores {
		if v == "0.500" || strings.HasPrefix(v, "0.50") {
			middle = i
		}
	}
	s.Scores = slices.Clone(s.Scores)
	s.Scores[middle] = "0.501"
	if s.Scores[middle] == "" || middle == 0 {
		t.Fatal("no score to edit")
	}
	data, err := s.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "edited.json")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	wants(t, exitFailed, "FAILED: 1 of 1", "audit", "--replay", path)
}

func TestAuditSaysWhenItIsTooWeak(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "audit_one_run_eps9.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out := wants(t, exitIncomplete, "INCONCLUSIVE", "audit", "--epsilon", "0.5,1", "--canaries", "100", "--seed", testSeed, "--out", dir)
	for _, said := range []string{"another run, too: audit_one_run_eps9.json.", "coordinates are those of the integer sum", "No gate passes the claim of epsilon 1.0000", "missed", "Power, gaussian pair"} {
		if !strings.Contains(out, said) {
			t.Errorf("%q is not said:\n%s", said, out)
		}
	}
}

// TestAuditOfAReport: the report's claim is audited, and its rounds' noise meter judged.
func TestAuditOfAReport(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(readings ...string) string {
		r := &report.Report{Schema: report.Schema, Task: report.Task{Name: "films"}}
		r.Claims = []report.Claim{{View: "released_model", Rho: "7", Epsilons: []report.Epsilon{{Delta: "1e-06"}}}, {View: serverView, Rho: "6/5", Epsilons: []report.Epsilon{{Delta: "1e-06"}}}}
		for i, z := range readings {
			r.Rounds = append(r.Rounds, report.Round{Round: uint64(i), MeterZ: z})
		}
		data, err := report.Sign(key, r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "report.json")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := func(path string, more ...string) []string {
		return append([]string{"audit", "--report", path, "--canaries", "2000", "--seed", testSeed, "--out", t.TempDir()}, more...)
	}
	out := wants(t, exitDone, "PASS", args(write("0.51", "", "-1.25"))...)
	if !strings.Contains(out, "report's rounds") || !strings.Contains(out, "1.25") || !strings.Contains(out, "8.64") {
		t.Errorf("the report's rounds or its claim of 8.64 are not shown:\n%s", out)
	}
	wants(t, exitFailed, "FAIL: a claim is refuted", args(write("0.51", "-9.2"))...)
	wants(t, exitDone, "canary run, ε 4.00", args(write(), "--epsilon", "4")...)
	wants(t, exitFailed, "reading", args(write("many"))...)
	empty, err := report.Sign(key, &report.Report{Schema: report.Schema})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(path, empty, 0o644); err != nil {
		t.Fatal(err)
	}
	wants(t, exitFailed, "claims nothing", args(path)...)
}

func TestAuditWrongUse(t *testing.T) {
	for said, args := range map[string][]string{
		"whole thousands":   {"--canaries", "1500"},
		"want 20":           {"--canaries", "5"},
		"either":            {"--epsilon", "1", "--z", "1"},
		"64 hex digits":     {"--seed", "abc"},
		"between 0 and 1":   {"--delta", "0"},
		"want 0.01 to 100":  {"--epsilon", "0"},
		"want 0.01 to 1000": {"--z", "-1"},
		"rounds":            {"--rounds", "0"},
		"twice":             {"--epsilon", "4,4"},
		"no mechanism":      {"--epsilon", "0.02"},
	} {
		wants(t, exitUsage, said, append([]string{"audit", "--out", t.TempDir()}, args...)...)
	}
	wants(t, exitFailed, "no such file", "audit", "--report", filepath.Join(t.TempDir(), "none.json"))
	wants(t, exitFailed, "no such file", "audit", "--replay", filepath.Join(t.TempDir(), "none.json"))
}
