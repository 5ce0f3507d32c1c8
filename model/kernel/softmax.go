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

// OnlineSoftmax takes one more block of columns into a running softmax of rows
// (Milakov & Gimelshein 2018, algorithm 3). x is len(top) x cols, contiguous:
// top[r] rises to the largest value of row r, if that is higher, x[r][j] becomes
// exp(x[r][j]-top[r]), and sum[r], relative to the top before, becomes that
// relative to the new one with the row's exponentials added. Begin with top -Inf
// and sum 0.
func OnlineSoftmax(x []float32, cols int, top, sum []float32) {
	sameLength(top, sum)
	if len(top) > 0 {
		active.onlineSoftmax(x[:len(top)*cols], cols, top, sum)
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

// ScaleRows multiplies row r of x, which is len(factor) x len(sum), by factor[r]
// and adds the rows to sum.
func ScaleRows(x, factor, sum []float32) {
	if len(factor) > 0 {
		active.scaleRows(x[:len(factor)*len(sum)], len(sum), factor, sum)
	}
}

func onlineSoftmaxPortable(x []float32, cols int, top, sum []float32) {
	for r, was := range top {
		row := x[r*cols : (r+1)*cols]
		top[r] = max(was, maxPortable(row))
		sum[r] *= Exp(was - top[r])
		sum[r] += expShiftedPortable(row, row, top[r])
	}
}

func scaleRowsPortable(x []float32, cols int, factor, sum []float32) {
	sum = sum[:cols]
	for r, f := range factor {
		for j, v := range x[r*cols : (r+1)*cols] {
			v *= f
			x[r*cols+j] = v
			sum[j] += v
		}
	}
}
