package mask

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// BenchmarkTimingLeak compares running times on one fixed secret and on random ones, after Reparaz, Balasch and Verbauwhede,
// "Dude, is my code constant time?" (DATE 2017): classes in random order, the slowest tenth cut off, Welch's t. Values beyond 10 that stay
// there when repeated are a leak; a machine that is busy gives a few.
func BenchmarkTimingLeak(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 6))
	p, pairs := profileS(b, 2048), params(b, Paired, 8192, 1<<14, 1<<15-1)
	random := make([]byte, groupBytes)
	var samples [group]int64
	x, e, block, words := make([]int32, 8192), make([]int64, 4096), make([]uint64, 8192), make([]uint64, 8192)
	draw := newSampler(Sigma65, [32]byte{})
	prepare := func(secret bool) {
		clear(random)
		clear(x)
		clear(e)
		for i := range random {
			if secret {
				random[i] = byte(rng.Uint32())
			}
		}
		for i := range x {
			block[i] = rng.Uint64N(pairs.literal.Q2)
			if secret {
				x[i], e[i/2] = int32(rng.IntN(1<<16-1)-1<<15+1), int64(rng.IntN(175)-87)
			}
		}
	}
	for name, run := range map[string]func(){
		"sampler": func() { draw.fillGroup(&samples, (*[groupBytes]byte)(random)) },
		"switch":  func() { p.addAndSwitch(block[:2048], e[:2048], x[:2048]) },
		"pairs":   func() { pairs.pair.addAndSwitch(words, block[:4096], block[4096:], e, x) },
	} {
		b.Run(name, func(b *testing.B) {
			var times [2][]float64
			for b.Loop() {
				class := rng.IntN(2)
				prepare(class == 1)
				start := time.Now()
				run()
				times[class] = append(times[class], float64(time.Since(start)))
			}
			b.ReportMetric(math.Abs(welch(times)), "t")
		})
	}
}

func welch(times [2][]float64) float64 {
	var mean, variance [2]float64
	for c, list := range times {
		limit, n := quantile(times, 0.9), 0.0
		for _, v := range list {
			if v <= limit {
				n, mean[c], variance[c] = n+1, mean[c]+v, variance[c]+v*v
			}
		}
		mean[c] /= n
		variance[c] = (variance[c]/n - mean[c]*mean[c]) / n
	}
	return (mean[0] - mean[1]) / math.Sqrt(variance[0]+variance[1])
}

func quantile(times [2][]float64, part float64) float64 {
	all := append(slices.Clone(times[0]), times[1]...)
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[int(part*float64(len(all)-1))]
}
