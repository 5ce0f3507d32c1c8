//go:build !purego

package kernel

import "testing"

// BenchmarkPeak is how fast the machine can multiply and add at all: what the
// figures of BenchmarkGemm are a share of.
func BenchmarkPeak(b *testing.B) {
	const steps = 10000
	for _, s := range sets() {
		var run func(int)
		var lanes float64
		switch s.name {
		case "avx512":
			run, lanes = fmaPeakAVX512, 16
		case "avx2":
			run, lanes = fmaPeakAVX2, 8
		default:
			continue
		}
		b.Run(s.name, func(b *testing.B) {
			seconds := best(b, func() { run(steps) })
			b.ReportMetric(2*12*lanes*steps/seconds/1e9, "best-GFLOP/s")
		})
	}
}
