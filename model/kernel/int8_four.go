//go:build !purego && (arm64 || (js && tuttisimd))

package kernel

// int8Sets are the implementations that this machine can run, the fastest first.
func int8Sets() []int8Set {
	all := []int8Set{portableInt8}
	if sets()[0].name == fourName {
		all = append([]int8Set{{fourName, matVecInt8Four}}, all...)
	}
	return all
}
