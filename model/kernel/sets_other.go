//go:build !amd64 || purego

package kernel

// sets are the implementations that this machine can run, the fastest first.
func sets() []set { return []set{portable} }
