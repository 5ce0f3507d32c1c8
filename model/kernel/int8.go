package kernel

import "fmt"

// MaxInt8 is the longest vector that MatVecInt8 takes: no sum of so many
// products leaves an int32.
const MaxInt8 = 1 << 16

// MatVecInt8 writes A*x into y, for A of len(y) rows of len(x) values, lda
// apart; len(x) is at most MaxInt8. The result is exact, so it is the same on
// every machine.
func MatVecInt8(y []int32, a []int8, lda int, x []int8) {
	if len(x) > MaxInt8 || lda < len(x) {
		panic(fmt.Sprintf("kernel: int8 rows of %d values, %d apart", len(x), lda))
	}
	if len(y) == 0 {
		return
	}
	if len(x) == 0 {
		clear(y)
		return
	}
	_ = a[(len(y)-1)*lda+len(x)-1]
	activeInt8.matVec(y, a, lda, x)
}

// int8Set is one implementation of the loop over int8; y, x and a are not empty.
type int8Set struct {
	name   string
	matVec func(y []int32, a []int8, lda int, x []int8)
}

var portableInt8 = int8Set{"portable", matVecInt8Portable}

// activeInt8 is chosen once, before main; nothing changes it later.
var activeInt8 = int8Sets()[0]

func matVecInt8Portable(y []int32, a []int8, lda int, x []int8) {
	for i := range y {
		y[i] = dotInt8(a[i*lda:i*lda+len(x)], x)
	}
}

// addInt8Tail adds the products of the columns from n on.
func addInt8Tail(y []int32, a []int8, lda int, x []int8, n int) {
	if n == len(x) {
		return
	}
	for i := range y {
		y[i] += dotInt8(a[i*lda+n:i*lda+len(x)], x[n:])
	}
}

func dotInt8(x, y []int8) int32 {
	var s0, s1 int32
	for len(x) >= 4 && len(y) >= 4 {
		u, v := (*[4]int8)(x), (*[4]int8)(y)
		s0 += int32(u[0])*int32(v[0]) + int32(u[1])*int32(v[1])
		s1 += int32(u[2])*int32(v[2]) + int32(u[3])*int32(v[3])
		x, y = x[4:], y[4:]
	}
	for i := 0; i < len(x) && i < len(y); i++ {
		s0 += int32(x[i]) * int32(y[i])
	}
	return s0 + s1
}
