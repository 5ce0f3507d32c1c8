//go:build !noavx512

package kernel

const withoutAVX512 = false
