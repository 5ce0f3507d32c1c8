package kernel

import (
	"testing"
	"time"
)

// best measures f on a machine that does other things too: the time of one call
// in the fastest of many short runs, in seconds.
func best(b *testing.B, f func()) float64 {
	repeat := 1
	for {
		start := time.Now()
		for range repeat {
			f()
		}
		if time.Since(start) > 20*time.Microsecond {
			break
		}
		repeat *= 2
	}
	fastest := time.Hour
	for b.Loop() {
		for range 20 {
			start := time.Now()
			for range repeat {
				f()
			}
			fastest = min(fastest, time.Since(start))
		}
	}
	return fastest.Seconds() / float64(repeat)
}
