package delta

import "testing"

func BenchmarkDelta(b *testing.B) {
	bv, nv := moving(1<<18, 0.001) // 1 MiB
	base, bitwise := blob(bv, ""), blob(nv, "")
	if _, err := Snap(bv, nv); err != nil {
		b.Fatal(err)
	}
	for name, next := range map[string][]byte{"bits": bitwise, "steps": blob(nv, "")} {
		d, err := Encode(base, next)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/encode", func(b *testing.B) {
			b.SetBytes(int64(len(next)))
			for b.Loop() {
				if _, err := Encode(base, next); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(d))/float64(len(next)), "ratio")
		})
		b.Run(name+"/decode", func(b *testing.B) {
			b.SetBytes(int64(len(next)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(d, base, int64(len(next))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
