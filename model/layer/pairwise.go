package layer

import (
	"math"

	"tutti/model/kernel"
)

// GBCE is the generalised binary cross-entropy of gSASRec (Petrov & Macdonald,
// RecSys 2023, eqs. 11 and 12). With k negatives j of a token with target y it is
//
//	-(log sigmoid(s_y)^beta + sum over j of log(1 - sigmoid(s_j))) / (k+1),
//	beta = alpha*(t*(1-1/alpha) + 1/alpha),   alpha = k/(V-1),
//
// which is 1 - t*(1-alpha): t = 0 is plain binary cross-entropy, whose scores
// are overconfident when few of the items are sampled; t = 1 takes all of that
// out. The paper draws the negatives uniformly for each token (Each, DrawEach);
// shared ones are allowed. Accidental hits are no negatives: they leave the sum
// and the mean, though not alpha.
//
// t lies in [0, 1]. GBCE returns the sum of the tokens' losses, in nats, and
// adds the gradients of Scale times that sum.
func (s *Sampled) GBCE(in SampledArgs, t float64) (loss float64) {
	beta := GBCEBeta(in.count(), in.V, t)
	return s.run(in, func(own float32, score, _ []float32, hits []int32) (float64, float32) {
		leaveOut(score, hits)
		negative := logisticRow(score)
		share := 1 / float64(len(score)-len(hits)+1)
		kernel.Scale(score, float32(share))
		positive, slope := softplus(-float64(own))
		return share * (beta*positive + negative), float32(-share * beta * slope)
	})
}

// GBCEBeta is the exponent of the positive's probability in GBCE for k negatives
// from a catalogue of v items. More negatives than there are other items count as
// all of them.
func GBCEBeta(k, v int, t float64) float64 {
	if k < 1 || v < 2 {
		return 1
	}
	alpha := min(1, float64(k)/float64(v-1))
	return alpha * (t*(1-1/alpha) + 1/alpha)
}

// BPR is Bayesian personalised ranking (Rendle et al. 2009, section 4.1, without
// the prior, which is weight decay): -log sigmoid(s_y - s_j), as a mean over the
// token's k negatives j. A token whose negatives are all accidental hits has no
// loss.
//
// BPR returns the sum of the tokens' losses, in nats, and adds the gradients of
// Scale times that sum.
func (s *Sampled) BPR(in SampledArgs) (loss float64) { return s.run(in, bprRow) }

func bprRow(own float32, score, _ []float32, hits []int32) (loss float64, dOwn float32) {
	pairs := len(score) - len(hits)
	if pairs == 0 {
		clear(score)
		return 0, 0
	}
	for j := range score {
		score[j] -= own
	}
	leaveOut(score, hits)
	loss = logisticRow(score) / float64(pairs)
	kernel.Scale(score, 1/float32(pairs))
	slope := 0.0
	for _, g := range score {
		slope += float64(g)
	}
	return loss, float32(-slope)
}

// logisticRow replaces every z by sigmoid(z) and returns the sum of
// softplus(z) = log(1+e^z) = max(z, 0) + log(1 + e^-|z|).
func logisticRow(z []float32) (sum float64) {
	const chunk = 256 // a product of 256 values in [1, 2] is far from overflow
	var side [chunk]bool
	for len(z) > 0 {
		part := z[:min(chunk, len(z))]
		for j, v := range part {
			side[j] = v > 0
			if side[j] {
				sum += float64(v)
				part[j] = -v
			}
		}
		kernel.ExpShifted(part, part, 0)
		product := 1.0
		for j, e := range part {
			product *= 1 + float64(e)
			if side[j] {
				part[j] = 1 / (1 + e)
			} else {
				part[j] = e / (1 + e)
			}
		}
		sum += math.Log(product)
		z = z[len(part):]
	}
	return sum
}

// softplus returns log(1+e^z) and its slope sigmoid(z).
func softplus(z float64) (value, slope float64) {
	e := math.Exp(-math.Abs(z))
	value = math.Max(z, 0) + math.Log1p(e)
	if z > 0 {
		return value, 1 / (1 + e)
	}
	return value, e / (1 + e)
}
