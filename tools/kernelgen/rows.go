package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rows emits the loops over the rows of a matrix.
func rows(g *gen) {
	addRows(g)
	sumRows(g)
	expColumns(g)
	matVec(g)
	if !g.wide {
		transpose(g)
	}
	onlineSoftmax(g)
	scaleRows(g)
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

func expColumns(g *gen) {
	g.fn("expColumns", "func(x []float32, rows, cols int, shift, sum []float32)", "turns x into exp(x-shift), adds up columns; at least one row.")
	x, shift, sum, k := g.ptr("x"), g.ptr("shift"), g.ptr("sum"), g.expK()
	var low, acc reg.VecVirtual
	g.columns(g.number("rows"), g.number("cols"), x, 1,
		func(i reg.GPVirtual, _ operand.Mem, _ int, p *part) {
			low, acc = g.load(g.at(shift, i, 0), p), g.load(g.at(sum, i, 0), p)
		},
		func(_ reg.GPVirtual, m operand.Mem, _ int, p *part) {
			v := g.load(m, p)
			g.VSUBPS(low, v, v)
			y := k.exp(v)
			g.store(y, m, p)
			g.VADDPS(y, acc, acc)
		},
		func(i reg.GPVirtual, _ operand.Mem, _ int, p *part) { g.store(acc, g.at(sum, i, 0), p) })
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

// onlineSoftmax is one block of the running softmax of Milakov & Gimelshein
// 2018, algorithm 3, for every row.
func onlineSoftmax(g *gen) {
	g.fn("onlineSoftmax", "func(x []float32, cols int, top, sum []float32)", "lifts top, turns x into exp(x-top), adds to sum; at least one row.")
	x, cols, top, sum := g.ptr("x"), g.number("cols"), g.ptr("top"), g.ptr("sum")
	none, k, stride := g.c(math.Inf(-1)), g.expK(), g.bytes(cols)
	loop := g.label("row")
	left := g.length("top")
	g.Label(loop)
	was := g.vec()
	g.VBROADCASTSS(operand.Mem{Base: top}, was)
	highest := []reg.VecVirtual{g.copyOf(was), g.copyOf(none)}
	g.each(cols, 2, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			g.VMAXPS(highest[u], g.lowest(g.at(x, i, u), none, p), highest[u])
		}
	})
	g.VMAXPS(highest[1], highest[0], highest[0])
	now := g.spread(g.fold(highest[0], g.VMAXPS))
	g.VMOVSS(now.AsX(), operand.Mem{Base: top})
	// What was summed before shrinks by exp(was-now).
	g.VSUBPS(now, was, was)
	before := k.expNegative(was)
	acc := []reg.VecVirtual{g.zero(), g.zero()}
	g.each(cols, 2, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(x, i, u), p)
			g.VSUBPS(now, v, v)
			y := k.expNegative(v)
			g.store(y, g.at(x, i, u), p)
			g.only(y, p)
			g.VADDPS(y, acc[u], acc[u])
		}
	})
	g.VADDPS(acc[1], acc[0], acc[0])
	total := g.fold(acc[0], g.VADDPS)
	g.VFMADD231SS(operand.Mem{Base: sum}, before.AsX(), total)
	g.VMOVSS(total, operand.Mem{Base: sum})
	g.ADDQ(stride, x)
	g.ADDQ(operand.I8(4), top)
	g.ADDQ(operand.I8(4), sum)
	g.DECQ(left)
	g.JNZ(operand.LabelRef(loop))
	g.end()
}

func scaleRows(g *gen) {
	g.fn("scaleRows", "func(x []float32, cols int, factor, sum []float32)", "multiplies each row, at least one, by its factor and adds the rows to sum.")
	x, factor, sum, held := g.ptr("x"), g.ptr("factor"), g.ptr("sum"), make([]reg.VecVirtual, 4)
	var at reg.GPVirtual
	var f reg.VecVirtual
	g.columns(g.length("factor"), g.number("cols"), x, 4,
		func(i reg.GPVirtual, _ operand.Mem, u int, p *part) {
			held[u] = g.load(g.at(sum, i, u), p)
			if u == 0 {
				at = g.moved(factor)
			}
		},
		func(_ reg.GPVirtual, m operand.Mem, u int, p *part) {
			if u == 0 {
				f = g.vec()
				g.VBROADCASTSS(operand.Mem{Base: at}, f)
				g.ADDQ(operand.I8(4), at)
			}
			v := g.load(m, p)
			g.VMULPS(f, v, v)
			g.store(v, m, p)
			g.VADDPS(v, held[u], held[u])
		},
		func(i reg.GPVirtual, _ operand.Mem, u int, p *part) { g.store(held[u], g.at(sum, i, u), p) })
	g.end()
}
