package seqrec_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tutti/model/seqrec"
)

// Ten items after a history of fifty, from a catalogue of 3,706.
func BenchmarkGenerate(b *testing.B) {
	causal := seqrec.DefaultConfig(3706)
	decoder := causal
	decoder.Arch, decoder.DecoderBlocks, decoder.Horizon = seqrec.EncoderDecoder, 1, 10
	history := randomHistory(rand.New(rand.NewPCG(1, 1)), 50, 3706)
	for _, cfg := range []seqrec.Config{causal, decoder} {
		m := mustModel(b, cfg, nil)
		g, err := seqrec.NewGenerator(m, m.Init(1))
		if err != nil {
			b.Fatal(err)
		}
		for _, beams := range []int{1, 8} {
			b.Run(fmt.Sprintf("%v/beams=%d", cfg.Arch, beams), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := g.Generate(seqrec.Query{Items: history}, seqrec.GenerateOptions{Length: 10, Beams: beams, ExcludeSeen: true}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
