//go:build !purego

#include "textflag.h"

// ROWS points R8 to R11 at the next four rows of A and moves A (SI) on.
#define ROWS \
	MOVQ SI, R8; \
	ADDQ DX, SI; \
	MOVQ SI, R9; \
	ADDQ DX, SI; \
	MOVQ SI, R10; \
	ADDQ DX, SI; \
	MOVQ SI, R11; \
	ADDQ DX, SI

// func int8AVX2(y *int32, a *int8, lda uintptr, x *int8, rows uintptr, n uintptr)
//
// Sixteen values of a row are widened to int16 and multiplied; the sum of two
// products fits an int32 (VPMADDWD).
TEXT ·int8AVX2(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ lda+16(FP), DX
	MOVQ x+24(FP), BX
	MOVQ rows+32(FP), CX
	MOVQ n+40(FP), R12

fourRows:
	ROWS
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	XORQ  AX, AX

values:
	VPMOVSXBW (BX)(AX*1), Y4
	VPMOVSXBW (R8)(AX*1), Y5
	VPMOVSXBW (R9)(AX*1), Y6
	VPMOVSXBW (R10)(AX*1), Y7
	VPMOVSXBW (R11)(AX*1), Y8
	VPMADDWD  Y4, Y5, Y5
	VPMADDWD  Y4, Y6, Y6
	VPMADDWD  Y4, Y7, Y7
	VPMADDWD  Y4, Y8, Y8
	VPADDD    Y5, Y0, Y0
	VPADDD    Y6, Y1, Y1
	VPADDD    Y7, Y2, Y2
	VPADDD    Y8, Y3, Y3
	ADDQ      $16, AX
	CMPQ      AX, R12
	JLT       values

	VPHADDD      Y1, Y0, Y0
	VPHADDD      Y3, Y2, Y2
	VPHADDD      Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VMOVDQU      X0, (DI)
	ADDQ         $16, DI
	SUBQ         $4, CX
	JG           fourRows
	VZEROUPPER
	RET

// func int8VNNI(y *int32, a *int8, lda uintptr, x *int8, rows uintptr, n uintptr)
//
// VPDPBUSD multiplies bytes without sign by bytes with one. a with its top bit
// turned is a+128, so the sums of x times 128 are taken off at the end; what
// leaves an int32 on the way comes back.
TEXT ·int8VNNI(SB), NOSPLIT, $0-48
	MOVQ y+0(FP), DI
	MOVQ a+8(FP), SI
	MOVQ lda+16(FP), DX
	MOVQ x+24(FP), BX
	MOVQ rows+32(FP), R13
	MOVQ n+40(FP), R12

	// K1: the values that are left over after whole registers; all of them for none.
	MOVQ  R12, CX
	NEGQ  CX
	ANDQ  $63, CX
	MOVQ  $-1, AX
	SHRQ  CX, AX
	KMOVQ AX, K1
	DECQ  R12
	ANDQ  $-64, R12 // where they begin

	MOVQ         $0x8080808080808080, AX
	VPBROADCASTQ AX, Z16
	MOVQ         $0x0101010101010101, AX
	VPBROADCASTQ AX, Z17

	// X15: 128 times the sum of x, in all lanes.
	VPXORQ Z15, Z15, Z15
	XORQ   AX, AX
	JMP    sumTest

sum:
	VPDPBUSD (BX)(AX*1), Z17, Z15
	ADDQ     $64, AX

sumTest:
	CMPQ          AX, R12
	JLT           sum
	VMOVDQU8.Z    (BX)(AX*1), K1, Z4
	VPDPBUSD      Z4, Z17, Z15
	VEXTRACTI64X4 $1, Z15, Y0
	VPADDD        Y0, Y15, Y15
	VEXTRACTI128  $1, Y15, X0
	VPADDD        X0, X15, X15
	VPHADDD       X15, X15, X15
	VPHADDD       X15, X15, X15
	VPSLLD        $7, X15, X15

fourRows:
	ROWS
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3
	XORQ   AX, AX
	JMP    test

values:
	VMOVDQU64 (BX)(AX*1), Z4
	VPXORQ    (R8)(AX*1), Z16, Z5
	VPXORQ    (R9)(AX*1), Z16, Z6
	VPXORQ    (R10)(AX*1), Z16, Z7
	VPXORQ    (R11)(AX*1), Z16, Z8
	VPDPBUSD  Z4, Z5, Z0
	VPDPBUSD  Z4, Z6, Z1
	VPDPBUSD  Z4, Z7, Z2
	VPDPBUSD  Z4, Z8, Z3
	ADDQ      $64, AX

test:
	CMPQ AX, R12
	JLT  values

	// x is zero where there are no values, so a may be anything there.
	VMOVDQU8.Z (BX)(AX*1), K1, Z4
	VMOVDQU8.Z (R8)(AX*1), K1, Z5
	VMOVDQU8.Z (R9)(AX*1), K1, Z6
	VMOVDQU8.Z (R10)(AX*1), K1, Z7
	VMOVDQU8.Z (R11)(AX*1), K1, Z8
	VPXORQ     Z5, Z16, Z5
	VPXORQ     Z6, Z16, Z6
	VPXORQ     Z7, Z16, Z7
	VPXORQ     Z8, Z16, Z8
	VPDPBUSD   Z4, Z5, Z0
	VPDPBUSD   Z4, Z6, Z1
	VPDPBUSD   Z4, Z7, Z2
	VPDPBUSD   Z4, Z8, Z3

	// The sums of four registers' lanes into one register of four.
	VPUNPCKLDQ    Z1, Z0, Z4
	VPUNPCKHDQ    Z1, Z0, Z5
	VPUNPCKLDQ    Z3, Z2, Z6
	VPUNPCKHDQ    Z3, Z2, Z7
	VPADDD        Z5, Z4, Z4
	VPADDD        Z7, Z6, Z6
	VPUNPCKLQDQ   Z6, Z4, Z0
	VPUNPCKHQDQ   Z6, Z4, Z1
	VPADDD        Z1, Z0, Z0
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD        Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPADDD        X1, X0, X0
	VPSUBD        X15, X0, X0
	VMOVDQU       X0, (DI)
	ADDQ          $16, DI
	SUBQ          $4, R13
	JG            fourRows
	VZEROUPPER
	RET
