//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// sets are the implementations that this machine can run, the fastest first.
func sets() []set {
	var all []set
	x := &cpu.X86
	modern := x.HasAVX2 && x.HasFMA && x.HasBMI2
	if modern && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && !withoutAVX512 {
		all = append(all, avx512)
	}
	if modern {
		all = append(all, avx2)
	}
	return append(all, portable)
}
