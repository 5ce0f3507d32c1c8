//go:build unix

package graph

import (
	"syscall"
	"time"
)

// spent is the processor time of the process so far: what else the machine does
// matters less to it than to a clock.
func spent() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
