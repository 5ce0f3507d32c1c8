package mechanism

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"testing"
)

// BenchmarkEncode is what a device pays per participation. The bar is 120 ms
// at D = 2^20 on one core.
func BenchmarkEncode(b *testing.B) {
	for _, dim := range []int{1<<20 - MinMeterPad, 4000} {
		p, err := Design(Literal{Dim: dim, Clip: 1, NMin: 56, NMax: 104, Colluders: 6, Z: 1, Noise: true})
		if err != nil {
			b.Fatal(err)
		}
		codec, err := NewCodec(p)
		if err != nil {
			b.Fatal(err)
		}
		x := Clip(testVector(dim, 1), 1)
		b.Run(fmt.Sprintf("D=%d", p.PaddedDim), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Encode(x, rand.Reader); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/op")
		})
	}
}

// BenchmarkDecodeSum is what the server pays per round.
func BenchmarkDecodeSum(b *testing.B) {
	p, err := Design(Literal{Dim: 1<<20 - MinMeterPad, Clip: 1, NMin: 56, NMax: 104, Colluders: 6, Z: 1, Noise: true})
	if err != nil {
		b.Fatal(err)
	}
	codec, err := NewCodec(p)
	if err != nil {
		b.Fatal(err)
	}
	sum := make([]int64, p.PaddedDim)
	for b.Loop() {
		if _, err := codec.DecodeSum(sum, 80); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNoise is the price of one noise share, per coordinate.
func BenchmarkNoise(b *testing.B) {
	for _, kind := range []NoiseKind{DiscreteGaussian, Skellam} {
		for _, sigma := range []int64{4, 30, 300, 2000} {
			g, err := newSampler(kind, big.NewRat(sigma*sigma, 1))
			if err != nil {
				continue // Skellam begins at 16
			}
			y := make([]int32, 1<<16)
			scratch := make([]byte, scratchBytes)
			s, err := newStream(rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%v/sigma=%d", kind, sigma), func(b *testing.B) {
				for b.Loop() {
					clear(y)
					g.addTo(y, s, scratch)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(y)), "ns/sample")
			})
		}
	}
}

// BenchmarkNewCodec is what a device pays once per plan.
func BenchmarkNewCodec(b *testing.B) {
	p, err := Design(Literal{Dim: 4000, Clip: 1, NMin: 56, NMax: 104, Colluders: 6, Z: 1, Noise: true})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := NewCodec(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHadamard(b *testing.B) {
	x := make([]float64, MaxBlock)
	for b.Loop() {
		hadamard(x)
	}
}
