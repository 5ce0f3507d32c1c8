//go:build !purego && (arm64 || (js && tuttisimd))

package kernel

func matVecInt8Four(y []int32, a []int8, lda int, x []int8) {
	inFours(fourMatVecInt8, y, a, lda, x)
}

// inFours has a loop take four rows at a time, and 16 columns; the last rows go
// together with some that are done already.
func inFours(loop func(y *int32, a *int8, lda uintptr, x *int8, rows uintptr, n uintptr), y []int32, a []int8, lda int, x []int8) {
	n := len(x) &^ 15
	if n == 0 || len(y) < 4 {
		matVecInt8Portable(y, a, lda, x)
		return
	}
	rows := fours(len(y))
	loop(&y[0], &a[0], uintptr(lda), &x[0], size(rows), size(n))
	if rows < len(y) {
		last := len(y) - 4
		loop(&y[last], &a[last*lda], uintptr(lda), &x[0], 4, size(n))
	}
	addInt8Tail(y, a, lda, x, n)
}
