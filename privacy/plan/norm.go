package plan

import (
	"math"

	"tutti/privacy/mechanism"
)

// normMiss is -log2 of the chance that Norm refuses an honest device's vector.
const normMiss = 40

// Norm is the longest that an honest device's encoded vector is, its noise share included: the bound that a round with
// the norm check sets for every device. An honest vector exceeds it with probability below 2^-40 per upload.
//
// The vector is y + e, with ||y|| <= B, the mechanism's exact integer bound, and e discrete Gaussian of variance sigma^2
// in each of D coordinates. For 0 < l < 1/(2 sigma^2), completing the square in E exp(l (y+e)^2) gives a quotient of two
// theta functions times the value of the continuous Gaussian; by Poisson summation the quotient is at most 1 (the wider
// theta, shifted by whatever, over the narrower one unshifted). So ||y+e||^2/sigma^2 has moments no larger than those of
// a non-central chi-square with D degrees of freedom and non-centrality B^2/sigma^2, and Birge's bound for that law holds
// (An alternative point of view on Lepski's method, 2001, lemma 8.1): with u = 40 ln 2,
//
//	P[ ||y+e||^2 > (D sigma^2 + B^2) + 2 sigma sqrt((D sigma^2 + 2 B^2) u) + 2 sigma^2 u ] <= exp(-u).
//
// Where noise is on, D sigma^2 exceeds B^2 many times: the check stops vectors that are long beside the noise, not
// those that are a few times longer than the clip. Slack says how many.
func Norm(m mechanism.Params) int64 {
	b, s2, d := float64(m.L2Bound), m.Sigma2.Float64(), float64(m.PaddedDim)
	u := normMiss * math.Ln2
	square := d*s2 + b*b + 2*math.Sqrt(s2*(d*s2+2*b*b)*u) + 2*s2*u
	return int64(math.Ceil(math.Sqrt(square) * (1 + 1e-12)))
}

// Slack is how many times longer than the clip a vector may be that passes the norm check when it carries no noise.
func Slack(m mechanism.Params) float64 { return float64(Norm(m)) / float64(m.L2Bound) }
