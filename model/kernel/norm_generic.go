package kernel

import "math"

func normForwardPortable(y, x, gain, bias, mean, rstd []float32) {
	d := len(gain)
	for i := range mean {
		row, out := x[i*d:(i+1)*d], y[i*d:(i+1)*d]
		mu, inv := moments(row)
		mean[i], rstd[i] = mu, inv
		bias := bias[:len(gain)]
		for j, w := range gain {
			out[j] = (row[j]-mu)*inv*w + bias[j]
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

func normBackwardPortable(dx, dGain, dBias, dy, x, gain, mean, rstd []float32) {
	d := len(gain)
	for i, mu := range mean {
		row, up, down := x[i*d:(i+1)*d], dy[i*d:(i+1)*d], dx[i*d:(i+1)*d]
		inv := rstd[i]
		var sum, sumHat float32
		for j, v := range row {
			hat := (v - mu) * inv
			g := up[j] * gain[j]
			dGain[j] += up[j] * hat
			dBias[j] += up[j]
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
