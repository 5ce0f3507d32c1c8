package aggregation

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkNorm is what one upload costs the device, the server and one of nine members without and with the norm check: processor time of
// sealing, of the server's check of header and vector, its check of the members' words and its fold, and of judging one header of sixteen.
func BenchmarkNorm(b *testing.B) {
	for _, dim := range []int{4096, 36864, 1 << 17} {
		for _, norm := range []int64{0, 400_000} {
			b.Run(fmt.Sprintf("d=%d/norm=%d", dim, norm), func(b *testing.B) {
				l := ParamsLiteral{Dim: dim, Bound: 1<<15 - 1, NMin: 2, NMax: 1300, Members: 9, Corrupt: 2, Rho: 2, Norm: norm}
				benchNorm(b, newCast(b, l, 16, SuiteMLKEM768X25519, 1, EveryDevice))
			})
		}
	}
}

func benchNorm(b *testing.B, w *world) {
	w.begin(w.cfg)
	const batch = 16
	var ups []*Upload
	var cut []*MemberHeader
	x := make([]int32, w.cfg.params.Dim())
	var seal, check, judge time.Duration
	lap := func(total *time.Duration, do func()) {
		start := processTime(b)
		do()
		*total += processTime(b) - start
	}
	lap(&seal, func() {
		for i := range batch {
			ups = append(ups, w.seal(i, x))
		}
	})
	for _, up := range ups {
		cut = append(cut, w.cut(up.Header, 0))
	}
	answers := w.checks(ups[0].Header, all(9))
	held := w.nodes[0].member.rounds[w.cfg.Round()].shards[0]
	acc, runs := NewAccumulator(w.cfg), 0
	for b.Loop() {
		runs++
		held.accepted, held.batches = make(map[DeviceID]acceptance), nil
		lap(&judge, func() { judged(b, w.nodes[0], w.cfg.Round(), cut) })
		acc.n = 0
		lap(&check, func() {
			if w.verify(ups[0].Header) != nil || VerifyVector(w.cfg, ups[0].Header, ups[0].Vector) != nil {
				b.Fatal("refused")
			}
			if wrong, err := CheckShares(w.cfg, ups[0].Header, ups[0].Vector, answers); wrong != nil || err != nil {
				b.Fatal(wrong, err)
			}
			if err := acc.Add(ups[0].Vector); err != nil {
				b.Fatal(err)
			}
		})
	}
	header, err := ups[0].Header.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	shown, err := cut[0].Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(seal.Microseconds())/batch, "device-us")
	b.ReportMetric(float64(check.Microseconds())/float64(runs), "server-us")
	b.ReportMetric(float64(judge.Microseconds())/float64(runs)/batch, "member-us")
	b.ReportMetric(float64(len(header)), "header-B")
	b.ReportMetric(float64(len(shown)), "shown-B")
	b.ReportMetric(float64(len(ups[0].Vector)), "vector-B")
}
