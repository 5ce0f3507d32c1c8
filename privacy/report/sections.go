package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tutti/privacy/audit"
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
	var again, stated, broken, inconclusive []string
	gates := 0
	for _, s := range r.sections() {
		err := s.Recompute()
		switch {
		case err == nil:
			again = append(again, s.Kind)
		case errors.Is(err, audit.ErrUnknownKind):
			stated = append(stated, s.Kind)
		default:
			return "", fail(ReasonAudit, "%s: %v", s.Kind, err)
		}
		if s.Gate && s.Verdict == audit.VerdictFail {
			return "", fail(ReasonAuditGate, "%s: %s", s.Kind, s.Reason)
		}
		switch s.Verdict {
		case audit.VerdictBroken:
			broken = append(broken, s.Kind)
		case audit.VerdictInconclusive:
			inconclusive = append(inconclusive, s.Kind)
		case audit.VerdictPass:
			if s.Gate {
				gates++
			}
		}
	}
	return auditSummary(again, stated, broken, inconclusive, gates)
}

func auditSummary(again, stated, broken, inconclusive []string, gates int) (string, error) {
	if len(again)+len(stated) == 0 {
		return "", errNotChecked{"the report brings no audit and no attack: nobody has tried to break what it claims"}
	}
	text := fmt.Sprintf("%d recomputed from their scores, %d gates passed; %d figures are the operator's word", len(again), gates, len(stated))
	for _, part := range []struct {
		what  string
		kinds []string
	}{{"broken, and so shows nothing", broken}, {"inconclusive", inconclusive}} {
		if len(part.kinds) > 0 {
			text += fmt.Sprintf("; %s: %s", part.what, strings.Join(part.kinds, ", "))
		}
	}
	if len(broken) > 0 || gates == 0 {
		return "", errNotChecked{text}
	}
	return text, nil
}
