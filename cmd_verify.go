package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"tutti/privacy/report"
	"tutti/privacy/report/selftest"
)

func (a *app) verifyCommand() *cobra.Command {
	var ledgerPath, operator string
	var older []string
	var selfTest bool
	cmd := &cobra.Command{
		Use:   "verify [REPORT]",
		Short: "Recompute a privacy report, offline, trusting nobody",
		Long: `Reads report.json and the ledger.jsonl beside it, and recomputes every number: signature, tree, order of the records,
noise and cost of each round, the claims, the budget, the audits. Prints one line per step and VERIFIED, FAILED with the
named reason, or INCOMPLETE with what is missing. Needs no network.

  --selftest    first runs this program's accountant against figures of another implementation
  --checkpoint  holds the log against one that you kept: it shows a log that was forked or rewritten
  --operator    holds the signature against a key that you have from elsewhere

What no reader can check from these files is said in the table as "not checked".

Exit codes: 0 VERIFIED, 1 FAILED, 2 wrong use, 4 INCOMPLETE.`,
		Example: "  tutti verify demo-out/report.json\n  tutti verify report.json --selftest --operator 5f3c… --checkpoint kept-by-my-phone.txt\n  tutti verify --selftest",
		Args: func(cmd *cobra.Command, args []string) error {
			if selfTest && len(args) == 0 {
				return nil
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if selfTest {
				if err := a.selfTest(len(args) == 0); err != nil || len(args) == 0 {
					return err
				}
			}
			if ledgerPath == "" {
				ledgerPath = filepath.Join(filepath.Dir(args[0]), "ledger.jsonl")
			}
			result, err := verifyFiles(args[0], ledgerPath, operator, older)
			if err != nil {
				return err
			}
			return a.showVerdict(result)
		},
	}
	cmd.AddCommand(a.forkCommand(), a.receiptCommand())
	cmd.Flags().BoolVar(&selfTest, "selftest", false, "run the accountant against its reference rows first; alone: only that")
	cmd.Flags().StringVar(&ledgerPath, "ledger", "", "the exported log (default: ledger.jsonl beside the report)")
	cmd.Flags().StringVar(&operator, "operator", "", "the operator's Ed25519 key in hex, had from elsewhere; without it the report's own is taken, and said so")
	cmd.Flags().StringArrayVar(&older, "checkpoint", nil, "a checkpoint that you or a device kept from earlier; may be repeated")
	return cmd
}

// selfTest runs the accountant against the reference rows that this program carries. alone: they are the whole answer.
func (a *app) selfTest(alone bool) error {
	rows, misses, err := selftest.Run()
	if err != nil {
		return err
	}
	if a.json && alone {
		found := make([]string, len(misses))
		for i, m := range misses {
			found[i] = m.String()
		}
		if err := a.emit(map[string]any{"rows": rows, "misses": found}); err != nil {
			return err
		}
	} else if !a.json {
		u := a.newUI()
		defer u.close()
		u.say("The accountant reproduces %d of %d reference figures.", rows-len(misses), rows)
		for _, m := range misses {
			u.say("  %s", m)
		}
	}
	if len(misses) > 0 {
		return &exitError{exitFailed, fmt.Errorf("FAILED (selftest): %d of %d reference figures are missed; do not trust this program's verdicts", len(misses), rows)}
	}
	return nil
}

func verifyFiles(reportPath, ledgerPath, operator string, older []string) (report.Result, error) {
	var options report.Options
	if operator != "" {
		key, err := hex.DecodeString(operator)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return report.Result{}, usageError("--operator wants %d hex digits", 2*ed25519.PublicKeySize)
		}
		options.Operator = key
	}
	for _, path := range older {
		note, err := os.ReadFile(path)
		if err != nil {
			return report.Result{}, err
		}
		options.Older = append(options.Older, note)
	}
	data, err := os.ReadFile(reportPath)
	if err != nil {
		return report.Result{}, fmt.Errorf("no report to verify: %w", err)
	}
	lines, err := os.ReadFile(ledgerPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report.Result{}, err
	}
	return report.Verify(data, lines, options), nil
}

// showVerdict prints the steps and turns the verdict into an exit code.
func (a *app) showVerdict(result report.Result) error {
	if a.json {
		type step struct {
			N                             int
			Name, Verdict, Reason, Detail string
		}
		steps := make([]step, len(result.Steps))
		for i, s := range result.Steps {
			steps[i] = step{s.N, s.Name, fmt.Sprint(s.Verdict), reasonLabel(s.Reason), s.Detail}
		}
		if err := a.emit(map[string]any{"verdict": result.Overall, "reason": reasonLabel(result.Reason), "steps": steps}); err != nil {
			return err
		}
	} else {
		u := a.newUI()
		defer u.close()
		rows := make([]table.Row, len(result.Steps))
		for i, s := range result.Steps {
			rows[i] = table.Row{s.N, s.Name, s.Verdict, s.Detail}
		}
		u.print(table.Row{"", "step", "verdict", "what was found"}, rows)
		u.say("%s", verdictLine(result))
	}
	switch result.Overall {
	case report.Verified:
		return nil
	case report.Incomplete:
		return &exitError{exitIncomplete, errors.New("INCOMPLETE: the steps above say what is missing")}
	default:
		return &exitError{exitFailed, fmt.Errorf("FAILED (%s)", reasonLabel(result.Reason))}
	}
}

func reasonLabel(r report.Reason) string {
	if r == report.ReasonNone {
		return ""
	}
	return r.String()
}

func verdictLine(r report.Result) string {
	if r.Overall == report.FailedAll {
		return fmt.Sprintf("FAILED (%s)", r.Reason)
	}
	return string(r.Overall)
}
