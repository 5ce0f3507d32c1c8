package main

import (
	"fmt"
	"go/token"
	"go/types"

	"github.com/mmcloughlin/avo/gotypes"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// jobFields are those of gemmJob (gemm_amd64.go of the kernel package), 8 bytes
// each; strides are in bytes. The loops move only the last ones on: a pointer that
// had moved past the end of its matrix would be a bad one to the garbage
// collector.
var jobFields = []string{"a", "rsa", "csa", "b", "ldb", "c", "ldc", "from", "ldf", "k", "cols", "tiles", "down", "downFrom"}

func jobField(job reg.GPVirtual, name string) operand.Mem {
	for i, f := range jobFields {
		if f == name {
			return operand.Mem{Base: job, Disp: 8 * i}
		}
	}
	panic("no such field: " + name)
}

// gemm emits, for each width of v vectors, one function that works off tiles of
// any height up to the largest whose sums fit the registers.
func gemm(g *gen) {
	if g.wide {
		tiles(g, 1, 14, true)
		tiles(g, 2, 14, true)
		tiles(g, 2, 14, false)
		tiles(g, 4, 6, false)
	} else {
		for _, masked := range []bool{false, true} {
			tiles(g, 1, 12, masked)
			tiles(g, 2, 6, masked)
		}
		tiles(g, 4, 3, false)
	}
	peak(g)
}

func jobSignature() *gotypes.Signature {
	pkg := types.NewPackage("kernel", "kernel")
	job := types.NewNamed(types.NewTypeName(token.NoPos, pkg, "gemmJob", nil), types.NewStruct(nil, nil), nil)
	params := types.NewTuple(
		types.NewVar(token.NoPos, pkg, "job", types.NewPointer(job)),
		types.NewVar(token.NoPos, pkg, "height", types.Typ[types.Int]),
	)
	return gotypes.NewSignature(pkg, types.NewSignatureType(nil, nil, nil, params, nil, false))
}

func tiles(g *gen, vectors, tallest int, masked bool) {
	kind := ""
	if masked {
		kind = "Part"
	}
	name := fmt.Sprintf("gemm%d%s", vectors, kind)
	g.fn(name, "func()", fmt.Sprintf("multiplies tiles of height x %d, 1 <= height <= %d.", vectors*g.lanes, tallest))
	g.Signature(jobSignature())
	job, height := g.number("job"), g.number("height")
	var last *part
	if masked {
		n := g.GP64()
		g.MOVQ(jobField(job, "cols"), n)
		g.SUBQ(operand.I32((vectors-1)*g.lanes), n)
		last = g.tail(n)
	}
	labels := make([]string, tallest+1)
	for h := tallest; h >= 1; h-- {
		labels[h] = g.label(fmt.Sprintf("height%d_", h))
		g.CMPQ(height, operand.I32(h))
		g.JEQ(operand.LabelRef(labels[h]))
	}
	g.end()
	for h := tallest; h >= 1; h-- {
		g.Label(labels[h])
		t := tile{gen: g, job: job, vectors: vectors, height: h, last: last}
		t.all()
	}
}

// tile is the code of one height: h x v sums stay in registers over k.
type tile struct {
	*gen
	job             reg.GPVirtual
	vectors, height int
	last            *part // of the last vector of each row

	a        []reg.GPVirtual // rows 0, 3, 6, ...
	rsa, csa reg.GPVirtual
	sums     [][]reg.VecVirtual
}

func (t *tile) field(name string) reg.GPVirtual {
	r := t.GP64()
	t.MOVQ(jobField(t.job, name), r)
	return r
}

func (t *tile) part(u int) *part {
	if u == t.vectors-1 {
		return t.last
	}
	return nil
}

// all runs down the tiles of one column panel.
func (t *tile) all() {
	next := t.label("tile")
	a := t.field("a")
	t.Label(next)
	t.rsa, t.csa = t.field("rsa"), t.field("csa")
	t.startRows(a)
	t.sums = make([][]reg.VecVirtual, t.height)
	for i := range t.sums {
		for range t.vectors {
			t.sums[i] = append(t.sums[i], t.vec())
		}
	}
	t.depth()
	t.finish()
	step := t.field("rsa")
	t.IMUL3Q(operand.I32(t.height), step, step)
	t.ADDQ(step, a)
	t.SUBQ(operand.I8(1), jobField(t.job, "tiles"))
	t.JG(operand.LabelRef(next))
	t.end()
}

func (t *tile) startRows(a reg.GPVirtual) {
	t.a = nil
	for i := 0; i < t.height; i += 3 {
		r := t.GP64()
		if i == 0 {
			t.MOVQ(a, r)
		} else {
			t.LEAQ(operand.Mem{Base: t.a[len(t.a)-1], Index: t.rsa, Scale: 2}, r)
			t.ADDQ(t.rsa, r)
		}
		t.a = append(t.a, r)
	}
}

// depth adds up over k. The first products are the sums, which need not be zeroed.
func (t *tile) depth() {
	loop, end := t.label("depth"), t.label("end")
	b, ldb, k := t.field("b"), t.field("ldb"), t.field("k")
	next := func() {
		for _, a := range t.a {
			t.ADDQ(t.csa, a)
		}
		t.ADDQ(ldb, b)
		t.DECQ(k)
	}
	t.products(b, t.VMULPS)
	next()
	t.JZ(operand.LabelRef(end))
	t.Label(loop)
	t.products(b, t.VFMADD231PS)
	next()
	t.JNZ(operand.LabelRef(loop))
	t.Label(end)
}

// products gives to the sums those of a column of A and a row of B.
func (t *tile) products(b reg.GPVirtual, give func(...operand.Op)) {
	if t.height > 3 || t.vectors <= 2 {
		var row []reg.VecVirtual
		for u := range t.vectors {
			row = append(row, t.load(operand.Mem{Base: b, Disp: 4 * u * t.lanes}, t.part(u)))
		}
		for i := range t.height {
			x := t.broadcast(i)
			for u := range row {
				give(row[u], x, t.sums[i][u])
			}
		}
		return
	}
	var xs []reg.VecVirtual
	for i := range t.height {
		xs = append(xs, t.broadcast(i))
	}
	for u := range t.vectors {
		row := t.load(operand.Mem{Base: b, Disp: 4 * u * t.lanes}, t.part(u))
		for i, x := range xs {
			give(row, x, t.sums[i][u])
		}
	}
}

func (t *tile) broadcast(i int) reg.VecVirtual {
	m := operand.Mem{Base: t.a[i/3]}
	if i%3 > 0 {
		m.Index, m.Scale = t.rsa, uint8(i%3)
	}
	x := t.vec()
	t.VBROADCASTSS(m, x)
	return x
}

// finish writes the sums, plus what "from" holds, to c and moves on in both.
func (t *tile) finish() {
	c, ldc, from, ldf := t.field("c"), t.field("ldc"), t.field("from"), t.field("ldf")
	plain, done := t.label("plain"), t.label("done")
	at := func(base reg.GPVirtual, u int) operand.Mem { return operand.Mem{Base: base, Disp: 4 * u * t.lanes} }
	t.TESTQ(from, from)
	t.JZ(operand.LabelRef(plain))
	t.ADDQ(jobField(t.job, "downFrom"), from)
	t.ADDQ(jobField(t.job, "down"), c)
	for i := range t.height {
		for u := range t.vectors {
			if p := t.part(u); p == nil {
				t.VADDPS(at(from, u), t.sums[i][u], t.sums[i][u])
			} else {
				t.VADDPS(t.load(at(from, u), p), t.sums[i][u], t.sums[i][u])
			}
			t.store(t.sums[i][u], at(c, u), t.part(u))
		}
		t.ADDQ(ldf, from)
		t.ADDQ(ldc, c)
	}
	t.IMUL3Q(operand.I32(t.height), ldf, ldf)
	t.ADDQ(ldf, jobField(t.job, "downFrom"))
	t.JMP(operand.LabelRef(done))
	t.Label(plain)
	t.ADDQ(jobField(t.job, "down"), c)
	for i := range t.height {
		for u := range t.vectors {
			t.store(t.sums[i][u], at(c, u), t.part(u))
		}
		t.ADDQ(ldc, c)
	}
	t.Label(done)
	t.IMUL3Q(operand.I32(t.height), ldc, ldc)
	t.ADDQ(ldc, jobField(t.job, "down"))
}

// peak emits the loop that measures how fast the machine multiplies and adds.
func peak(g *gen) {
	g.fn("fmaPeak", "func(n int)", "runs n times 12 independent fused multiply-adds of one vector, for benchmarks.")
	n := g.number("n")
	var sums []reg.VecVirtual
	for range 12 {
		sums = append(sums, g.zero())
	}
	x, loop := g.zero(), g.label("loop")
	g.Label(loop)
	for _, s := range sums {
		g.VFMADD231PS(x, x, s)
	}
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
	g.end()
}
