package main

import "math"

// The constants of model/kernel's Exp and GELU.
const (
	expLow     = -87.33654
	expHigh    = 88.72283
	log2e      = 1.44269504088896341
	ln2High    = 0.693359375
	ln2Low     = -2.12194440e-4
	roundMagic = 12582912.0
	geluScale  = 2 * 0.7978845608028654
	geluCubic  = 0.044715
)

var expPolynomial = []float64{
	1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
}

// exp is model/kernel's Exp in every lane, step by step.
func (p *program) exp(x value) value {
	magic := p.number(roundMagic)
	shifted := p.mulAdd(magic, x, p.number(log2e))
	n := p.sub(shifted, magic)
	r := p.mulSub(x, n, p.number(ln2High))
	r = p.mulSub(r, n, p.number(ln2Low))
	y := p.number(expPolynomial[0])
	for _, c := range expPolynomial[1:] {
		y = p.mulAdd(p.number(c), y, r)
	}
	y = p.add(p.mulAdd(r, y, p.mul(r, r)), p.number(1))
	y = p.intAdd(y, p.shift(opShiftLeft, shifted, 23))
	inside := p.and(p.greater(x, p.number(expLow)), p.greater(p.number(expHigh), x))
	// Outside: a negative x gives 0, a positive one overflows, NaN stays.
	edge := p.mul(p.positive(x), p.number(math.MaxFloat32))
	return p.choose(inside, y, edge)
}

// positive is max(x, 0) and keeps NaN and -0.
func (p *program) positive(x value) value { return p.andNot(x, p.greater(p.number(0), x)) }

func (p *program) negative(x value) value { return p.xor(x, p.word(1<<31)) }

func (p *program) overOnePlusExp(x, z value) value {
	return p.div(x, p.add(p.number(1), p.exp(p.negative(z))))
}

// sigmoid returns s = 1/(1+exp(-z)) and 1-s, neither with cancellation.
func (p *program) sigmoid(z value) (s, rest value) {
	one := p.number(1)
	e := p.exp(p.negative(z))
	s = p.div(one, p.add(one, e))
	return s, p.choose(p.greater(z, p.number(0)), p.mul(e, s), p.sub(one, s))
}

// zeros are variables that start at zero, one per turn of an unrolled loop.
func (p *program) zeros(n int) []value {
	all := make([]value, n)
	for i := range all {
		all[i] = p.emit(opConst)
	}
	return all
}

func (p *program) addUp(v []value) value {
	for len(v) > 1 {
		for i := range len(v) / 2 {
			v[i] = p.add(v[2*i], v[2*i+1])
		}
		v = v[:len(v)/2]
	}
	return v[0]
}

// reduce sums term over n values with four sums at a time.
func (p *program) reduce(n count, at []pointer, term func(sum value, off int) value) value {
	sums := p.zeros(4)
	p.each(n, 4, at, func(off, turn int) { p.set(sums[turn], term(sums[turn], off)) })
	return p.total(p.addUp(sums))
}

// source is a program that is not written yet.
type source struct {
	name  string
	write func(p *program)
}

func build(name string, write func(p *program)) source { return source{name, write} }

func (s source) program(mixed bool) *program {
	p := newProgram(s.name)
	p.mixed = mixed
	s.write(p)
	return p
}

// vectors are the loops over plain vectors.
func vectors() []source {
	return []source{
		build("dot", func(p *program) {
			x, y, n := p.floats("x"), p.floats("y"), p.count("n")
			p.returns(p.reduce(n, []pointer{x, y}, func(sum value, off int) value {
				return p.mulAdd(sum, p.load(x, off), p.load(y, off))
			}))
		}),
		build("axpy", func(p *program) {
			dst, x, n, s := p.floats("dst"), p.floats("x"), p.count("n"), p.scalar("s", "float32")
			p.each(n, 4, []pointer{dst, x}, func(off, _ int) {
				p.store(dst, off, p.mulAdd(p.load(dst, off), p.load(x, off), s))
			})
		}),
		build("add", func(p *program) {
			dst, x, n := p.floats("dst"), p.floats("x"), p.count("n")
			p.each(n, 4, []pointer{dst, x}, func(off, _ int) {
				p.store(dst, off, p.add(p.load(dst, off), p.load(x, off)))
			})
		}),
		build("scale", func(p *program) {
			x, n, s := p.floats("x"), p.count("n"), p.scalar("s", "float32")
			p.each(n, 4, []pointer{x}, func(off, _ int) { p.store(x, off, p.mul(p.load(x, off), s)) })
		}),
		build("max", func(p *program) {
			x, n, out := p.floats("x"), p.count("n"), p.floats("out")
			best := make([]value, 4)
			for i := range best {
				best[i] = p.variable(p.number(math.Inf(-1)))
			}
			p.each(n, 4, []pointer{x}, func(off, turn int) { p.set(best[turn], p.larger(p.load(x, off), best[turn])) })
			p.store(out, 0, p.larger(p.larger(best[0], best[1]), p.larger(best[2], best[3])))
		}),
		build("defects", func(p *program) { // 0 for finite values, NaN otherwise
			x, n := p.floats("x"), p.count("n")
			p.returns(p.reduce(n, []pointer{x}, func(sum value, off int) value {
				v := p.load(x, off)
				return p.add(sum, p.sub(v, v))
			}))
		}),
		build("adam", adam),
		build("dropout", dropout),
	}
}

func adam(p *program) {
	w, g, m, v := p.floats("w"), p.floats("grad"), p.floats("m"), p.floats("v")
	n := p.count("n")
	f := func(name string) value { return p.scalar(name, "float32") }
	beta1, rest1, beta2, rest2 := f("beta1"), f("rest1"), f("beta2"), f("rest2")
	epsilon, rate, second, decay := f("epsilon"), f("rate"), f("second"), f("decay")
	p.each(n, 2, []pointer{w, g, m, v}, func(off, _ int) {
		grad := p.load(g, off)
		m1 := p.mulAdd(p.mul(p.load(m, off), beta1), grad, rest1)
		v1 := p.mulAdd(p.mul(p.load(v, off), beta2), p.mul(grad, rest2), grad)
		p.store(m, off, m1)
		p.store(v, off, v1)
		step := p.div(p.mul(m1, rate), p.add(p.sqrt(p.mul(v1, second)), epsilon))
		weight := p.load(w, off)
		p.store(w, off, p.sub(weight, p.mulAdd(step, weight, decay)))
	})
}

// dropout: see mask.hash of model/kernel.
func dropout(p *program) {
	dst, x, n := p.floats("dst"), p.floats("x"), p.count("n")
	from, key0, key1, below := p.scalar("from", "uint32"), p.scalar("key0", "uint32"), p.scalar("key1", "uint32"), p.scalar("below", "uint32")
	scale := p.scalar("scale", "float32")
	index := p.variable(p.intAdd(from, p.lanes([4]uint32{0, 1, 2, 3})))
	p.each(n, 1, []pointer{dst, x}, func(int, int) {
		h := p.xor(index, key0)
		h = p.intMul(p.xor(h, p.shift(opShiftRight, h, 16)), p.word(0x7feb352d))
		h = p.xor(h, key1)
		h = p.intMul(p.xor(h, p.shift(opShiftRight, h, 15)), p.word(0x846ca68b))
		h = p.xor(h, p.shift(opShiftRight, h, 16))
		p.store(dst, 0, p.andNot(p.mul(p.load(x, 0), scale), p.above(below, h)))
		p.set(index, p.intAdd(index, p.word(4)))
	})
}

// exponentials are the loops with an exp in them, and the activations.
func exponentials() []source {
	return []source{
		build("expShifted", func(p *program) {
			dst, x, n, shift := p.floats("dst"), p.floats("x"), p.count("n"), p.scalar("shift", "float32")
			sum := p.zeros(2)
			p.each(n, 2, []pointer{dst, x}, func(off, turn int) {
				e := p.exp(p.sub(p.load(x, off), shift))
				p.store(dst, off, e)
				p.set(sum[turn], p.add(sum[turn], e))
			})
			p.returns(p.total(p.addUp(sum)))
		}),
		build("softmaxExp", func(p *program) {
			x, n, top, scale := p.floats("x"), p.count("n"), p.scalar("top", "float32"), p.scalar("scale", "float32")
			sum := p.zeros(2)
			p.each(n, 2, []pointer{x}, func(off, turn int) {
				e := p.exp(p.mul(p.sub(p.load(x, off), top), scale))
				p.store(x, off, e)
				p.set(sum[turn], p.add(sum[turn], e))
			})
			p.returns(p.total(p.addUp(sum)))
		}),
		build("softmaxBackward", func(p *program) {
			ds, prob, n := p.floats("ds"), p.floats("p"), p.count("n")
			inner, scale := p.scalar("inner", "float32"), p.scalar("scale", "float32")
			p.each(n, 4, []pointer{ds, prob}, func(off, _ int) {
				p.store(ds, off, p.mul(p.mul(p.load(prob, off), p.sub(p.load(ds, off), inner)), scale))
			})
		}),
		build("gelu", func(p *program) {
			dst, x, n := p.floats("dst"), p.floats("x"), p.count("n")
			p.each(n, 2, []pointer{dst, x}, func(off, _ int) {
				v := p.load(x, off)
				p.store(dst, off, p.overOnePlusExp(v, p.geluInner(v)))
			})
		}),
		build("geluBackward", func(p *program) {
			dx, dy, x, n := p.floats("dx"), p.floats("dy"), p.floats("x"), p.count("n")
			p.each(n, 1, []pointer{dx, dy, x}, func(off, _ int) {
				v := p.load(x, off)
				s, rest := p.sigmoid(p.geluInner(v))
				slope := p.mulAdd(p.number(geluScale), p.mul(v, v), p.number(3*geluCubic*geluScale))
				turn := p.mulAdd(p.number(1), p.mul(v, slope), rest)
				p.store(dx, off, p.mulAdd(p.load(dx, off), p.mul(p.load(dy, off), s), turn))
			})
		}),
		build("relu", func(p *program) {
			dst, x, n := p.floats("dst"), p.floats("x"), p.count("n")
			p.each(n, 4, []pointer{dst, x}, func(off, _ int) { p.store(dst, off, p.positive(p.load(x, off))) })
		}),
		build("reluBackward", func(p *program) {
			dx, dy, x, n := p.floats("dx"), p.floats("dy"), p.floats("x"), p.count("n")
			p.each(n, 4, []pointer{dx, dy, x}, func(off, _ int) {
				up := p.and(p.load(dy, off), p.greater(p.load(x, off), p.number(0)))
				p.store(dx, off, p.add(p.load(dx, off), up))
			})
		}),
		build("siluGate", func(p *program) {
			dst, a, b, n := p.floats("dst"), p.floats("a"), p.floats("b"), p.count("n")
			p.each(n, 2, []pointer{dst, a, b}, func(off, _ int) {
				v := p.load(a, off)
				p.store(dst, off, p.mul(p.overOnePlusExp(v, v), p.load(b, off)))
			})
		}),
		build("siluGateBackward", func(p *program) {
			da, db, dy, a, b, n := p.floats("da"), p.floats("db"), p.floats("dy"), p.floats("a"), p.floats("b"), p.count("n")
			p.each(n, 1, []pointer{da, db, dy, a, b}, func(off, _ int) {
				v := p.load(a, off)
				s, rest := p.sigmoid(v)
				up := p.mul(p.load(dy, off), s)
				turn := p.mulAdd(p.number(1), v, rest)
				p.store(da, off, p.mulAdd(p.load(da, off), p.mul(up, p.load(b, off)), turn))
				p.store(db, off, p.mulAdd(p.load(db, off), up, v))
			})
		}),
	}
}

// geluInner is geluScale*v*(1 + geluCubic*v*v).
func (p *program) geluInner(v value) value {
	return p.mul(p.mul(v, p.number(geluScale)), p.mulAdd(p.number(1), p.mul(v, v), p.number(geluCubic)))
}
