package layer

import "tutti/model/kernel"

// NormEpsilon is added to the variance in layer norm.
const NormEpsilon = kernel.NormEpsilon

// NormForward is layer norm (Ba, Kiros & Hinton 2016, eq. 4) over each row:
// y = (x-mean)*rstd*gain + bias with rstd = 1/sqrt(var+NormEpsilon).
//
// x, y: n x d; gain, bias: d; mean, rstd: n, kept for NormBackward.
func NormForward(y, mean, rstd, x, gain, bias []float32, n, d int) {
	kernel.NormForward(y, x, gain[:d], bias[:d], n, mean, rstd)
}

// NormBackward adds the gradients of NormForward, given dy (n x d), to dx
// (n x d), dGain and dBias (d).
func NormBackward(dx, dGain, dBias, dy, x, mean, rstd, gain []float32, n, d int) {
	kernel.NormBackward(dx, dGain[:d], dBias[:d], dy, x, gain[:d], mean, rstd, n)
}
