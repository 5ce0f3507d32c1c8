package report

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// jsCase is one pair of files for the verifier in examples/verify-js, and jsResult what it says of them.
type jsCase struct {
	Name     string  `json:"name"`
	Report   string  `json:"report"`
	Ledger   *string `json:"ledger"`
	Operator string  `json:"operator,omitempty"`
}

type jsResult struct {
	Name    string
	Overall Overall
	Reason  string
	Steps   []struct{ Name, Verdict, Reason, Detail string }
}

func newJSCase(name string, report, lines []byte) jsCase {
	text := string(lines)
	return jsCase{name, string(report), &text, hex.EncodeToString(public(1))}
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

func TestJSHonest(t *testing.T) {
	report, lines := sampleWorld(t).files()
	for _, r := range runJS(t, []jsCase{newJSCase("honest", report, lines)}) {
		for _, s := range r.Steps {
			t.Logf("%-11s %s: %s", s.Verdict, s.Name, s.Detail)
		}
		if r.Overall != Verified {
			t.Errorf("%s: %s, %s", r.Name, r.Overall, r.Reason)
		}
	}
}
