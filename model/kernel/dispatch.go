package kernel

// set is one implementation of every loop that is worth having in assembly.
// The exported functions check lengths and call the active one; what a loop
// computes is written there.
type set struct {
	name string

	// Matrices. m, n, k, rows and cols are positive.
	gemm func(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool)
	// gemmBias is Gemm with csa 1 where every row of C starts with bias. It may be
	// nil.
	gemmBias  func(m, n, k int, a []float32, rsa int, b []float32, ldb int, c []float32, ldc int, bias []float32)
	matVec    func(y, a []float32, lda int, x []float32)
	transpose func(dst []float32, ldd int, x []float32, ldx, rows, cols int)
	addRows   func(x, b []float32, rows int)
	sumRows   func(sum, x []float32, rows int)

	// Vectors.
	dot    func(x, y []float32) float32
	axpy   func(dst []float32, s float32, x []float32)
	add    func(dst, x []float32)
	scale  func(x []float32, s float32)
	max    func(x []float32) float32
	finite func(x []float32) bool
	adam   func(w, g, m, v []float32, c AdamStep)

	// Exponentials and what is made of them.
	expShifted func(dst, x []float32, shift float32) float32
	// expRows: len(shift) = len(sum) rows, at least one.
	expRows func(x []float32, cols int, shift, sum []float32)
	// softmaxExp: x[i] <- exp((x[i]-top)*scale), returns their sum.
	softmaxExp       func(x []float32, top, scale float32) float32
	softmaxBackward  func(ds, p []float32, inner, scale float32)
	gelu             func(dst, x []float32)
	geluBackward     func(dx, dy, x []float32)
	relu             func(dst, x []float32)
	reluBackward     func(dx, dy, x []float32)
	siluGate         func(dst, a, b []float32)
	siluGateBackward func(da, db, dy, a, b []float32)
	dropout          func(dst, x []float32, d mask)

	// Rows of len(gain) values; len(mean) = len(rstd) of them.
	normForward  func(y, x, gain, bias, mean, rstd []float32)
	normBackward func(dx, dGain, dBias, dy, x, gain, mean, rstd []float32)
}

// portable is plain Go and runs everywhere.
var portable = set{
	name: "portable",

	gemm:      gemmPortable,
	matVec:    matVecPortable,
	transpose: transposePortable,
	addRows:   addRowsPortable,
	sumRows:   sumRowsPortable,

	dot:    dotPortable,
	axpy:   axpyPortable,
	add:    addPortable,
	scale:  scalePortable,
	max:    maxPortable,
	finite: finitePortable,
	adam:   adamPortable,

	expShifted:       expShiftedPortable,
	expRows:          expRowsPortable,
	softmaxExp:       softmaxExpPortable,
	softmaxBackward:  softmaxBackwardPortable,
	gelu:             geluPortable,
	geluBackward:     geluBackwardPortable,
	relu:             reluPortable,
	reluBackward:     reluBackwardPortable,
	siluGate:         siluGatePortable,
	siluGateBackward: siluGateBackwardPortable,
	dropout:          dropoutPortable,

	normForward:  normForwardPortable,
	normBackward: normBackwardPortable,
}

// active is chosen once, before main; nothing changes it later.
var active = sets()[0]

// Name says which set is active: "portable" is plain Go.
func Name() string { return active.name }
