package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Before the first plan the task itself says who is trusted; and what tells exact counts says whom they are for.
func TestStatusOfATrustedOperator(t *testing.T) {
	dir, data := filepath.Join(t.TempDir(), "server"), people(t, 20)
	wants(t, exitDone, "it sees sums without noise", "server", "init", "--dir", dir, "--catalogue", data, "--goal", "10", "--tokens", "12", "--rounds", "1", "--trust", "central-mf")
	out := wants(t, exitDone, "the operator will add the noise", "status", "--dir", dir)
	if !strings.Contains(out, "Counts of devices are exact, for the operator alone") {
		t.Errorf("the counts are not labelled:\n%s", out)
	}
	if out = wants(t, exitDone, `"trust"`, "status", "--dir", dir, "--json"); !strings.Contains(out, "central-mf") || !strings.Contains(out, "exact, for the operator alone") {
		t.Errorf("%s", out)
	}
	file := filepath.Join(t.TempDir(), "rounds.jsonl")
	wants(t, exitDone, "rounds of task", "run", "export", "--dir", dir, "--jsonl", file)
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("others can read exact counts: %v, %v", info.Mode(), err)
	}
}
