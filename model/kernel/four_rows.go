//go:build !purego && (arm64 || (js && tuttisimd))

package kernel

// tileShape is a number of columns and the numbers of rows that go with it, the
// largest first and 1 the last.
type tileShape struct {
	cols int
	rows []int
}

func gemmFour(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	for k0 := 0; k0 < k; k0 += panelDepth {
		f := fourFactor{
			m: m, k: min(panelDepth, k-k0), a: a[k0*csa:], rsa: rsa, csa: csa, acc: acc || k0 > 0,
		}
		rest := b[k0*ldb:]
		for j := 0; j < n; {
			tile := pickTile(m, n-j)
			if tile == nil {
				f.edge(rest[j:], ldb, n-j, c[j:], ldc)
				break
			}
			f.times(tile, rest[j:], ldb, c[j:], ldc)
			j += tile.cols
		}
	}
}

// pickTile says how many of n columns are multiplied next, by m rows; nil where
// fewer than the smallest are left.
func pickTile(m, n int) *tileShape {
	for i := range fourTiles {
		t := &fourTiles[i]
		flat := len(t.rows) == 1          // for a single row
		uneven := t.cols == 12 && n == 16 // 8 and 8 are better than 12 and 4
		if t.cols <= n && !uneven && (m == 1 || !flat) {
			return t
		}
	}
	return nil
}

// fourFactor is a matrix A of m x k, that is multiplied by panels of B.
type fourFactor struct {
	m, k     int
	a        []float32
	rsa, csa int
	acc      bool
}

func (f *fourFactor) times(tile *tileShape, b []float32, ldb int, c []float32, ldc int) {
	var add uintptr
	if f.acc {
		add = 1
	}
	i := 0
	for _, rows := range tile.rows {
		if blocks := (f.m - i) / rows; blocks > 0 {
			fourGemm(rows, tile.cols, size(blocks), size(f.k), &f.a[i*f.rsa], bytes(f.rsa), bytes(f.csa),
				&b[0], bytes(ldb), &c[i*ldc], bytes(ldc), add)
			i += blocks * rows
		}
	}
}

// edge multiplies by the last one to three columns of B, in a panel with zeros
// beside them.
func (f *fourFactor) edge(b []float32, ldb, width int, c []float32, ldc int) {
	var beside panel
	packColumns(beside[:f.k], b, ldb, width)
	const rows = 32
	var out [rows * tileCols]float32
	last := &fourTiles[len(fourTiles)-1] // of tileCols columns
	part := fourFactor{k: f.k, rsa: f.rsa, csa: f.csa}
	for i := 0; i < f.m; i += rows {
		part.m, part.a = min(rows, f.m-i), f.a[i*f.rsa:]
		part.times(last, beside[0][:], tileCols, out[:], tileCols)
		for r := range part.m {
			to := c[(i+r)*ldc : (i+r)*ldc+width]
			if f.acc {
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

func expRowsFour(x []float32, cols int, shift, sum []float32) {
	for r, low := range shift {
		row := x[r*cols : (r+1)*cols]
		sum[r] += expShiftedFour(row, row, low)
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
