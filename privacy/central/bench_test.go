package central

import (
	"sync"
	"testing"

	"tutti/privacy/accounting"
)

func BenchmarkGaussian(b *testing.B) {
	sum := make([]int64, 1<<14)
	for b.Loop() {
		if _, err := Gaussian(sum, 1<<15, 0.8); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(sum)), "ns/coordinate")
}

// Two goroutines share the library's lock: whether they pay is read off against BenchmarkGaussian.
func BenchmarkGaussianTwoGoroutines(b *testing.B) {
	const n = 1 << 14
	for b.Loop() {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, err := draw(n/2, 1e4); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/coordinate")
}

func BenchmarkStream(b *testing.B) {
	const n = 1 << 14
	s, err := NewStream(Setting{Event: accounting.BLTMF{BLT: sampleBLT, Rounds: 1 << 16, Participations: 5, Separation: 400, Z: 1}, Bound: 1 << 15, Dim: n})
	if err != nil {
		b.Fatal(err)
	}
	sum := make([]int64, n)
	for b.Loop() {
		if _, err := s.Next(sum); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/coordinate")
}

var sampleBLT = accounting.BLT{Theta: []float64{.9, .5}, Omega: []float64{.2, .3}}
