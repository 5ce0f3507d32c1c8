package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/privacy/audit"
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
	sections  []audit.Section
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
		Setting: st.setting, Utility: st.utility, Sections: st.sections, Limitations: st.extra,
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

// readSections reads the audits and attacks that tutti audit and tutti attack wrote into a folder, in the order of their
// names.
func readSections(dir string) ([]audit.Section, error) {
	var out []audit.Section
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		if filepath.Ext(name) != ".json" || !strings.HasPrefix(name, "audit_") && !strings.HasPrefix(name, "attack_") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		s, err := audit.ParseSection(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, *s)
	}
	if len(out) == 0 {
		return nil, usageError("%s holds no audit_*.json and no attack_*.json: tutti audit and tutti attack write them", dir)
	}
	return out, nil
}

func (a *app) reportCommand() *cobra.Command {
	var dir, out, audits string
	var schema bool
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write the privacy report of a stopped server's data directory, and verify it",
		Long: `Writes report.json (signed), report.html (the same for people), ledger.jsonl (the log) and checkpoint.txt (what devices
keep of it). Anybody can check them with tutti verify.

  --audits  takes the results of tutti audit and tutti attack into the report; verify recomputes them
  --schema  prints the JSON Schema of report.json, and does nothing else

Exit codes: 0 written and VERIFIED, 1 FAILED, 2 wrong use, 4 INCOMPLETE.`,
		Example: "  tutti report --dir server-data --out report\n  tutti audit --out audits && tutti attack --out audits && tutti report --dir server-data --audits audits\n  tutti report --schema > report.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if schema {
				_, err := cmd.OutOrStdout().Write(report.JSONSchema())
				return err
			}
			var sections []audit.Section
			if audits != "" {
				var err error
				if sections, err = readSections(audits); err != nil {
					return err
				}
			}
			o, err := openOffline(a, dir)
			if err != nil {
				return err
			}
			defer o.server.Close()
			st := o.statement(out)
			st.sections = sections
			result, err := writeReport(cmd.Context(), o.server, o.keys, st)
			if err != nil {
				return err
			}
			return a.showVerdict(result)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "server-data", "the server's data directory")
	cmd.Flags().StringVar(&out, "out", "report", "folder to write to")
	cmd.Flags().StringVar(&audits, "audits", "", "folder with the results of tutti audit and tutti attack")
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of report.json")
	return cmd
}
