//go:build !purego

package kernel

// avx512 is AVX-512 (F, BW, DQ, VL), in assembly that tools/kernelgen writes.
var avx512 = set{
	name: "avx512",

	gemm:      gemmAVX512,
	gemmBias:  gemmBiasAVX512,
	transpose: transposeAVX2, // in vectors of 16 it is slower
	matVec:    matVecAVX512,
	addRows:   addRowsAVX512,
	sumRows:   sumRowsAVX512,

	dot:    dotAVX512,
	axpy:   axpyAVX512,
	add:    addAVX512,
	scale:  scaleAVX512,
	max:    maxAVX512,
	finite: finiteAVX512,
	adam:   adamStepAVX2, // as much division a cycle, and less at a time

	expShifted:       expShiftedAVX512,
	expRows:          expRowsAVX512,
	softmaxExp:       softmaxExpAVX512,
	softmaxBackward:  softmaxBackwardAVX512,
	gelu:             geluAVX512,
	geluBackward:     geluBackwardAVX512,
	relu:             reluAVX512,
	reluBackward:     reluBackwardAVX512,
	siluGate:         siluGateAVX512,
	siluGateBackward: siluGateBackwardAVX512,
	dropout:          dropoutMaskAVX512,

	normForward:  normForwardAVX512,
	normBackward: normBackwardAVX512,
}

func gemmAVX512(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	var g gemmCall
	g.wide = true
	g.shape(m, n, k, rsa, csa, ldb, ldc)
	g.a, g.b, g.c = &a[0], &b[0], &c[0]
	if acc {
		g.from, g.ldf = g.c, ldc
	}
	g.run()
}

func gemmBiasAVX512(m, n, k int, a []float32, rsa int, b []float32, ldb int, c []float32, ldc int, bias []float32) {
	var g gemmCall
	g.wide = true
	g.shape(m, n, k, rsa, 1, ldb, ldc)
	g.a, g.b, g.c, g.from = &a[0], &b[0], &c[0], &bias[0]
	g.run()
}

func dropoutMaskAVX512(dst, x []float32, d mask) {
	dropoutAVX512(dst, x, d.from, d.key0, d.key1, d.below, d.scale)
}
