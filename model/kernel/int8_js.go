//go:build tuttisimd && !purego

package kernel

// int8Sets are the implementations that this machine can run, the fastest first.
func int8Sets() []int8Set {
	if hostReady() == 0 {
		return []int8Set{portableInt8}
	}
	return []int8Set{{fourName, matVecInt8Four}, portableInt8}
}
