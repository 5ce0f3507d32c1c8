package layer

import (
	"math"

	"tutti/model/kernel"
)

// SampledArgs is one call of a sampled loss: every token's target is scored
// against a few negatives instead of the whole catalogue. Nil gradients are not
// computed.
type SampledArgs struct {
	N, V, D int
	H       []float32 // N x D: what the encoder says
	Table   []float32 // V x D: item vectors
	Bias    []float32 // V, or nil for none
	Targets []int32   // N: an item in [0, V), or negative for no loss

	// Negatives are m items in [0, V), shared by all tokens; with Each they are
	// N x m, the row of a token for that token alone. Repeats count as often as
	// they occur; a negative that is the token's own target (an accidental hit)
	// takes no part.
	Negatives []int32
	Each      bool
	// LogCount, as long as Negatives, is the logarithm of how often a negative is
	// expected among the m: log(m*q_i). Softmax needs it; the others ignore it.
	LogCount []float32

	// Scale multiplies the gradients (not the loss): 1/tokens for a mean.
	Scale float32

	DH     []float32 // N x D
	DTable []float32 // V x D
	DBias  []float32 // V
}

// Sampled computes the losses that need scores for a few negatives only:
// Softmax, GBCE and BPR. With shared negatives the scores of a tile of tokens
// are one matrix product with the gathered rows of the table; no N x m matrix
// exists.
//
// It owns scratch memory: one goroutine uses it at a time.
type Sampled struct {
	in      SampledArgs
	m       int  // negatives of a token
	correct bool // take LogCount off the scores

	active []int32 // tokens that have a loss
	tokens []int32 // those of this tile
	rule   rowRule

	rows, rowsT []float32 // m x D and D x m: negatives' rows of the table
	shift       []float32 // m: what their scores get on top, bias and correction
	dRows       []float32 // m x D
	dBias       []float32 // m
	h, dh       []float32 // t x D
	score       []float32 // t x m: scores, then their gradients
	own, dOwn   []float32 // t: the targets' scores and their gradients
}

// rowRule turns one token's scores, of its target and of its m negatives, into
// their gradients, in place, and returns the loss. hits is how many negatives are
// left out: their scores are outside, their gradient must become 0.
type rowRule func(own float32, score []float32, hits int) (loss float64, dOwn float32)

// sampledBudget is the most scores in a tile, if 8 tokens fit: they stay in a
// second-level cache.
const sampledBudget = 1 << 16

// NewSampled returns an operation without any memory yet.
func NewSampled() *Sampled { return &Sampled{} }

// Softmax is the sampled softmax with the logQ correction. For a token with
// scores s and target y the full softmax loss is -s_y + log Z with
//
//	Z = e^s_y + sum over i != y of e^s_i.
//
// Draw m items from a proposal q, so that item i is expected c_i = m*q_i times
// (exactly so for draws with replacement, and for uniform draws without). Then
//
//	Z' = e^s_y + sum over draws j != y of e^(s_j - log c_j)
//
// has the expectation Z, since item i comes c_i times and each time weighs
// 1/c_i: importance sampling of the partition function (Bengio & Senecal 2008;
// Jean et al. 2015; for recommenders Yi et al. 2019). The loss is -s_y + log Z',
// and its gradient the importance-sampled one with the target's own term exact:
//
//	d/ds_y = e^s_y/Z' - 1,   d/ds_j = e^(s_j - log c_j)/Z'.
//
// The target is in Z' once for certain, so its own score is not corrected (log 1
// = 0) and its accidental hits are left out, lest it counts twice. Yi et al.
// correct it too, which is a bias, since it is not drawn (Khrylchenko et al.
// 2025). log Z' is below log Z on average (Jensen) and tends to it as m grows.
// With every item drawn once and c = 1 it is the full softmax.
//
// Softmax returns the sum of the tokens' losses, in nats, and adds the gradients
// of Scale times that sum.
func (s *Sampled) Softmax(in SampledArgs) (loss float64) {
	if len(in.LogCount) != len(in.Negatives) {
		panic("layer: sampled softmax without the log of the expected counts")
	}
	s.correct = true
	defer func() { s.correct = false }()
	return s.run(in, softmaxRow)
}

func softmaxRow(own float32, score []float32, _ int) (loss float64, dOwn float32) {
	top := max(own, kernel.Max(score))
	others := kernel.ExpShifted(score, score, top)
	sum := others + kernel.Exp(own-top)
	kernel.Scale(score, 1/sum)
	return float64(top-own) + math.Log(float64(sum)), -others / sum
}

// outside is a score that no exponential sees: e^(outside-x) = 0 for any score x
// that training can meet.
const outside = -1e30
