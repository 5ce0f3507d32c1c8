package audit

import "fmt"

// Overall is the verdict on several sections together: fail if a gate
// fails; pass if none is broken and every claim that canaries were run
// against is passed by at least one gate; otherwise inconclusive. The second
// result says why, one sentence for each gate that did not pass.
//
// Up to epsilon 2 there are two canary gates. The Gaussian pair takes the
// noise's shape on trust; the one-run test takes nothing on trust and needs
// far more canaries than are practical to notice half the noise, so it often
// ends inconclusive beside a pair that passes. The sentences say so.
func Overall(sections []*Section) (verdict string, remarks []string) {
	verdict = VerdictPass
	passed, claims := map[string]bool{}, []string{}
	for _, s := range sections {
		claim := s.claim()
		if _, seen := passed[claim]; claim != "" && !seen {
			passed[claim], claims = false, append(claims, claim)
		}
		if !s.Gate {
			continue
		}
		switch s.Verdict {
		case VerdictPass:
			if claim != "" {
				passed[claim] = true
			}
			continue
		case VerdictFail:
			verdict = VerdictFail
		case VerdictBroken:
			verdict = worse(verdict, VerdictInconclusive)
		}
		remarks = append(remarks, s.remark())
	}
	if len(claims) == 0 {
		verdict = worse(verdict, VerdictInconclusive)
		remarks = append(remarks, "No claim was audited with canaries.")
	}
	for _, claim := range claims {
		if !passed[claim] {
			verdict = worse(verdict, VerdictInconclusive)
			remarks = append(remarks, "No gate passes the claim of "+claim+".")
		}
	}
	return verdict, remarks
}

func worse(a, b string) string {
	if a == VerdictFail {
		return a
	}
	return b
}

// claim names what canaries were run against; "" for other sections.
func (s *Section) claim() string {
	eps, ok := s.Input("epsilon")
	delta, ok2 := s.Input("delta")
	if !ok || !ok2 || s.Seed == "" {
		return ""
	}
	return fmt.Sprintf("epsilon %s at delta %s", eps, delta)
}

func (s *Section) remark() string {
	about := s.Kind
	if claim := s.claim(); claim != "" {
		about += ", " + claim
	}
	return about + ": " + s.Verdict + ". " + s.Reason
}
