package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"testing"

	"tutti/privacy/mechanism"
)

func sampleTask(t *testing.T) taskFile {
	t.Helper()
	key := func(b byte) string {
		return hex.EncodeToString(publicOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))))
	}
	task := taskFile{Task: "shop", Operator: key(1), Enroller: key(2), Corrupt: 1, MinCohort: 28, Devices: 40, Budget: "1/2", Delta: "1e-06"}
	for i := range 5 {
		task.Committee = append(task.Committee, taskNode{Address: "127.0.0.1:1", Key: key(byte(10 + i))})
	}
	return task
}

// TestTaskFileFailsClosed: what a task file does not say is not allowed, and noise off is allowed and said aloud only
// where the file says it.
func TestTaskFileFailsClosed(t *testing.T) {
	task := sampleTask(t)
	p, err := task.policy()
	if err != nil {
		t.Fatal(err)
	}
	if p.AllowNoiseOff || p.AllowCentral || p.MaxRhoTotal.RatString() != "1/2" || p.MinPad != mechanism.MinMeterPad || p.MinMembers != 4 || p.MinCohort != 28 {
		t.Errorf("policy %+v", p)
	}
	if task.Classical, task.CheckNorm = true, true; !p.PostQuantum || p.CheckNorm {
		t.Errorf("the default is post-quantum envelopes and inputs that nobody checks: %+v", p)
	}
	if p, err = task.policy(); err != nil || p.PostQuantum || !p.CheckNorm {
		t.Errorf("classical envelopes and checked inputs: %+v, %v", p, err)
	}
	var said bytes.Buffer
	if task.warn(&said); said.Len() != 0 {
		t.Errorf("a private task warns: %s", &said)
	}

	task.Budget = ""
	if _, err := task.policy(); err == nil {
		t.Error("a task with noise and without a budget was accepted")
	}
	task.NoiseOff = true
	if p, err = task.policy(); err != nil || !p.AllowNoiseOff || p.MaxRhoTotal != nil || p.MaxRhoRound != nil {
		t.Errorf("noise off: %+v, %v", p, err)
	}
	if task.warn(&said); !strings.Contains(said.String(), "PRIVACY IS OFF") {
		t.Errorf("a task without privacy says %q", &said)
	}
	for name, spoil := range map[string]func(*taskFile){
		"operator": func(f *taskFile) { f.Operator = "00" },
		"enroller": func(f *taskFile) { f.Enroller = "" },
		"node":     func(f *taskFile) { f.Committee[2].Key = strings.Repeat("z", 64) },
		"budget":   func(f *taskFile) { f.Budget, f.NoiseOff = "much", false },
	} {
		bad := sampleTask(t)
		spoil(&bad)
		if _, err := bad.policy(); err == nil {
			t.Errorf("a bad %s was accepted", name)
		}
	}
}
