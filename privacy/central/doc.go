// Package central adds the noise of a trusted aggregator to a sum that was opened without any: the two modes for operators
// without a committee. Gaussian noises one sum. A Stream noises the sums of many rounds with correlated noise, the buffered
// linear Toeplitz mechanism (BLT) of McMahan, Xu and Zhang (arXiv 2408.08868, Algorithm 3), so that what adds up over the
// rounds carries far less noise than independent draws would leave.
//
// The operator sees sums without noise: the guarantee is towards those who see what is released, and towards nobody else.
//
// All randomness is that of github.com/google/differential-privacy, drawn by its own secure Gaussian sampler. Devices
// bound the L2 norm of their integers by B, exactly; standard deviations here are multiples of B. Noise is rounded to the
// nearest integer before it is added to the integer sum, which is the rounding of sum plus noise, and so post-processing:
// nothing of the sum is ever in floating point beside its noise.
package central
