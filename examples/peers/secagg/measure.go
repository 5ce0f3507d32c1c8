package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// inputBound is M: every coordinate of every scheme lies within 16 bits.
const inputBound = 1<<15 - 1

// input is a device's vector: uniform within the bound.
func input(device uint64, dim int) []int32 {
	rng := rand.New(rand.NewPCG(4, device))
	x := make([]int32, dim)
	for i := range x {
		x[i] = int32(rng.Uint32N(2*inputBound+1)) - inputBound
	}
	return x
}

func addTo(sum []int64, x []int32) {
	for i, v := range x {
		sum[i] += int64(v)
	}
}

// processor is the processor time of work, in seconds, of all threads of this process.
func processor(work func() error) (float64, error) {
	before := processorTime()
	err := work()
	return (processorTime() - before).Seconds(), err
}

// least keeps the best of several measurements; 0 is none.
func least(best, t float64) float64 {
	if best == 0 {
		return t
	}
	return min(best, t)
}

// resident reads a line of /proc/self/status in bytes: VmHWM is the most memory that this process has had, VmRSS what it has. 0 where
// the system does not say.
func resident(name string) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}

// machine names the processor where the system says it.
func machine() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return fmt.Sprintf("%s, %d processors, %s", strings.TrimSpace(strings.TrimLeft(name, "\t :")), runtime.NumCPU(), runtime.Version())
		}
	}
	return fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}
