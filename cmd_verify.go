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
)

func (a *app) verifyCommand() *cobra.Command {
	var ledgerPath, operator string
	var older []string
	cmd := &cobra.Command{
		Use:   "verify REPORT",
		Short: "Recompute a privacy report, offline, trusting nobody",
		Long: `Reads report.json and the ledger.jsonl beside it, and recomputes every number: signature, tree, order of the records,
noise and cost of each round, the claim, the budget. Prints one line per step and VERIFIED, FAILED with the named reason,
or INCOMPLETE with what is missing.

Exit codes: 0 VERIFIED, 1 FAILED, 4 INCOMPLETE.`,
		Example: "  tutti verify demo-out/report.json\n  tutti verify report.json --operator 5f3c… --checkpoint kept-by-my-phone.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
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
	cmd.Flags().StringVar(&ledgerPath, "ledger", "", "the exported log (default: ledger.jsonl beside the report)")
	cmd.Flags().StringVar(&operator, "operator", "", "the operator's Ed25519 key in hex, had from elsewhere; without it the report's own is taken, and said so")
	cmd.Flags().StringArrayVar(&older, "checkpoint", nil, "a checkpoint that you or a device kept from earlier; may be repeated")
	return cmd
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
