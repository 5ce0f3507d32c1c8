package main

import (
	"fmt"
	"slices"
	"strings"
)

// neonText is the Go assembly of one program.
func neonText(p *program) string {
	e := &neon{program: p, last: lastUses(p), reg: make([]int, p.values)}
	for v := range e.reg {
		e.reg[v] = -1
	}
	for r := range scratch {
		e.free = append(e.free, r)
	}
	e.prologue()
	for at, in := range p.list {
		e.at = at
		e.instr(in)
	}
	e.epilogue()
	return e.text.String()
}

const scratch = 31 // V31 is never given to a value

// Registers for pointers and counts: all that Go and the platforms leave free.
var gpNames = []string{
	"R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12",
	"R13", "R14", "R15", "R16", "R17", "R19", "R20", "R21", "R22", "R23", "R24", "R25",
}

type neon struct {
	*program
	last   []int // of lastUses
	reg    []int // vector register of each value, -1 for none
	free   []int // vector registers
	at     int   // position in list
	labels int
	open   []string
	text   strings.Builder
}

func (e *neon) line(format string, args ...any) {
	fmt.Fprintf(&e.text, "\t"+format+"\n", args...)
}

func (e *neon) label(name string) { fmt.Fprintf(&e.text, "\n%s:\n", name) }

func (e *neon) gp(id int) string {
	if id >= len(gpNames) {
		panic(e.name + ": out of general registers")
	}
	return gpNames[id]
}

func sizeOf(kind string) int {
	if kind == "float32" || kind == "uint32" {
		return 4
	}
	return 8
}

func align(n, to int) int { return (n + to - 1) / to * to }

func (e *neon) prologue() {
	offset := 0
	var loads []string
	for _, q := range e.params {
		size := sizeOf(q.kind)
		offset = align(offset, size)
		where := fmt.Sprintf("%s+%d(FP)", q.name, offset)
		switch {
		case q.val < 0:
			loads = append(loads, fmt.Sprintf("MOVD\t%s, %s", where, e.gp(q.gp)))
		case e.last[q.val] >= 0:
			r := e.take(q.val)
			loads = append(loads, fmt.Sprintf("FMOVS\t%s, F%d", where, r), fmt.Sprintf("VDUP\tV%d.S[0], V%d.S4", r, r))
		}
		offset += size
	}
	size := offset
	if e.outcome.has {
		size = align(offset, 8) + 4
	}
	fmt.Fprintf(&e.text, "\n// %s\nTEXT ·%s(SB), NOSPLIT, $0-%d\n", goSignature(e.program), goName(e.name), size)
	for _, l := range loads {
		e.line("%s", l)
	}
}

func (e *neon) epilogue() {
	if e.outcome.has {
		offset := 0
		for _, q := range e.params {
			offset = align(offset, sizeOf(q.kind)) + sizeOf(q.kind)
		}
		e.line("FMOVS\tF%d, ret+%d(FP)", e.of(e.outcome.val), align(offset, 8))
	}
	e.line("RET")
}

// take gives a value a register.
func (e *neon) take(v value) int {
	if len(e.free) == 0 {
		panic(e.name + ": out of vector registers")
	}
	r := slices.Min(e.free)
	e.free = slices.DeleteFunc(e.free, func(f int) bool { return f == r })
	e.reg[v] = r
	return r
}

// of is the register that a value is in.
func (e *neon) of(v value) int {
	if e.reg[v] < 0 {
		panic(fmt.Sprintf("%s: instruction %d uses a value that is not there", e.name, e.at))
	}
	return e.reg[v]
}

// release frees the registers of the values that end here.
func (e *neon) release(vs ...value) {
	for _, v := range vs {
		if e.last[v] <= e.at && e.reg[v] >= 0 && !slices.Contains(e.free, e.reg[v]) {
			e.free = append(e.free, e.reg[v])
			e.reg[v] = -1
		}
	}
}

// target is the register to write dst to: its own, or a free one.
func (e *neon) target(dst value) int {
	if e.reg[dst] >= 0 {
		return e.reg[dst]
	}
	return e.take(dst)
}

func (e *neon) instr(in instr) {
	switch in.op {
	case opConst, opLoad, opLoadOne, opSplat, opStore, opStoreOne, opMove:
		e.movement(in)
	case opCopyGP, opAddGP, opAddImm, opLoop, opEndLoop, opIf, opEndIf:
		e.control(in)
	case opMulAdd, opMulSub, opMulAddOne, opSelect, opDotInt8, opDotInt8One:
		e.inPlace(in)
	default:
		e.plain(in)
	}
	if in.dst >= 0 {
		e.release(in.dst)
	}
	if in.op == opEndLoop {
		for v := range e.reg {
			e.release(value(v))
		}
	}
}

func (e *neon) movement(in instr) {
	address := fmt.Sprintf("%d(%s)", in.off, e.gp(in.gp))
	switch in.op {
	case opConst:
		e.constant(e.target(in.dst), in.lanes)
	case opLoad:
		e.line("FMOVQ\t%s, F%d", address, e.target(in.dst))
	case opLoadOne:
		e.line("FMOVS\t(%s)(%s), F%d", e.gp(in.gp), e.gp(in.by), e.target(in.dst))
	case opSplat:
		r := e.target(in.dst)
		e.line("FMOVS\t%s, F%d", address, r)
		e.line("VDUP\tV%d.S[0], V%d.S4", r, r)
	case opStore:
		e.line("FMOVQ\tF%d, %s", e.of(in.args[0]), address)
		e.release(in.args...)
	case opStoreOne:
		e.line("FMOVS\tF%d, %s", e.of(in.args[0]), address)
		e.release(in.args...)
	case opMove:
		from := e.of(in.args[0])
		e.release(in.args...)
		e.copy(from, e.target(in.dst))
	}
}

func (e *neon) copy(from, to int) {
	if from != to {
		e.line("VMOV\tV%d.B16, V%d.B16", from, to)
	}
}

func (e *neon) constant(r int, w [4]uint32) {
	switch {
	case w == [4]uint32{}:
		e.line("VEOR\tV%d.B16, V%d.B16, V%d.B16", r, r, r)
	case w[0] == w[1] && w[0] == w[2] && w[0] == w[3]:
		e.line("MOVD\t$%#x, R26", w[0])
		e.line("VDUP\tR26, V%d.S4", r)
	default:
		for lane, v := range w {
			e.line("MOVD\t$%#x, R26", v)
			e.line("VMOV\tR26, V%d.S[%d]", r, lane)
		}
	}
}

func (e *neon) control(in instr) {
	switch in.op {
	case opCopyGP:
		from := "ZR"
		if in.by != zero {
			from = e.gp(in.by)
		}
		e.line("MOVD\t%s, %s", from, e.gp(in.gp))
	case opAddGP:
		e.line("ADD\t%s, %s", e.gp(in.by), e.gp(in.gp))
	case opAddImm:
		e.line("ADD\t$%d, %s", in.off, e.gp(in.gp))
	case opLoop:
		name := e.newLabel("loop")
		e.line("CMP\t$%d, %s", in.off, e.gp(in.gp))
		e.line("BLT\t%s_done", name)
		e.label(name)
	case opEndLoop:
		name := e.closeLabel()
		e.line("SUB\t$%d, %s", in.off, e.gp(in.gp))
		e.line("CMP\t$%d, %s", in.off, e.gp(in.gp))
		e.line("BGE\t%s", name)
		e.label(name + "_done")
	case opIf:
		e.line("CBZ\t%s, %s", e.gp(in.gp), e.newLabel("skip"))
	case opEndIf:
		e.label(e.closeLabel())
	}
}

func (e *neon) newLabel(kind string) string {
	e.labels++
	name := fmt.Sprintf("%s%d", kind, e.labels)
	e.open = append(e.open, name)
	return name
}

func (e *neon) closeLabel() string {
	name := e.open[len(e.open)-1]
	e.open = e.open[:len(e.open)-1]
	return name
}

// plain emits an instruction that reads its operands before it writes.
func (e *neon) plain(in instr) {
	first := e.of(in.args[0])
	second := first
	if len(in.args) > 1 {
		second = e.of(in.args[1])
	}
	e.release(in.args...)
	d := e.target(in.dst)
	switch in.op {
	case opAnd:
		e.line("VAND\tV%d.B16, V%d.B16, V%d.B16", second, first, d)
	case opXor:
		e.line("VEOR\tV%d.B16, V%d.B16, V%d.B16", second, first, d)
	case opIntAdd:
		e.line("VADD\tV%d.S4, V%d.S4, V%d.S4", second, first, d)
	case opIntPairAdd:
		e.line("VADDP\tV%d.S4, V%d.S4, V%d.S4", second, first, d)
	case opZipLow:
		e.line("VZIP1\tV%d.S4, V%d.S4, V%d.S4", second, first, d)
	case opZipHigh:
		e.line("VZIP2\tV%d.S4, V%d.S4, V%d.S4", second, first, d)
	case opShiftLeft:
		e.line("VSHL\t$%d, V%d.S4, V%d.S4", in.imm, first, d)
	case opShiftRight:
		e.line("VUSHR\t$%d, V%d.S4, V%d.S4", in.imm, first, d)
	case opSqrt:
		e.encoded(neonSqrt, 0, first, d)
	default:
		e.encoded(neonPlain[in.op], second, first, d)
	}
}

// inPlace emits an instruction whose first operand is also its result.
func (e *neon) inPlace(in instr) {
	first, a, b := e.of(in.args[0]), e.of(in.args[1]), e.of(in.args[2])
	if e.reg[in.dst] < 0 && e.last[in.args[0]] <= e.at { // the result takes over the register
		e.release(in.args[0])
		e.reg[in.dst] = first
		e.free = slices.DeleteFunc(e.free, func(f int) bool { return f == first })
	}
	d := e.target(in.dst)
	work := d
	if d != first && (d == a || d == b) {
		work = scratch
	}
	e.copy(first, work)
	switch in.op {
	case opMulAdd:
		e.line("VFMLA\tV%d.S4, V%d.S4, V%d.S4", b, a, work)
	case opMulSub:
		e.line("VFMLS\tV%d.S4, V%d.S4, V%d.S4", b, a, work)
	case opMulAddOne:
		e.encoded(neonMulAddOne, b, a, work)
	case opSelect:
		e.line("VBSL\tV%d.B16, V%d.B16, V%d.B16", b, a, work)
	case opDotInt8:
		e.dotInt8(work, a, b)
	case opDotInt8One:
		e.encoded(neonDotInt8, b, a, work)
	}
	e.copy(work, d)
	e.release(in.args...)
}

// dotInt8 adds 16 products, four to a lane. A product fits 16 bits, and the sum
// of two is taken in 32.
func (e *neon) dotInt8(acc, a, b int) {
	if acc == scratch {
		panic(e.name + ": no register left for products")
	}
	e.encoded(neonMulLong, b, a, scratch)
	e.encoded(neonPairAddLong, 0, scratch, acc)
	e.encoded(neonMulLong2, b, a, scratch)
	e.encoded(neonPairAddLong, 0, scratch, acc)
}
