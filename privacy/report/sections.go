package report

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tutti/privacy/audit"
	"tutti/privacy/ledger"
)

// maxSections bounds audits and attacks of one report.
const maxSections = 128

// auditKinds are the sections that stand under audits; all others are attacks.
var auditKinds = []string{audit.KindNoiseMeter, audit.KindOneRun, audit.KindOneRunFDP, audit.KindGaussianPair, audit.KindOneShot}

// sortSections puts sections where they belong, in the order given, each in its canonical form.
func sortSections(in []audit.Section) (audits, attacks []audit.Section, bad *Failure) {
	audits, attacks = []audit.Section{}, []audit.Section{}
	if len(in) > maxSections {
		return nil, nil, fail(ReasonAudit, "%d audits and attacks are more than %d", len(in), maxSections)
	}
	for i := range in {
		data, err := in[i].Canonical()
		if err != nil {
			return nil, nil, fail(ReasonAudit, "section %d: %v", i+1, err)
		}
		s, err := audit.ParseSection(data)
		if err != nil {
			return nil, nil, fail(ReasonAudit, "section %d: %v", i+1, err)
		}
		if slices.Contains(auditKinds, s.Kind) {
			audits = append(audits, *s)
		} else {
			attacks = append(attacks, *s)
		}
	}
	return audits, attacks, nil
}

// sections are the audits, then the attacks.
func (r *Report) sections() []audit.Section { return slices.Concat(r.Audits, r.Attacks) }

// auditTally is what the step on audits found.
type auditTally struct {
	again, stated        int
	gates, elsewhere     int // gates that passed: on this report's claim, or on a weaker one
	broken, inconclusive []string
	commits, logged      map[string]bool
}

// stepAudits recomputes every audit from its scores, with the commitment that was made before its run.
func (v *verifier) stepAudits() (string, error) {
	r := v.report
	audits, attacks, bad := sortSections(r.sections())
	if bad != nil {
		return "", bad
	}
	if !same(audits, r.Audits) || !same(attacks, r.Attacks) {
		return "", fail(ReasonAudit, "an audit stands among the attacks, or is not in its canonical form")
	}
	tally := auditTally{commits: map[string]bool{}, logged: map[string]bool{}}
	for _, s := range r.sections() {
		err := s.Recompute()
		switch {
		case err == nil:
			tally.again++
		case errors.Is(err, audit.ErrUnknownKind):
			tally.stated++
		default:
			return "", fail(ReasonAudit, "%s: %v", s.Kind, err)
		}
		if s.Gate && s.Verdict == audit.VerdictFail {
			return "", fail(ReasonAuditGate, "%s: %s", s.Kind, s.Reason)
		}
		tally.take(r, s)
		if d, ok := digestOf(s.Commit); ok && v.facts.commits[d] {
			tally.logged[s.Commit] = true
		}
	}
	return tally.summary()
}

func (t *auditTally) take(r *Report, s audit.Section) {
	switch s.Verdict {
	case audit.VerdictBroken:
		t.broken = append(t.broken, s.Kind)
	case audit.VerdictInconclusive:
		t.inconclusive = append(t.inconclusive, s.Kind)
	}
	if s.Commit != "" {
		t.commits[s.Commit] = true
	}
	if !s.Gate || s.Verdict != audit.VerdictPass {
		return
	}
	if audits(r, s) {
		t.gates++
	} else {
		t.elsewhere++
	}
}

// audits says whether a section is about this report's first claim: a bound on epsilon counts only where what was audited
// is no weaker than what is claimed.
func audits(r *Report, s audit.Section) bool {
	text, ok := s.Input("epsilon")
	if !ok {
		return true // no test of an epsilon, such as the noise meter
	}
	if len(r.Claims) == 0 || len(r.Claims[0].Epsilons) == 0 {
		return false
	}
	eps, ok := number(text)
	claimed, ok2 := number(r.Claims[0].Epsilons[0].Epsilon)
	return ok && ok2 && eps <= claimed+1e-3
}

// digestOf reads a commitment.
func digestOf(commit string) (ledger.Digest, bool) {
	var d ledger.Digest
	n, err := hex.Decode(d[:], []byte(commit[:min(len(commit), 2*len(d))]))
	return d, err == nil && n == len(d)
}

func (t *auditTally) summary() (string, error) {
	if t.again+t.stated == 0 {
		return "", errNotChecked{"the report brings no audit and no attack: nobody has tried to break what it claims"}
	}
	text := fmt.Sprintf("%d recomputed from their scores; %d gates passed on this report's claim", t.again, t.gates)
	if t.elsewhere > 0 {
		text += fmt.Sprintf("; %d gates audited another claim, which is weaker", t.elsewhere)
	}
	if t.stated > 0 {
		text += fmt.Sprintf("; %d carry no scores and are the operator's word", t.stated)
	}
	switch {
	case len(t.commits) > 0 && len(t.logged) == 0:
		text += "; no commitment stands in the log, so that the seeds were fixed before is the operator's word"
	case len(t.commits) > 0:
		text += fmt.Sprintf("; %d of %d commitments stand in the log", len(t.logged), len(t.commits))
	}
	if len(t.broken) > 0 {
		text += "; broken, and so shows nothing: " + strings.Join(t.broken, ", ")
	}
	if len(t.inconclusive) > 0 {
		text += "; inconclusive: " + strings.Join(t.inconclusive, ", ")
	}
	if len(t.broken) > 0 || t.gates == 0 {
		return "", errNotChecked{text}
	}
	return text, nil
}
