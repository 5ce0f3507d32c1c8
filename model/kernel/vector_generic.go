package kernel

import "math"

func dotPortable(x, y []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(x) >= 8 && len(y) >= 8 {
		u, v := (*[8]float32)(x), (*[8]float32)(y)
		s0 += u[0] * v[0]
		s1 += u[1] * v[1]
		s2 += u[2] * v[2]
		s3 += u[3] * v[3]
		s0 += u[4] * v[4]
		s1 += u[5] * v[5]
		s2 += u[6] * v[6]
		s3 += u[7] * v[7]
		x, y = x[8:], y[8:]
	}
	for i := 0; i < len(x) && i < len(y); i++ {
		s0 += x[i] * y[i]
	}
	return s0 + s1 + s2 + s3
}

func addPortable(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		dst[i] += v
	}
}

func scalePortable(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

func maxPortable(x []float32) float32 {
	best := float32(math.Inf(-1))
	for _, v := range x {
		if v > best {
			best = v
		}
	}
	return best
}

func finitePortable(x []float32) bool {
	// v-v is 0 for a finite v and NaN otherwise; NaN sticks in the sum.
	var s0, s1, s2, s3 float32
	for len(x) >= 4 {
		s0 += x[0] - x[0]
		s1 += x[1] - x[1]
		s2 += x[2] - x[2]
		s3 += x[3] - x[3]
		x = x[4:]
	}
	for _, v := range x {
		s0 += v - v
	}
	return s0+s1+s2+s3 == 0
}

func addRowsPortable(x, b []float32, rows int) {
	for r := range rows {
		addPortable(x[r*len(b):(r+1)*len(b)], b)
	}
}

func sumRowsPortable(sum, x []float32, rows int) {
	for r := range rows {
		addPortable(sum, x[r*len(sum):(r+1)*len(sum)])
	}
}

func transposePortable(dst []float32, ldd int, x []float32, ldx, rows, cols int) {
	for r := range rows {
		row := x[r*ldx : r*ldx+cols]
		for c, v := range row {
			dst[c*ldd+r] = v
		}
	}
}

func matVecPortable(y, a []float32, lda int, x []float32) {
	for i := range y {
		y[i] += dotPortable(a[i*lda:i*lda+len(x)], x)
	}
}

func axpyPortable(dst []float32, s float32, x []float32) {
	for len(dst) >= 4 && len(x) >= 4 {
		d, v := (*[4]float32)(dst), (*[4]float32)(x)
		d[0] += s * v[0]
		d[1] += s * v[1]
		d[2] += s * v[2]
		d[3] += s * v[3]
		dst, x = dst[4:], x[4:]
	}
	for i := 0; i < len(dst) && i < len(x); i++ {
		dst[i] += s * x[i]
	}
}

// Constants of exp: x = n ln 2 + r with |r| <= ln(2)/2, ln 2 split in two
// (Cody & Waite 1980, chapter 6), and the minimax polynomial of degree 5 of
// Cephes' expf for exp(r).
const (
	expLow  = -87.33654 // below: smaller than the smallest normal float32, gives 0
	expHigh = 88.72283  // above: larger than the largest float32, gives +Inf
	log2e   = 1.44269504088896341
	ln2High = 0.693359375
	ln2Low  = -2.12194440e-4
	expC5   = 1.9875691500e-4
	expC4   = 1.3981999507e-3
	expC3   = 8.3334519073e-3
	expC2   = 4.1665795894e-2
	expC1   = 1.6666665459e-1
	expC0   = 5.0000001201e-1

	// Adding 1.5*2^23 rounds a small float32 to an integer and leaves that
	// integer in the low bits.
	roundMagic = 12582912.0
)

// Exp is e^x in float32: relative error below 2e-7; 0 below -87.33, +Inf above
// 88.72, NaN for NaN.
func Exp(x float32) float32 {
	if !(x > expLow && x < expHigh) {
		return expEdge(x)
	}
	shifted := x*log2e + roundMagic
	n := shifted - roundMagic
	r := x - n*ln2High
	r -= n * ln2Low
	p := ((((expC5*r+expC4)*r+expC3)*r+expC2)*r+expC1)*r + expC0
	y := p*r*r + r + 1
	// The low bits of shifted are n; move them onto y's exponent.
	return math.Float32frombits(math.Float32bits(y) + math.Float32bits(shifted)<<23)
}

func expEdge(x float32) float32 {
	switch {
	case x >= expHigh:
		return float32(math.Inf(1))
	case x <= expLow:
		return 0
	}
	return x // NaN
}

func expShiftedPortable(dst, x []float32, shift float32) float32 {
	var sum float32
	dst = dst[:len(x)]
	for i, v := range x {
		e := Exp(v - shift)
		dst[i] = e
		sum += e
	}
	return sum
}

func adamPortable(w, g, m, v []float32, c AdamStep) {
	g, m, v = g[:len(w)], m[:len(w)], v[:len(w)]
	for i, grad := range g {
		m1 := c.Beta1*m[i] + (1-c.Beta1)*grad
		v1 := c.Beta2*v[i] + (1-c.Beta2)*grad*grad
		m[i], v[i] = m1, v1
		root := float32(math.Sqrt(float64(v1 * c.SecondScale)))
		w[i] -= c.DecayPerStep*w[i] + c.Rate*m1/(root+c.Epsilon)
	}
}
