//go:build !purego

package kernel

// fourName: every arm64 machine has NEON, the vector registers of Armv8-A.
const fourName = "neon"
