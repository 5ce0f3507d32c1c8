package main

import (
	"github.com/mmcloughlin/avo/reg"
)

// adam emits one fused step: moments and weights in one pass over memory.
func adam(g *gen) {
	g.fn("adam", "func(w, grad, m, v []float32, beta1, rest1, beta2, rest2, epsilon, rate, scale, decay float32)", "is one step of Adam; rest is 1-beta.")
	w, grad, m, v := g.ptr("w"), g.ptr("grad"), g.ptr("m"), g.ptr("v")
	beta1, rest1, beta2, rest2 := g.float("beta1"), g.float("rest1"), g.float("beta2"), g.float("rest2")
	epsilon, rate, scale, decay := g.float("epsilon"), g.float("rate"), g.float("scale"), g.float("decay")
	g.each(g.length("w"), 1, func(i reg.GPVirtual, _ int, p *part) {
		up := g.load(g.at(grad, i, 0), p)
		first, second, square := g.load(g.at(m, i, 0), p), g.load(g.at(v, i, 0), p), g.vec()
		g.VMULPS(beta1, first, first)
		g.VFMADD231PS(rest1, up, first)
		g.store(first, g.at(m, i, 0), p)
		g.VMULPS(up, up, square)
		g.VMULPS(beta2, second, second)
		g.VFMADD231PS(rest2, square, second)
		g.store(second, g.at(v, i, 0), p)
		g.VMULPS(scale, second, second)
		g.VSQRTPS(second, second)
		g.VADDPS(epsilon, second, second)
		g.VMULPS(rate, first, first)
		g.VDIVPS(second, first, first)
		weight := g.load(g.at(w, i, 0), p)
		g.VFMADD231PS(decay, weight, first)
		g.VSUBPS(first, weight, weight)
		g.store(weight, g.at(w, i, 0), p)
	})
	g.end()
}
