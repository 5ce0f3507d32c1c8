package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"tutti/privacy/audit"
	"tutti/privacy/audit/attack"
)

// attackFlags are what a person may ask of the attacks.
type attackFlags struct {
	shadows int
	data    string
	out     string
	seed    uint64
	quick   bool
}

func (a *app) attackCommand() *cobra.Command {
	f := attackFlags{}
	var lines strings.Builder
	for _, k := range attackKinds() {
		fmt.Fprintf(&lines, "\n  %-22s %s", k.name, k.about)
	}
	cmd := &cobra.Command{
		Use:   "attack [NAME...]",
		Short: "Attack every protection, with it and without it",
		Long: `Runs each attack twice in one run: against an arm without the protection, where it has to succeed, and against the
packages that devices, committee and server use. Prints what came of both beside what theory or the design expects, and
writes one attack_NAME.json each, for tutti report --audits. Without names it runs all:
` + lines.String() + `

A row is "broken" when the attack does not succeed without protection: it would then show nothing.

Exit codes: 0 every protection held, 1 one did not, 2 wrong use, 4 a row is broken.`,
		Example: "  tutti attack\n  tutti attack --quick\n  tutti attack malicious_plan dropout --json\n  tutti attack lira_statistics lira_model --data ml-latest-small --shadows 16",
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.attack(cmd.Context(), f, names)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.shadows, "shadows", 16, "shadow models of the membership inference, 4 to 64")
	flags.StringVar(&f.data, "data", "", "a MovieLens folder or zip instead of invented behaviour")
	flags.StringVar(&f.out, "out", "attacks", "folder for the sections")
	flags.Uint64Var(&f.seed, "seed", 1, "of data, coins and the experiment's noise: the same seed gives the same figures")
	flags.BoolVar(&f.quick, "quick", false, "fewer devices, users and shadows: within a minute, with wider intervals")
	return cmd
}

// attack runs the attacks, writes their sections and shows them.
func (a *app) attack(ctx context.Context, f attackFlags, names []string) error {
	kinds, err := chosenAttacks(names)
	if err != nil {
		return err
	}
	if f.shadows < 4 || f.shadows > 64 {
		return usageError("--shadows %d: want 4 to 64", f.shadows)
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("%w (choose another folder with --out)", err)
	}
	u := a.newUI()
	defer u.close()
	scene, err := newScene(f)
	if err != nil {
		return err
	}
	started := time.Now()
	u.say("%d attacks, each with its protection and without; data: %s.", len(kinds), scene.people.source)
	var found []*audit.Section
	for _, k := range kinds {
		s, err := runAttack(ctx, u, scene, k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		if err := writeAttack(f.out, s); err != nil {
			return err
		}
		found = append(found, s)
	}
	return a.showAttacks(u, f.out, kinds, found, time.Since(started))
}

func chosenAttacks(names []string) ([]attackKind, error) {
	all := attackKinds()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []attackKind
	for _, name := range names {
		at := slices.IndexFunc(all, func(k attackKind) bool { return k.name == name })
		if at < 0 {
			known := make([]string, len(all))
			for i, k := range all {
				known[i] = k.name
			}
			return nil, usageError("there is no attack %q: %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

// runAttack runs one attack under a bar of its own.
func runAttack(ctx context.Context, u *ui, scene *scene, k attackKind) (*audit.Section, error) {
	var bar *task
	o := attack.Options{Seed: scene.flags.seed, Workers: runtime.GOMAXPROCS(0), Progress: func(done, total int) {
		if bar == nil {
			bar = u.task(k.name, int64(total))
		}
		bar.set(int64(done))
	}}
	started := time.Now()
	s, err := k.run(ctx, o, scene)
	if bar != nil {
		bar.finish()
	}
	if err != nil {
		return nil, err
	}
	s.Schema, s.Kind = audit.Schema, k.name
	u.say("  %-22s %-5s %s (%s)", k.name, s.Verdict, s.Reason, time.Since(started).Round(100*time.Millisecond))
	return &s, nil
}

func writeAttack(dir string, s *audit.Section) error {
	data, err := s.Canonical()
	if err != nil {
		return fmt.Errorf("%s: %w", s.Kind, err)
	}
	return os.WriteFile(filepath.Join(dir, "attack_"+s.Kind+".json"), data, 0o644)
}

// attackResult is the document of --json.
type attackResult struct {
	Verdict  string           `json:"verdict"`
	Seconds  float64          `json:"seconds"`
	Sections []*audit.Section `json:"sections"`
}

// showAttacks prints the table and turns the verdicts into an exit code.
func (a *app) showAttacks(u *ui, dir string, kinds []attackKind, found []*audit.Section, took time.Duration) error {
	u.close()
	var rows []table.Row
	var failed, broken []string
	for i, s := range found {
		rows = append(rows, table.Row{s.Kind, wrapped(controlLines(s), 46), wrapped(valueLines(s), 46), wrapped([]string{kinds[i].expected}, 40), s.Verdict})
		switch s.Verdict {
		case audit.VerdictPass, audit.VerdictInfo:
		case audit.VerdictFail:
			failed = append(failed, s.Kind)
		default:
			broken = append(broken, s.Kind)
		}
	}
	separated := make([]table.Row, 0, 2*len(rows))
	for i, r := range rows {
		if i > 0 {
			separated = append(separated, table.Row{"", "", "", "", ""})
		}
		separated = append(separated, r)
	}
	u.print(table.Row{"attack", "without the protection", "with it", "expected", "verdict"}, separated)
	u.say("%d attacks in %s; sections with intervals, threat models and power are in %s.", len(found), took.Round(time.Second), dir)
	result := attackResult{Verdict: audit.VerdictPass, Seconds: took.Seconds(), Sections: found}
	var err error
	switch {
	case len(failed) > 0:
		result.Verdict = audit.VerdictFail
		err = &exitError{exitFailed, fmt.Errorf("FAILED: a protection did not hold: %s", strings.Join(failed, ", "))}
	case len(broken) > 0:
		result.Verdict = audit.VerdictBroken
		err = &exitError{exitIncomplete, fmt.Errorf("BROKEN: the attack did not succeed without protection, so it shows nothing: %s", strings.Join(broken, ", "))}
	}
	if a.json {
		if emitted := a.emit(result); emitted != nil {
			return emitted
		}
	}
	return err
}

func controlLines(s *audit.Section) (lines []string) {
	for _, c := range s.Controls() {
		lines = append(lines, c.Setup+": "+c.Value)
	}
	return lines
}

// shownValues is how many figures of a section the table shows.
const shownValues = 12

func valueLines(s *audit.Section) (lines []string) {
	for i, v := range s.Values {
		if i == shownValues {
			return append(lines, fmt.Sprintf("and %d more", len(s.Values)-i))
		}
		line := v.Name + ": " + v.Value
		if v.Low != "" {
			line += fmt.Sprintf(" [%s, %s]", v.Low, v.High)
		}
		lines = append(lines, line)
	}
	return lines
}

// wrapped breaks lines at spaces.
func wrapped(lines []string, width int) string {
	for i, line := range lines {
		lines[i] = text.WrapSoft(line, width)
	}
	return strings.Join(lines, "\n")
}
