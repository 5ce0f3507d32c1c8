package kernel

// NormEpsilon is added to the variance in layer norm.
const NormEpsilon = 1e-5

// NormForward is layer norm (Ba, Kiros & Hinton 2016, eq. 4) over each row:
// y = (x-mean)*rstd*gain + bias with rstd = 1/sqrt(var+NormEpsilon).
//
// x, y: rows x d, where d = len(gain) = len(bias); mean, rstd: rows, kept for
// NormBackward. y may be x.
func NormForward(y, x, gain, bias []float32, rows int, mean, rstd []float32) {
	sameLength(gain, bias)
	if rows <= 0 {
		return
	}
	n := rows * len(gain)
	active.normForward(y[:n], x[:n], gain, bias, mean[:rows], rstd[:rows])
}

// NormBackward adds the gradients of NormForward, given dy (rows x d), to dx
// (rows x d), dGain and dBias (d): with xhat = (x-mean)*rstd and g = dy*gain,
// dx += rstd*(g - mean(g) - xhat*mean(g*xhat)).
func NormBackward(dx, dGain, dBias, dy, x, gain, mean, rstd []float32, rows int) {
	sameLength(dGain, gain)
	sameLength(dBias, gain)
	if rows <= 0 {
		return
	}
	n := rows * len(gain)
	active.normBackward(dx[:n], dGain, dBias, dy[:n], x[:n], gain, mean[:rows], rstd[:rows])
}
