package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"tutti/privacy/ledger"
	"tutti/privacy/report"
)

// forkCommand judges what a device holds against an operator.
func (a *app) forkCommand() *cobra.Command {
	var operator, task, ledgerPath string
	cmd := &cobra.Command{
		Use:   "fork FILE",
		Short: "Verify the proof that an operator forked its public log",
		Long: `Reads the evidence that a device kept (tutti device writes it into its directory): two signed states of one log, and the hashes
that show that the larger does not extend the smaller. It holds whoever shows it.

Exit codes: 0 VERIFIED, the log was forked; 1 FAILED, the file accuses nobody; 4 INCOMPLETE, both states are signed and
the hashes are missing: --ledger with the exported log of the larger state adds them.`,
		Example: "  tutti verify fork evidence.fork --operator 5f3c… --task films",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := parseKey("--operator", operator)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return a.verifyFork(args[0], key, task, ledgerPath)
		},
	}
	cmd.Flags().StringVar(&operator, "operator", "", "the operator's Ed25519 key in hex, had from elsewhere; always needed")
	cmd.Flags().StringVar(&task, "task", "task", "the task whose log it is")
	cmd.Flags().StringVar(&ledgerPath, "ledger", "", "an exported ledger.jsonl that the larger state is of, for hashes that are missing")
	return cmd
}

func (a *app) verifyFork(path string, operator ed25519.PublicKey, task, ledgerPath string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fork, err := ledger.ParseFork(data)
	if err != nil {
		return failedError(err)
	}
	origin := ledger.Origin(task)
	older, newer, err := fork.Open(operator, origin)
	if err != nil {
		return failedError(fmt.Errorf("the states are not the operator's: %w", err))
	}
	err = fork.Verify(operator, origin)
	if errors.Is(err, ledger.ErrUnproven) && ledgerPath != "" {
		var log ledger.Log
		if log, err = readLedger(ledgerPath); err != nil {
			return err
		}
		if fork, err = ledger.ProveFork(older, fork.A, newer, fork.B, log.Hashes); err == nil {
			err = fork.Verify(operator, origin)
		}
	}
	verdict := verdictOf(err)
	if a.json {
		a.emit(map[string]any{"verdict": verdict, "log": origin, "older": state(older), "newer": state(newer)})
	} else {
		u := a.newUI()
		u.print(table.Row{"state", "records", "root"}, []table.Row{{"signed", older.Size, fmt.Sprintf("%x", older.Root)}, {"signed", newer.Size, fmt.Sprintf("%x", newer.Root)}})
		switch {
		case err == nil:
			u.say("VERIFIED: the holder of key %x signed both as states of the log %s, and the larger does not extend the smaller: the log was forked or rewritten", operator[:6], origin)
		case verdict == report.Incomplete:
			u.say("INCOMPLETE: the holder of key %x signed both as states of the log %s; whether they contradict each other takes the exported log (--ledger)", operator[:6], origin)
		}
		u.close()
	}
	return verdictError(verdict, err)
}

func state(c ledger.Checkpoint) map[string]any {
	return map[string]any{"records": c.Size, "root": fmt.Sprintf("%x", c.Root)}
}

// readLedger rebuilds the tree of an exported log; its rules are for tutti verify.
func readLedger(path string) (ledger.Log, error) {
	var log ledger.Log
	data, err := os.ReadFile(path)
	if err != nil {
		return log, err
	}
	return log, ledger.Import(bytes.NewReader(data), log.AddRecord)
}

// receiptCommand judges a device's proof that it was counted.
func (a *app) receiptCommand() *cobra.Command {
	var operator string
	cmd := &cobra.Command{
		Use:   "receipt FILE",
		Short: "Verify a device's proof that its contribution stands in the public log",
		Long: `Reads a receipt (tutti device --receipts writes them): the device's place in the set of a round, the record that names
the set, and its place in a signed state of the log.

Exit codes: 0 VERIFIED, 1 FAILED.`,
		Example: "  tutti verify receipt round-3.receipt --operator 5f3c…",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var key ed25519.PublicKey
			if operator != "" {
				var err error
				if key, err = parseKey("--operator", operator); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			return a.verifyReceipt(args[0], key)
		},
	}
	cmd.Flags().StringVar(&operator, "operator", "", "the operator's Ed25519 key in hex, had from elsewhere; without it the receipt's own is taken, and said so")
	return cmd
}

func (a *app) verifyReceipt(path string, operator ed25519.PublicKey) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	receipt, err := ledger.ParseReceipt(data)
	if err != nil {
		return failedError(err)
	}
	c, err := receipt.Verify(operator)
	if err != nil {
		return failedError(err)
	}
	if a.json {
		return a.emit(map[string]any{"verdict": report.Verified, "device": fmt.Sprintf("%x", c.Device), "task": c.Task, "round": c.Round, "group": c.Group,
			"outcome": c.Outcome, "devices": c.Survived, "record": c.Seq, "operator": fmt.Sprintf("%x", receipt.Operator), "log": state(c.Log)})
	}
	part := ""
	if c.Split {
		part = fmt.Sprintf(", group %d", c.Group)
	}
	fmt.Fprintf(a.out, "VERIFIED: device %x is one of %d in round %d%s of task %s (%s): record %d of the log, of %s, in its state of %d records\n",
		c.Device, c.Survived, c.Round, part, c.Task, c.Outcome, c.Seq, time.Unix(c.Time, 0).UTC().Format(time.DateTime), c.Log.Size)
	if operator == nil {
		fmt.Fprintf(a.out, "signed under the key in the receipt itself, %x: compare it with the operator's\n", receipt.Operator)
	}
	return nil
}

func verdictOf(err error) report.Overall {
	switch {
	case err == nil:
		return report.Verified
	case errors.Is(err, ledger.ErrUnproven):
		return report.Incomplete
	}
	return report.FailedAll
}

func verdictError(v report.Overall, err error) error {
	switch v {
	case report.Verified:
		return nil
	case report.Incomplete:
		return &exitError{exitIncomplete, fmt.Errorf("INCOMPLETE: %w", err)}
	}
	return failedError(err)
}

func failedError(err error) error { return &exitError{exitFailed, fmt.Errorf("FAILED: %w", err)} }
