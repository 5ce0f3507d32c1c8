package main

import (
	"encoding/binary"
	"fmt"
)

// The two modules of WebAssembly (core specification 2.0, chapter 5). A Go
// program exports its memory, so a module that works on that memory starts
// after it; but what the program imports must exist before. The gate closes the
// circle: it exports one function per program, which calls through a table, and
// the side module puts its functions into that table when it starts.

// gateModule exports the functions, by name, and the table.
func gateModule(programs []*program) []byte {
	var types, funcs, tables, exports, code section
	tables.add(append([]byte{wasmFuncRef, 0}, leb(uint32(len(programs)))...)...)
	for i, p := range programs {
		types.add(wasmType(p)...)
		funcs.add(leb(uint32(i))...)
		exports.add(append(append(wasmName(p.name), 0), leb(uint32(i))...)...)
		body := []byte{0} // no locals
		for j := range p.params {
			body = append(append(body, get), leb(uint32(j))...)
		}
		body = append(append(body, 0x41), signedLEB(int64(i))...)       // i32.const: place in the table
		body = append(append(append(body, 0x11), leb(uint32(i))...), 0) // call_indirect type i, table 0
		code.add(sized(append(body, 0x0b))...)
	}
	exports.add(append(wasmName("table"), 1, 0)...)
	return wasmModule(map[byte]section{1: types, 3: funcs, 4: tables, 7: exports, 10: code})
}

// sideModule holds the functions themselves. With relaxed, products are fused
// with their sum where the processor can (the instructions of relaxed SIMD,
// WebAssembly 3.0), which is faster; not all browsers have that.
func sideModule(programs []*program, relaxed bool) []byte {
	var types, imports, funcs, elements, code section
	imports.add(append(append(wasmName("go"), wasmName("mem")...), 2, 0, 0)...)
	table := append(append(wasmName("gate"), wasmName("table")...), 1, wasmFuncRef, 0)
	imports.add(append(table, leb(uint32(len(programs)))...)...)
	all := []byte{0, 0x41, 0, 0x0b} // into table 0, from place 0 on
	all = append(all, leb(uint32(len(programs)))...)
	for i, p := range programs {
		types.add(wasmType(p)...)
		funcs.add(leb(uint32(i))...)
		all = append(all, leb(uint32(i))...)
		code.add(sized(wasmBody(p, relaxed))...)
	}
	elements.add(all...)
	return wasmModule(map[byte]section{1: types, 2: imports, 3: funcs, 9: elements, 10: code})
}

func wasmModule(sections map[byte]section) []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for id := byte(1); id <= 10; id++ {
		if s, ok := sections[id]; ok {
			out = append(append(out, id), sized(append(leb(s.items), s.bytes...))...)
		}
	}
	return out
}

// section is a vector of items.
type section struct {
	items uint32
	bytes []byte
}

func (s *section) add(item ...byte) {
	s.items++
	s.bytes = append(s.bytes, item...)
}

func leb(n uint32) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func signedLEB(n int64) []byte {
	var out []byte
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func sized(b []byte) []byte { return append(leb(uint32(len(b))), b...) }

func wasmName(s string) []byte { return sized([]byte(s)) }

const (
	wasmI32     = 0x7f
	wasmF32     = 0x7d
	wasmV128    = 0x7b
	wasmFuncRef = 0x70
)

func wasmType(p *program) []byte {
	out := append([]byte{0x60}, leb(uint32(len(p.params)))...)
	for _, q := range p.params {
		if q.kind == "float32" {
			out = append(out, wasmF32)
		} else {
			out = append(out, wasmI32)
		}
	}
	if p.outcome.has {
		return append(out, 1, wasmF32)
	}
	return append(out, 0)
}

// wasmCode writes one function: parameters, then the copied general registers,
// then the values are its locals.
type wasmCode struct {
	*program
	relaxed bool
	gpLocal []uint32
	first   uint32 // local of value 0
	bytes   []byte
}

func wasmBody(p *program, relaxed bool) []byte {
	c := &wasmCode{program: p, relaxed: relaxed, gpLocal: make([]uint32, p.gps)}
	next := uint32(len(p.params))
	own := map[int]bool{}
	for i, q := range p.params {
		if q.gp >= 0 {
			c.gpLocal[q.gp], own[q.gp] = uint32(i), true
		}
	}
	copies := uint32(0)
	for gp := range p.gps {
		if !own[gp] {
			c.gpLocal[gp] = next
			next++
			copies++
		}
	}
	c.first = next
	c.bytes = append(leb(2), append(leb(copies), wasmI32)...)
	c.bytes = append(c.bytes, append(leb(uint32(p.values)), wasmV128)...)
	for i, q := range p.params {
		if q.val >= 0 {
			c.local(get, uint32(i))
			if q.kind == "float32" {
				c.simd(0x13) // f32x4.splat
			} else {
				c.simd(0x11) // i32x4.splat
			}
			c.setValue(q.val)
		}
	}
	for _, in := range p.list {
		c.instr(in)
	}
	if p.outcome.has {
		c.value(p.outcome.val)
		c.simd(0x1f, 0) // f32x4.extract_lane 0
	}
	c.raw(0x0b)
	return c.bytes
}

const (
	get = 0x20 // local.get
	set = 0x21 // local.set
)

func (c *wasmCode) raw(b ...byte) { c.bytes = append(c.bytes, b...) }

func (c *wasmCode) local(how byte, n uint32) { c.raw(append([]byte{how}, leb(n)...)...) }

func (c *wasmCode) value(v value) { c.local(get, c.first+uint32(v)) }

func (c *wasmCode) setValue(v value) { c.local(set, c.first+uint32(v)) }

func (c *wasmCode) gp(id int) { c.local(get, c.gpLocal[id]) }

func (c *wasmCode) setGP(id int) { c.local(set, c.gpLocal[id]) }

func (c *wasmCode) number(n int) { c.raw(append([]byte{0x41}, signedLEB(int64(n))...)...) } // i32.const

// simd emits a vector instruction and what follows its code.
func (c *wasmCode) simd(code uint32, rest ...byte) {
	c.raw(0xfd)
	c.raw(leb(code)...)
	c.raw(rest...)
}

// memory is the immediate of loads and stores: alignment 4, and an offset.
func memory(off int) []byte { return append([]byte{2}, leb(uint32(off))...) }

func (c *wasmCode) instr(in instr) {
	switch in.op {
	case opConst, opLoad, opLoadOne, opSplat, opStore, opStoreOne, opMove:
		c.movement(in)
		return
	case opCopyGP, opAddGP, opAddImm, opLoop, opEndLoop, opIf, opEndIf:
		c.control(in)
		return
	case opMulAdd, opMulAddOne, opMulSub:
		c.mulAdd(in)
	case opSelect:
		c.value(in.args[1])
		c.value(in.args[2])
		c.value(in.args[0])
		c.simd(0x52) // v128.bitselect
	case opPairAdd, opIntPairAdd:
		for odd := range 2 {
			c.shuffle(in, 0+odd, 2+odd, 4+odd, 6+odd)
		}
		c.simd(c.code(pairOf[in.op]))
	case opZipLow:
		c.shuffle(in, 0, 4, 1, 5)
	case opZipHigh:
		c.shuffle(in, 2, 6, 3, 7)
	case opDotInt8:
		c.dotInt8(in)
	case opShiftLeft, opShiftRight:
		c.value(in.args[0])
		c.number(in.imm)
		c.simd(c.code(in.op))
	default:
		for _, v := range in.args {
			c.value(v)
		}
		c.simd(c.code(in.op))
	}
	c.setValue(in.dst)
}

// mulAdd is args[0] + args[1]*args[2], or minus.
func (c *wasmCode) mulAdd(in instr) {
	sum, a, b := in.args[0], in.args[1], in.args[2]
	if c.relaxed {
		c.value(a)
		c.value(b)
		c.value(sum)
		if in.op == opMulSub {
			c.simd(0x106) // f32x4.relaxed_nmadd
		} else {
			c.simd(0x105) // f32x4.relaxed_madd
		}
		return
	}
	c.value(sum)
	c.value(a)
	c.value(b)
	c.simd(c.code(opMul))
	if in.op == opMulSub {
		c.simd(c.code(opSub))
	} else {
		c.simd(c.code(opAdd))
	}
}

// code is the number of an instruction of two operands, or one.
func (c *wasmCode) code(o op) uint32 {
	n, ok := wasmPlain[o]
	if !ok {
		panic(fmt.Sprintf("%s: no code for operation %d", c.name, o))
	}
	return n
}

var wasmPlain = map[op]uint32{
	opAdd: 0xe4, opSub: 0xe5, opMul: 0xe6, opDiv: 0xe7, opSqrt: 0xe3, opGreater: 0x44, // f32x4
	opAnd: 0x4e, opAndNot: 0x4f, opXor: 0x51, // v128
	opIntAdd: 0xae, opIntMul: 0xb5, opAbove: 0x3c, // i32x4; gt_u
	opShiftLeft: 0xab, opShiftRight: 0xad, // i32x4.shl, shr_u
}

func (c *wasmCode) movement(in instr) {
	switch in.op {
	case opConst:
		c.simd(0x0c) // v128.const
		for _, w := range in.lanes {
			c.raw(binary.LittleEndian.AppendUint32(nil, w)...)
		}
	case opLoad, opSplat, opLoadOne:
		c.gp(in.gp)
		if in.indexed {
			c.gp(in.by)
			c.raw(0x6a) // i32.add
		}
		if in.op == opLoad {
			c.simd(0x00, memory(in.off)...) // v128.load
		} else {
			c.simd(0x09, memory(in.off)...) // v128.load32_splat
		}
	case opMove:
		c.value(in.args[0])
	case opStore, opStoreOne:
		c.gp(in.gp)
		c.value(in.args[0])
		if in.op == opStore {
			c.simd(0x0b, memory(in.off)...) // v128.store
		} else {
			c.simd(0x5a, append(memory(in.off), 0)...) // v128.store32_lane 0
		}
		return
	}
	c.setValue(in.dst)
}

func (c *wasmCode) control(in instr) {
	const empty = 0x40 // the type of a block without results
	switch in.op {
	case opCopyGP:
		if in.by == zero {
			c.number(0)
		} else {
			c.gp(in.by)
		}
		c.setGP(in.gp)
	case opAddGP:
		c.gp(in.gp)
		c.gp(in.by)
		c.raw(0x6a) // i32.add
		c.setGP(in.gp)
	case opAddImm:
		c.gp(in.gp)
		c.number(in.off)
		c.raw(0x6a)
		c.setGP(in.gp)
	case opLoop: // block; skip it if too few; loop
		c.raw(0x02, empty)
		c.gp(in.gp)
		c.number(in.off)
		c.raw(0x48, 0x0d, 0) // i32.lt_s, br_if the block
		c.raw(0x03, empty)
	case opEndLoop:
		c.gp(in.gp)
		c.number(in.off)
		c.raw(0x6b)                     // i32.sub
		c.local(0x22, c.gpLocal[in.gp]) // local.tee
		c.number(in.off)
		c.raw(0x4e, 0x0d, 0, 0x0b, 0x0b) // i32.ge_s, br_if the loop, end, end
	case opIf:
		c.gp(in.gp)
		c.raw(0x04, empty)
	case opEndIf:
		c.raw(0x0b)
	}
}

// pairOf is what is done with the even and the odd lanes.
var pairOf = map[op]op{opPairAdd: opAdd, opIntPairAdd: opIntAdd}

// shuffle picks four of the eight lanes of two vectors.
func (c *wasmCode) shuffle(in instr, pick ...int) {
	c.value(in.args[0])
	c.value(in.args[1])
	var lanes []byte
	for _, lane := range pick {
		for b := range 4 {
			lanes = append(lanes, byte(4*lane+b))
		}
	}
	c.simd(0x0d, lanes...) // i8x16.shuffle
}

func (c *wasmCode) dotInt8(in instr) {
	c.value(in.args[0])
	for _, half := range []uint32{0x9c, 0x9d} { // i16x8.extmul_low, high _i8x16_s
		c.value(in.args[1])
		c.value(in.args[2])
		c.simd(half)
		c.simd(0x7e) // i32x4.extadd_pairwise_i16x8_s
		c.simd(c.code(opIntAdd))
	}
}
