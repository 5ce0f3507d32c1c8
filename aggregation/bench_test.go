package aggregation

import (
	"fmt"
	"testing"
)

// benchParams is the design's production default: n_max = 2^14, 16-bit inputs, m = 9, c = 2, rho = 2.
func benchParams(dim int) ParamsLiteral {
	return ParamsLiteral{Dim: dim, Bound: 1<<15 - 1, NMin: 2, NMax: 1 << 14, Members: 9, Corrupt: 2, Rho: 2}
}

var benchDims = []int{36864, 1 << 20}

func BenchmarkSeal(b *testing.B) {
	for _, dim := range benchDims {
		b.Run(fmt.Sprint(dim), func(b *testing.B) {
			w := newWorld(b, benchParams(dim), 1)
			x := w.unit(0)
			var up *Upload
			for b.Loop() {
				up = w.seal(0, x)
			}
			h, err := up.Header.Marshal()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(h)+len(up.Vector)), "upload-bytes")
		})
	}
}

// BenchmarkVerify is the server's check of one upload: header, stream, hash.
func BenchmarkVerify(b *testing.B) {
	for _, dim := range benchDims {
		b.Run(fmt.Sprint(dim), func(b *testing.B) {
			w := newWorld(b, benchParams(dim), 1)
			up := w.seal(0, w.unit(0))
			for b.Loop() {
				if VerifyHeader(w.cfg, up.Header) != nil || VerifyVector(w.cfg, up.Header, up.Vector) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkAccumulatorAdd(b *testing.B) {
	for _, dim := range benchDims {
		b.Run(fmt.Sprint(dim), func(b *testing.B) {
			w := newWorld(b, benchParams(dim), 1)
			up := w.seal(0, w.unit(0))
			acc := NewAccumulator(w.cfg)
			for b.Loop() {
				acc.n = 0
				if err := acc.Add(up.Vector); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUnmask(b *testing.B) {
	for _, dim := range benchDims {
		b.Run(fmt.Sprint(dim), func(b *testing.B) {
			w := newWorld(b, benchParams(dim), 2)
			ups := w.sealUnits()
			w.acceptAll(all(9), ups)
			set := setOf(b, ups)
			cert := w.certify(all(9), set)
			answers, acc := w.answers(all(9), cert), w.sumOf(ups)
			for b.Loop() {
				if _, err := Unmask(w.cfg, set, acc, answers); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAccept is one member's work for one device.
func BenchmarkAccept(b *testing.B) {
	w := newWorld(b, benchParams(2048), 1)
	mh := w.cut(w.seal(0, w.unit(0)).Header, 0)
	r := w.nodes[0].member.rounds[w.cfg.Round()]
	for b.Loop() {
		clear(r.accepted)
		clear(r.shares)
		r.batches = nil
		verdicts, _, err := w.nodes[0].member.Accept(w.cfg.Round(), []*MemberHeader{mh})
		if err != nil || verdicts[0].Reason != Accepted {
			b.Fatal(err)
		}
	}
}
