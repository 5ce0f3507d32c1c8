//go:build purego || (!amd64 && !arm64 && !(js && tuttisimd))

package kernel

// int8Sets are the implementations that this machine can run, the fastest first.
func int8Sets() []int8Set { return []int8Set{portableInt8} }
