package graph

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tutti/model/seqrec"
)

// fullBatch has sequences of one length, with every target.
func fullBatch(cfg seqrec.Config, sequences, length int) []seqrec.Sequence {
	rng := rand.New(rand.NewPCG(7, 7))
	batch := make([]seqrec.Sequence, sequences)
	for i := range batch {
		for range length {
			batch[i].Items = append(batch[i].Items, int32(rng.IntN(cfg.Items)))
			batch[i].Targets = append(batch[i].Targets, int32(rng.IntN(cfg.Items)))
		}
	}
	return batch
}

// studyModel is the recommender that design figures are about: V = 4000, d = 64.
func studyModel(t testing.TB) *seqrec.Model {
	return newModel(t, seqrec.Config{Items: 4000, Dim: 64, Blocks: 2, Heads: 2, Hidden: 64, MaxLen: 200})
}

var workloads = []struct{ sequences, length int }{{1, 50}, {1, 200}, {32, 50}, {32, 200}}

// BenchmarkLossGrad shows time and allocations of one step; the first, which
// makes the buffers, is not counted.
func BenchmarkLossGrad(b *testing.B) {
	m := studyModel(b)
	params := m.Init(1).Values()
	grad := make([]float32, len(params))
	for _, size := range workloads {
		batch := fullBatch(m.Config(), size.sequences, size.length)
		engine, err := NewEngine(m)
		if err != nil {
			b.Fatal(err)
		}
		for name, engine := range map[string]seqrec.Engine{"direct": seqrec.NewEngine(m), "graph": engine} {
			b.Run(fmt.Sprintf("%dx%d/%s", size.sequences, size.length, name), func(b *testing.B) {
				b.ReportAllocs()
				step(b, engine, params, batch, grad)
				for b.Loop() {
					step(b, engine, params, batch, grad)
				}
			})
		}
	}
}

func step(b *testing.B, engine seqrec.Engine, params []float32, batch []seqrec.Sequence, grad []float32) time.Duration {
	start := spent()
	if _, _, err := engine.LossGrad(params, batch, grad); err != nil {
		b.Fatal(err)
	}
	return spent() - start
}

// BenchmarkOverhead runs the two engines in turn and compares the processor time
// of their fastest steps, so that what else the machine does matters less.
func BenchmarkOverhead(b *testing.B) {
	m := studyModel(b)
	params := m.Init(1).Values()
	grad := make([]float32, len(params))
	for _, size := range workloads {
		b.Run(fmt.Sprintf("%dx%d", size.sequences, size.length), func(b *testing.B) {
			batch := fullBatch(m.Config(), size.sequences, size.length)
			direct := seqrec.NewEngine(m)
			graph, err := NewEngine(m)
			if err != nil {
				b.Fatal(err)
			}
			best := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				best[0] = min(best[0], step(b, direct, params, batch, grad))
				best[1] = min(best[1], step(b, graph, params, batch, grad))
			}
			b.ReportMetric(best[0].Seconds()*1e3, "direct-ms")
			b.ReportMetric(best[1].Seconds()*1e3, "graph-ms")
			b.ReportMetric(100*(best[1].Seconds()/best[0].Seconds()-1), "overhead-%")
		})
	}
}
