//go:build purego || (!amd64 && !arm64 && !(js && tuttisimd))

package kernel

// sets are the implementations that this machine can run, the fastest first.
func sets() []set { return []set{portable} }
