package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// norms emits layer norm and its gradients.
func norms(g *gen) {
	normForward(g)
	normBackward(g)
}

const normEpsilon = 1e-5

// reciprocal is 1/d as a float32 vector.
func (g *gen) reciprocal(d reg.GPVirtual) reg.VecVirtual {
	x, one := g.XMM(), g.XMM()
	g.VXORPS(x, x, x)
	g.VCVTSI2SSQ(d, x, x)
	g.VMOVSS(g.bits(0x3f800000), one)
	g.VDIVSS(x, one, x)
	return g.spread(x)
}

func normForward(g *gen) {
	g.fn("normForward", "func(y, x, gain, bias, mean, rstd []float32)", "is layer norm of len(mean) rows, at least one.")
	y, x, gain, bias, mean, rstd := g.ptr("y"), g.ptr("x"), g.ptr("gain"), g.ptr("bias"), g.ptr("mean"), g.ptr("rstd")
	d, rows := g.length("gain"), g.length("mean")
	share, stride, epsilon, one := g.reciprocal(d), g.bytes(d), g.c(normEpsilon), g.copyOf(g.c(1))
	g.downRows(rows, stride, []reg.GPVirtual{x, y}, func() {
		acc := []reg.VecVirtual{g.zero(), g.zero()}
		g.each(d, 2, func(i reg.GPVirtual, vectors int, p *part) {
			for u := range vectors {
				g.VADDPS(g.load(g.at(x, i, u), p), acc[u], acc[u])
			}
		})
		g.VADDPS(acc[1], acc[0], acc[0])
		mu := g.spread(g.fold(acc[0], g.VADDPS))
		g.VMULPS(share, mu, mu)
		g.VMOVSS(mu.AsX(), operand.Mem{Base: mean})
		acc = []reg.VecVirtual{g.zero(), g.zero()}
		g.each(d, 2, func(i reg.GPVirtual, vectors int, p *part) {
			for u := range vectors {
				v := g.load(g.at(x, i, u), p)
				g.VSUBPS(mu, v, v)
				g.only(v, p)
				g.VFMADD231PS(v, v, acc[u])
			}
		})
		g.VADDPS(acc[1], acc[0], acc[0])
		inv := g.spread(g.fold(acc[0], g.VADDPS))
		g.VFMADD213PS(epsilon, share, inv)
		g.VSQRTPS(inv, inv)
		g.VDIVPS(inv, one, inv)
		g.VMOVSS(inv.AsX(), operand.Mem{Base: rstd})
		g.each(d, 2, func(i reg.GPVirtual, vectors int, p *part) {
			for u := range vectors {
				v := g.load(g.at(x, i, u), p)
				g.VSUBPS(mu, v, v)
				g.VMULPS(inv, v, v)
				g.VFMADD213PS(g.load(g.at(bias, i, u), p), g.load(g.at(gain, i, u), p), v)
				g.store(v, g.at(y, i, u), p)
			}
		})
		g.ADDQ(operand.I8(4), mean)
		g.ADDQ(operand.I8(4), rstd)
	})
	g.end()
}

func normBackward(g *gen) {
	g.fn("normBackward", "func(dx, dGain, dBias, dy, x, gain, mean, rstd []float32)", "adds the gradients of normForward.")
	dx, dGain, dBias, dy := g.ptr("dx"), g.ptr("dGain"), g.ptr("dBias"), g.ptr("dy")
	x, gain, mean, rstd := g.ptr("x"), g.ptr("gain"), g.ptr("mean"), g.ptr("rstd")
	d, rows := g.length("gain"), g.length("mean")
	share, stride := g.reciprocal(d), g.bytes(d)
	g.downRows(rows, stride, []reg.GPVirtual{x, dy, dx}, func() {
		mu, inv := g.vec(), g.vec()
		g.VBROADCASTSS(operand.Mem{Base: mean}, mu)
		g.VBROADCASTSS(operand.Mem{Base: rstd}, inv)
		hatOf := func(i reg.GPVirtual, p *part) reg.VecVirtual {
			v := g.load(g.at(x, i, 0), p)
			g.VSUBPS(mu, v, v)
			g.VMULPS(inv, v, v)
			return v
		}
		sum, sumHat := g.zero(), g.zero()
		g.each(d, 1, func(i reg.GPVirtual, _ int, p *part) {
			hat, up := hatOf(i, p), g.load(g.at(dy, i, 0), p)
			bias, w := g.load(g.at(dBias, i, 0), p), g.load(g.at(dGain, i, 0), p)
			g.VADDPS(up, bias, bias)
			g.store(bias, g.at(dBias, i, 0), p)
			g.VFMADD231PS(hat, up, w)
			g.store(w, g.at(dGain, i, 0), p)
			g.VMULPS(g.load(g.at(gain, i, 0), p), up, up)
			g.VADDPS(up, sum, sum)
			g.VFMADD231PS(hat, up, sumHat)
		})
		meanG, meanHat := g.spread(g.fold(sum, g.VADDPS)), g.spread(g.fold(sumHat, g.VADDPS))
		g.VMULPS(share, meanG, meanG)
		g.VMULPS(share, meanHat, meanHat)
		g.each(d, 1, func(i reg.GPVirtual, _ int, p *part) {
			hat, up := hatOf(i, p), g.load(g.at(dy, i, 0), p)
			g.VFMSUB213PS(meanG, g.load(g.at(gain, i, 0), p), up) // dy*gain - mean(g)
			g.VFNMADD231PS(hat, meanHat, up)
			out := g.load(g.at(dx, i, 0), p)
			g.VFMADD231PS(inv, up, out)
			g.store(out, g.at(dx, i, 0), p)
		})
		g.ADDQ(operand.I8(4), mean)
		g.ADDQ(operand.I8(4), rstd)
	})
	g.end()
}
