package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// exponentials emits the loops that need exp.
func exponentials(g *gen) {
	expShifted(g)
	expRows(g)
	softmaxExp(g)
	gelu(g)
	geluBackward(g)
	siluGate(g)
	siluGateBackward(g)
}

// expK holds the constants of exp: edges and reduction as in the portable Exp,
// and the minimax polynomial 1 + r + c2 r^2 + ... + c5 r^5 for |r| <= ln(2)/2,
// relative error 1.05e-7 (Remez exchange).
type expK struct {
	g                   *gen
	low, high, infinity operand.Op
	log2e, magic        operand.Op
	ln2High, ln2Low     operand.Op
	c5, c4, c3, c2, one operand.Op
}

func (g *gen) expK() *expK {
	return &expK{
		g: g, low: g.c(-87.33654), high: g.c(88.72283), infinity: g.c(math.Inf(1)),
		log2e: g.c(math.Log2E), magic: g.c(12582912), ln2High: g.c(0.693359375), ln2Low: g.c(-2.12194440e-4),
		c5: g.c(0.00831250125056287), c4: g.c(0.04189033150417398), c3: g.c(0.16667115389066586), c2: g.c(0.4999923030974419), one: g.c(1),
	}
}

// exp returns e^x; x stays.
func (k *expK) exp(x reg.VecVirtual) reg.VecVirtual {
	g := k.g
	y, r := k.small(x)
	// Too large gives Inf, NaN stays: both are x + Inf.
	edge := g.compare(notLess, x, k.high)
	if g.wide {
		g.VADDPS(k.infinity, x, edge.k, y)
	} else {
		g.VADDPS(k.infinity, x, r)
		g.choose(edge, r, y)
	}
	return y
}

// expNegative is exp for x <= 0 and NaN.
func (k *expK) expNegative(x reg.VecVirtual) reg.VecVirtual {
	if !k.g.wide {
		return k.exp(x) // adding to the exponent may turn a NaN into a number
	}
	y, _ := k.small(x)
	return y
}

// scaled is exp where scaling by a power of two overflows to Inf and keeps NaN.
func (k *expK) scaled(x reg.VecVirtual) reg.VecVirtual {
	if !k.g.wide {
		return k.exp(x)
	}
	y, _ := k.small(x)
	return y
}

// small is e^x for x below high, 0 below low; it also returns a free register.
func (k *expK) small(x reg.VecVirtual) (y, free reg.VecVirtual) {
	g := k.g
	shifted, n, r := g.copyOf(k.magic), g.vec(), g.copyOf(x)
	g.VFMADD231PS(k.log2e, x, shifted)
	g.VSUBPS(k.magic, shifted, n)
	g.VFNMADD231PS(k.ln2High, n, r)
	g.VFNMADD231PS(k.ln2Low, n, r)
	y = g.copyOf(k.c5)
	for _, c := range []operand.Op{k.c4, k.c3, k.c2, k.one, k.one} {
		g.VFMADD213PS(c, r, y)
	}
	inside := g.compare(notLessOrEqual, x, k.low)
	if g.wide {
		g.VSCALEFPS_Z(n, y, inside.k, y) // y*2^n
		return y, r
	}
	// The low bits of shifted are n; move them onto y's exponent.
	g.VPSLLD(operand.U8(23), shifted, shifted)
	g.VPADDD(shifted, y, y)
	g.keep(inside, y)
	return y, r
}

func expShifted(g *gen) {
	g.fn("expShifted", "func(dst, x []float32, shift float32) float32", "writes exp(x-shift) and returns the sum.")
	dst, x, shift, k := g.ptr("dst"), g.ptr("x"), g.float("shift"), g.expK()
	acc := []reg.VecVirtual{g.zero(), g.zero()}
	g.each(g.length("dst"), 2, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(x, i, u), p)
			g.VSUBPS(shift, v, v)
			y := k.exp(v)
			g.store(y, g.at(dst, i, u), p)
			g.only(y, p)
			g.VADDPS(y, acc[u], acc[u])
		}
	})
	g.VADDPS(acc[1], acc[0], acc[0])
	g.answer(g.fold(acc[0], g.VADDPS))
	g.end()
}

// expRows is expShifted for the rows of a matrix.
func expRows(g *gen) {
	g.fn("expRows", "func(x []float32, cols int, shift, sum []float32)", "turns rows of x into exp(x-shift), adds to sum; at least one row.")
	x, cols, shift, sum := g.ptr("x"), g.number("cols"), g.ptr("shift"), g.ptr("sum")
	left, k, stride := g.length("shift"), g.expK(), g.bytes(cols)
	g.downRows(left, stride, []reg.GPVirtual{x}, func() {
		low := g.vec()
		g.VBROADCASTSS(operand.Mem{Base: shift}, low)
		acc := []reg.VecVirtual{g.zero(), g.zero()}
		g.each(cols, 2, func(i reg.GPVirtual, vectors int, p *part) {
			for u := range vectors {
				v := g.load(g.at(x, i, u), p)
				g.VSUBPS(low, v, v)
				y := k.scaled(v)
				g.store(y, g.at(x, i, u), p)
				g.only(y, p)
				g.VADDPS(y, acc[u], acc[u])
			}
		})
		g.VADDPS(acc[1], acc[0], acc[0])
		total := g.fold(acc[0], g.VADDPS)
		g.VADDSS(operand.Mem{Base: sum}, total, total)
		g.VMOVSS(total, operand.Mem{Base: sum})
		g.ADDQ(operand.I8(4), shift)
		g.ADDQ(operand.I8(4), sum)
	})
	g.end()
}

func softmaxExp(g *gen) {
	g.fn("softmaxExp", "func(x []float32, top, scale float32) float32", "turns x into exp((x-top)*scale) and returns the sum.")
	x, top, scale, k := g.ptr("x"), g.float("top"), g.float("scale"), g.expK()
	acc := []reg.VecVirtual{g.zero(), g.zero()}
	g.each(g.length("x"), 2, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(x, i, u), p)
			g.VSUBPS(top, v, v)
			g.VMULPS(scale, v, v)
			y := k.expNegative(v)
			g.store(y, g.at(x, i, u), p)
			g.only(y, p)
			g.VADDPS(y, acc[u], acc[u])
		}
	})
	g.VADDPS(acc[1], acc[0], acc[0])
	g.answer(g.fold(acc[0], g.VADDPS))
	g.end()
}

const (
	geluScale = 2 * 0.7978845608028654 // 2 sqrt(2/pi)
	geluCubic = 0.044715
)

func gelu(g *gen) {
	g.fn("gelu", "func(dst, x []float32)", "writes x/(1+exp(-z)), z = geluScale x (1 + geluCubic x^2).")
	dst, x, k := g.ptr("dst"), g.ptr("x"), g.expK()
	cubic, minus := g.c(geluCubic), g.c(-geluScale)
	g.each(g.length("dst"), 1, func(i reg.GPVirtual, _ int, p *part) {
		v := g.load(g.at(x, i, 0), p)
		z := k.minusZ(v, cubic, minus)
		y := k.exp(z)
		g.VADDPS(k.one, y, y)
		g.VDIVPS(y, v, y)
		g.store(y, g.at(dst, i, 0), p)
	})
	g.end()
}

// minusZ is -geluScale*x*(1+geluCubic*x*x).
func (k *expK) minusZ(x reg.VecVirtual, cubic, minus operand.Op) reg.VecVirtual {
	g := k.g
	z := g.vec()
	g.VMULPS(x, x, z)
	g.VMULPS(cubic, z, z)
	g.VADDPS(k.one, z, z)
	g.VMULPS(x, z, z)
	g.VMULPS(minus, z, z)
	return z
}

// sigmoids returns s = 1/(1+exp(minusZ)) and 1-s, both without cancellation.
func (k *expK) sigmoids(minusZ, zero reg.VecVirtual) (s, rest reg.VecVirtual) {
	g := k.g
	e := k.exp(minusZ)
	s, rest = g.vec(), g.copyOf(k.one)
	g.VADDPS(k.one, e, s)
	g.VDIVPS(s, rest, s)
	g.VSUBPS(s, rest, rest)
	g.VMULPS(s, e, e)
	g.choose(g.compare(isLess, minusZ, zero), e, rest)
	return s, rest
}

func geluBackward(g *gen) {
	g.fn("geluBackward", "func(dx, dy, x []float32)", "adds dy*s*(1 + x*slope*(1-s)) to dx.")
	dx, dy, x, k := g.ptr("dx"), g.ptr("dy"), g.ptr("x"), g.expK()
	cubic, minus, zero := g.c(geluCubic), g.c(-geluScale), g.zero()
	scale, slope3 := g.c(geluScale), g.c(3*geluCubic)
	g.each(g.length("dx"), 1, func(i reg.GPVirtual, _ int, p *part) {
		v := g.load(g.at(x, i, 0), p)
		s, rest := k.sigmoids(k.minusZ(v, cubic, minus), zero)
		slope := g.vec()
		g.VMULPS(v, v, slope)
		g.VMULPS(slope3, slope, slope)
		g.VADDPS(k.one, slope, slope)
		g.VMULPS(scale, slope, slope)
		g.VMULPS(slope, v, v)
		g.VFMADD213PS(k.one, rest, v) // 1 + x*slope*rest
		g.VMULPS(s, v, v)
		out := g.load(g.at(dx, i, 0), p)
		g.VFMADD231PS(g.load(g.at(dy, i, 0), p), v, out)
		g.store(out, g.at(dx, i, 0), p)
	})
	g.end()
}

func siluGate(g *gen) {
	g.fn("siluGate", "func(dst, a, b []float32)", "writes a/(1+exp(-a))*b.")
	dst, a, b, k, zero := g.ptr("dst"), g.ptr("a"), g.ptr("b"), g.expK(), g.zero()
	g.each(g.length("dst"), 1, func(i reg.GPVirtual, _ int, p *part) {
		v, minus := g.load(g.at(a, i, 0), p), g.vec()
		g.VSUBPS(v, zero, minus)
		y := k.exp(minus)
		g.VADDPS(k.one, y, y)
		g.VDIVPS(y, v, y)
		g.VMULPS(g.load(g.at(b, i, 0), p), y, y)
		g.store(y, g.at(dst, i, 0), p)
	})
	g.end()
}

func siluGateBackward(g *gen) {
	g.fn("siluGateBackward", "func(da, db, dy, a, b []float32)", "adds the gradients of siluGate.")
	da, db, dy, a, b := g.ptr("da"), g.ptr("db"), g.ptr("dy"), g.ptr("a"), g.ptr("b")
	k, zero := g.expK(), g.zero()
	g.each(g.length("da"), 1, func(i reg.GPVirtual, _ int, p *part) {
		v, minus := g.load(g.at(a, i, 0), p), g.vec()
		g.VSUBPS(v, zero, minus)
		s, rest := k.sigmoids(minus, zero)
		up := g.load(g.at(dy, i, 0), p)
		g.VMULPS(s, up, up)
		out := g.load(g.at(db, i, 0), p)
		g.VFMADD231PS(v, up, out)
		g.store(out, g.at(db, i, 0), p)
		g.VFMADD213PS(k.one, rest, v) // 1 + a*(1-s)
		g.VMULPS(g.load(g.at(b, i, 0), p), up, up)
		out = g.load(g.at(da, i, 0), p)
		g.VFMADD231PS(up, v, out)
		g.store(out, g.at(da, i, 0), p)
	})
	g.end()
}
