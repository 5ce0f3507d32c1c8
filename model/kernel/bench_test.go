package kernel

import (
	"math/rand/v2"
	"testing"
)

// BenchmarkVectors runs every loop over 4096 values, which stay in the first
// cache: what is measured is the arithmetic.
func BenchmarkVectors(b *testing.B) {
	const n, d = 4096, 64
	rng := rand.New(rand.NewPCG(11, 11))
	x, y, z, w, u := random(rng, n), random(rng, n), random(rng, n), random(rng, n), random(rng, n)
	gain, bias, mean, rstd := random(rng, d), random(rng, d), make([]float32, n/d), make([]float32, n/d)
	step := AdamStep{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Rate: 1e-9, SecondScale: 1}
	loops := []struct {
		name string
		run  func()
	}{
		{"dot", func() { Dot(x, y) }},
		{"axpy", func() { Axpy(z, 1e-9, x) }},
		{"add", func() { Add(z, x) }},
		{"scale", func() { Scale(z, 1) }},
		{"max", func() { Max(x) }},
		{"finite", func() { Finite(x) }},
		{"expShifted", func() { ExpShifted(z, x, 1) }},
		{"softmax", func() { copy(z, x); Softmax(z, 1) }},
		{"softmaxBackward", func() { SoftmaxBackward(u, x, 0.5, 1) }},
		{"gelu", func() { GELU(z, x) }},
		{"geluBackward", func() { GELUBackward(z, y, x) }},
		{"relu", func() { ReLU(z, x) }},
		{"reluBackward", func() { ReLUBackward(z, y, x) }},
		{"siluGate", func() { SiLUGate(z, x, y) }},
		{"siluGateBackward", func() { SiLUGateBackward(z, w, y, x, y) }},
		{"dropout", func() { Dropout(z, x, 1, 0, 0.2) }},
		{"adam", func() { Adam(w, x, y, u, step) }},
		{"addRows", func() { AddRows(z, bias, n/d) }},
		{"sumRows", func() { SumRows(bias, x, n/d) }},
		{"transpose", func() { Transpose(z, 64, x, 64, 64, 64) }},
		{"transpose50", func() { Transpose(z, 50, x, 64, 50, 64) }},
		{"normForward", func() { NormForward(z, x, gain, bias, n/d, mean, rstd) }},
		{"normBackward", func() { NormBackward(z, bias, bias, y, x, gain, mean, rstd, n/d) }},
		{"matVec", func() { MatVec(mean, x, d, gain) }},
	}
	eachSet(b, func(b *testing.B) {
		for _, l := range loops {
			b.Run(l.name, func(b *testing.B) {
				for i := range u {
					u[i] = max(u[i], -u[i])
				}
				b.ReportMetric(best(b, l.run)/n*1e9, "best-ns/value")
			})
		}
	})
}
