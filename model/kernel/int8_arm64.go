//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// int8Sets are the implementations that this machine can run, the fastest first.
func int8Sets() []int8Set {
	all := []int8Set{{fourName, matVecInt8Four}, portableInt8}
	if cpu.ARM64.HasASIMDDP {
		all = append([]int8Set{{"neon-dotprod", matVecInt8One}}, all...)
	}
	return all
}

func matVecInt8One(y []int32, a []int8, lda int, x []int8) {
	inFours(fourMatVecInt8One, y, a, lda, x)
}
