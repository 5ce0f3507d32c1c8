package layer

import (
	"math"

	"tutti/model/kernel"
)

// NormEpsilon is added to the variance in layer norm.
const NormEpsilon = 1e-5

// NormForward is layer norm (Ba, Kiros & Hinton 2016, eq. 4) over each row:
// y = (x-mean)*rstd*gain + bias with rstd = 1/sqrt(var+NormEpsilon).
//
// x, y: n x d; gain, bias: d; mean, rstd: n, kept for NormBackward.
func NormForward(y, mean, rstd, x, gain, bias []float32, n, d int) {
	gain, bias = gain[:d], bias[:d]
	for i := range n {
		row, out := x[i*d:(i+1)*d], y[i*d:(i+1)*d]
		mu, inv := moments(row)
		mean[i], rstd[i] = mu, inv
		for j, v := range row {
			out[j] = (v-mu)*inv*gain[j] + bias[j]
		}
	}
}

func moments(row []float32) (mean, rstd float32) {
	var sum float32
	for _, v := range row {
		sum += v
	}
	mean = sum / float32(len(row))
	var square float32
	for _, v := range row {
		square += (v - mean) * (v - mean)
	}
	variance := float64(square) / float64(len(row))
	return mean, float32(1 / math.Sqrt(variance+NormEpsilon))
}

// NormBackward adds the gradients of NormForward, given dy (n x d), to dx
// (n x d), dGain and dBias (d): with xhat = (x-mean)*rstd and g = dy*gain,
// dx += rstd*(g - mean(g) - xhat*mean(g*xhat)).
func NormBackward(dx, dGain, dBias, dy, x, mean, rstd, gain []float32, n, d int) {
	kernel.SumRows(dBias[:d], dy[:n*d], n)
	gain, dGain = gain[:d], dGain[:d]
	for i := range n {
		row, up, down := x[i*d:(i+1)*d], dy[i*d:(i+1)*d], dx[i*d:(i+1)*d]
		mu, inv := mean[i], rstd[i]
		var sum, sumHat float32
		for j, v := range row {
			hat := (v - mu) * inv
			g := up[j] * gain[j]
			dGain[j] += up[j] * hat
			sum += g
			sumHat += g * hat
		}
		sum /= float32(d)
		sumHat /= float32(d)
		for j, v := range row {
			hat := (v - mu) * inv
			down[j] += inv * (up[j]*gain[j] - sum - hat*sumHat)
		}
	}
}
