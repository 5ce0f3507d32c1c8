//go:build !noavx512 && !purego

package kernel

const withoutAVX512 = false
