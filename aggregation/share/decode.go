package share

import (
	"fmt"
	"slices"
)

// Poly is a polynomial by its coefficients, the constant first.
type Poly []uint64

// Eval is the polynomial's value at x.
func (f Field) Eval(a Poly, x uint64) uint64 {
	v := uint64(0)
	for i := len(a) - 1; i >= 0; i-- {
		v = f.Plus(f.Mul(v, x), a[i])
	}
	return v
}

// Decode finds the one polynomial of degree at most degree that passes through all but floor((len(points)-degree-1)/2) of the
// points, which are distinct field elements, and the positions (not the points) of the values that it leaves out, ascending:
// Reed-Solomon decoding after Gao (2003). ErrTooFew: no more than degree points. ErrInconsistent: no such polynomial.
// The returned Poly has degree+1 coefficients.
func (f Field) Decode(points, values []uint64, degree int) (Poly, []int, error) {
	n, k := len(points), degree+1
	if k < 1 || len(values) != n {
		return nil, nil, fmt.Errorf("%w: degree %d, %d points, %d values", ErrScheme, degree, n, len(values))
	}
	if n < k {
		return nil, nil, fmt.Errorf("%w: %d of %d", ErrTooFew, n, k)
	}
	whole := Poly{1}
	for _, x := range points {
		whole = f.timesLinear(whole, x)
	}
	found, ok := f.gao(whole, f.through(whole, points, values), n, k)
	var wrong []int
	for i, x := range points {
		if ok && f.Eval(found, x) != values[i] {
			wrong = append(wrong, i)
		}
	}
	if !ok || len(wrong) > (n-k)/2 {
		return nil, nil, fmt.Errorf("%w: more than %d of %d values are wrong", ErrInconsistent, (n-k)/2, n)
	}
	return append(found, make(Poly, k-len(found))...), wrong, nil
}

// gao runs Euclid's algorithm on Π(x-x_i) and the interpolation of the received word until the remainder's degree is below
// (n+k)/2; remainder = message · error locator then.
func (f Field) gao(whole, received Poly, n, k int) (Poly, bool) {
	a, b := whole, received
	u, v := Poly(nil), Poly{1}
	for 2*(len(b)-1) >= n+k {
		quotient, rest := f.divide(a, b)
		a, b = b, rest
		u, v = v, f.minusProduct(u, quotient, v)
	}
	message, rest := f.divide(b, v)
	return message, len(rest) == 0 && len(message) <= k
}

// timesLinear is a·(X-x).
func (f Field) timesLinear(a Poly, x uint64) Poly {
	out := make(Poly, len(a)+1)
	for i, c := range a {
		out[i] = f.Minus(out[i], f.Mul(c, x))
		out[i+1] = c
	}
	return out
}

// through is Lagrange's interpolation: the polynomial of degree below len(points) with these values. whole is Π(X - points_i).
func (f Field) through(whole Poly, points, values []uint64) Poly {
	out := make(Poly, len(points))
	for i, weight := range f.interpolate(points).weights {
		scale, c := f.Mul(values[i], weight), uint64(0)
		for k := len(points) - 1; k >= 0; k-- { // the coefficients of whole/(X - points_i), by Horner's division
			c = f.Plus(f.Mul(c, points[i]), whole[k+1])
			out[k] = f.Plus(out[k], f.Mul(scale, c))
		}
	}
	return trim(out)
}

// divide gives quotient and remainder, both trimmed; b is trimmed and not zero.
func (f Field) divide(a, b Poly) (quotient, rest Poly) {
	rest = slices.Clone(a)
	if len(rest) < len(b) {
		return nil, rest
	}
	lead := f.Inverse(b[len(b)-1])
	quotient = make(Poly, len(rest)-len(b)+1)
	for i := len(quotient) - 1; i >= 0; i-- {
		c := f.Mul(rest[i+len(b)-1], lead)
		quotient[i] = c
		for k, v := range b {
			rest[i+k] = f.Minus(rest[i+k], f.Mul(c, v))
		}
	}
	return trim(quotient), trim(rest)
}

// minusProduct is u - q·v.
func (f Field) minusProduct(u, q, v Poly) Poly {
	out := make(Poly, max(len(u), len(q)+len(v)))
	copy(out, u)
	for i, a := range q {
		for k, b := range v {
			out[i+k] = f.Minus(out[i+k], f.Mul(a, b))
		}
	}
	return trim(out)
}

func trim(a Poly) Poly {
	for len(a) > 0 && a[len(a)-1] == 0 {
		a = a[:len(a)-1]
	}
	return a
}
