package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vectors emits the loops over vectors that need no exponential.
func vectors(g *gen) {
	dot(g)
	axpy(g)
	g.inPlace("add", "func(dst, x []float32)", "adds x to dst.", func(at func(string) operand.Mem, p *part) reg.VecVirtual {
		v := g.load(at("x"), p)
		g.VADDPS(v, g.load(at("dst"), p), v)
		return v
	})
	scale(g)
	maximum(g)
	finite(g)
	relu(g)
	reluBackward(g)
	softmaxBackward(g)
	dropout(g)
}

// inPlace emits a loop that rewrites dst from dst and x.
func (g *gen) inPlace(name, signature, doc string, value func(at func(string) operand.Mem, p *part) reg.VecVirtual) {
	g.fn(name, signature, doc)
	base := map[string]reg.GPVirtual{"dst": g.ptr("dst"), "x": g.ptr("x")}
	g.each(g.length("dst"), 4, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			at := func(s string) operand.Mem { return g.at(base[s], i, u) }
			g.store(value(at, p), at("dst"), p)
		}
	})
	g.end()
}

func dot(g *gen) {
	g.fn("dot", "func(x, y []float32) float32", "is the inner product.")
	x, y, n := g.ptr("x"), g.ptr("y"), g.length("x")
	acc := []reg.VecVirtual{g.zero(), g.zero(), g.zero(), g.zero()}
	g.each(n, len(acc), func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(x, i, u), p)
			if p == nil {
				g.VFMADD231PS(g.at(y, i, u), v, acc[u])
			} else {
				g.VFMADD231PS(g.load(g.at(y, i, u), p), v, acc[u])
			}
		}
	})
	g.VADDPS(acc[1], acc[0], acc[0])
	g.VADDPS(acc[3], acc[2], acc[2])
	g.VADDPS(acc[2], acc[0], acc[0])
	g.answer(g.fold(acc[0], g.VADDPS))
	g.end()
}

func axpy(g *gen) {
	g.fn("axpy", "func(dst []float32, s float32, x []float32)", "adds s*x to dst.")
	dst, x, s := g.ptr("dst"), g.ptr("x"), g.float("s")
	g.each(g.length("dst"), 4, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(dst, i, u), p)
			g.VFMADD231PS(g.load(g.at(x, i, u), p), s, v)
			g.store(v, g.at(dst, i, u), p)
		}
	})
	g.end()
}

func scale(g *gen) {
	g.fn("scale", "func(x []float32, s float32)", "multiplies x by s.")
	x, s := g.ptr("x"), g.float("s")
	g.each(g.length("x"), 4, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(x, i, u), p)
			g.VMULPS(v, s, v)
			g.store(v, g.at(x, i, u), p)
		}
	})
	g.end()
}

// lowest loads a part of a vector with -Inf in the lanes that do not count.
func (g *gen) lowest(m operand.Mem, none operand.Op, p *part) reg.VecVirtual {
	if p == nil {
		return g.load(m, nil)
	}
	v := g.copyOf(none)
	if g.wide {
		g.VMOVUPS(m, p.k, v)
		return v
	}
	g.VBLENDVPS(p.v, g.load(m, p), v, v)
	return v
}

func maximum(g *gen) {
	g.fn("max", "func(x []float32) float32", "is the largest value; NaN is passed over.")
	x, none := g.ptr("x"), g.c(math.Inf(-1))
	acc := []reg.VecVirtual{g.copyOf(none), g.copyOf(none), g.copyOf(none), g.copyOf(none)}
	g.each(g.length("x"), len(acc), func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			// VMAXPS gives its first operand where one is not a number.
			g.VMAXPS(acc[u], g.lowest(g.at(x, i, u), none, p), acc[u])
		}
	})
	g.VMAXPS(acc[1], acc[0], acc[0])
	g.VMAXPS(acc[3], acc[2], acc[2])
	g.VMAXPS(acc[2], acc[0], acc[0])
	g.answer(g.fold(acc[0], g.VMAXPS))
	g.end()
}

func finite(g *gen) {
	g.fn("finite", "func(x []float32) bool", "reports whether no value is NaN or infinite.")
	x := g.ptr("x")
	acc := []reg.VecVirtual{g.zero(), g.zero(), g.zero(), g.zero()}
	g.each(g.length("x"), len(acc), func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(x, i, u), p)
			g.VSUBPS(v, v, v) // 0, or NaN, which stays
			g.VADDPS(v, acc[u], acc[u])
		}
	})
	g.VADDPS(acc[1], acc[0], acc[0])
	g.VADDPS(acc[3], acc[2], acc[2])
	g.VADDPS(acc[2], acc[0], acc[0])
	sum := g.fold(acc[0], g.VADDPS)
	ok := g.GP8()
	g.VUCOMISS(sum, sum)
	g.SETPC(ok)
	g.Store(ok, g.ReturnIndex(0))
	g.end()
}

func relu(g *gen) {
	g.fn("relu", "func(dst, x []float32)", "writes max(x, 0) into dst.")
	dst, x, zero := g.ptr("dst"), g.ptr("x"), g.zero()
	g.each(g.length("dst"), 4, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(x, i, u), p)
			g.VMAXPS(v, zero, v) // NaN stays
			g.store(v, g.at(dst, i, u), p)
		}
	})
	g.end()
}

func reluBackward(g *gen) {
	g.fn("reluBackward", "func(dx, dy, x []float32)", "adds dy to dx where x > 0.")
	dx, dy, x, zero := g.ptr("dx"), g.ptr("dy"), g.ptr("x"), g.zero()
	g.each(g.length("dx"), 2, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			positive := g.compare(isGreater, g.load(g.at(x, i, u), p), zero)
			v, sum := g.load(g.at(dx, i, u), p), g.vec()
			g.VADDPS(g.load(g.at(dy, i, u), p), v, sum)
			g.choose(positive, sum, v)
			g.store(v, g.at(dx, i, u), p)
		}
	})
	g.end()
}

func softmaxBackward(g *gen) {
	g.fn("softmaxBackward", "func(ds, p []float32, inner, scale float32)", "turns ds into p*(ds-inner)*scale.")
	ds, prob, inner, scale := g.ptr("ds"), g.ptr("p"), g.float("inner"), g.float("scale")
	g.each(g.length("ds"), 2, func(i reg.GPVirtual, vectors int, p *part) {
		for u := range vectors {
			v := g.load(g.at(ds, i, u), p)
			g.VSUBPS(inner, v, v)
			g.VMULPS(g.load(g.at(prob, i, u), p), v, v)
			g.VMULPS(scale, v, v)
			g.store(v, g.at(ds, i, u), p)
		}
	})
	g.end()
}

// dropout: see mask.hash in dropout.go of the kernel package.
func dropout(g *gen) {
	g.fn("dropout", "func(dst, x []float32, from, key0, key1, below uint32, scale float32)", "scales what the mask keeps and zeroes the rest.")
	dst, x, scale := g.ptr("dst"), g.ptr("x"), g.float("scale")
	spread := func(name string) reg.VecVirtual {
		r, v := g.GP32(), g.vec()
		g.Load(g.Param(name), r)
		g.MOVD(r, v.AsX())
		g.VPBROADCASTD(v.AsX(), v)
		return v
	}
	index, key0, key1, below := spread("from"), spread("key0"), spread("key1"), spread("below")
	g.VPADDD(g.counting(), index, index)
	mul0, mul1 := g.copyOf(g.bits(0x7feb352d)), g.copyOf(g.bits(0x846ca68b))
	step := g.word(uint32(g.lanes))
	g.each(g.length("dst"), 1, func(i reg.GPVirtual, _ int, p *part) {
		h, t := g.vec(), g.vec()
		xor := func(a operand.Op) {
			if g.wide {
				g.VPXORD(a, h, h)
			} else {
				g.VPXOR(a, h, h)
			}
		}
		fold := func(shift int) { g.VPSRLD(operand.U8(shift), h, t); xor(t) }
		g.VMOVAPS(index, h)
		xor(key0)
		fold(16)
		g.VPMULLD(mul0, h, h)
		xor(key1)
		fold(15)
		g.VPMULLD(mul1, h, h)
		fold(16)
		v := g.load(g.at(x, i, 0), p)
		g.VMULPS(scale, v, v)
		if g.wide {
			kept := g.K()
			g.VPCMPUD(operand.U8(5), below, h, kept) // h >= below
			g.VMOVAPS_Z(v, kept, v)
		} else {
			g.VPMAXUD(below, h, t)
			g.VPCMPEQD(h, t, t)
			g.VPAND(t, v, v)
		}
		g.store(v, g.at(dst, i, 0), p)
		g.VPADDD(step, index, index)
	})
	g.end()
}

// counting is the vector 0, 1, 2, ...
func (g *gen) counting() operand.Mem {
	m := g.StaticGlobal("counting")
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		g.AddDatum(4*i, operand.U32(i))
	}
	return m
}
