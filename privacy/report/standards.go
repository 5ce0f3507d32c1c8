package report

import (
	"fmt"
	"slices"
	"strings"

	"tutti/privacy/audit"
	"tutti/privacy/ledger"
)

// describe fills in what others ask of a private release, from what the report already holds.
func (f *facts) describe(r *Report) {
	r.ModelCard = f.modelCard(r)
	r.NIST = nist(r)
	r.OpenDP = openDP(r)
	r.DPIA = dpia(r)
	r.Reading = readingOf(r)
}

// metricRows are the figures that devices measured on themselves.
func (f *facts) metricRows() []Metric {
	out := []Metric{}
	for _, r := range f.rounds {
		for _, x := range r.record.Metrics {
			out = append(out, Metric{r.record.Round, r.seq, x.Label, x.Value, x.Low, x.High})
		}
	}
	return out
}

// modelCard takes the newest figure of every name; "history.short.hit10" is that of the group "history: short".
func (f *facts) modelCard(r *Report) ModelCard {
	card := ModelCard{
		Data: []string{r.Setting.Data, "each history stays on its device; what left it is listed under the claims"},
		Use:  r.Task.Purpose, Groups: []GroupRow{}, Limits: cardLimits(),
		Note: "Measured by the devices on themselves and opened as a noised mean, charged to the same budget. An interval covers the noise, not the choice of devices.",
	}
	var head ledger.Digest
	for _, x := range f.rounds {
		head = x.record.After
	}
	if head != (ledger.Digest{}) {
		card.Model = hexDigest(head)
	}
	at := map[string]int{}
	for _, m := range r.Metrics {
		name, group := m.Name, "all"
		if i := strings.LastIndex(m.Name, "."); i >= 0 {
			name, group = m.Name[i+1:], strings.ReplaceAll(m.Name[:i], ".", ": ")
		}
		i, ok := at[m.Name]
		if !ok {
			i = len(card.Groups)
			at[m.Name] = i
			card.Groups = append(card.Groups, GroupRow{})
		}
		card.Groups[i] = GroupRow{group, name, m.Round, m.Value, m.Low, m.High}
	}
	if len(card.Groups) == 0 {
		card.Note = "No figure was measured on the devices: quality per group is not known."
	}
	return card
}

func cardLimits() []string {
	return []string{
		"It ranks what people of this task did before; it knows nothing of why, and it can repeat what is popular.",
		"Quality figures without a round were measured by the operator on the data named beside them.",
		"A group that is not listed was not measured.",
	}
}

// epsilonWords is the first claim in a few words.
func epsilonWords(r *Report) string {
	if len(r.Claims) == 0 {
		return "none: privacy was off"
	}
	var words []string
	for _, c := range r.Claims {
		words = append(words, fmt.Sprintf("%s: epsilon %s at delta %s (zCDP rho %s)", viewWords(c.View), c.Epsilons[0].Epsilon, c.Epsilons[0].Delta, c.RhoDecimal))
	}
	return strings.Join(words, "; ")
}

func viewWords(view string) string {
	if view == ViewServer {
		return "what the server sees"
	}
	return "what is released"
}

// trustWords says who has to be trusted with what.
func trustWords(r *Report) string {
	switch r.Privacy {
	case PrivacyOff:
		return "no noise in at least one round: everyone who sees a sum is trusted"
	case PrivacyCentral:
		return "central: devices clip and mask, the server opens sums and is trusted to add the noise"
	}
	return "distributed: devices clip, add noise and mask; nobody opens an upload or a sum without noise while the assumptions hold"
}

// nist fills one row per layer of the pyramid of NIST SP 800-226 (March 2025), from its top.
func nist(r *Report) []Finding {
	c := participationWords(r)
	return []Finding{
		{"epsilon", epsilonWords(r), "claims"},
		{"unit of privacy", fmt.Sprintf("%s, %s; %s", r.Task.Unit, r.Task.Adjacency, c), "claims"},
		{"algorithms and correctness", "L2 clip, randomised rounding with an exact integer norm check, discrete Gaussian noise; every bound is recomputed in exact arithmetic", "accounting"},
		{"utility and bias", fmt.Sprintf("%d quality figures, %d of them on groups that only devices know", len(r.Utility)+len(r.ModelCard.Groups), groupCount(r)), "model_card"},
		{"security", "secure aggregation: " + r.Security.Protocol, "security"},
		{"side channels", "noise and masks from the system's generator; who takes part, sizes and times are visible and not covered", "not_covered"},
		{"access control and policy", "every plan is signed and logged; the device checks it and keeps its own budget", "assumptions"},
		{"trust model", trustWords(r), "assumptions"},
		{"data collection exposure", "histories stay on devices; of each round one clipped vector leaves them", "claims"},
		{"privacy hazards", "figures of evaluation data, choices made on public data, and false devices are named where they are not covered", "limitations"},
	}
}

func groupCount(r *Report) (n int) {
	for _, g := range r.ModelCard.Groups {
		if g.Group != "all" {
			n++
		}
	}
	return n
}

func participationWords(r *Report) string {
	if len(r.Claims) == 0 {
		return "not bounded by a claim"
	}
	c := r.Claims[0]
	return fmt.Sprintf("a device can be in %d of %d rounds, %d apart", c.MaxParticipations, c.Rounds, c.MinSeparation)
}

// openDP fills the third transparency tier of the OpenDP deployments registry.
func openDP(r *Report) []Finding {
	flavor := "zero-concentrated differential privacy (zCDP), told as (epsilon, delta) as well"
	if len(r.Claims) == 0 {
		flavor = "none"
	}
	return []Finding{
		{"deployment", fmt.Sprintf("%s, by %s: %s", r.Task.Name, r.Run.Operator, r.Task.Purpose), "task"},
		{"model of deployment", trustWords(r), "assumptions"},
		{"flavor", flavor, "claims"},
		{"parameters", epsilonWords(r), "claims"},
		{"unit of privacy", fmt.Sprintf("%s; %s", r.Task.Unit, participationWords(r)), "claims"},
		{"neighbouring data sets", r.Task.Adjacency + ": one device's vector is replaced by zeros; who took part is public", "claims"},
		{"mechanisms", mechanismWords(r), "rounds"},
		{"accounting: composition", "rho adds up over every round, metric and statement, adaptively; no amplification by sampling is claimed", "accounting"},
		{"accounting: post-processing", "models, distillation and blending use nothing but the noised sums and public data", "accounting"},
		{"accounting: hyperparameters", "chosen on generated or public data before the task began; choices made on the task's own releases are post-processing", "not_covered"},
		{"implementation", "open source, pure Go; mechanism, accountant and verifier are tested against reference tables", "reproduce"},
		{"implementation: security", "integers and exact rationals where it counts, so no floating-point attack on the noise; secure generator", "security"},
		{"verification", "signed report, append-only log with checkpoints that devices keep; recomputed by: " + r.Reproduce.Command, "transparency"},
	}
}

func mechanismWords(r *Report) string {
	kinds := map[string]bool{}
	for _, x := range r.Rounds {
		switch {
		case x.Central != "":
			kinds["noise by the server ("+x.Central+") on the opened sum"] = true
		case x.Noise:
			kinds["distributed discrete Gaussian"] = true
		default:
			kinds["no noise"] = true
		}
	}
	if len(r.Telemetry) > 0 {
		kinds["Laplace (statements about participation)"] = true
	}
	if len(kinds) == 0 {
		return "nothing was released"
	}
	out := make([]string, 0, len(kinds))
	for k := range kinds {
		out = append(out, k)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// dpia is the annex for Article 35(7) of the GDPR: description, necessity, risks, measures, each risk with its test.
func dpia(r *Report) DPIA {
	return DPIA{
		Description: fmt.Sprintf("%s, run by %s, learns from %s. Data: %s.", r.Task.Name, r.Run.Operator, plural(r.Setting.Devices, "enrolled device"), r.Setting.Data),
		Purposes:    r.Task.Purpose,
		Necessity: []string{
			"Recommending from behaviour needs statistics over people; no single history is needed, and none is collected.",
			"A round asks for one vector of fixed length; a device that does not take part is served all the same.",
		},
		Risks: []Risk{
			risk(r, "someone learns whether a person's data was used (membership)", "high", "noise bounds every such test: see the trade-off of the claim",
				"lira", "membership", audit.KindGaussianPair, audit.KindOneRun),
			risk(r, "someone learns what a person watched or bought from one upload (inversion, reconstruction)", "high", "uploads are masked and opened only as a sum", "inversion_update", "inversion"),
			risk(r, "the sum of few people tells about one of them", "high", "no sum over fewer than the planned devices is opened; noise is sized for the honest of the smallest", "dropout", "inversion_sum"),
			risk(r, "devices do not add the noise that they should", "medium", "coordinates that carry noise only are measured in every round", "silent_noise", audit.KindNoiseMeter),
			risk(r, "noise leaks through floating-point numbers", "medium", "integers and a discrete distribution", "float_gaussian", "float"),
			risk(r, "the server asks for more than was agreed", "high", "the device checks every signed plan and keeps its own budget", "malicious_plan", "plan"),
			risk(r, "two devices share the state of their generator", "medium", "fresh keys from the system for every round", "cloned_rng", "clone"),
			risk(r, "false or broken devices spoil the model for others", "medium", "clipping and an exact bound on every vector; see the limitations", "bad_device"),
		},
		Residual:     residual(r),
		Consultation: "Not part of this report: views of those concerned and advice of a data protection officer are the controller's to seek (Article 35(2) and (9)).",
	}
}

// risk links a risk to the first test whose kind holds one of the words.
func risk(r *Report, what, severity, measure string, words ...string) Risk {
	out := Risk{Risk: what, Severity: severity, Measure: measure, Result: "not measured in this report"}
	for _, word := range words {
		for _, list := range []struct {
			name string
			s    []audit.Section
		}{{"attacks", r.Attacks}, {"audits", r.Audits}} {
			for i, s := range list.s {
				if strings.Contains(s.Kind, word) {
					out.Test, out.Result = fmt.Sprintf("%s[%d]: %s", list.name, i, s.Kind), sectionResult(s)
					return out
				}
			}
		}
	}
	if slices.Contains(words, audit.KindNoiseMeter) && r.NoiseMeter.Rounds > 0 {
		out.Test, out.Result = "noise_meter", fmt.Sprintf("%d rounds measured, all together z %s, worst %s", r.NoiseMeter.Rounds, r.NoiseMeter.PooledZ, r.NoiseMeter.WorstZ)
	}
	return out
}

// sectionResult is the first figure of a section beside its bound, and the verdict.
func sectionResult(s audit.Section) string {
	out := s.Verdict
	if len(s.Values) > 0 {
		out = fmt.Sprintf("%s: %s %s", s.Verdict, s.Values[0].Name, s.Values[0].Value)
		if s.Bound != "" {
			out += " (bound " + s.Bound + ")"
		}
	}
	if s.PositiveControl != nil {
		out += "; without protection " + s.PositiveControl.Value
	}
	return out
}

func residual(r *Report) []string {
	out := []string{"What the claim allows remains possible: see the trade-off for what that means in guesses.", "Whoever holds the device sees its recommendations."}
	if len(r.Claims) == 0 {
		out[0] = "Nothing bounds what can be learned from these rounds."
	}
	if r.Privacy == PrivacyCentral {
		out = append(out, "The server could keep the sums as it opened them, before its noise.")
	}
	return append(out, "Whether data that this model was made from is still personal data is a question for the controller and the authority, case by case (EDPB Opinion 28/2024); this report does not answer it.")
}

// readingOf says what a reader can and cannot verify with the report and the log alone.
func readingOf(r *Report) []Check {
	audits := Check{"what the audits found", "no", "the report brings none"}
	if len(r.Audits) > 0 {
		audits = Check{"what the audits found", "partly", "values and verdicts follow from the scores, the coins from the seed that was fixed before; that the scores are those of this program: tutti audit with the same seed"}
	}
	return []Check{
		{"the budget, and rho and epsilon of every claim", "yes", "recomputed in exact arithmetic from the log"},
		{"order and completeness of the log as signed", "yes", "hash chain, tree and checkpoint; hold an older checkpoint against it (--checkpoint)"},
		{"clip, bound and noise of every plan", "yes", "the signed plans are in the log"},
		{"how many devices each sum was over", "yes", "as the log says it and the committee signed; the certificates themselves are not in the report"},
		{"that the published models are the opened sums, decoded and applied", "no", "the log names the sums by digest only; this report offers no replay"},
		{"how often one device took part", "no", "devices count for themselves; the sets are named by their roots"},
		{"that no round was kept out of the log", "no", "devices refuse a plan that the log does not hold; the reader has their word"},
		audits,
		{"who runs the committee, who enrols, and the operator's quality figures", "no", "declared by the operator"},
	}
}
