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
//	noise       int32[D]     + discrete Gaussian (or Skellam) share, |y| <= M
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
// Noise shares are discrete Gaussian by default, drawn in constant time: no
// branch and no address depends on a drawn value, except with probability
// below 2^-56 a sample, where exact arithmetic decides. A table search would
// take 6 to 15 ns a coordinate where this takes about 45, and would show in
// the cache which entries were drawn. Skellam shares (arXiv 2110.04995) add
// up to exactly Skellam noise, which at the share sigmas of a plan buys
// nothing: their bound costs 7.7 % more variance at the same rho, their sigma
// ends at 2400, and they are drawn by such a table. What else a party that
// measures the device's time or power can learn: whether an update was all
// zero or not finite or, on some processors, held subnormal values, and how
// often its rounding was drawn again.
//
// Small vectors beside the update, such as metrics, are Unmetered: they carry
// noise and a claim of their own, but no padding and no noise meter. NextClip
// is the pure step of adaptive clipping from the share of clip bits that such
// a vector reports.
//
// The package is pure: randomness is an io.Reader, there is no clock, no
// file, no log. Values that hold a person's data (Clipped, Encoded) redact
// themselves when printed or marshalled.
package mechanism
