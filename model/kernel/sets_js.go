//go:build tuttisimd && !purego

package kernel

const fourName = "wasm-simd"

// hostReady says whether the page could start the side module.
//
//go:wasmimport tuttisimd ready
func hostReady() int32

// sets are the implementations that this machine can run, the fastest first.
func sets() []set {
	if hostReady() == 0 {
		return []set{portable}
	}
	return []set{four, portable}
}
