//go:build !purego

package kernel

// avx2 is AVX2 with FMA and BMI2, in assembly that tools/kernelgen writes.
var avx2 = set{
	name: "avx2",

	gemm:      gemmAVX2,
	gemmBias:  gemmBiasAVX2,
	transpose: transposeAVX2,
	matVec:    matVecAVX2,
	addRows:   addRowsAVX2,
	sumRows:   sumRowsAVX2,

	dot:    dotAVX2,
	axpy:   axpyAVX2,
	add:    addAVX2,
	scale:  scaleAVX2,
	max:    maxAVX2,
	finite: finiteAVX2,
	adam:   adamStepAVX2,

	expShifted:       expShiftedAVX2,
	expRows:          expRowsAVX2,
	softmaxExp:       softmaxExpAVX2,
	softmaxBackward:  softmaxBackwardAVX2,
	gelu:             geluAVX2,
	geluBackward:     geluBackwardAVX2,
	relu:             reluAVX2,
	reluBackward:     reluBackwardAVX2,
	siluGate:         siluGateAVX2,
	siluGateBackward: siluGateBackwardAVX2,
	dropout:          dropoutMaskAVX2,

	normForward:  normForwardAVX2,
	normBackward: normBackwardAVX2,
}

func gemmAVX2(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	var g gemmCall
	g.shape(m, n, k, rsa, csa, ldb, ldc)
	g.a, g.b, g.c = &a[0], &b[0], &c[0]
	if acc {
		g.from, g.ldf = g.c, ldc
	}
	g.run()
}

func gemmBiasAVX2(m, n, k int, a []float32, rsa int, b []float32, ldb int, c []float32, ldc int, bias []float32) {
	var g gemmCall
	g.shape(m, n, k, rsa, 1, ldb, ldc)
	g.a, g.b, g.c, g.from = &a[0], &b[0], &c[0], &bias[0]
	g.run()
}

// transposeAVX2 leaves what is beyond whole squares to the portable loop.
func transposeAVX2(dst []float32, ldd int, x []float32, ldx, rows, cols int) {
	const lanes = 8
	r, c := rows&^(lanes-1), cols&^(lanes-1)
	if r > 0 && c > 0 {
		transposeSquaresAVX2(&dst[0], ldd, &x[0], ldx, r, c)
	} else {
		r, c = 0, 0
	}
	if c < cols && r > 0 {
		transposePortable(dst[c*ldd:], ldd, x[c:], ldx, r, cols-c)
	}
	if r < rows {
		transposePortable(dst[r:], ldd, x[r*ldx:], ldx, rows-r, cols)
	}
}

func adamStepAVX2(w, g, m, v []float32, c AdamStep) {
	adamAVX2(w, g, m, v, c.Beta1, 1-c.Beta1, c.Beta2, 1-c.Beta2, c.Epsilon, c.Rate, c.SecondScale, c.DecayPerStep)
}

func dropoutMaskAVX2(dst, x []float32, d mask) {
	dropoutAVX2(dst, x, d.from, d.key0, d.key1, d.below, d.scale)
}
