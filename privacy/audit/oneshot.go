package audit

import (
	"fmt"
	"math"
)

const (
	oneShotPower = "None: the estimate lies above or below the truth, by more where few canaries are in. It gates nothing."
	oneShotRule  = "An estimate: no verdict may rest on it."
)

// oneShotSection estimates epsilon from the cosines of canaries and released
// sum (Andrew et al., arXiv 2302.03098). The canaries of a batch span its
// whole space, so that the norm of the released sum follows from the scores.
func (t Test) oneShotSection(written []string) (*Section, error) {
	s, err := t.frame(KindOneShot, written)
	if err != nil {
		return nil, err
	}
	if len(written) != t.Plan.Canaries {
		return nil, malformed("%d scores of %d canaries", len(written), t.Plan.Canaries)
	}
	scores, err := readScores(written)
	if err != nil {
		return nil, err
	}
	coins := t.Seed.Coins(t.Plan.Canaries)
	var cosines []float64
	for first := 0; first < len(scores); first += t.Plan.Batch {
		square := 0.0
		for _, v := range scores[first : first+t.Plan.Batch] {
			square += float64(v * v)
		}
		for i, v := range scores[first : first+t.Plan.Batch] {
			if coins[first+i] && square > 0 {
				cosines = append(cosines, v/math.Sqrt(square))
			}
		}
	}
	if len(cosines) < 2 {
		return nil, outOfRange("%d canaries are in", len(cosines))
	}
	mean, square := moments(cosines)
	fitted := Normal{mean, math.Sqrt(square / float64(len(cosines)-1))}
	null := Normal{0, 1 / math.Sqrt(float64(t.Plan.Batch))}
	estimate := 0.0
	if fitted.Sd > 0 {
		if estimate, err = EpsilonOneShot(null, fitted, t.Delta); err != nil {
			return nil, err
		}
	}
	s.Values = []Value{
		{Name: "eps_estimate", Value: fixed(estimate, 4)}, {Name: "cosine_mean", Value: fixed(fitted.Mean, 5)},
		{Name: "cosine_sd", Value: fixed(fitted.Sd, 5)}, count("dimension", t.Plan.Batch), count("canaries_in", len(cosines)),
	}
	s.Parametric, s.Verdict, s.Power, s.Reason = true, VerdictInfo, oneShotPower, oneShotRule
	s.ThreatModel = fmt.Sprintf("%s Only the direction of the sum is used, not the knowledge of the noise.", canaryModel)
	return s, nil
}
