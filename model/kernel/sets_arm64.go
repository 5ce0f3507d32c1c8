//go:build !purego

package kernel

// fourName: every arm64 machine has NEON, the vector registers of Armv8-A.
const fourName = "neon"

// sets are the implementations that this machine can run, the fastest first.
func sets() []set { return []set{four, portable} }
