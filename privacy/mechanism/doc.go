// Package mechanism is what an update goes through between training and
// the secure sum, and back: Clip, then a Codec, one object with two ends.
// The device calls Encode, the server calls DecodeSum; Params, public and
// part of the signed plan, makes both ends agree.
//
// The way of a vector (Kairouz, Liu, Steinke, "The Distributed Discrete
// Gaussian Mechanism", arXiv 2102.06387, Algorithms 1 and 2, without the
// reduction modulo 2^b, which our aggregation does not need):
//
//	update      float32[d]   what training produced
//	Clip        float32[d]   L2 norm at most c; non-finite input becomes zero
//	pad         float64[D]   zeros spread over the blocks
//	rotate      float64[D]   public random signs, Hadamard transform per block
//	scale       float64[D]   norm at most ClipGrid = c*s, in grid units
//	round       int32[D]     conditional stochastic rounding: sum y^2 <= B^2
//	noise       int32[D]     + discrete Gaussian share, |y| <= M
//	(sum)       int64[D]     outside: the aggregation
//	DecodeSum   float32[d]   inverse rotation, drop and measure the padding
//
// The guarantee is about integers: whatever happens before the rounding,
// each vector that leaves a device has an L2 norm of at most L2Bound before
// noise, and the shares of the n_min - t_c honest devices that any opened
// sum must contain add up to a variance of (n_min - t_c)*Sigma2 in every
// coordinate. Params.Rho is the price of that in zCDP under zero-out
// adjacency.
//
// The package is pure: randomness is an io.Reader, there is no clock, no
// file, no log. Values that hold a person's data (Clipped, Encoded) redact
// themselves when printed or marshalled.
package mechanism
