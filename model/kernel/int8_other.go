//go:build purego || (!arm64 && !(js && tuttisimd))

package kernel

var matVecInt8 = matVecInt8Portable
