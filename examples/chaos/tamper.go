package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tamper writes the report, has it verified, and shows that one changed byte of it or of the log does not pass.
func (s *story) tamper(ctx context.Context) error {
	if _, _, err := s.processes.run(ctx, "report", "--dir", s.path("server"), "--out", s.path("report")); err != nil {
		return err
	}
	verdict, code, err := s.verify(ctx, s.path("report"))
	if err != nil {
		return err
	}
	if code != 0 || verdict.Verdict != "VERIFIED" {
		return fmt.Errorf("the report does not verify: %s (%s), exit code %d", verdict.Verdict, verdict.Reason, code)
	}
	said := ""
	for _, step := range verdict.Steps {
		if strings.Contains(step.Detail, "privacy OFF") {
			said = step.Detail
		}
	}
	if said == "" {
		return fmt.Errorf("the verification does not say that privacy was off")
	}
	s.say("tutti verify: VERIFIED; %s", said)
	for _, name := range []string{"ledger.jsonl", "report.json"} {
		for _, part := range []int{1, 2, 3} {
			if err := s.flip(ctx, name, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// flip changes the byte at a quarter, half or three quarters of a file in a copy of the report.
func (s *story) flip(ctx context.Context, name string, quarter int) error {
	dir := s.path("tampered")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	at := 0
	for _, file := range []string{"ledger.jsonl", "report.json"} {
		data, err := os.ReadFile(s.path("report", file))
		if err != nil {
			return err
		}
		if file == name {
			at = len(data) * quarter / 4
			data[at] ^= 1
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			return err
		}
	}
	verdict, code, err := s.verify(ctx, dir)
	if err != nil {
		return err
	}
	if code != 1 || verdict.Verdict != "FAILED" || verdict.Reason == "" {
		return fmt.Errorf("byte %d of %s was changed, and verify says %q (%q), exit code %d", at, name, verdict.Verdict, verdict.Reason, code)
	}
	s.say("one bit of byte %d of %s changed: tutti verify: FAILED (%s)", at, name, verdict.Reason)
	return nil
}

// verdict is what tutti verify --json prints.
type verdict struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Steps   []struct{ Detail string }
}

// verify runs tutti verify; that it fails is an answer, not an error.
func (s *story) verify(ctx context.Context, dir string) (v verdict, code int, err error) {
	out, code, err := s.processes.run(ctx, "verify", "--json", filepath.Join(dir, "report.json"))
	if code < 0 {
		return v, code, err
	}
	if failed := json.Unmarshal([]byte(out), &v); failed != nil {
		return v, code, fmt.Errorf("tutti verify --json: %w (%v)", failed, err)
	}
	return v, code, nil
}
