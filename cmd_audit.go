package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"tutti/privacy/audit"
)

// auditFlags are what a person may ask of an audit.
type auditFlags struct {
	report   string
	epsilons []float64
	zs       []float64
	delta    float64
	canaries int
	rounds   int
	out      string
	seed     string
	replay   []string
	masked   bool
}

func (a *app) auditCommand() *cobra.Command {
	f := auditFlags{}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Attack the privacy claim with canaries, and see what they can show",
		Long: `Sends canaries through the mechanism that devices and server use, among honest devices, and measures what somebody
who sees every opened sum and knows everything but the coins and the noise can tell about them: lower bounds on epsilon.
A bound above the claim refutes it. A bound below it proves nothing, so every test states its power, and in the same
run two broken mechanisms, without noise and with half of it, have to be found out.

  one-run        no assumption about the noise (arXiv 2305.08846); gates claims up to 2
  f-DP           the same guesses against the whole Gaussian curve (arXiv 2410.22235); told, gates nothing
  Gaussian pair  takes the noise's shape on trust and measures its size: parametric; gates every claim
  one-shot       an estimate (arXiv 2302.03098), above or below the truth; gates nothing
  noise meter    the variance in the padding of every sum: of the report's rounds, or of the canary run

Writes one audit_KIND.json each, for tutti report --audits, and beforehand audit_commitments.txt: publish that before
the run, and nobody can say that the seed was picked to please. --replay runs an audit again from its revealed seed.
The sums are integer sums of what devices encode; before that, one of them goes through masks and committee, and has to
come out the same.

A claim passes when a test that gates it passes, its controls found; what another test could not see stands beside it.

Exit codes: 0 pass, 1 fail, 2 wrong use, 4 inconclusive: no test of a claim could have found a weak mechanism.`,
		Example: "  tutti audit\n  tutti audit --report demo-out/report.json --out demo-out/audits\n  tutti audit --epsilon 2 --canaries 50000\n  tutti audit --replay audits/audit_gaussian_pair_eps8.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(f.replay) > 0 {
				return a.replayAudits(cmd.Context(), f.replay)
			}
			return a.audit(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.report, "report", "", "a report.json: audits its claim, and the noise meter of its rounds")
	flags.Float64SliceVar(&f.epsilons, "epsilon", nil, "claims to audit; none: 1,2,4,8, or the report's")
	flags.Float64SliceVar(&f.zs, "z", nil, "the same by noise multiplier of one round, instead of --epsilon")
	flags.Float64Var(&f.delta, "delta", 1e-6, "delta of the claims; a report has its own")
	flags.IntVar(&f.canaries, "canaries", 8000, "canaries for each claim: up to 1000, or whole thousands")
	flags.IntVar(&f.rounds, "rounds", 1, "rounds that each device takes part in, sharing the claim")
	flags.StringVar(&f.out, "out", "audits", "folder for the sections")
	flags.BoolVar(&f.masked, "masked", true, "first put a small canary run through masks and committee, and compare the opened sum")
	flags.StringVar(&f.seed, "seed", "", "64 hex digits, to repeat a run; default: the system's randomness")
	flags.StringArrayVar(&f.replay, "replay", nil, "recompute this section, and run its canaries again; may be repeated")
	return cmd
}

// audit runs the canaries, writes the sections and shows them.
func (a *app) audit(ctx context.Context, f auditFlags) error {
	claims, rounds, err := f.claims()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("%w (choose another folder with --out)", err)
	}
	if err := writeCommitments(f.out, claims); err != nil {
		return err
	}
	u := a.newUI()
	defer u.close()
	u.say("Canaries: %d for each of %d claims; the commitments are in %s before the first of them runs.", f.canaries, len(claims), commitmentsIn(f.out))
	if f.masked {
		if err := checkMasked(ctx, u, claims[0]); err != nil {
			return fmt.Errorf("through the masks: %w", err)
		}
	}
	outcomes, err := runCanaries(ctx, u, claims)
	if err != nil {
		return err
	}
	found, err := sectionsOf(claims, outcomes, rounds)
	if err != nil {
		return err
	}
	if err := writeSections(f.out, found); err != nil {
		return err
	}
	if stale := staleSections(f.out, found); len(stale) > 0 {
		u.say("%s holds sections of another run, too: %s. Remove them if tutti report shall not take them in.", f.out, strings.Join(stale, ", "))
	}
	return a.showAudit(u, f.out, found)
}

// runCanaries runs every claim's canaries, as many at a time as there are cores.
func runCanaries(ctx context.Context, u *ui, claims []auditClaim) ([]*audit.Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	total := 0
	for _, c := range claims {
		total += c.test.Plan.Steps()
	}
	t := u.task("canaries, sums opened", int64(total))
	ended := make(chan struct{}, total)
	tickets := make(chan struct{}, runtime.GOMAXPROCS(0))
	outcomes := make([]*audit.Outcome, len(claims))
	results := make(chan error, len(claims))
	for i, c := range claims {
		go func() {
			tickets <- struct{}{}
			defer func() { <-tickets }()
			var err error
			outcomes[i], err = audit.Run(c.test.Plan, c.test.Seed, func(int) error {
				ended <- struct{}{}
				return context.Cause(ctx)
			})
			results <- err
		}()
	}
	done, left := 0, len(claims)
	var failed error
	for left > 0 {
		select {
		case <-ended:
			done++
			t.set(int64(done))
		case err := <-results:
			left--
			if err != nil && failed == nil {
				failed = err
				cancel(err)
			}
		}
	}
	t.finish()
	return outcomes, failed
}

// replayAudits recomputes sections and runs their canaries again.
func (a *app) replayAudits(ctx context.Context, paths []string) error {
	u := a.newUI()
	defer u.close()
	type row struct {
		File    string `json:"file"`
		Kind    string `json:"kind"`
		Verdict string `json:"verdict"`
		Holds   bool   `json:"holds"`
		Detail  string `json:"detail"`
	}
	var rows []row
	bad := 0
	for _, path := range paths {
		s, err := readSection(path)
		if err != nil {
			return err
		}
		r := row{File: path, Kind: s.Kind, Verdict: s.Verdict, Holds: true, Detail: "every value follows from the scores, and every score from the seed"}
		if err := replaySection(ctx, u, s); err != nil {
			if ctx.Err() != nil {
				return err
			}
			bad, r.Holds, r.Detail = bad+1, false, err.Error()
		}
		u.say("%s: %s (its verdict: %s)", path, r.Detail, s.Verdict)
		rows = append(rows, r)
	}
	if a.json {
		if err := a.emit(rows); err != nil {
			return err
		}
	}
	if bad > 0 {
		return &exitError{exitFailed, fmt.Errorf("FAILED: %d of %d sections do not hold", bad, len(paths))}
	}
	return nil
}

func replaySection(ctx context.Context, u *ui, s *audit.Section) error {
	if err := s.Recompute(); err != nil || s.Seed == "" {
		return err
	}
	steps, err := s.ReplaySteps()
	if err != nil {
		return err
	}
	t := u.task("replay, sums opened", int64(steps))
	defer t.finish()
	return s.Replay(func(done int) error {
		t.set(int64(done))
		return ctx.Err()
	})
}

// auditExit turns the verdict into an exit code.
func auditExit(verdict string) error {
	switch verdict {
	case audit.VerdictPass:
		return nil
	case audit.VerdictFail:
		return &exitError{exitFailed, errors.New("FAIL: a claim is refuted")}
	default:
		return &exitError{exitIncomplete, errors.New("INCONCLUSIVE: the remarks above say what is missing")}
	}
}
