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
