package layer

import (
	"math/rand/v2"
	"testing"
)

// What the study's batch of 32 sequences of 50 costs over 3,706 items, against
// the full softmax.
func BenchmarkSampled(b *testing.B) {
	const n, v, d = 1600, 3706, 64
	rng := rand.New(rand.NewPCG(1, 1))
	h, table, bias, targets := random(rng, n*d), random(rng, v*d), random(rng, v), make([]int32, n)
	for i := range targets {
		targets[i] = int32(rng.IntN(v))
	}
	for i := range h {
		h[i] *= 0.1
	}
	dh, dTable, dBias := make([]float32, n*d), make([]float32, v*d), make([]float32, v)
	b.Run("full", func(b *testing.B) {
		op := NewCrossEntropy()
		for b.Loop() {
			if _, err := op.Run(CrossEntropyArgs{
				N: n, V: v, D: d, H: h, Table: table, Bias: bias, Targets: targets, Scale: 1.0 / n, DH: dh, DTable: dTable, DBias: dBias,
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name string
		m    int
		each bool
	}{{"256 shared", 256, false}, {"3000 shared", 3000, false}, {"1 each", 1, true}, {"256 each", 256, true}} {
		var drawn Negatives
		if c.each {
			UniformProposal(v).AppendEach(&drawn, targets, c.m, 1)
		} else {
			UniformProposal(v).Draw(&drawn, c.m, 1)
		}
		in := SampledArgs{
			N: n, V: v, D: d, H: h, Table: table, Bias: bias, Targets: targets, Scale: 1.0 / n, DH: dh, DTable: dTable, DBias: dBias,
			Negatives: drawn.IDs, LogCount: drawn.LogCount, Each: c.each,
		}
		s := NewSampled()
		b.Run("softmax/"+c.name, func(b *testing.B) {
			for b.Loop() {
				s.Softmax(in)
			}
		})
		b.Run("gbce/"+c.name, func(b *testing.B) {
			for b.Loop() {
				s.GBCE(in, 0.75)
			}
		})
	}
	b.Run("draw/256 each", func(b *testing.B) {
		var drawn Negatives
		for b.Loop() {
			drawn.IDs, drawn.LogCount = drawn.IDs[:0], drawn.LogCount[:0]
			UniformProposal(v).AppendEach(&drawn, targets, 256, 1)
		}
	})
}
