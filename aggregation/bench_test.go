package aggregation

import (
	"fmt"
	"syscall"
	"testing"
	"time"
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
				if w.verify(up.Header) != nil || VerifyVector(w.cfg, up.Header, up.Vector) != nil {
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
				if _, _, err := Unmask(w.cfg, set, acc, answers); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAccept is one member's work for one device, m = 9: judging in batches of 256 on one core, and accepting.
func BenchmarkAccept(b *testing.B) {
	for _, suite := range []Suite{SuiteX25519, SuiteMLKEM768X25519} {
		b.Run(suite.String(), func(b *testing.B) {
			const batch = 256
			w := newCast(b, benchParams(2048), batch, suite, 1, EveryDevice)
			w.begin(w.cfg)
			n := w.nodes[0]
			var headers []*MemberHeader
			for i := range batch {
				headers = append(headers, w.cut(w.seal(i, make([]int32, 2048)).Header, 0))
			}
			b.ReportAllocs()
			start := processTime(b)
			for b.Loop() {
				held := n.member.rounds[w.cfg.Round()].shards[0]
				held.accepted, held.batches = make(map[DeviceID]acceptance), nil
				for _, v := range judged(b, n, w.cfg.Round(), headers) {
					if v.Reason != Accepted {
						b.Fatal(v.Reason)
					}
				}
			}
			b.ReportMetric(float64((processTime(b)-start).Microseconds())/float64(b.N)/batch, "cpu-us/header")
		})
	}
}

// processTime is the processor time of this process, all of its threads: what a busy machine does not change.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func judged(t testing.TB, n *node, id RoundID, headers []*MemberHeader) []Verdict {
	t.Helper()
	verdicts, _, err := n.judge(id, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return verdicts
}
