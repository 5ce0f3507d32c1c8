//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// int8AVX2 writes the products of rows rows, a multiple of four, of n values, a
// multiple of 16.
//
//go:noescape
func int8AVX2(y *int32, a *int8, lda uintptr, x *int8, rows uintptr, n uintptr)

// int8VNNI is int8AVX2 for any n > 0, with AVX-512's instruction for neural
// networks.
//
//go:noescape
func int8VNNI(y *int32, a *int8, lda uintptr, x *int8, rows uintptr, n uintptr)

// int8Sets are the implementations that this machine can run, the fastest first.
func int8Sets() []int8Set {
	var all []int8Set
	if cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VNNI && !withoutAVX512 {
		all = append(all, int8Set{"avx512-vnni", matVecInt8VNNI})
	}
	if cpu.X86.HasAVX2 {
		all = append(all, int8Set{"avx2", matVecInt8AVX2})
	}
	return append(all, portableInt8)
}

func matVecInt8AVX2(y []int32, a []int8, lda int, x []int8) {
	n := len(x) &^ 15
	if n == 0 || len(y) < 4 {
		matVecInt8Portable(y, a, lda, x)
		return
	}
	rows := len(y) &^ 3
	int8AVX2(&y[0], &a[0], uintptr(lda), &x[0], uintptr(rows), uintptr(n))
	if rows < len(y) { // the last ones together with some that are done already
		last := len(y) - 4
		int8AVX2(&y[last], &a[last*lda], uintptr(lda), &x[0], 4, uintptr(n))
	}
	addInt8Tail(y, a, lda, x, n)
}

func matVecInt8VNNI(y []int32, a []int8, lda int, x []int8) {
	if len(y) < 4 {
		matVecInt8Portable(y, a, lda, x)
		return
	}
	rows := len(y) &^ 3
	int8VNNI(&y[0], &a[0], uintptr(lda), &x[0], uintptr(rows), uintptr(len(x)))
	if rows < len(y) {
		last := len(y) - 4
		int8VNNI(&y[last], &a[last*lda], uintptr(lda), &x[0], 4, uintptr(len(x)))
	}
}
