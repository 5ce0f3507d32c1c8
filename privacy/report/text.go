package report

import (
	"fmt"
	"math"
)

// The report's fixed sentences. They say what a reader would otherwise assume.

const (
	formula = "rho of a round = B^2 / (2 (n_min - t_c) sigma^2): B is the largest L2 norm of one device's integers, sigma^2 " +
		"the variance of one device's discrete Gaussian noise, n_min - t_c the honest devices in the smallest sum. " +
		"rho of a statement = epsilon^2/2. rho adds up; epsilon at delta by Canonne, Kamath and Steinke."
	protocol     = "one message per device: RLWE mask, packed Shamir shares of its key sealed to the committee, one signed set per round, one release"
	seedPolicy   = "Seeds fix data, initial weights and which devices are asked. Noise, masks, keys and nonces have none."
	replay       = "Not offered: the opened sums are named by digest only, so that the models follow from them is not checked."
	command      = "tutti verify report.json --ledger ledger.jsonl"
	centralNote  = "exact Gaussian of the same rho, to compare with studies; not the claim"
	pldNote      = "continuous Gaussian noise of the same rho, and the statements as they are: informative, not the claim"
	claimNote    = "the claim"
	strictNote   = "the claim at a stricter delta"
	gdpAccount   = "gdp-central"
	zcdpAccount  = "zcdp-cks"
	unbounded    = "unbounded"
	enrolServer  = "the server itself"
	enrolOther   = "an enroller that is not the server (declared)"
	oneRoof      = "one party runs every member (declared): it can open single uploads"
	manyRoofs    = "members run by different parties (declared)"
	statusForced = "enforced"
	statusTaken  = "assumed"
	statusNot    = "not enforced"
)

// covers lists what the claim is about.
func covers(view string) []string {
	if view == ViewReleased {
		return []string{
			"every model version, whatever was computed from the noised sums",
			"every figure that devices measured on themselves and every statement about participation in this report",
		}
	}
	return []string{
		"every opened sum: popularity, transitions, model updates, what devices measured on themselves",
		"every model version, whatever was computed from the sums",
		"every statement about participation in this report",
	}
}

// notCovered lists what the claim is not about.
func notCovered() []string {
	return []string{
		"who took part in a round and when: under zero-out adjacency, participation is public to the server",
		"network metadata: addresses, sizes, times",
		"the history that stays on the device, and what its recommendations show to whoever holds it",
		"choices made on generated or public data before the task began",
		"quality figures of this report: they were measured by the operator on the evaluation data named beside them",
	}
}

// claimSentence is the claim for a person.
func claimSentence(view, epsilon, delta string, most, rounds uint64) string {
	who, which := "every opened sum, every model and this report", fmt.Sprintf("a device could be in all %d rounds", rounds)
	if view == ViewReleased {
		who = "every model version and this report"
	}
	if most < rounds {
		which = fmt.Sprintf("a device could be in at most %d of the %d rounds", most, rounds)
	}
	return fmt.Sprintf("Whatever someone who sees %s can guess about one device, "+
		"that device's data changes the odds by at most a factor of e^%s, except with probability %s; %s.", who, epsilon, delta, which)
}

// adversary says against whom the claim is made.
func adversary(view string, s Setting, sec Security, colluders string) string {
	if view == ViewReleased {
		if colluders == "0" {
			return "anyone who has the model versions and this report; not the server"
		}
		return "anyone who has the model versions and this report, together with at most " + colluders + " devices of a sum; not the server"
	}
	text := fmt.Sprintf("a server together with at most %d of %d committee members and %s devices of a sum", sec.Corrupt, sec.Members, colluders)
	if s.SelfEnrolled {
		text = fmt.Sprintf("honest-but-curious server, no sybils, together with at most %d of %d committee members and %s devices of a sum", sec.Corrupt, sec.Members, colluders)
	}
	if s.CommitteeOneRoof {
		text += "; the committee ran in one place, so this protects nobody from whoever ran it"
	}
	return text
}

// assumptions lists what the claim rests on, and who sees to it.
func assumptions(s Setting, sec Security, colluders string, central bool) []Assumption {
	enrol := Assumption{"A1", "the devices of a sum are real: at most " + colluders + " of them are false or give their noise away", enrolOther, statusTaken}
	if s.SelfEnrolled {
		enrol.EnforcedBy, enrol.Status = "nobody: the server enrols devices itself", statusNot
	}
	committee := Assumption{"A2", fmt.Sprintf("at most %d of the %d committee members work with the server", sec.Corrupt, sec.Members), "different parties run the members", statusTaken}
	if s.CommitteeOneRoof {
		committee.EnforcedBy, committee.Status = "nobody: the committee ran in one place", statusNot
	}
	rows := []Assumption{
		enrol,
		committee,
		{"A3", "no sum over fewer than n_min devices is opened", "each committee member's signature over one set per round; recomputed by verify", statusForced},
		{"A4", "a device is in a round at most once, and stops when its budget is spent", "the device's own record, before it seals", statusForced},
		{"A5", "clip, noise and cohort are those of the signed plan", "each honest device checks the plan in exact arithmetic and refuses it otherwise", statusForced},
		{"A6", "devices draw noise and masks from a secure random generator", "the SDK: AES-CTR keyed by the system's generator", statusTaken},
		{"A7", "ring learning with errors, HPKE and Ed25519 are hard to break", "parameters of the plan", statusTaken},
	}
	if central {
		rows = append(rows, Assumption{"A8", "the server adds the noise that the plan names, once, before anything leaves it, and forgets the sum without", "nobody: the server is trusted", statusNot})
	}
	return rows
}

// limitations are the sentences that a reader must not miss.
func limitations(s Setting, r *Report, groups int) []string {
	out := []string{
		"That the published models follow from the opened sums is not checked: the log names the sums by digest only.",
		"The log holds what the operator wrote into it. That no round was kept out of it, and that a round said to be abandoned was not opened, rests on the committee: devices and readers see digests of its certificates only.",
		"How often a single device took part is enforced by the device and not checked here.",
		"The noise meter finds faulty devices. An adversary can hide from it; no claim rests on it.",
		"Malicious devices can spoil a sum within the clip; malicious models can be made to ask about someone. Noise bounds what is learned, not what is tried.",
	}
	if groups > 0 {
		out = append(out, fmt.Sprintf("Rounds were split by lot into up to %d groups, each a sum with noise of its own: the mean of all is up to %.1f times (the square root of the groups) as noisy as that of one sum over the same devices. That no device is in two groups rests on the lot and on the committee, which saw every device.", groups, math.Sqrt(float64(groups))))
	}
	if s.CommitteeOneRoof {
		out = append(out, "The committee ran in one place: whoever ran it could have opened single uploads. In earnest its members belong to different parties.")
	}
	if s.SelfEnrolled {
		out = append(out, "The server enrolled the devices itself: it could have filled a sum with devices of its own. The epsilon of a lone honest device stands beside the claim.")
	}
	if r.Privacy == PrivacyOff {
		out = append(out, "Privacy was off in at least one round: this report makes no claim.")
	}
	if r.Dropout.Pending > 0 {
		out = append(out, plural(r.Dropout.Pending, "planned round")+" had not ended when this report was made; the claim counts what it may cost.")
	}
	return out
}
