package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tutti/privacy/accounting"
	"tutti/privacy/audit"
	"tutti/privacy/report"
)

// auditClaim is one claim and the canary run against it.
type auditClaim struct {
	label string // in file names: "" when there is only one
	test  audit.Test
}

// auditSection is one section and the file it goes to.
type auditSection struct {
	claim int // position; -1: the rounds of a report
	file  string
	*audit.Section
}

// maxAuditClaims bounds how many claims one command audits.
const maxAuditClaims = 16

// claims are what to audit, and the noise meter's readings of a report's rounds, if there is one.
func (f auditFlags) claims() ([]auditClaim, *audit.Readings, error) {
	if len(f.epsilons) > 0 && len(f.zs) > 0 {
		return nil, nil, usageError("either --epsilon or --z")
	}
	if f.canaries < 20 || f.canaries > audit.MaxCanaries || f.canaries > 1000 && f.canaries%1000 != 0 {
		return nil, nil, usageError("--canaries %d: want 20 to 1000, or whole thousands up to %d", f.canaries, audit.MaxCanaries)
	}
	main, err := f.mainSeed()
	if err != nil {
		return nil, nil, err
	}
	var rounds *audit.Readings
	var wanted []wantedClaim
	if f.report != "" {
		if wanted, rounds, err = readReported(f.report); err != nil {
			return nil, nil, err
		}
	}
	if len(f.epsilons) > 0 || len(f.zs) > 0 || len(wanted) == 0 {
		if wanted, err = f.wanted(); err != nil {
			return nil, nil, err
		}
	}
	if len(wanted) > maxAuditClaims {
		return nil, nil, usageError("%d claims at a time; at most %d", len(wanted), maxAuditClaims)
	}
	claims, labels := make([]auditClaim, len(wanted)), map[string]bool{}
	for i, w := range wanted {
		if labels[w.label] {
			return nil, nil, usageError("the claim %s twice", w.label)
		}
		labels[w.label] = true
		seed := audit.Seed(sha256.Sum256(append(append([]byte("tutti/audit/claim\x00"), main[:]...), byte(i))))
		test, err := audit.NewTest(w.rho, w.delta, f.canaries, f.rounds, seed)
		if err != nil {
			return nil, nil, &exitError{exitUsage, err}
		}
		if _, err := test.Plan.Params(seed); err != nil {
			return nil, nil, &exitError{exitUsage, fmt.Errorf("%s: no mechanism for it: %w", w.label, err)}
		}
		claims[i] = auditClaim{test: test}
		if len(wanted) > 1 {
			claims[i].label = w.label
		}
	}
	return claims, rounds, nil
}

// wantedClaim is a total of zCDP and its delta.
type wantedClaim struct {
	label string
	rho   *big.Rat
	delta float64
}

// wanted are the claims of the command line.
func (f auditFlags) wanted() ([]wantedClaim, error) {
	var all []wantedClaim
	for _, z := range f.zs {
		// 1/(2 z^2) of the decimal that was typed, exactly
		square, ok := new(big.Rat).SetString(strconv.FormatFloat(z, 'f', -1, 64))
		if !ok || z < 0.01 || z > 1000 {
			return nil, usageError("--z %g: want 0.01 to 1000", z)
		}
		square.Mul(square, square)
		square.Mul(square, big.NewRat(2, 1))
		total := square.Inv(square)
		total.Mul(total, new(big.Rat).SetInt64(int64(max(f.rounds, 1))))
		all = append(all, wantedClaim{"z" + strconv.FormatFloat(z, 'f', -1, 64), total, f.delta})
	}
	epsilons := f.epsilons
	if len(epsilons)+len(f.zs) == 0 {
		epsilons = []float64{1, 2, 4, 8}
	}
	for _, eps := range epsilons {
		rho, err := accounting.RhoForEpsilon(eps, f.delta)
		if err != nil || eps < 0.01 || eps > 100 {
			return nil, usageError("--epsilon %g at --delta %g: want 0.01 to 100, and a delta between 0 and 1", eps, f.delta)
		}
		all = append(all, wantedClaim{"eps" + strconv.FormatFloat(eps, 'f', -1, 64), rho, f.delta})
	}
	return all, nil
}

// mainSeed is the one of the command line, or fresh.
func (f auditFlags) mainSeed() (audit.Seed, error) {
	var seed audit.Seed
	if f.seed == "" {
		_, err := rand.Read(seed[:])
		return seed, err
	}
	raw, err := hex.DecodeString(f.seed)
	if err != nil || len(raw) != len(seed) {
		return seed, usageError("--seed wants %d hex digits", 2*len(seed))
	}
	copy(seed[:], raw)
	return seed, nil
}

// serverView names the claim that canaries among devices can attack: about who sees every opened sum, whose noise is the
// devices' own.
const serverView = "server"

// readReported takes the claim and the noise meter out of a report. It does not verify it: tutti verify does.
func readReported(path string) ([]wantedClaim, *audit.Readings, error) {
	data, err := readUpTo(path, report.MaxBytes)
	if err != nil {
		return nil, nil, err
	}
	r, err := report.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []wantedClaim
	seen := map[string]bool{}
	for i, c := range r.Claims {
		rho, ok := new(big.Rat).SetString(c.Rho)
		if c.View != serverView || !ok || rho.Sign() <= 0 || len(c.Epsilons) == 0 || seen[c.Rho] {
			continue
		}
		seen[c.Rho] = true
		delta, err := strconv.ParseFloat(c.Epsilons[0].Delta, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: a delta of %q", path, c.Epsilons[0].Delta)
		}
		all = append(all, wantedClaim{fmt.Sprintf("claim%d", i+1), rho, delta})
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("%s claims nothing about what the server sees, so there is nothing to audit (without --report, --epsilon audits a claim of your own)", path)
	}
	readings := audit.Readings{Setup: fmt.Sprintf("The noise meter of the rounds of task %s, as its log has them.", r.Task.Name)}
	for _, round := range r.Rounds {
		if round.MeterZ == "" {
			continue
		}
		z, err := strconv.ParseFloat(round.MeterZ, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: round %d: a reading of %q", path, round.Round, round.MeterZ)
		}
		readings.Scores = append(readings.Scores, z)
	}
	if len(readings.Scores) == 0 {
		return all, nil, nil
	}
	return all, &readings, nil
}

// readUpTo reads a file that must not be longer than limit.
func readUpTo(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, err
}

// readSection reads one section.
func readSection(path string) (*audit.Section, error) {
	data, err := readUpTo(path, audit.MaxSection)
	if err != nil {
		return nil, err
	}
	s, err := audit.ParseSection(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func commitmentsIn(dir string) string { return filepath.Join(dir, "audit_commitments.txt") }

// writeCommitments fixes the seeds before anything runs.
func writeCommitments(dir string, claims []auditClaim) error {
	var text strings.Builder
	text.WriteString("SHA-256 of each canary run's inputs and seed, fixed before the run.\n")
	for _, c := range claims {
		commit, err := c.test.Commitment()
		if err != nil {
			return err
		}
		eps, err := c.test.Epsilon()
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s epsilon %.4f at delta %g, %d canaries\n", commit, eps, c.test.Delta, c.test.Plan.Canaries)
	}
	return os.WriteFile(commitmentsIn(dir), []byte(text.String()), 0o644)
}

// sectionsOf judges all outcomes.
func sectionsOf(claims []auditClaim, outcomes []*audit.Outcome, rounds *audit.Readings) ([]auditSection, error) {
	var all []auditSection
	add := func(claim int, label string, s *audit.Section) {
		name := "audit_" + s.Kind
		if label != "" {
			name += "_" + label
		}
		all = append(all, auditSection{claim, name + ".json", s})
	}
	for i, c := range claims {
		sections, err := c.test.Sections(outcomes[i])
		if err != nil {
			return nil, err
		}
		for _, s := range sections {
			add(i, c.label, s)
		}
		if rounds != nil {
			continue
		}
		s, err := c.test.MeterSectionOf(outcomes[i])
		if err != nil {
			return nil, err
		}
		add(i, c.label, s)
	}
	if rounds != nil {
		s, err := audit.MeterSection(*rounds, claims[0].test.MeterControls(outcomes[0]))
		if err != nil {
			return nil, err
		}
		add(-1, "", s)
	}
	return all, nil
}

func writeSections(dir string, sections []auditSection) error {
	for _, s := range sections {
		data, err := s.Canonical()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, s.file), data, 0o644); err != nil {
			return fmt.Errorf("writing the sections: %w (is there space left, and may you write in %s?)", err, dir)
		}
	}
	return nil
}

// staleSections are the audits in a folder that this run has not written.
func staleSections(dir string, written []auditSection) []string {
	paths, err := filepath.Glob(filepath.Join(dir, "audit_*.json"))
	if err != nil {
		return nil
	}
	var stale []string
	for _, path := range paths {
		name := filepath.Base(path)
		if !slices.ContainsFunc(written, func(s auditSection) bool { return s.file == name }) {
			stale = append(stale, name)
		}
	}
	return stale
}
