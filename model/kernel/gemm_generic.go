package kernel

// The portable multiplication: a 2x4 tile of C stays in registers while p runs
// over k. Four columns of B are copied into a panel first, so that the inner
// loop reads straight on.

const (
	tileCols   = 4
	panelDepth = 256 // k is cut into pieces of at most this
	blockRows  = 256 // rows of A that meet one panel of B
)

type panel [panelDepth][tileCols]float32

// rowBlock holds rows of A that are not contiguous in their matrix.
type rowBlock [blockRows * panelDepth]float32

// spareRows keeps row blocks for the next call: as many as goroutines were ever
// in need of one at once, at most its capacity.
var spareRows = make(chan *rowBlock, 64)

func takeRows() *rowBlock {
	select {
	case rows := <-spareRows:
		return rows
	default:
		return new(rowBlock)
	}
}

func giveRows(rows *rowBlock) {
	select {
	case spareRows <- rows:
	default:
	}
}

func gemmPortable(m, n, k int, a []float32, rsa, csa int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	if m == 1 {
		oneRow(n, k, a, csa, b, ldb, c, acc)
		return
	}
	var rows *rowBlock
	if csa != 1 {
		rows = takeRows()
		defer giveRows(rows)
	}
	var bp panel
	for k0 := 0; k0 < k; k0 += panelDepth {
		kc := min(panelDepth, k-k0)
		for i0 := 0; i0 < m; i0 += blockRows {
			mc := min(blockRows, m-i0)
			block, lda := a[i0*rsa+k0*csa:], rsa
			if csa != 1 {
				packRows(rows[:mc*kc], block, rsa, csa, mc, kc)
				block, lda = rows[:], kc
			}
			t := tileJob{a: block, lda: lda, c: c[i0*ldc:], ldc: ldc, m: mc, acc: acc || k0 > 0}
			for j := 0; j < n; j += tileCols {
				t.width = min(tileCols, n-j)
				packColumns(bp[:kc], b[k0*ldb+j:], ldb, t.width)
				t.run(bp[:kc], j)
			}
		}
	}
}

// oneRow is the product of one row with B, where packing would not pay.
func oneRow(n, k int, a []float32, csa int, b []float32, ldb int, c []float32, acc bool) {
	if !acc {
		clear(c[:n])
	}
	for p := range k {
		axpyPortable(c[:n], a[p*csa], b[p*ldb:p*ldb+n])
	}
}

// packRows writes element (i,p) = a[i*rsa+p*csa] to dst[i*kc+p].
func packRows(dst, a []float32, rsa, csa, mc, kc int) {
	if rsa == 1 {
		transposePortable(dst, kc, a, csa, kc, mc)
		return
	}
	for i := range mc {
		row := dst[i*kc : (i+1)*kc]
		at := i * rsa
		for p := range row {
			row[p] = a[at]
			at += csa
		}
	}
}

// packColumns copies width <= 4 columns of b; missing columns become zero.
func packColumns(bp [][tileCols]float32, b []float32, ldb, width int) {
	if width == tileCols {
		for p := range bp {
			bp[p] = [tileCols]float32(b[p*ldb : p*ldb+tileCols])
		}
		return
	}
	for p := range bp {
		bp[p] = [tileCols]float32{}
		copy(bp[p][:], b[p*ldb:p*ldb+width])
	}
}

// tileJob is one block of rows of A against one panel of B.
type tileJob struct {
	a        []float32 // rows, lda apart
	c        []float32
	lda, ldc int
	m        int // rows
	width    int // columns of C that are written, 1 to 4
	acc      bool
}

func (t *tileJob) run(bp [][tileCols]float32, j int) {
	kc := len(bp)
	var s [2][tileCols]float32
	for i := 0; i < t.m; i += 2 {
		a0 := t.a[i*t.lda : i*t.lda+kc]
		a1 := a0
		pair := i+1 < t.m
		if pair {
			a1 = t.a[(i+1)*t.lda : (i+1)*t.lda+kc]
		}
		s[0][0], s[0][1], s[0][2], s[0][3], s[1][0], s[1][1], s[1][2], s[1][3] = tile2x4(a0, a1, bp)
		t.store(t.c[i*t.ldc+j:], &s[0])
		if pair {
			t.store(t.c[(i+1)*t.ldc+j:], &s[1])
		}
	}
}

func (t *tileJob) store(c []float32, s *[tileCols]float32) {
	if t.width < tileCols {
		for j, v := range s[:t.width] {
			if t.acc {
				v += c[j]
			}
			c[j] = v
		}
		return
	}
	to := (*[tileCols]float32)(c)
	if t.acc {
		to[0] += s[0]
		to[1] += s[1]
		to[2] += s[2]
		to[3] += s[3]
		return
	}
	*to = *s
}

// tile2x4 multiplies two rows by four columns. The sums are named values and
// the body is unrolled eight times because the compiler then keeps all eight of
// them in registers; written as a plain loop it is half as fast.
func tile2x4(a0, a1 []float32, bp [][tileCols]float32) (s00, s01, s02, s03, s10, s11, s12, s13 float32) {
	for len(a0) >= 8 && len(a1) >= 8 && len(bp) >= 8 {
		x, y, q := (*[8]float32)(a0), (*[8]float32)(a1), (*[8][tileCols]float32)(bp)
		s00 += x[0] * q[0][0]
		s01 += x[0] * q[0][1]
		s02 += x[0] * q[0][2]
		s03 += x[0] * q[0][3]
		s10 += y[0] * q[0][0]
		s11 += y[0] * q[0][1]
		s12 += y[0] * q[0][2]
		s13 += y[0] * q[0][3]
		s00 += x[1] * q[1][0]
		s01 += x[1] * q[1][1]
		s02 += x[1] * q[1][2]
		s03 += x[1] * q[1][3]
		s10 += y[1] * q[1][0]
		s11 += y[1] * q[1][1]
		s12 += y[1] * q[1][2]
		s13 += y[1] * q[1][3]
		s00 += x[2] * q[2][0]
		s01 += x[2] * q[2][1]
		s02 += x[2] * q[2][2]
		s03 += x[2] * q[2][3]
		s10 += y[2] * q[2][0]
		s11 += y[2] * q[2][1]
		s12 += y[2] * q[2][2]
		s13 += y[2] * q[2][3]
		s00 += x[3] * q[3][0]
		s01 += x[3] * q[3][1]
		s02 += x[3] * q[3][2]
		s03 += x[3] * q[3][3]
		s10 += y[3] * q[3][0]
		s11 += y[3] * q[3][1]
		s12 += y[3] * q[3][2]
		s13 += y[3] * q[3][3]
		s00 += x[4] * q[4][0]
		s01 += x[4] * q[4][1]
		s02 += x[4] * q[4][2]
		s03 += x[4] * q[4][3]
		s10 += y[4] * q[4][0]
		s11 += y[4] * q[4][1]
		s12 += y[4] * q[4][2]
		s13 += y[4] * q[4][3]
		s00 += x[5] * q[5][0]
		s01 += x[5] * q[5][1]
		s02 += x[5] * q[5][2]
		s03 += x[5] * q[5][3]
		s10 += y[5] * q[5][0]
		s11 += y[5] * q[5][1]
		s12 += y[5] * q[5][2]
		s13 += y[5] * q[5][3]
		s00 += x[6] * q[6][0]
		s01 += x[6] * q[6][1]
		s02 += x[6] * q[6][2]
		s03 += x[6] * q[6][3]
		s10 += y[6] * q[6][0]
		s11 += y[6] * q[6][1]
		s12 += y[6] * q[6][2]
		s13 += y[6] * q[6][3]
		s00 += x[7] * q[7][0]
		s01 += x[7] * q[7][1]
		s02 += x[7] * q[7][2]
		s03 += x[7] * q[7][3]
		s10 += y[7] * q[7][0]
		s11 += y[7] * q[7][1]
		s12 += y[7] * q[7][2]
		s13 += y[7] * q[7][3]
		a0, a1, bp = a0[8:], a1[8:], bp[8:]
	}
	for p := 0; p < len(bp) && p < len(a0) && p < len(a1); p++ {
		x, y, q := a0[p], a1[p], &bp[p]
		s00 += x * q[0]
		s01 += x * q[1]
		s02 += x * q[2]
		s03 += x * q[3]
		s10 += y * q[0]
		s11 += y * q[1]
		s12 += y * q[2]
		s13 += y * q[3]
	}
	return
}
