//go:build !purego && (arm64 || (js && tuttisimd))

package kernel

func gemmFour(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	for k0 := 0; k0 < k; k0 += panelDepth {
		t := fourTiles{
			m: m, k: min(panelDepth, k-k0), a: a[k0*csa:], rsa: rsa, csa: csa, acc: acc || k0 > 0,
		}
		rest := b[k0*ldb:]
		for j := 0; j < n; {
			width := panelWidth(m, n-j)
			if width == 0 {
				t.edge(rest[j:], ldb, n-j, c[j:], ldc)
				break
			}
			t.run(width, rest[j:], ldb, c[j:], ldc)
			j += width
		}
	}
}

// panelWidth is how many of n columns are multiplied next: as many as the tile
// holds. 0 where fewer than the smallest are left.
func panelWidth(m, n int) int {
	if m == 1 && n >= 32 {
		return 32
	}
	if n == 16 {
		return 8 // twice is better than 12 and 4
	}
	for _, cols := range fourCols {
		if n >= cols {
			return cols
		}
	}
	return 0
}

// fourTiles is a matrix A of m x k, that is multiplied by panels of B.
type fourTiles struct {
	m, k     int
	a        []float32
	rsa, csa int
	acc      bool
}

func (t *fourTiles) run(width int, b []float32, ldb int, c []float32, ldc int) {
	var add uintptr
	if t.acc {
		add = 1
	}
	for i := 0; i < t.m; {
		rows := fourRows[0]
		for _, rows = range fourRows {
			if t.m-i >= rows {
				break
			}
		}
		blocks := (t.m - i) / rows
		fourGemm(rows, width, size(blocks), size(t.k), &t.a[i*t.rsa], bytes(t.rsa), bytes(t.csa),
			&b[0], bytes(ldb), &c[i*ldc], bytes(ldc), add)
		i += blocks * rows
	}
}

// edge multiplies by the last one to three columns of B, in a panel with zeros
// beside them.
func (t *fourTiles) edge(b []float32, ldb, width int, c []float32, ldc int) {
	var beside panel
	packColumns(beside[:t.k], b, ldb, width)
	const rows = 32
	var out [rows * tileCols]float32
	part := fourTiles{k: t.k, rsa: t.rsa, csa: t.csa}
	for i := 0; i < t.m; i += rows {
		part.m, part.a = min(rows, t.m-i), t.a[i*t.rsa:]
		part.run(tileCols, beside[0][:], tileCols, out[:], tileCols)
		for r := range part.m {
			to := c[(i+r)*ldc : (i+r)*ldc+width]
			if t.acc {
				addPortable(to, out[r*tileCols:r*tileCols+width])
			} else {
				copy(to, out[r*tileCols:r*tileCols+width])
			}
		}
	}
}

func matVecFour(y, a []float32, lda int, x []float32) {
	rows, n := fours(len(y)), fours(len(x))
	if rows > 0 && n > 0 {
		fourMatVec(&y[0], &a[0], bytes(lda), &x[0], size(rows), size(n))
	}
	if n < len(x) {
		for i := range rows {
			y[i] += dotPortable(a[i*lda+n:i*lda+len(x)], x[n:])
		}
	}
	for i := rows; i < len(y); i++ {
		y[i] += dotFour(a[i*lda:i*lda+len(x)], x)
	}
}

func addRowsFour(x, b []float32, rows int) {
	if len(b)%4 != 0 || len(b) == 0 || rows == 0 {
		addRowsPortable(x, b, rows)
		return
	}
	fourAddRows(&x[0], &b[0], size(rows), size(len(b)))
}

func sumRowsFour(sum, x []float32, rows int) {
	cols := len(sum)
	n := fours(cols)
	if n > 0 && rows > 0 {
		fourSumRows(&sum[0], &x[0], bytes(cols), size(rows), size(n))
	}
	for c := n; c < cols; c++ {
		for r := range rows {
			sum[c] += x[r*cols+c]
		}
	}
}

func expColumnsFour(x []float32, rows, cols int, shift, sum []float32) {
	n := fours(cols)
	if n > 0 && rows > 0 {
		fourExpColumns(&x[0], bytes(cols), size(rows), size(n), &shift[0], &sum[0])
	}
	for c := n; c < cols; c++ {
		for r := range rows {
			e := Exp(x[r*cols+c] - shift[c])
			x[r*cols+c] = e
			sum[c] += e
		}
	}
}

func scaleRowsFour(x []float32, cols int, factor, sum []float32) {
	n := fours(cols)
	if n > 0 {
		fourScaleRows(&x[0], bytes(cols), size(len(factor)), size(n), &factor[0], &sum[0])
	}
	for c := n; c < cols; c++ {
		for r, f := range factor {
			v := x[r*cols+c] * f
			x[r*cols+c] = v
			sum[c] += v
		}
	}
}

func onlineSoftmaxFour(x []float32, cols int, top, sum []float32) {
	if cols%4 == 0 && cols > 0 {
		fourOnlineSoftmax(&x[0], size(cols), size(len(top)), &top[0], &sum[0])
		return
	}
	for r, was := range top {
		row := x[r*cols : (r+1)*cols]
		top[r] = max(was, maxFour(row))
		sum[r] = sum[r]*Exp(was-top[r]) + expShiftedFour(row, row, top[r])
	}
}

func transposeFour(dst []float32, ldd int, x []float32, ldx, rows, cols int) {
	r, c := fours(rows), fours(cols)
	if r > 0 && c > 0 {
		fourTranspose(&dst[0], bytes(ldd), &x[0], bytes(ldx), size(r), size(c))
	}
	if c < cols && r > 0 {
		transposePortable(dst[c*ldd:], ldd, x[c:], ldx, r, cols-c)
	}
	if r < rows {
		transposePortable(dst[r:], ldd, x[r*ldx:], ldx, rows-r, cols)
	}
}

func normForwardFour(y, x, gain, bias, mean, rstd []float32) {
	d := len(gain)
	if d%4 != 0 || d == 0 || len(mean) == 0 {
		normForwardPortable(y, x, gain, bias, mean, rstd)
		return
	}
	fourNormForward(&y[0], &x[0], &gain[0], &bias[0], &mean[0], &rstd[0], size(len(mean)), size(d), float32(d))
}

func normBackwardFour(dx, dGain, dBias, dy, x, gain, mean, rstd []float32) {
	d := len(gain)
	if d%4 != 0 || d == 0 || len(mean) == 0 {
		normBackwardPortable(dx, dGain, dBias, dy, x, gain, mean, rstd)
		return
	}
	fourNormBackward(&dx[0], &dGain[0], &dBias[0], &dy[0], &x[0], &gain[0], &mean[0], &rstd[0],
		size(len(mean)), size(d), float32(d))
}

// matVecInt8Four takes four rows at a time; the last ones go together with some
// that are done already.
func matVecInt8Four(y []int32, a []int8, lda int, x []int8) {
	n := len(x) &^ 15
	if n == 0 || len(y) < 4 {
		matVecInt8Portable(y, a, lda, x)
		return
	}
	rows := fours(len(y))
	fourMatVecInt8(&y[0], &a[0], uintptr(lda), &x[0], size(rows), size(n))
	if rows < len(y) {
		last := len(y) - 4
		fourMatVecInt8(&y[last], &a[last*lda], uintptr(lda), &x[0], 4, size(n))
	}
	addInt8Tail(y, a, lda, x, n)
}
