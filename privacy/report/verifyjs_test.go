package report

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// jsCase is an exhibit for the verifier in examples/verify-js, and jsResult what it says of it.
type jsCase struct {
	Name     string   `json:"name"`
	Report   string   `json:"report"`
	Ledger   string   `json:"ledger"`
	Operator string   `json:"operator"`
	Older    []string `json:"older,omitempty"`
}

type jsResult struct {
	Name    string
	Overall Overall
	Steps   []struct{ Name, Verdict, Reason, Detail string }
}

func newJSCase(name string, e exhibit) jsCase {
	c := jsCase{Name: name, Report: string(e.report), Ledger: string(e.lines), Operator: hex.EncodeToString(public(1))}
	if e.older != nil {
		c.Older = []string{string(e.older)}
	}
	return c
}

// runJS verifies the files with the second verifier.
func runJS(t *testing.T, cases []jsCase) []jsResult {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("the JavaScript verifier is not run: no node on this machine")
	}
	data, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "../../examples/verify-js/run.mjs", file)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	var results []jsResult
	if err := json.Unmarshal(out, &results); err != nil || len(results) != len(cases) {
		t.Fatalf("%d results of %d: %v", len(results), len(cases), err)
	}
	return results
}

// TestSecondVerifier gives the exhibits to the JavaScript verifier: it finds what this one finds, for the same reason.
func TestSecondVerifier(t *testing.T) {
	var cases []jsCase
	for _, c := range tamperings {
		cases = append(cases, newJSCase(c.name, c.make(t)))
	}
	for i, r := range runJS(t, cases) {
		var reasons []string
		for _, s := range r.Steps {
			if s.Verdict == string(Failed) {
				reasons = append(reasons, s.Reason+": "+s.Detail)
			}
		}
		want := tamperings[i].want
		switch {
		case want == ReasonNone && r.Overall != Verified,
			want != ReasonNone && (r.Overall != FailedAll || !slices.ContainsFunc(reasons, func(s string) bool { return strings.HasPrefix(s, want.String()+": ") })):
			t.Errorf("%s: %s for %q, want %s", r.Name, r.Overall, reasons, want)
		}
	}
}

// TestSecondVerifierBytes changes single bytes of both files.
func TestSecondVerifierBytes(t *testing.T) {
	e := honest(t)
	var cases []jsCase
	change := func(name string, data []byte, stride int, put func(changed []byte) exhibit) {
		for i := 0; i < len(data); i += stride {
			changed := bytes.Clone(data)
			changed[i] ^= 1 << (i % 5)
			cases = append(cases, newJSCase(fmt.Sprintf("%s, byte %d", name, i), put(changed)))
		}
	}
	change("report", e.report, 1231, func(b []byte) exhibit { return exhibit{report: b, lines: e.lines} })
	change("ledger", e.lines, 1237, func(b []byte) exhibit { return exhibit{report: e.report, lines: b} })
	for _, r := range runJS(t, cases) {
		if r.Overall != FailedAll {
			t.Errorf("%s: %s", r.Name, r.Overall)
		}
	}
}
