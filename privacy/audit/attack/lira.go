package attack

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"tutti/privacy/accounting"
	"tutti/privacy/audit"
)

// Released is a recommender under membership inference: it is trained again and again on random halves of its users, and
// says what an attacker computes about every user from what was released.
type Released struct {
	Name  string // of the kind: lira_ and this
	Users int
	Setup string

	// Train trains model number i on the users that are in, and returns for each of the users what the attacker measures:
	// equally many statistics, larger or smaller for those who are in.
	Train func(ctx context.Context, noise bool, i int, in []bool) (statistics [][]float64, err error)
	Mu    float64 // the Gaussian parameter of all that is released with noise: the root of twice its rho
}

// LiRA is the likelihood-ratio membership attack (Carlini et al., "Membership inference attacks from first principles",
// arXiv 2112.03570), online form with a variance common to all users, as the paper advises for few shadow models. shadows+1
// models are trained; each is attacked once with the others as its shadows, so the figures are over (shadows+1)*users cases.
// Cases of one model share its noise and cases of one user share its shadows, so the intervals are slightly too narrow.
//
// The verdict compares with what any attack can do against the claim: the true-positive rate Phi(Phi^-1(fpr) + mu), at the
// largest false-positive rate that the count allows, and the AUC.
func LiRA(ctx context.Context, o Options, r Released, shadows int) (audit.Section, error) {
	s := audit.Section{
		Kind:        "lira_" + r.Name,
		ThreatModel: "Knows a person's whole history, the training method and others like the training data; sees what was released.",
		Setup:       fmt.Sprintf("%s; %d users, each in a random half of %d models; every model is attacked with the %d others as shadows.", r.Setup, r.Users, shadows+1, shadows),
	}
	work := o.steps(2 * (shadows + 1))
	bare, err := o.attacked(ctx, r, false, shadows, work)
	if err != nil {
		return s, err
	}
	ours, err := o.attacked(ctx, r, true, shadows, work)
	if err != nil {
		return s, err
	}
	mu := r.Mu
	s.Inputs = []audit.Value{{Name: "mu", Value: number(mu)}, {Name: "cases", Value: fmt.Sprint(len(ours))}, {Name: "shadows", Value: fmt.Sprint(shadows)}}
	area := aucOf(ours)
	s.Bound = fixed(accounting.MaxAUC(mu))
	s.Values = []audit.Value{value(fmt.Sprintf("AUC (bound %s)", s.Bound), area)}
	half := len(ours) / 2
	passes := area.value-strictSigmas*aucError(area.value, half, half) <= accounting.MaxAUC(mu)
	for _, fpr := range []float64{.01, .001} {
		with, out := rate(ours, fpr), rate(bare, fpr)
		bound, err := accounting.MaxTPR(mu, fpr)
		if err != nil {
			return s, err
		}
		s.Values = append(s.Values, value(fmt.Sprintf("TPR at FPR %g (bound %.3f)", fpr, bound), with.tpr))
		s.MoreControls = append(s.MoreControls, audit.Control{Setup: fmt.Sprintf("no noise: TPR at FPR %g", fpr), Value: fixed(out.tpr.value), Detected: out.tpr.low > fpr})
		generous, err := accounting.MaxTPR(mu, min(.5, with.fprHigh))
		if err != nil {
			return s, err
		}
		passes = passes && with.strictLow <= generous
	}
	free := aucOf(bare)
	s.PositiveControl = &audit.Control{Setup: "no noise: AUC", Value: fixed(free.value), Detected: free.low > .55 && s.MoreControls[0].Detected}
	s.Power = fmt.Sprintf("Without noise the same attack reaches AUC %.3f and finds %s of members at 1 %% false alarms.", free.value, s.MoreControls[0].Value)
	judge(&s, passes, "The attack stays within what the claim allows.", "The attack does better than the claim allows.")
	return s, nil
}

// attacked trains all models of an arm and attacks each with the others as shadows.
func (o Options) attacked(ctx context.Context, r Released, noise bool, shadows int, work *steps) ([]scored, error) {
	models := make([]observed, shadows+1)
	for i := range models {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		in := newStream(o.Seed, "lira coins", i).halves(r.Users)
		statistics, err := r.Train(ctx, noise, i, in)
		if err != nil {
			return nil, err
		}
		if len(statistics) != r.Users {
			return nil, fmt.Errorf("attack: %d users of %d were measured", len(statistics), r.Users)
		}
		models[i] = observed{in, statistics}
		work.add(1)
	}
	var cases []scored
	for target := range models {
		cases = append(cases, likelihoodRatio(models, target)...)
	}
	return cases, nil
}

// observed is one model: who was in, and what the attacker measures of each user.
type observed struct {
	in         []bool
	statistics [][]float64 // users x statistics
}

// likelihoodRatio scores the users of one model by the log likelihood ratio of their statistics under two normal laws
// each, in and out, fitted to the other models. Users that are in, or out, in fewer than two of them are left out.
func likelihoodRatio(models []observed, target int) []scored {
	width := len(models[target].statistics[0])
	fits := make([]fit, width)
	for k := range fits {
		fits[k] = fitOf(models, target, k)
	}
	var cases []scored
	for u, in := range models[target].in {
		total, ok := 0.0, true
		for k, f := range fits {
			if ok = f.known[u]; !ok {
				break
			}
			x := models[target].statistics[u][k]
			total += logNormal(x, f.in[u], f.inVar) - logNormal(x, f.out[u], f.outVar)
		}
		if ok {
			cases = append(cases, scored{total, in})
		}
	}
	return cases
}

// fit is one statistic's laws: a mean for each user, a variance for all.
type fit struct {
	in, out       []float64
	known         []bool
	inVar, outVar float64
}

func fitOf(models []observed, target, k int) fit {
	users := len(models[target].in)
	f := fit{in: make([]float64, users), out: make([]float64, users), known: make([]bool, users)}
	var inSquares, outSquares, inFree, outFree float64
	for u := range users {
		var in, out []float64
		for m := range models {
			if m == target {
				continue
			}
			if x := models[m].statistics[u][k]; models[m].in[u] {
				in = append(in, x)
			} else {
				out = append(out, x)
			}
		}
		if f.known[u] = len(in) >= 2 && len(out) >= 2; !f.known[u] {
			continue
		}
		var squares float64
		f.in[u], squares = centre(in)
		inSquares, inFree = inSquares+squares, inFree+float64(len(in)-1)
		f.out[u], squares = centre(out)
		outSquares, outFree = outSquares+squares, outFree+float64(len(out)-1)
	}
	const least = 1e-18 // statistics that never move say nothing
	f.inVar, f.outVar = max(least, inSquares/max(1, inFree)), max(least, outSquares/max(1, outFree))
	return f
}

// centre is the mean and the sum of squares about it.
func centre(x []float64) (mean, squares float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		squares += (v - mean) * (v - mean)
	}
	return mean, squares
}

func logNormal(x, mean, variance float64) float64 {
	return -.5 * (math.Log(variance) + (x-mean)*(x-mean)/variance)
}

// rated is a true-positive rate at a threshold that so many of those outside pass.
type rated struct {
	tpr       estimate
	strictLow float64 // of the true-positive rate, at half the strict level
	fprHigh   float64 // of the false-positive rate at that threshold, likewise
}

// rate is the true-positive rate at the lowest threshold that at most fpr of those outside exceed.
func rate(cases []scored, fpr float64) rated {
	sorted := slices.SortedFunc(slices.Values(cases), func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	out, in := 0, 0
	for _, c := range cases {
		if c.in {
			in++
		} else {
			out++
		}
	}
	allowed := int(fpr * float64(out))
	hits, alarms := 0, 0
	for first := 0; first < len(sorted); { // cases of equal score pass together or not at all
		h, a, last := 0, 0, first
		for ; last < len(sorted) && sorted[last].score == sorted[first].score; last++ {
			if sorted[last].in {
				h++
			} else {
				a++
			}
		}
		if alarms+a > allowed {
			break
		}
		hits, alarms, first = hits+h, alarms+a, last
	}
	return rated{proportion(hits, in, .05), proportion(hits, in, strict).low, proportion(alarms, out, strict).high}
}
