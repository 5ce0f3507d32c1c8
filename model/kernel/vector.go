package kernel

import "math"

func sameLength(a, b []float32) {
	if len(a) != len(b) {
		panic("kernel: vectors of different length")
	}
}

// Dot is the inner product of x and y, which have the same length.
func Dot(x, y []float32) float32 {
	sameLength(x, y)
	return active.dot(x, y)
}

// Axpy adds s*x to dst.
func Axpy(dst []float32, s float32, x []float32) {
	sameLength(dst, x)
	active.axpy(dst, s, x)
}

// Add adds x to dst.
func Add(dst, x []float32) {
	sameLength(dst, x)
	for i, v := range x {
		dst[i] += v
	}
}

// Scale multiplies x by s.
func Scale(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

// Max is the largest value of x, -Inf for none. NaN is passed over.
func Max(x []float32) float32 {
	best := float32(math.Inf(-1))
	for _, v := range x {
		if v > best {
			best = v
		}
	}
	return best
}

// Finite reports whether x holds neither NaN nor an infinity.
func Finite(x []float32) bool {
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

// AddRows adds the vector b to each of the rows of x, which is rows x len(b).
func AddRows(x, b []float32, rows int) {
	for r := range rows {
		Add(x[r*len(b):(r+1)*len(b)], b)
	}
}

// SumRows adds the sum of the rows of x, which is rows x len(sum), to sum.
func SumRows(sum, x []float32, rows int) {
	for r := range rows {
		Add(sum, x[r*len(sum):(r+1)*len(sum)])
	}
}

// Transpose writes the rows x cols matrix x (row distance ldx) into dst as its
// cols x rows transpose (row distance ldd).
func Transpose(dst []float32, ldd int, x []float32, ldx, rows, cols int) {
	for r := range rows {
		row := x[r*ldx : r*ldx+cols]
		for c, v := range row {
			dst[c*ldd+r] = v
		}
	}
}

// ExpShifted writes exp(x[i]-shift) into dst and returns the sum. dst may be x.
func ExpShifted(dst, x []float32, shift float32) float32 {
	sameLength(dst, x)
	return active.expShifted(dst, x, shift)
}

// ExpColumns replaces the rows x cols matrix x (contiguous) by
// exp(x[r][c]-shift[c]) and adds the sum of each column c to sum[c].
func ExpColumns(x []float32, rows, cols int, shift, sum []float32) {
	active.expColumns(x[:rows*cols], rows, cols, shift[:cols], sum[:cols])
}

// GELU writes gelu(x) into dst, in the tanh form of Hendrycks & Gimpel 2016,
// section 2: x*sigmoid(2u) with u = sqrt(2/pi)*(x + 0.044715 x^3).
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

// AdamStep holds the constants of one step of Adam (Kingma & Ba 2015,
// Algorithm 1) with the bias corrections folded in.
type AdamStep struct {
	Beta1, Beta2 float32
	Epsilon      float32
	Rate         float32 // alpha/(1-beta1^t)
	SecondScale  float32 // 1/(1-beta2^t)
	DecayPerStep float32 // alpha times the decoupled weight decay
}

// Adam changes the weights w by the gradient g and keeps the moments m and v:
// m <- b1 m + (1-b1) g; v <- b2 v + (1-b2) g^2;
// w <- w - decay w - rate m/(sqrt(scale v) + eps).
func Adam(w, g, m, v []float32, c AdamStep) {
	sameLength(w, g)
	sameLength(w, m)
	sameLength(w, v)
	active.adam(w, g, m, v, c)
}

// Grow returns a slice of n values that reuses the memory of s where it is
// large enough. The values are arbitrary.
func Grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
