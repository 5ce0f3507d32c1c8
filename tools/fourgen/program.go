package main

import (
	"math"
	"slices"
)

// A program is one loop kernel for a machine with registers of four 32-bit
// lanes, written once and emitted as arm64 assembly and as WebAssembly. It is a
// straight list of instructions, with loops marked by their first and last.
type program struct {
	name    string
	params  []param
	gps     int // pointers and counts: parameters first, then copies
	values  int // four-lane values
	list    []instr
	consts  map[[4]uint32]value
	outcome result

	// mixed has the turns of an unrolled round take alternate instructions, for
	// processors that run in order. It takes more registers.
	mixed bool
}

type (
	pointer int // a general register that holds an address
	count   int // a general register that holds a number
	value   int // a register of four lanes: float32, uint32 or masks
)

type param struct {
	name, kind string // kind: the Go type
	gp         int    // for pointers and counts
	val        value  // for float32 and uint32: the parameter in all four lanes
}

type result struct {
	has bool
	val value // lane 0 is returned
}

type op int

const (
	opConst    op = iota // dst <- lanes
	opMove               // dst <- args[0]
	opLoad               // dst <- 4 values at ptr+off
	opLoadOne            // lane 0 of dst <- value at ptr+index; for mulAddOne only
	opSplat              // all of dst <- value at ptr+off
	opStore              // ptr+off <- args[0]
	opStoreOne           // ptr+off <- lane 0 of args[0]
	opAdd
	opSub
	opMul
	opDiv
	opSqrt
	opGreater   // mask of args[0] > args[1]
	opMulAdd    // args[0] + args[1]*args[2]
	opMulSub    // args[0] - args[1]*args[2]
	opMulAddOne // args[0] + args[1]*(lane 0 of args[2])
	opPairAdd   // sums of neighbours: two of args[0], two of args[1]
	opZipLow    // lanes 0 and 1 of args[0] and args[1], in turn
	opZipHigh   // lanes 2 and 3, likewise
	opAnd
	opAndNot // args[0] &^ args[1]
	opXor
	opSelect // args[0]'s bits choose args[1] (1) or args[2] (0)
	opIntAdd
	opIntMul
	opIntPairAdd
	opAbove      // mask of args[0] > args[1], as uint32
	opShiftLeft  // by imm
	opShiftRight // by imm, zeros come in
	opDotInt8    // int32 lanes args[0] += sums of products of the int8 in args[1], args[2]
	opDotInt8One // the same by one instruction, which not every arm64 machine has

	opCopyGP  // gp <- by
	opAddGP   // gp += by
	opAddImm  // gp += off
	opLoop    // while gp >= off: body, gp -= off
	opEndLoop // closes the loop that opened last
	opIf      // skipped where gp is 0
	opEndIf
)

// instr is one instruction. The fields that an op does not name are unused.
type instr struct {
	op      op
	dst     value // -1 for none
	args    []value
	gp, by  int
	indexed bool // opLoadOne adds register by to the address
	off     int
	imm     int
	lanes   [4]uint32
}

func newProgram(name string) *program {
	return &program{name: name, consts: map[[4]uint32]value{}}
}

func (p *program) newGP() int { p.gps++; return p.gps - 1 }

func (p *program) newValue() value { p.values++; return value(p.values - 1) }

// Parameters, in the order of the Go function.

func (p *program) pointer(name, element string) pointer {
	gp := p.newGP()
	p.params = append(p.params, param{name: name, kind: "*" + element, gp: gp, val: -1})
	return pointer(gp)
}

func (p *program) floats(name string) pointer { return p.pointer(name, "float32") }

func (p *program) count(name string) count {
	gp := p.newGP()
	p.params = append(p.params, param{name: name, kind: "uintptr", gp: gp, val: -1})
	return count(gp)
}

func (p *program) scalar(name, kind string) value {
	v := p.newValue()
	p.params = append(p.params, param{name: name, kind: kind, gp: -1, val: v})
	return v
}

func (p *program) returns(v value) { p.outcome = result{true, v} }

// General registers.

func (p *program) copyOf(src int) int {
	gp := p.newGP()
	p.list = append(p.list, instr{op: opCopyGP, dst: -1, gp: gp, by: src})
	return gp
}

// zero is the source of a general register that becomes 0.
const zero = -1

func (p *program) reset(gp, src int) {
	p.list = append(p.list, instr{op: opCopyGP, dst: -1, gp: gp, by: src})
}

func (p *program) advance(at pointer, bytes int) {
	p.list = append(p.list, instr{op: opAddImm, dst: -1, gp: int(at), off: bytes})
}

func (p *program) advanceBy(at pointer, bytes count) {
	p.list = append(p.list, instr{op: opAddGP, dst: -1, gp: int(at), by: int(bytes)})
}

// loop runs body while n >= step, taking step from n after each round.
func (p *program) loop(n count, step int, body func()) {
	p.list = append(p.list, instr{op: opLoop, dst: -1, gp: int(n), off: step})
	body()
	p.list = append(p.list, instr{op: opEndLoop, dst: -1, gp: int(n), off: step})
}

func (p *program) ifNotZero(n count, body func()) {
	p.list = append(p.list, instr{op: opIf, dst: -1, gp: int(n)})
	body()
	p.list = append(p.list, instr{op: opEndIf, dst: -1, gp: int(n)})
}

// each walks n values, a multiple of four, through the pointers: unroll
// registers at a time, then one at a time. body gets the byte offset of its
// four values and their place within the unrolled round.
func (p *program) each(n count, unroll int, at []pointer, body func(off, turn int)) {
	steps := []int{unroll, 1}
	if unroll == 1 {
		steps = steps[:1]
	}
	for _, turns := range steps {
		p.loop(n, 4*turns, func() {
			p.turns(turns, func(turn int) { body(16*turn, turn) })
			for _, q := range at {
				p.advance(q, 16*turns)
			}
		})
	}
}

// turns writes the same instructions n times, on different values.
func (p *program) turns(n int, body func(turn int)) {
	if !p.mixed {
		for turn := range n {
			body(turn)
		}
		return
	}
	var parts [][]instr
	for turn := range n {
		before := len(p.list) - len(p.consts) // new constants go to the start of the list
		body(turn)
		at := before + len(p.consts)
		parts = append(parts, slices.Clone(p.list[at:]))
		p.list = p.list[:at]
	}
	for i := 0; slices.ContainsFunc(parts, func(part []instr) bool { return i < len(part) }); i++ {
		for _, part := range parts {
			p.list = append(p.list, part[min(i, len(part)):min(i+1, len(part))]...)
		}
	}
}

// Values.

func (p *program) emit(o op, args ...value) value {
	v := p.newValue()
	p.list = append(p.list, instr{op: o, dst: v, args: args})
	return v
}

// lanes is a constant; equal ones are one value, set at the start.
func (p *program) lanes(w [4]uint32) value {
	v, ok := p.consts[w]
	if !ok {
		v = p.newValue()
		p.consts[w] = v
		p.list = append([]instr{{op: opConst, dst: v, lanes: w}}, p.list...)
	}
	return v
}

func (p *program) word(w uint32) value { return p.lanes([4]uint32{w, w, w, w}) }

func (p *program) number(f float64) value { return p.word(math.Float32bits(float32(f))) }

// variable is a value that set may change; it starts as a copy.
func (p *program) variable(start value) value { return p.emit(opMove, start) }

// set changes a variable. Where v was made by the last instruction, that one
// writes to the variable right away.
func (p *program) set(variable, v value) {
	if last := &p.list[len(p.list)-1]; last.dst == v {
		last.dst = variable
		return
	}
	p.list = append(p.list, instr{op: opMove, dst: variable, args: []value{v}})
}

func (p *program) load(at pointer, off int) value { return p.from(opLoad, at, off) }

func (p *program) splat(at pointer, off int) value { return p.from(opSplat, at, off) }

func (p *program) from(o op, at pointer, off int) value {
	v := p.newValue()
	p.list = append(p.list, instr{op: o, dst: v, gp: int(at), off: off})
	return v
}

func (p *program) loadOne(at pointer, index int) value {
	v := p.newValue()
	p.list = append(p.list, instr{op: opLoadOne, dst: v, gp: int(at), by: index, indexed: true})
	return v
}

func (p *program) store(at pointer, off int, v value) {
	p.list = append(p.list, instr{op: opStore, dst: -1, args: []value{v}, gp: int(at), off: off})
}

func (p *program) storeOne(at pointer, off int, v value) {
	p.list = append(p.list, instr{op: opStoreOne, dst: -1, args: []value{v}, gp: int(at), off: off})
}

func (p *program) add(a, b value) value       { return p.emit(opAdd, a, b) }
func (p *program) sub(a, b value) value       { return p.emit(opSub, a, b) }
func (p *program) mul(a, b value) value       { return p.emit(opMul, a, b) }
func (p *program) div(a, b value) value       { return p.emit(opDiv, a, b) }
func (p *program) sqrt(a value) value         { return p.emit(opSqrt, a) }
func (p *program) greater(a, b value) value   { return p.emit(opGreater, a, b) }
func (p *program) mulAdd(c, a, b value) value { return p.emit(opMulAdd, c, a, b) }
func (p *program) mulSub(c, a, b value) value { return p.emit(opMulSub, c, a, b) }
func (p *program) pairAdd(a, b value) value   { return p.emit(opPairAdd, a, b) }
func (p *program) and(a, b value) value       { return p.emit(opAnd, a, b) }
func (p *program) andNot(a, b value) value    { return p.emit(opAndNot, a, b) }
func (p *program) xor(a, b value) value       { return p.emit(opXor, a, b) }
func (p *program) intAdd(a, b value) value    { return p.emit(opIntAdd, a, b) }
func (p *program) intMul(a, b value) value    { return p.emit(opIntMul, a, b) }
func (p *program) above(a, b value) value     { return p.emit(opAbove, a, b) }

func (p *program) mulAddOne(c, a, one value) value { return p.emit(opMulAddOne, c, a, one) }

func (p *program) choose(mask, yes, no value) value { return p.emit(opSelect, mask, yes, no) }

func (p *program) shift(o op, a value, by int) value {
	v := p.emit(o, a)
	p.list[len(p.list)-1].imm = by
	return v
}

func (p *program) larger(a, b value) value { return p.choose(p.greater(a, b), a, b) }

// total is the sum of the four lanes, in all four.
func (p *program) total(v value) value {
	pairs := p.pairAdd(v, v)
	return p.pairAdd(pairs, pairs)
}
