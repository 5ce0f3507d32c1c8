package kernel

// ReLU writes max(x, 0) into dst; NaN stays NaN. dst may be x.
func ReLU(dst, x []float32) {
	sameLength(dst, x)
	active.relu(dst, x)
}

// ReLUBackward adds dy[i] to dx[i] where x[i] > 0.
func ReLUBackward(dx, dy, x []float32) {
	sameLength(dx, x)
	sameLength(dy, x)
	active.reluBackward(dx, dy, x)
}

// SiLUGate writes silu(a)*b into dst, silu(a) = a*sigmoid(a): the gate of SwiGLU
// (Shazeer 2020, eq. 5). dst may be a or b.
func SiLUGate(dst, a, b []float32) {
	sameLength(dst, a)
	sameLength(dst, b)
	active.siluGate(dst, a, b)
}

// SiLUGateBackward adds the gradients of SiLUGate, given dy, to da and db, which
// do not overlap each other or the inputs.
func SiLUGateBackward(da, db, dy, a, b []float32) {
	sameLength(da, a)
	sameLength(db, a)
	sameLength(dy, a)
	sameLength(b, a)
	active.siluGateBackward(da, db, dy, a, b)
}

// GELU writes gelu(x) into dst, in the tanh form of Hendrycks & Gimpel 2016,
// section 2: x*sigmoid(2u) with u = sqrt(2/pi)*(x + 0.044715 x^3). dst may be x.
func GELU(dst, x []float32) {
	sameLength(dst, x)
	active.gelu(dst, x)
}

// GELUBackward adds dy[i]*gelu'(x[i]) to dx[i].
func GELUBackward(dx, dy, x []float32) {
	sameLength(dx, x)
	sameLength(dy, x)
	active.geluBackward(dx, dy, x)
}

func reluPortable(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		if v < 0 {
			v = 0
		}
		dst[i] = v
	}
}

func reluBackwardPortable(dx, dy, x []float32) {
	dx, dy = dx[:len(x)], dy[:len(x)]
	for i, v := range x {
		if v > 0 {
			dx[i] += dy[i]
		}
	}
}

// sigmoid returns s = 1/(1+exp(-z)) and 1-s, neither with cancellation.
func sigmoid(z float32) (s, rest float32) {
	e := Exp(-z)
	s = 1 / (1 + e)
	rest = 1 - s
	if z > 0 {
		rest = e * s
	}
	return s, rest
}

func siluGatePortable(dst, a, b []float32) {
	dst, b = dst[:len(a)], b[:len(a)]
	for i, v := range a {
		dst[i] = v / (1 + Exp(-v)) * b[i]
	}
}

func siluGateBackwardPortable(da, db, dy, a, b []float32) {
	da, db, dy, b = da[:len(a)], db[:len(a)], dy[:len(a)], b[:len(a)]
	for i, v := range a {
		s, rest := sigmoid(v)
		up := dy[i] * s
		da[i] += up * b[i] * (1 + v*rest)
		db[i] += up * v
	}
}

const (
	geluScale = 2 * 0.7978845608028654 // 2 sqrt(2/pi)
	geluCubic = 0.044715
)

func geluPortable(dst, x []float32) {
	dst = dst[:len(x)]
	for i, v := range x {
		z := geluScale * v * (1 + geluCubic*v*v)
		dst[i] = v / (1 + Exp(-z))
	}
}

func geluBackwardPortable(dx, dy, x []float32) {
	dx, dy = dx[:len(x)], dy[:len(x)]
	for i, v := range x {
		s, rest := sigmoid(geluScale * v * (1 + geluCubic*v*v))
		slope := geluScale * (1 + 3*geluCubic*v*v)
		dx[i] += dy[i] * s * (1 + v*slope*rest)
	}
}
