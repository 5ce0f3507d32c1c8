package main

// matrices are the loops over rows. Distances between rows are in bytes; d,
// cols and n are multiples of four, and so is rows in the products.
func matrices() []source {
	return []source{
		build("addRows", func(p *program) {
			x, b, rows, n := p.floats("x"), p.floats("b"), p.count("rows"), p.count("n")
			at, left := pointer(p.copyOf(int(b))), count(p.copyOf(int(n)))
			p.loop(rows, 1, func() {
				p.reset(int(at), int(b))
				p.reset(int(left), int(n))
				p.each(left, 4, []pointer{x, at}, func(off, _ int) {
					p.store(x, off, p.add(p.load(x, off), p.load(at, off)))
				})
			})
		}),
		build("sumRows", func(p *program) {
			sum, x, stride, rows, cols := p.floats("sum"), p.floats("x"), p.count("stride"), p.count("rows"), p.count("cols")
			p.columns(cols, rows, stride, x, []pointer{sum}, func(at pointer, groups int, each func(func(off, turn int))) {
				total := p.loads(sum, groups)
				each(func(off, turn int) { p.set(total[turn], p.add(total[turn], p.load(at, off))) })
				p.stores(sum, total)
			})
		}),
		build("matVec", func(p *program) { matVec(p, "float32", "float32", 4, opMulAdd, opPairAdd, opAdd) }),
		build("matVecInt8", func(p *program) { matVec(p, "int32", "int8", 16, opDotInt8, opIntPairAdd, -1) }),
		build("transpose", transpose),
		build("normForward", normForward),
		build("normBackward", normBackward),
	}
}

// int8One is matVecInt8 for machines with dot products of bytes (Armv8.4-A, and
// most of Armv8.2-A).
func int8One() source {
	return build("matVecInt8One", func(p *program) { matVec(p, "int32", "int8", 16, opDotInt8One, opIntPairAdd, -1) })
}

// columns walks the columns of a matrix in groups of four, and within them the
// rows; vectors go with the columns. Where turns are mixed, it takes two groups
// at a time, as long as there are two.
func (p *program) columns(cols, rows, stride count, x pointer, vectors []pointer, body func(at pointer, groups int, each func(func(off, turn int)))) {
	at, left := pointer(p.newGP()), count(p.newGP())
	steps := []int{1}
	if p.mixed {
		steps = []int{2, 1}
	}
	for _, groups := range steps {
		p.loop(cols, 4*groups, func() {
			p.reset(int(at), int(x))
			p.reset(int(left), int(rows))
			body(at, groups, func(row func(off, turn int)) {
				p.loop(left, 1, func() {
					p.turns(groups, func(turn int) { row(16*turn, turn) })
					p.advanceBy(at, stride)
				})
			})
			for _, v := range append([]pointer{x}, vectors...) {
				p.advance(v, 16*groups)
			}
		})
	}
}

// loads are variables that start as the values at a pointer.
func (p *program) loads(at pointer, n int) []value {
	all := make([]value, n)
	for i := range all {
		all[i] = p.load(at, 16*i)
	}
	return all
}

func (p *program) stores(at pointer, all []value) {
	for i, v := range all {
		p.store(at, 16*i, v)
	}
}

// matVec multiplies four rows at a time; step values of a row are one load.
// It adds to y where plus is an operation, else it writes y.
func matVec(p *program, result, element string, step int, mulAdd, pairAdd, plus op) {
	y, a, lda := p.pointer("y", result), p.pointer("a", element), p.count("lda")
	x, rows, n := p.pointer("x", element), p.count("rows"), p.count("n")
	var row [4]pointer
	for i := range row {
		row[i] = pointer(p.copyOf(int(a)))
	}
	at, left := pointer(p.copyOf(int(x))), count(p.copyOf(int(n)))
	p.loop(rows, 4, func() {
		for i := range row {
			p.reset(int(row[i]), int(a))
			p.advanceBy(a, lda)
		}
		p.reset(int(at), int(x))
		p.reset(int(left), int(n))
		sums := p.zeros(4)
		p.loop(left, step, func() {
			v := p.load(at, 0)
			for i := range row {
				p.set(sums[i], p.emit(mulAdd, sums[i], p.load(row[i], 0), v))
				p.advance(row[i], 16)
			}
			p.advance(at, 16)
		})
		four := p.emit(pairAdd, p.emit(pairAdd, sums[0], sums[1]), p.emit(pairAdd, sums[2], sums[3]))
		if plus >= 0 {
			four = p.emit(plus, p.load(y, 0), four)
		}
		p.store(y, 0, four)
		p.advance(y, 16)
	})
}

// transpose turns squares of 4 x 4; distances are in bytes.
func transpose(p *program) {
	dst, ldd, x, ldx := p.floats("dst"), p.count("ldd"), p.floats("x"), p.count("ldx")
	rows, cols := p.count("rows"), p.count("cols")
	row := make([]pointer, 4)
	for i := range row {
		row[i] = pointer(p.newGP())
	}
	to, left := pointer(p.newGP()), count(p.newGP())
	p.loop(rows, 4, func() {
		for _, r := range row {
			p.reset(int(r), int(x))
			p.advanceBy(x, ldx)
		}
		p.reset(int(to), int(dst))
		p.reset(int(left), int(cols))
		p.loop(left, 4, func() {
			in := make([]value, 4)
			for i, r := range row {
				in[i] = p.load(r, 0)
				p.advance(r, 16)
			}
			even := []value{p.emit(opZipLow, in[0], in[2]), p.emit(opZipHigh, in[0], in[2])}
			odd := []value{p.emit(opZipLow, in[1], in[3]), p.emit(opZipHigh, in[1], in[3])}
			for i := range 2 {
				for _, o := range []op{opZipLow, opZipHigh} {
					p.store(to, 0, p.emit(o, even[i], odd[i]))
					p.advanceBy(to, ldd)
				}
			}
		})
		p.advance(dst, 16)
	})
}

const normEpsilon = 1e-5 // model/kernel's NormEpsilon

func normForward(p *program) {
	y, x, gain, bias := p.floats("y"), p.floats("x"), p.floats("gain"), p.floats("bias")
	mean, rstd := p.floats("mean"), p.floats("rstd")
	rows, d, size := p.count("rows"), p.count("d"), p.scalar("size", "float32")
	at, left := pointer(p.copyOf(int(x))), count(p.copyOf(int(d)))
	g, b := pointer(p.copyOf(int(gain))), pointer(p.copyOf(int(bias)))
	start := func() {
		p.reset(int(at), int(x))
		p.reset(int(left), int(d))
	}
	p.loop(rows, 1, func() {
		start()
		mu := p.div(p.reduce(left, []pointer{at}, func(sum value, off int) value { return p.add(sum, p.load(at, off)) }), size)
		p.storeOne(mean, 0, mu)
		start()
		square := p.reduce(left, []pointer{at}, func(sum value, off int) value {
			v := p.sub(p.load(at, off), mu)
			return p.mulAdd(sum, v, v)
		})
		inverse := p.div(p.number(1), p.sqrt(p.add(p.div(square, size), p.number(normEpsilon))))
		p.storeOne(rstd, 0, inverse)
		p.reset(int(left), int(d))
		p.reset(int(g), int(gain))
		p.reset(int(b), int(bias))
		p.each(left, 4, []pointer{y, x, g, b}, func(off, _ int) {
			hat := p.mul(p.sub(p.load(x, off), mu), inverse)
			p.store(y, off, p.mulAdd(p.load(b, off), hat, p.load(g, off)))
		})
		p.advance(mean, 4)
		p.advance(rstd, 4)
	})
}

func normBackward(p *program) {
	dx, dGain, dBias := p.floats("dx"), p.floats("dGain"), p.floats("dBias")
	dy, x, gain := p.floats("dy"), p.floats("x"), p.floats("gain")
	mean, rstd := p.floats("mean"), p.floats("rstd")
	rows, d, size := p.count("rows"), p.count("d"), p.scalar("size", "float32")
	up, row, g := pointer(p.copyOf(int(dy))), pointer(p.copyOf(int(x))), pointer(p.copyOf(int(gain)))
	dg, db, left := pointer(p.copyOf(int(dGain))), pointer(p.copyOf(int(dBias))), count(p.copyOf(int(d)))
	p.loop(rows, 1, func() {
		for _, r := range [][2]int{{int(up), int(dy)}, {int(row), int(x)}, {int(g), int(gain)}, {int(dg), int(dGain)}, {int(db), int(dBias)}, {int(left), int(d)}} {
			p.reset(r[0], r[1])
		}
		mu, inverse := p.splat(mean, 0), p.splat(rstd, 0)
		sums, hats := p.zeros(2), p.zeros(2)
		p.each(left, 2, []pointer{up, row, g, dg, db}, func(off, turn int) {
			hat := p.mul(p.sub(p.load(row, off), mu), inverse)
			u := p.load(up, off)
			p.store(dg, off, p.mulAdd(p.load(dg, off), u, hat))
			p.store(db, off, p.add(p.load(db, off), u))
			w := p.mul(u, p.load(g, off))
			p.set(sums[turn], p.add(sums[turn], w))
			p.set(hats[turn], p.mulAdd(hats[turn], w, hat))
		})
		sum := p.div(p.total(p.addUp(sums)), size)
		sumHat := p.div(p.total(p.addUp(hats)), size)
		p.reset(int(g), int(gain))
		p.reset(int(left), int(d))
		p.each(left, 2, []pointer{dx, dy, x, g}, func(off, _ int) {
			hat := p.mul(p.sub(p.load(x, off), mu), inverse)
			inner := p.mulSub(p.sub(p.mul(p.load(dy, off), p.load(g, off)), sum), hat, sumHat)
			p.store(dx, off, p.mulAdd(p.load(dx, off), inverse, inner))
		})
		p.advance(mean, 4)
		p.advance(rstd, 4)
	})
}
