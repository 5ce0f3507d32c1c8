//go:build noavx512 && !purego

package kernel

// The build tag noavx512 is for measuring what a machine without AVX-512 gets.
const withoutAVX512 = true
