package validity

import (
	"fmt"
	"testing"
)

// One device, one server and one member per device, at m = 9, c = ρ = 2. Word lengths are printed beside the times.
func BenchmarkDevice(b *testing.B) {
	for _, logD := range []int{12, 15, 17, 20} {
		b.Run(fmt.Sprintf("d=2^%d", logD), func(b *testing.B) {
			w := newWorld(b, shape{1 << logD, 9, 2, 2})
			u := w.maskOf(w.gaussian(testNorm))
			if err := w.prove(u); err != nil {
				b.Fatal(err)
			}
			b.Run("mask", func(b *testing.B) {
				x, packed := w.gaussian(testNorm), make([]byte, len(u.packed))
				for b.Loop() {
					if err := w.mask.Mask(packed, w.public, u.secret, u.first, x); err != nil {
						b.Fatal(err)
					}
				}
			})
			random := newStream(w.seed())
			b.Run("prove", func(b *testing.B) {
				for b.Loop() {
					if _, err := w.check.Prove(random, w.public, u.first, u.secret, u.packed); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(w.check.field.Bytes()*w.check.Words()), "envelopeB")
			})
			b.Run("state", func(b *testing.B) {
				for b.Loop() {
					if _, err := w.check.State(w.public, u.first, u.second, u.packed); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(w.check.field.Bytes()*w.check.AlphaWords()), "alphaB")
			})
			if logD != 12 {
				return
			}
			st, answers := w.answers(u)
			b.Run("answer", func(b *testing.B) {
				for b.Loop() {
					if _, err := w.check.Answer(u.second, 1, st.Alpha(), u.key[0], u.proof[0]); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("verify", func(b *testing.B) {
				for b.Loop() {
					if _, err := w.check.Verify(st, answers, 0); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
