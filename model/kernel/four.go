//go:build !purego && (arm64 || (js && tuttisimd))

package kernel

// The set of the machines with registers of four lanes: arm64, and a browser
// that offers the side module (see web/README.md). The loops are generated
// (tools/fourgen) and take multiples of four values; what is left over goes
// through the portable forms.

var four = fourSet()

func fourSet() set {
	s := portable
	s.name = fourName
	s.gemm, s.matVec, s.transpose = gemmFour, matVecFour, transposeFour
	s.addRows, s.sumRows = addRowsFour, sumRowsFour
	s.dot, s.axpy, s.add, s.scale, s.max, s.finite, s.adam = dotFour, axpyFour, addFour, scaleFour, maxFour, finiteFour, adamFour
	s.expShifted, s.expRows = expShiftedFour, expRowsFour
	s.softmaxExp, s.softmaxBackward = softmaxExpFour, softmaxBackwardFour
	s.gelu, s.geluBackward = geluFour, geluBackwardFour
	s.relu, s.reluBackward = reluFour, reluBackwardFour
	s.siluGate, s.siluGateBackward = siluGateFour, siluGateBackwardFour
	s.dropout = dropoutFour
	s.normForward, s.normBackward = normForwardFour, normBackwardFour
	return s
}

// fours is the largest multiple of four that is not above n.
func fours(n int) int { return n &^ 3 }

// size is a count or a distance for the generated loops.
func size(n int) uintptr { return uintptr(n) }

// bytes is the distance of n float32.
func bytes(n int) uintptr { return uintptr(4 * n) }

func dotFour(x, y []float32) (sum float32) {
	n := fours(len(x))
	if n > 0 {
		sum = fourDot(&x[0], &y[0], size(n))
	}
	for i := n; i < len(x); i++ {
		sum += x[i] * y[i]
	}
	return sum
}

func axpyFour(dst []float32, s float32, x []float32) {
	n := fours(len(dst))
	if n > 0 {
		fourAxpy(&dst[0], &x[0], size(n), s)
	}
	axpyPortable(dst[n:], s, x[n:])
}

func addFour(dst, x []float32) {
	n := fours(len(dst))
	if n > 0 {
		fourAdd(&dst[0], &x[0], size(n))
	}
	addPortable(dst[n:], x[n:])
}

func scaleFour(x []float32, s float32) {
	n := fours(len(x))
	if n > 0 {
		fourScale(&x[0], size(n), s)
	}
	scalePortable(x[n:], s)
}

func maxFour(x []float32) float32 {
	n := fours(len(x))
	best := maxPortable(x[n:])
	if n > 0 {
		var lanes [4]float32
		fourMax(&x[0], size(n), &lanes[0])
		for _, v := range lanes {
			best = max(best, v) // lanes are never NaN
		}
	}
	return best
}

func finiteFour(x []float32) bool {
	n := fours(len(x))
	if n > 0 && fourDefects(&x[0], size(n)) != 0 {
		return false
	}
	return finitePortable(x[n:])
}

func adamFour(w, g, m, v []float32, c AdamStep) {
	n := fours(len(w))
	if n > 0 {
		fourAdam(&w[0], &g[0], &m[0], &v[0], size(n), c.Beta1, 1-c.Beta1, c.Beta2, 1-c.Beta2,
			c.Epsilon, c.Rate, c.SecondScale, c.DecayPerStep)
	}
	adamPortable(w[n:], g[n:], m[n:], v[n:], c)
}

func dropoutFour(dst, x []float32, d mask) {
	n := fours(len(x))
	if n > 0 {
		fourDropout(&dst[0], &x[0], size(n), d.from, d.key0, d.key1, d.below, d.scale)
	}
	d.from += uint32(n)
	dropoutPortable(dst[n:], x[n:], d)
}

func expShiftedFour(dst, x []float32, shift float32) (sum float32) {
	n := fours(len(x))
	if n > 0 {
		sum = fourExpShifted(&dst[0], &x[0], size(n), shift)
	}
	return sum + expShiftedPortable(dst[n:], x[n:], shift)
}

func softmaxExpFour(x []float32, top, scale float32) (sum float32) {
	n := fours(len(x))
	if n > 0 {
		sum = fourSoftmaxExp(&x[0], size(n), top, scale)
	}
	return sum + softmaxExpPortable(x[n:], top, scale)
}

func softmaxBackwardFour(ds, p []float32, inner, scale float32) {
	n := fours(len(ds))
	if n > 0 {
		fourSoftmaxBackward(&ds[0], &p[0], size(n), inner, scale)
	}
	softmaxBackwardPortable(ds[n:], p[n:], inner, scale)
}

func geluFour(dst, x []float32) {
	n := fours(len(x))
	if n > 0 {
		fourGelu(&dst[0], &x[0], size(n))
	}
	geluPortable(dst[n:], x[n:])
}

func geluBackwardFour(dx, dy, x []float32) {
	n := fours(len(x))
	if n > 0 {
		fourGeluBackward(&dx[0], &dy[0], &x[0], size(n))
	}
	geluBackwardPortable(dx[n:], dy[n:], x[n:])
}

func reluFour(dst, x []float32) {
	n := fours(len(x))
	if n > 0 {
		fourRelu(&dst[0], &x[0], size(n))
	}
	reluPortable(dst[n:], x[n:])
}

func reluBackwardFour(dx, dy, x []float32) {
	n := fours(len(x))
	if n > 0 {
		fourReluBackward(&dx[0], &dy[0], &x[0], size(n))
	}
	reluBackwardPortable(dx[n:], dy[n:], x[n:])
}

func siluGateFour(dst, a, b []float32) {
	n := fours(len(a))
	if n > 0 {
		fourSiluGate(&dst[0], &a[0], &b[0], size(n))
	}
	siluGatePortable(dst[n:], a[n:], b[n:])
}

func siluGateBackwardFour(da, db, dy, a, b []float32) {
	n := fours(len(a))
	if n > 0 {
		fourSiluGateBackward(&da[0], &db[0], &dy[0], &a[0], &b[0], size(n))
	}
	siluGateBackwardPortable(da[n:], db[n:], dy[n:], a[n:], b[n:])
}
