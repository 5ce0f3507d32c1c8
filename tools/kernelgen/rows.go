package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rows emits the loops over the rows of a matrix.
func rows(g *gen) {
	addRows(g)
	sumRows(g)
	matVec(g)
	if !g.wide {
		transpose(g)
	}
}

// downRows runs body for each of n rows; the pointers move on by stride bytes.
func (g *gen) downRows(n reg.GPVirtual, stride reg.GPVirtual, pointers []reg.GPVirtual, body func()) {
	loop := g.label("row")
	g.Label(loop)
	body()
	for _, p := range pointers {
		g.ADDQ(stride, p)
	}
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
}

func (g *gen) bytes(elements reg.GPVirtual) reg.GPVirtual {
	r := g.moved(elements)
	g.SHLQ(operand.U8(2), r)
	return r
}

func (g *gen) moved(r reg.GPVirtual) reg.GPVirtual {
	to := g.GP64()
	g.MOVQ(r, to)
	return to
}

// columns walks a matrix of rows x cols in column panels, from top to bottom.
func (g *gen) columns(rows, cols reg.GPVirtual, matrix reg.GPVirtual, unroll int, before, row, after func(i reg.GPVirtual, m operand.Mem, u int, p *part)) {
	stride := g.bytes(cols)
	g.each(cols, unroll, func(i reg.GPVirtual, vectors int, p *part) {
		n, x := g.moved(rows), g.GP64()
		g.LEAQ(operand.Mem{Base: matrix, Index: i, Scale: 4}, x)
		for u := range vectors {
			before(i, operand.Mem{}, u, p)
		}
		g.downRows(n, stride, []reg.GPVirtual{x}, func() {
			for u := range vectors {
				row(i, operand.Mem{Base: x, Disp: 4 * u * g.lanes}, u, p)
			}
		})
		for u := range vectors {
			after(i, operand.Mem{}, u, p)
		}
	})
}

func addRows(g *gen) {
	g.fn("addRows", "func(x, b []float32, rows int)", "adds b to each of the rows, at least one.")
	x, b, held := g.ptr("x"), g.ptr("b"), make([]reg.VecVirtual, 4)
	g.columns(g.number("rows"), g.length("b"), x, 4,
		func(i reg.GPVirtual, _ operand.Mem, u int, p *part) { held[u] = g.load(g.at(b, i, u), p) },
		func(_ reg.GPVirtual, m operand.Mem, u int, p *part) {
			v := g.load(m, p)
			g.VADDPS(held[u], v, v)
			g.store(v, m, p)
		},
		func(reg.GPVirtual, operand.Mem, int, *part) {})
	g.end()
}

func sumRows(g *gen) {
	g.fn("sumRows", "func(sum, x []float32, rows int)", "adds the rows, at least one, to sum.")
	sum, x, held := g.ptr("sum"), g.ptr("x"), make([]reg.VecVirtual, 4)
	g.columns(g.number("rows"), g.length("sum"), x, 4,
		func(i reg.GPVirtual, _ operand.Mem, u int, p *part) { held[u] = g.load(g.at(sum, i, u), p) },
		func(_ reg.GPVirtual, m operand.Mem, u int, p *part) { g.VADDPS(g.load(m, p), held[u], held[u]) },
		func(i reg.GPVirtual, _ operand.Mem, u int, p *part) { g.store(held[u], g.at(sum, i, u), p) })
	g.end()
}

// matVec works off four rows at a time, then one.
func matVec(g *gen) {
	g.fn("matVec", "func(y, a []float32, lda int, x []float32)", "adds A*x to y.")
	y, n, a, lda, x, d := g.ptr("y"), g.length("y"), g.ptr("a"), g.stride("lda"), g.ptr("x"), g.length("x")
	for _, height := range []int{4, 1} {
		loop, next := g.label("rows"), g.label("fewer")
		g.SUBQ(operand.I32(height), n)
		g.JL(operand.LabelRef(next))
		g.Label(loop)
		row := []reg.GPVirtual{g.moved(a)}
		acc := []reg.VecVirtual{g.zero()}
		for r := 1; r < height; r++ {
			p := g.GP64()
			g.LEAQ(operand.Mem{Base: row[r-1], Index: lda, Scale: 1}, p)
			row, acc = append(row, p), append(acc, g.zero())
		}
		g.each(d, 1, func(i reg.GPVirtual, _ int, p *part) {
			v := g.load(g.at(x, i, 0), p)
			for r := range row {
				if p == nil {
					g.VFMADD231PS(g.at(row[r], i, 0), v, acc[r])
				} else {
					g.VFMADD231PS(g.load(g.at(row[r], i, 0), p), v, acc[r])
				}
			}
		})
		g.addFolded(y, acc)
		g.ADDQ(operand.I32(4*height), y)
		g.IMUL3Q(operand.I32(height), lda, row[0])
		g.ADDQ(row[0], a)
		g.SUBQ(operand.I32(height), n)
		g.JGE(operand.LabelRef(loop))
		g.Label(next)
		g.ADDQ(operand.I32(height), n)
	}
	g.end()
}

// addFolded adds the total of each of one or four vectors to y.
func (g *gen) addFolded(y reg.GPVirtual, acc []reg.VecVirtual) {
	m := operand.Mem{Base: y}
	if len(acc) == 1 {
		x := g.fold(acc[0], g.VADDPS)
		g.VADDSS(m, x, x)
		g.VMOVSS(x, m)
		return
	}
	if g.wide {
		for _, v := range acc {
			high := g.YMM()
			g.VEXTRACTF64X4(operand.U8(1), v, high)
			g.VADDPS(high, v.AsY(), v.AsY())
		}
	}
	s, t, high := g.YMM(), g.YMM(), g.XMM()
	g.VHADDPS(acc[1].AsY(), acc[0].AsY(), s)
	g.VHADDPS(acc[3].AsY(), acc[2].AsY(), t)
	g.VHADDPS(t, s, s)
	g.VEXTRACTF128(operand.U8(1), s, high)
	g.VADDPS(high, s.AsX(), s.AsX())
	g.VADDPS(m, s.AsX(), s.AsX())
	g.VMOVUPS(s.AsX(), m)
}

// transpose turns squares of lanes x lanes: each register takes the same four
// columns of every fourth row, then 4 x 4 squares turn inside 128 bits.
func transpose(g *gen) {
	g.fn("transposeSquares", "func(dst *float32, ldd int, x *float32, ldx, rows, cols int)", "transposes whole squares; rows and cols are multiples of the vector's length.")
	dst, x := g.number("dst"), g.number("x")
	ldd, ldx, rows, cols := g.stride("ldd"), g.stride("ldx"), g.number("rows"), g.number("cols")
	across := g.label("across")
	g.Label(across)
	left, from, to := g.moved(cols), g.moved(x), g.moved(dst)
	down := g.label("down")
	g.Label(down)
	for group := 0; group < g.lanes; group += 4 {
		g.square(from, ldx, 4*group, to, ldd)
	}
	g.ADDQ(operand.I32(4*g.lanes), from)
	g.SUBQ(operand.I32(g.lanes), left)
	g.JG(operand.LabelRef(down))
	step := g.GP64()
	g.IMUL3Q(operand.I32(g.lanes), ldx, step)
	g.ADDQ(step, x)
	g.ADDQ(operand.I32(4*g.lanes), dst)
	g.SUBQ(operand.I32(g.lanes), rows)
	g.JG(operand.LabelRef(across))
	g.end()
}

// square turns lanes rows of four columns into four rows of dst and moves dst
// on by those.
func (g *gen) square(from, ldx reg.GPVirtual, disp int, to, ldd reg.GPVirtual) {
	r := make([]reg.VecVirtual, 4)
	for q := range r {
		r[q] = g.vec()
	}
	at := g.moved(from)
	for block := range g.lanes / 4 {
		for q := range r {
			m := operand.Mem{Base: at, Disp: disp}
			switch {
			case block == 0:
				g.VMOVUPS(m, r[q].AsX())
			default:
				g.VINSERTF128(operand.U8(block), m, r[q], r[q])
			}
			g.ADDQ(ldx, at)
		}
	}
	low, high, low2, high2 := g.vec(), g.vec(), g.vec(), g.vec()
	g.VUNPCKLPS(r[1], r[0], low)
	g.VUNPCKHPS(r[1], r[0], high)
	g.VUNPCKLPS(r[3], r[2], low2)
	g.VUNPCKHPS(r[3], r[2], high2)
	g.VUNPCKLPD(low2, low, r[0])
	g.VUNPCKHPD(low2, low, r[1])
	g.VUNPCKLPD(high2, high, r[2])
	g.VUNPCKHPD(high2, high, r[3])
	for q := range r {
		g.VMOVUPS(r[q], operand.Mem{Base: to})
		g.ADDQ(ldd, to)
	}
}
