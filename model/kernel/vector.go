package kernel

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
	active.add(dst, x)
}

// Scale multiplies x by s.
func Scale(x []float32, s float32) {
	active.scale(x, s)
}

// Max is the largest value of x, -Inf for none. NaN is passed over.
func Max(x []float32) float32 {
	return active.max(x)
}

// Finite reports whether x holds neither NaN nor an infinity.
func Finite(x []float32) bool {
	return active.finite(x)
}

// AddRows adds the vector b to each of the rows of x, which is rows x len(b).
func AddRows(x, b []float32, rows int) {
	if rows <= 0 {
		return
	}
	active.addRows(x[:rows*len(b)], b, rows)
}

// SumRows adds the sum of the rows of x, which is rows x len(sum), to sum.
func SumRows(sum, x []float32, rows int) {
	if rows <= 0 {
		return
	}
	active.sumRows(sum, x[:rows*len(sum)], rows)
}

// Transpose writes the rows x cols matrix x (row distance ldx) into dst as its
// cols x rows transpose (row distance ldd).
func Transpose(dst []float32, ldd int, x []float32, ldx, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	if ldx < cols || ldd < rows {
		panic("kernel: transpose with rows that overlap")
	}
	_ = x[(rows-1)*ldx+cols-1]
	_ = dst[(cols-1)*ldd+rows-1]
	active.transpose(dst, ldd, x, ldx, rows, cols)
}

// ExpShifted writes exp(x[i]-shift) into dst and returns the sum. dst may be x.
func ExpShifted(dst, x []float32, shift float32) float32 {
	sameLength(dst, x)
	return active.expShifted(dst, x, shift)
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
