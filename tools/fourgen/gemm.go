package main

import "fmt"

// gemmSize names one multiplication kernel: rows of C and columns (a multiple
// of four) that are kept in registers.
type gemmSize struct{ rows, cols int }

func (s gemmSize) name() string { return fmt.Sprintf("gemm%dx%d", s.rows, s.cols) }

// gemm multiplies blocks*rows rows of A by one panel of B, k deep, into C, and
// adds to C where acc is not 0. Distances are in bytes.
func gemm(size gemmSize) source {
	return build(size.name(), func(p *program) {
		blocks, k := p.count("blocks"), p.count("k")
		a, rsa, csa := p.floats("a"), p.count("rsa"), p.count("csa")
		b, ldb, c, ldc, acc := p.floats("b"), p.count("ldb"), p.floats("c"), p.count("ldc"), p.count("acc")
		row := make([]pointer, size.rows)
		for i := range row {
			row[i] = pointer(p.newGP())
		}
		t := tile{program: p, size: size, row: row, column: p.newGP()}
		at, left := pointer(p.newGP()), count(p.newGP())
		p.loop(blocks, 1, func() {
			for _, r := range row {
				p.reset(int(r), int(a))
				p.advanceBy(a, rsa)
			}
			t.sums = p.zeros(size.rows * size.cols / 4)
			p.ifNotZero(acc, func() {
				p.reset(int(at), int(c))
				t.each(at, ldc, func(off, sum int) { p.set(t.sums[sum], p.load(at, off)) })
			})
			p.reset(int(at), int(b))
			p.reset(int(left), int(k))
			p.reset(t.column, zero)
			p.loop(left, 1, func() { t.step(at, ldb, csa) })
			t.each(c, ldc, func(off, sum int) { p.store(c, off, t.sums[sum]) })
		})
	})
}

// tile is a block of C in registers.
type tile struct {
	*program
	size   gemmSize
	sums   []value // row by row
	row    []pointer
	column int // distance from the first value of a row of A
}

// each walks the block's place in memory; at ends behind its last row.
func (t *tile) each(at pointer, stride count, body func(off, sum int)) {
	per := t.size.cols / 4
	for i := range t.size.rows {
		for j := range per {
			body(16*j, i*per+j)
		}
		t.advanceBy(at, stride)
	}
}

// step adds the product of one column of A and one row of B. The values of A
// are read a few rows ahead, for processors that run in order.
func (t *tile) step(b pointer, ldb, csa count) {
	const ahead = 3
	per := t.size.cols / 4
	panel := make([]value, per)
	for j := range panel {
		panel[j] = t.load(b, 16*j)
	}
	t.advanceBy(b, ldb)
	values := make([]value, t.size.rows)
	read := func(i int) {
		if i < len(values) {
			values[i] = t.loadOne(t.row[i], t.column)
		}
	}
	for i := range ahead {
		read(i)
	}
	for i := range values {
		for j, p := range panel {
			t.set(t.sums[i*per+j], t.mulAddOne(t.sums[i*per+j], p, values[i]))
		}
		read(i + ahead)
	}
	t.advanceBy(pointer(t.column), csa)
}
