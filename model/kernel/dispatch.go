package kernel

// set is one implementation of every loop that is worth having in assembly.
// The exported functions check lengths and call the active one.
type set struct {
	name string

	// gemm: see Gemm. m, n and k are positive.
	gemm func(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool)
	// matVec: see MatVec.
	matVec func(y, a []float32, lda int, x []float32)
	// dot is the inner product of two vectors of one length.
	dot func(x, y []float32) float32
	// axpy: dst += s*x.
	axpy func(dst []float32, s float32, x []float32)
	// expShifted: dst[i] = exp(x[i]-shift), returns their sum.
	expShifted func(dst, x []float32, shift float32) float32
	// expColumns: see ExpColumns.
	expColumns func(x []float32, rows, cols int, shift, sum []float32)
	// gelu and geluBackward: see GELU and GELUBackward.
	gelu         func(dst, x []float32)
	geluBackward func(dx, dy, x []float32)
	// adam: see Adam.
	adam func(w, g, m, v []float32, c AdamStep)
}

// active is chosen once, before main; nothing changes it later.
var active = portable

// Name says which set is active: "portable" is plain Go.
func Name() string { return active.name }
