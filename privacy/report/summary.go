package report

import (
	"fmt"
	"slices"
	"strconv"

	"tutti/privacy/audit"
)

// readers is the page for three readers: the person with the phone, the operator, the auditor.
func (r *Report) readers() []readerView {
	return []readerView{
		{"What left the phone", r.left()},
		{"How the rounds went", r.went()},
		{"What is claimed, and how it is checked", r.claimed()},
	}
}

func (r *Report) left() []string {
	out := []string{"No history. It stays on the device, and recommending needs no network."}
	switch r.Privacy {
	case PrivacyOff:
		out = append(out, "In each round one vector, clipped to a fixed length. In the rounds named above it lacked noise, so that the sum could tell about a single device.")
	case PrivacyCentral:
		out = append(out, "In each round one vector, clipped to a fixed length and masked, so that only the sum over many devices could be opened. The server saw that sum without noise, and was trusted to add it.")
	default:
		out = append(out, "In each round one vector, clipped to a fixed length, with noise added on the device and masked, so that only the sum over many devices could be opened.")
	}
	if len(r.Metrics) > 0 {
		out = append(out, fmt.Sprintf("In the same vector, with noise of their own: %s that the device measured on itself.", plural(uint64(len(r.ModelCard.Groups)), "figure")))
	}
	if len(r.Claims) > 0 && r.Claims[0].MaxParticipations < r.Claims[0].Rounds {
		out = append(out, fmt.Sprintf("From one device at most %d times in %d rounds; the device counts.", r.Claims[0].MaxParticipations, r.Claims[0].Rounds))
	}
	return append(out, "Who took part, and when, is visible to the server.")
}

func (r *Report) went() []string {
	d := r.Dropout
	first := fmt.Sprintf("%s opened, over %d to %d devices each; %d abandoned with nothing opened", plural(d.Published, "round"), d.Min, d.Max, d.Abandoned)
	if d.Lost > 0 {
		first += fmt.Sprintf("; %d charged, with nothing published", d.Lost)
	}
	out := []string{first + "."}
	if n := r.NoiseMeter; n.Rounds > 0 {
		state := "the promised noise arrived"
		if len(n.Alarms) > 0 {
			state = "SOME NOISE WAS MISSING"
		}
		out = append(out, fmt.Sprintf("Noise was measured in %s: %s (all together z %s, worst %s).", plural(n.Rounds, "round"), state, n.PooledZ, n.WorstZ))
	}
	for _, u := range slices.Backward(r.Utility) {
		if u.Private {
			out = append(out, fmt.Sprintf("Quality of %s: NDCG@10 %s, on the operator's word.", u.Name, u.NDCG.Value))
			break
		}
	}
	if d.Pending > 0 {
		out = append(out, plural(d.Pending, "planned round")+" had not ended; the claim counts what it may cost.")
	}
	return out
}

func (r *Report) claimed() []string {
	if len(r.Claims) == 0 {
		return []string{"Nothing is claimed, because privacy was off. The log can be checked all the same."}
	}
	var out []string
	for _, c := range r.Claims {
		if len(c.Epsilons) > 0 {
			out = append(out, fmt.Sprintf("About %s: ε = %s at δ = %s.", viewWords(c.View), c.Epsilons[0].Epsilon, c.Epsilons[0].Delta))
		}
	}
	if r.Claims[0].View != ViewServer {
		out = append(out, "About what the server sees: nothing. It was trusted to add the noise.")
	}
	if at := at1Percent(r.Claims[0]); at != "" {
		out = append(out, "In guesses: a test that accuses 1 of 100 people wrongly finds at most "+at+" of 100 of those whose data were used.")
	}
	out = append(out, testsInWords(append(append([]audit.Section{}, r.Audits...), r.Attacks...)))
	return append(out, "Every number of the claim can be recomputed from the signed log with the command at the end; that the models follow from the sums cannot.")
}

// at1Percent is the largest true-positive rate at a false-positive rate of one percent, in percent.
func at1Percent(c Claim) string {
	for _, t := range c.Tradeoff {
		if x, err := strconv.ParseFloat(t.TPR, 64); t.FPR == "0.01" && err == nil {
			return fixed(100*x, 1)
		}
	}
	return ""
}

func testsInWords(tests []audit.Section) string {
	if len(tests) == 0 {
		return "Nobody attacked it: this report brings no audit and no attack."
	}
	count := map[string]int{}
	for _, s := range tests {
		count[s.Verdict]++
	}
	return fmt.Sprintf("Attacked by its own makers in %d ways: %d within their bounds, %d beyond, %d inconclusive, %d broken, %d for information.", len(tests),
		count[audit.VerdictPass], count[audit.VerdictFail], count[audit.VerdictInconclusive], count[audit.VerdictBroken], count[audit.VerdictInfo])
}
