package main

import "fmt"

// Vector instructions that Go's assembler does not know (Arm Architecture
// Reference Manual, C7.2), as words with zeros for the registers.
type encoding struct {
	word uint32
	text string // with the registers m, n, d in this order
}

var (
	neonSqrt        = encoding{0x6ea1f800, "FSQRT V%[3]d.4S, V%[2]d.4S"}
	neonMulAddOne   = encoding{0x4f801000, "FMLA V%[3]d.4S, V%[2]d.4S, V%[1]d.S[0]"}
	neonDotInt8     = encoding{0x4e809400, "SDOT V%[3]d.4S, V%[2]d.16B, V%[1]d.16B"}
	neonMulLong     = encoding{0x0e20c000, "SMULL V%[3]d.8H, V%[2]d.8B, V%[1]d.8B"}
	neonMulLong2    = encoding{0x4e20c000, "SMULL2 V%[3]d.8H, V%[2]d.16B, V%[1]d.16B"}
	neonPairAddLong = encoding{0x4e606800, "SADALP V%[3]d.4S, V%[2]d.8H"}

	neonPlain = map[op]encoding{
		opAdd:     {0x4e20d400, "FADD V%[3]d.4S, V%[2]d.4S, V%[1]d.4S"},
		opSub:     {0x4ea0d400, "FSUB V%[3]d.4S, V%[2]d.4S, V%[1]d.4S"},
		opMul:     {0x6e20dc00, "FMUL V%[3]d.4S, V%[2]d.4S, V%[1]d.4S"},
		opDiv:     {0x6e20fc00, "FDIV V%[3]d.4S, V%[2]d.4S, V%[1]d.4S"},
		opPairAdd: {0x6e20d400, "FADDP V%[3]d.4S, V%[2]d.4S, V%[1]d.4S"},
		opGreater: {0x6ea0e400, "FCMGT V%[3]d.4S, V%[2]d.4S, V%[1]d.4S"},
		opAbove:   {0x6ea03400, "CMHI V%[3]d.4S, V%[2]d.4S, V%[1]d.4S"},
		opIntMul:  {0x4ea09c00, "MUL V%[3]d.4S, V%[2]d.4S, V%[1]d.4S"},
		opAndNot:  {0x4e601c00, "BIC V%[3]d.16B, V%[2]d.16B, V%[1]d.16B"},
	}
)

// encoded emits an instruction; one of a single operand has m = 0.
func (e *neon) encoded(c encoding, m, n, d int) {
	e.line("WORD\t$%#08x // %s", c.word|uint32(m)<<16|uint32(n)<<5|uint32(d), fmt.Sprintf(c.text, m, n, d))
}
