package kernel

import "math"

// Softmax replaces x by softmax(scale*x), for scale > 0, and returns the
// log-sum-exp of scale*x. Some x must be finite and none +Inf; -Inf gives 0. No
// values at all give -Inf.
func Softmax(x []float32, scale float32) (lse float32) {
	if len(x) == 0 {
		return float32(math.Inf(-1))
	}
	top := Max(x)
	sum := active.softmaxExp(x, top, scale)
	active.scale(x, 1/sum)
	return scale*top + float32(math.Log(float64(sum)))
}

// SoftmaxBackward turns ds, the gradient of the probabilities p = softmax(scale*x),
// into that of x: ds <- p*(ds-inner)*scale, inner being the sum of p*ds.
func SoftmaxBackward(ds, p []float32, inner, scale float32) {
	sameLength(ds, p)
	active.softmaxBackward(ds, p, inner, scale)
}

func softmaxExpPortable(x []float32, top, scale float32) float32 {
	var sum float32
	for i, v := range x {
		e := Exp((v - top) * scale)
		x[i] = e
		sum += e
	}
	return sum
}

func softmaxBackwardPortable(ds, p []float32, inner, scale float32) {
	p = p[:len(ds)]
	for j, up := range ds {
		ds[j] = p[j] * (up - inner) * scale
	}
}

// ExpRows replaces row r of x, which is len(shift) x cols and contiguous, by
// exp(x[r][j]-shift[r]) and adds the row's sum to sum[r].
func ExpRows(x []float32, cols int, shift, sum []float32) {
	sameLength(shift, sum)
	if len(shift) > 0 {
		active.expRows(x[:len(shift)*cols], cols, shift, sum)
	}
}

func expRowsPortable(x []float32, cols int, shift, sum []float32) {
	for r, low := range shift {
		row := x[r*cols : (r+1)*cols]
		sum[r] += expShiftedPortable(row, row, low)
	}
}
