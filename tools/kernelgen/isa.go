package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gen writes loops for one instruction set. What differs between AVX-512 and
// AVX2 (width, masks, where constants live) is behind its methods, so that a
// loop is described once.
type gen struct {
	*build.Context
	wide   bool   // AVX-512
	file   string // in file names
	suffix string // of function names
	lanes  int    // float32 values in a vector

	labels int
	consts map[uint32]operand.Mem
	masks  *operand.Mem
}

func newGen(wide bool) *gen {
	g := &gen{Context: build.NewContext(), wide: wide, file: "avx2", suffix: "AVX2", lanes: 8, consts: map[uint32]operand.Mem{}}
	if wide {
		g.file, g.suffix, g.lanes = "avx512", "AVX512", 16
	}
	return g
}

// fn begins a function; its parameters are slices, numbers and *float32.
func (g *gen) fn(name, signature, doc string) {
	name += g.suffix
	g.Function(name)
	g.Attributes(attr.NOSPLIT)
	g.SignatureExpr(signature)
	g.Pragma("noescape")
	g.Doc(name + " " + doc)
}

// end leaves a function.
func (g *gen) end() {
	g.VZEROUPPER()
	g.RET()
}

func (g *gen) label(name string) string {
	g.labels++
	return fmt.Sprintf("%s%d", name, g.labels)
}

func (g *gen) vec() reg.VecVirtual {
	if g.wide {
		return g.ZMM()
	}
	return g.YMM()
}

// ptr, length and number load parameters.
func (g *gen) ptr(slice string) reg.GPVirtual {
	r := g.GP64()
	g.Load(g.Param(slice).Base(), r)
	return r
}

func (g *gen) length(slice string) reg.GPVirtual {
	r := g.GP64()
	g.Load(g.Param(slice).Len(), r)
	return r
}

func (g *gen) number(name string) reg.GPVirtual {
	r := g.GP64()
	g.Load(g.Param(name), r)
	return r
}

// stride loads a number of elements as a number of bytes.
func (g *gen) stride(name string) reg.GPVirtual {
	r := g.number(name)
	g.SHLQ(operand.U8(2), r)
	return r
}

// float broadcasts a float32 parameter.
func (g *gen) float(name string) reg.VecVirtual {
	v := g.vec()
	a, err := g.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	g.VBROADCASTSS(a.Addr, v)
	return v
}

// at is vector u after element i of base.
func (g *gen) at(base, i reg.GPVirtual, u int) operand.Mem {
	return operand.Mem{Base: base, Index: i, Scale: 4, Disp: 4 * u * g.lanes}
}

func (g *gen) zero() reg.VecVirtual {
	v := g.vec()
	if g.wide {
		g.VPXORD(v, v, v)
	} else {
		g.VXORPS(v, v, v)
	}
	return v
}

func (g *gen) copyOf(from operand.Op) reg.VecVirtual {
	v := g.vec()
	if _, memory := from.(operand.Mem); memory {
		g.VMOVUPS(from, v)
	} else {
		g.VMOVAPS(from, v)
	}
	return v
}

// bits is a vector of one 32-bit word in memory.
func (g *gen) bits(word uint32) operand.Mem {
	if m, ok := g.consts[word]; ok {
		return m
	}
	m := g.StaticGlobal(fmt.Sprintf("word%08x", word))
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		g.AddDatum(4*i, operand.U32(word))
	}
	g.consts[word] = m
	return m
}

// c is a constant as an operand that may be memory: a register on AVX-512,
// where there are 32, and memory on AVX2. Ask for it before the loop.
func (g *gen) c(x float64) operand.Op { return g.word(math.Float32bits(float32(x))) }

func (g *gen) word(w uint32) operand.Op {
	m := g.bits(w)
	if !g.wide {
		return m
	}
	v := g.vec()
	g.VMOVUPS(m, v)
	return v
}

// part is the share of a vector's lanes that the last elements of a loop fill;
// nil is the whole vector.
type part struct {
	k reg.OpmaskVirtual // AVX-512
	v reg.VecVirtual    // AVX2: all ones in the lanes that count
}

// tail makes the part of the first n lanes, 0 < n < lanes.
func (g *gen) tail(n reg.GPVirtual) *part {
	if g.wide {
		ones, k := g.GP64(), g.K()
		g.MOVQ(operand.I32(-1), ones)
		g.BZHIQ(n, ones, ones)
		g.KMOVW(ones.As32(), k)
		return &part{k: k}
	}
	if g.masks == nil {
		m := g.StaticGlobal("lanes")
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 16 {
			word := uint32(0)
			if i < 8 {
				word = math.MaxUint32
			}
			g.AddDatum(4*i, operand.U32(word))
		}
		g.masks = &m
	}
	at, back, v := g.GP64(), g.GP64(), g.vec()
	g.LEAQ(g.masks.Offset(32), at)
	g.MOVQ(n, back)
	g.NEGQ(back)
	g.VMOVUPS(operand.Mem{Base: at, Index: back, Scale: 4}, v)
	return &part{v: v}
}

// load reads a vector; lanes outside the part become 0 and are not touched.
func (g *gen) load(m operand.Mem, p *part) reg.VecVirtual {
	v := g.vec()
	g.loadTo(m, v, p)
	return v
}

func (g *gen) loadTo(m operand.Mem, v reg.VecVirtual, p *part) {
	switch {
	case p == nil:
		g.VMOVUPS(m, v)
	case g.wide:
		g.VMOVUPS_Z(m, p.k, v)
	default:
		g.VMASKMOVPS(m, p.v, v)
	}
}

func (g *gen) store(v reg.VecVirtual, m operand.Mem, p *part) {
	switch {
	case p == nil:
		g.VMOVUPS(v, m)
	case g.wide:
		g.VMOVUPS(v, p.k, m)
	default:
		g.VMASKMOVPS(v, p.v, m)
	}
}

// only zeroes the lanes of v outside the part.
func (g *gen) only(v reg.VecVirtual, p *part) {
	switch {
	case p == nil:
	case g.wide:
		g.VMOVAPS_Z(v, p.k, v)
	default:
		g.VANDPS(p.v, v, v)
	}
}

// each runs body over n elements: unroll vectors at a time, then one, then the
// rest. body gets the first element's index and how many vectors.
func (g *gen) each(n reg.GPVirtual, unroll int, body func(i reg.GPVirtual, vectors int, p *part)) {
	i, left := g.GP64(), g.GP64()
	g.XORQ(i, i)
	g.MOVQ(n, left)
	done := g.label("done")
	steps := []int{unroll, 1}
	if unroll == 1 {
		steps = steps[1:]
	}
	for _, vectors := range steps {
		loop, next := g.label("loop"), g.label("next")
		g.SUBQ(operand.I32(vectors*g.lanes), left)
		g.JL(operand.LabelRef(next))
		g.Label(loop)
		body(i, vectors, nil)
		g.ADDQ(operand.I32(vectors*g.lanes), i)
		g.SUBQ(operand.I32(vectors*g.lanes), left)
		g.JGE(operand.LabelRef(loop))
		g.Label(next)
		g.ADDQ(operand.I32(vectors*g.lanes), left)
	}
	g.JZ(operand.LabelRef(done))
	body(i, 1, g.tail(left))
	g.Label(done)
}

// fold reduces a vector to its lowest lane, in a fixed order.
func (g *gen) fold(v reg.VecVirtual, op func(ops ...operand.Op)) reg.Register {
	if g.wide {
		high := g.YMM()
		g.VEXTRACTF64X4(operand.U8(1), v, high)
		op(high, v.AsY(), v.AsY())
	}
	x, high := v.AsX(), g.XMM()
	if g.wide {
		g.VEXTRACTF32X4(operand.U8(1), v.AsY(), high) // reaches registers above 15
	} else {
		g.VEXTRACTF128(operand.U8(1), v.AsY(), high)
	}
	op(high, x, x)
	g.VPERMILPS(operand.U8(0b1110), x, high)
	op(high, x, x)
	g.VPERMILPS(operand.U8(1), x, high)
	op(high, x, x)
	return x
}

// spread copies the lowest lane to all.
func (g *gen) spread(x reg.Register) reg.VecVirtual {
	v := g.vec()
	g.VBROADCASTSS(x, v)
	return v
}

// answer stores the lowest lane as the result.
func (g *gen) answer(x reg.Register) {
	g.Store(x, g.ReturnIndex(0))
}

// where is a set of lanes that a comparison chose.
type where struct {
	k reg.OpmaskVirtual
	v reg.VecVirtual
}

// Predicates of VCMPPS.
const (
	isLess         = 1  // false for NaN
	notLess        = 5  // true for NaN
	notLessOrEqual = 6  // true for NaN
	isGreater      = 14 // false for NaN
)

// compare finds the lanes where a (predicate) b holds.
func (g *gen) compare(predicate int, a reg.VecVirtual, b operand.Op) where {
	if g.wide {
		k := g.K()
		g.VCMPPS(operand.U8(predicate), b, a, k)
		return where{k: k}
	}
	v := g.vec()
	g.VCMPPS(operand.U8(predicate), b, a, v)
	return where{v: v}
}

// keep zeroes v outside w.
func (g *gen) keep(w where, v reg.VecVirtual) {
	if g.wide {
		g.VMOVAPS_Z(v, w.k, v)
	} else {
		g.VANDPS(w.v, v, v)
	}
}

// choose puts a into v where w holds.
func (g *gen) choose(w where, a, v reg.VecVirtual) {
	if g.wide {
		g.VMOVAPS(a, w.k, v)
	} else {
		g.VBLENDVPS(w.v, a, v, v)
	}
}
