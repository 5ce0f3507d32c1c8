package mechanism

// cacheBlock is how many float64 stay in a 32 KiB first-level cache.
const cacheBlock = 1 << 12

// hadamard replaces x by H x, where H is the unnormalised Walsh-Hadamard
// matrix in natural (Sylvester) order; len(x) is a power of two. It is exact
// while the sums stay below 2^53 and, being only additions, gives the same
// bits on every machine. H H = len(x) I.
func hadamard(x []float64) {
	n := len(x)
	if n <= cacheBlock {
		hadamardFrom(x, 1)
		return
	}
	for i := 0; i < n; i += cacheBlock {
		hadamardFrom(x[i:i+cacheBlock], 1)
	}
	hadamardFrom(x, cacheBlock)
}

// hadamardFrom runs the butterflies of stride h, 2h, ... len(x)/2, two
// levels per pass.
func hadamardFrom(x []float64, h int) {
	n := len(x)
	if h == 1 && n >= 4 {
		hadamardFours(x)
		h = 4
	}
	for ; h*4 <= n; h *= 4 {
		for i := 0; i < n; i += 4 * h {
			butterfly4(x[i:i+h], x[i+h:i+2*h], x[i+2*h:i+3*h], x[i+3*h:i+4*h])
		}
	}
	if h < n { // one level is left
		for i := 0; i < n; i += 2 * h {
			butterfly2(x[i:i+h], x[i+h:i+2*h])
		}
	}
}

// hadamardFours transforms each run of four neighbours.
func hadamardFours(x []float64) {
	for ; len(x) >= 4; x = x[4:] {
		s0, d0 := x[0]+x[1], x[0]-x[1]
		s1, d1 := x[2]+x[3], x[2]-x[3]
		x[0], x[1], x[2], x[3] = s0+s1, d0+d1, s0-s1, d0-d1
	}
}

// butterfly4 does two levels on four equally long runs.
func butterfly4(a, b, c, d []float64) {
	b, c, d = b[:len(a)], c[:len(a)], d[:len(a)]
	for i := range a {
		s0, d0 := a[i]+b[i], a[i]-b[i]
		s1, d1 := c[i]+d[i], c[i]-d[i]
		a[i], b[i], c[i], d[i] = s0+s1, d0+d1, s0-s1, d0-d1
	}
}

// butterfly2 does one level on two equally long runs.
func butterfly2(a, b []float64) {
	b = b[:len(a)]
	for i := range a {
		a[i], b[i] = a[i]+b[i], a[i]-b[i]
	}
}
