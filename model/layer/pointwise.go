package layer

import "math"

// PointwiseArgs is one call of SquaredError or Logistic: N pairs of what the
// encoder says and an item, each with the score of generalised matrix
// factorisation (He et al. 2017, section 3.2),
//
//	r_n = w . (h_n * e_n) + b,   * being element by element.
//
// Nil gradients are not computed.
type PointwiseArgs struct {
	N, D   int
	H      []float32 // N x D: what the encoder says
	E      []float32 // N x D: the vector of each pair's item
	W      []float32 // D
	B      []float32 // 1
	Labels []float32 // N: a rating, or 1 for a click and 0 for none; NaN for no loss
	// Scale multiplies the gradients (not the loss): weight/labels for a mean.
	Scale float32

	DH, DE []float32 // N x D
	DW     []float32 // D
	DB     []float32 // 1
}

// SquaredError returns the sum of (r_n - label)^2 and adds the gradients of
// Scale times that sum. labels says how many pairs have one.
func SquaredError(in PointwiseArgs) (loss float64, labels int) {
	return in.run(func(r, label float64) (float64, float64) {
		return (r - label) * (r - label), 2 * (r - label)
	})
}

// Logistic returns the sum of the cross-entropies, in nats, of labels in [0, 1]
// against sigmoid(r_n), and adds the gradients of Scale times that sum. labels
// says how many pairs have one.
func Logistic(in PointwiseArgs) (loss float64, labels int) {
	return in.run(func(r, label float64) (float64, float64) {
		value, slope := softplus(r)
		return value - label*r, slope - label
	})
}

// Pointwise writes the scores r_n alone.
func Pointwise(r []float32, in PointwiseArgs) {
	for n := range in.N {
		h, e := in.pair(n)
		r[n] = float32(in.score(h, e))
	}
}

func (in *PointwiseArgs) pair(n int) (h, e []float32) {
	lo, hi := n*in.D, (n+1)*in.D
	return in.H[lo:hi], in.E[lo:hi]
}

func (in *PointwiseArgs) score(h, e []float32) float64 {
	w := in.W[:len(h)]
	e = e[:len(h)]
	sum := float64(in.B[0])
	for j, x := range h {
		sum += float64(w[j]) * float64(x*e[j])
	}
	return sum
}

// run adds up rule, which gives the loss of a score and its slope.
func (in *PointwiseArgs) run(rule func(r, label float64) (loss, slope float64)) (loss float64, labels int) {
	for n, label := range in.Labels[:in.N] {
		if math.IsNaN(float64(label)) {
			continue
		}
		h, e := in.pair(n)
		one, slope := rule(in.score(h, e), float64(label))
		loss += one
		labels++
		in.backward(n, h, e, float32(slope)*in.Scale)
	}
	return loss, labels
}

func (in *PointwiseArgs) backward(n int, h, e []float32, g float32) {
	lo, hi := n*in.D, (n+1)*in.D
	if in.DB != nil {
		in.DB[0] += g
	}
	if in.DW != nil {
		addProduct(in.DW[:in.D], g, h, e)
	}
	if in.DH != nil {
		addProduct(in.DH[lo:hi], g, in.W, e)
	}
	if in.DE != nil {
		addProduct(in.DE[lo:hi], g, in.W, h)
	}
}

// addProduct adds g*x*y, element by element, to dst.
func addProduct(dst []float32, g float32, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for j := range dst {
		dst[j] += g * x[j] * y[j]
	}
}
