package layer

import (
	"math"

	"tutti/model/kernel"
)

// GBCE is the generalised binary cross-entropy of gSASRec (Petrov & Macdonald,
// RecSys 2023). With k negatives j of a token with target y it is
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
	return s.run(in, func(own float32, score []float32, hits int) (float64, float32) {
		negative := logisticRow(score)
		share := 1 / float64(len(score)-hits+1)
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

func bprRow(own float32, score []float32, hits int) (loss float64, dOwn float32) {
	pairs := len(score) - hits
	if pairs == 0 {
		clear(score)
		return 0, 0
	}
	for j := range score {
		score[j] -= own
	}
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
	const sign, one = 1 << 31, 0x3f800000
	var scratch [chunk]float32
	for len(z) > 0 {
		part := z[:min(chunk, len(z))]
		e := scratch[:len(part)]
		var above float32
		for j, v := range part {
			above += max(v, 0)
			e[j] = math.Float32frombits(math.Float32bits(v) | sign) // -|v|
		}
		kernel.ExpShifted(e, e, 0)
		product := [2]float64{1, 1}
		for j, v := range part {
			// sigmoid is 1/(1+e) above 0 and e/(1+e) below, chosen without a branch.
			below := uint32(int32(math.Float32bits(v)) >> 31)
			top := math.Float32frombits(math.Float32bits(e[j])&below | one&^below)
			part[j] = top / (1 + e[j])
			product[j&1] *= float64(1 + e[j])
		}
		sum += float64(above) + math.Log(product[0]*product[1])
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
