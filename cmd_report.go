package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"tutti/privacy/ledger"
	"tutti/privacy/report"
	"tutti/server"
)

// statement is what only the operator can say in a report.
type statement struct {
	task      string
	setting   report.Setting
	utility   []report.Utility
	extra     []string // limitations
	directory string
}

// writeReport writes report.json, report.html, ledger.jsonl and checkpoint.txt, and verifies what it wrote.
func writeReport(ctx context.Context, s *server.Server, keys server.Keys, st statement) (report.Result, error) {
	if err := os.MkdirAll(st.directory, 0o755); err != nil {
		return report.Result{}, err
	}
	log := s.Ledger()
	var records []ledger.Record
	if err := log.Records(ctx, 0, func(r ledger.Record) error { records = append(records, r); return nil }); err != nil {
		return report.Result{}, err
	}
	checkpoint, err := log.Checkpoint()
	if err != nil {
		return report.Result{}, err
	}
	v := buildVersion()
	r, err := report.Build(report.Input{
		Task: st.task, Records: records, Checkpoint: checkpoint,
		Run: report.Run{
			ID: fmt.Sprintf("%s-%d", st.task, len(records)), Created: time.Now().UTC().Format(time.RFC3339), Operator: "the operator of this server",
			Version: v.Version + " " + v.Revision, Go: runtime.Version(),
		},
		Setting: st.setting, Utility: st.utility, Limitations: st.extra,
	})
	if err != nil {
		return report.Result{}, err
	}
	signed, err := report.Sign(keys.Operator, r)
	if err != nil {
		return report.Result{}, err
	}
	if err := writeFiles(ctx, st.directory, s, r, signed, checkpoint); err != nil {
		return report.Result{}, fmt.Errorf("writing the report: %w (is there space left, and may you write in %s?)", err, st.directory)
	}
	lines, err := os.ReadFile(filepath.Join(st.directory, "ledger.jsonl"))
	if err != nil {
		return report.Result{}, err
	}
	return report.Verify(signed, lines, report.Options{Operator: s.Operator()}), nil
}

func writeFiles(ctx context.Context, dir string, s *server.Server, r *report.Report, signed, checkpoint []byte) error {
	if err := os.WriteFile(filepath.Join(dir, "report.json"), signed, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "checkpoint.txt"), checkpoint, 0o644); err != nil {
		return err
	}
	lines, err := os.Create(filepath.Join(dir, "ledger.jsonl"))
	if err != nil {
		return err
	}
	defer lines.Close()
	if err := s.Ledger().Export(ctx, lines); err != nil {
		return err
	}
	page, err := os.Create(filepath.Join(dir, "report.html"))
	if err != nil {
		return err
	}
	defer page.Close()
	if err := r.HTML(page); err != nil {
		return err
	}
	return page.Close()
}

func (a *app) reportCommand() *cobra.Command {
	var dir, out string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write the privacy report of a stopped server's data directory, and verify it",
		Long: `Writes report.json (signed), report.html (the same for people), ledger.jsonl (the log) and checkpoint.txt (what devices
keep of it). Anybody can check them with tutti verify.`,
		Example: "  tutti report --dir server-data --out report",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOffline(a, dir)
			if err != nil {
				return err
			}
			defer o.server.Close()
			result, err := writeReport(cmd.Context(), o.server, o.keys, o.statement(out))
			if err != nil {
				return err
			}
			return a.showVerdict(result)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "server-data", "the server's data directory")
	cmd.Flags().StringVar(&out, "out", "report", "folder to write to")
	return cmd
}
