package blend_test

import (
	"math/rand/v2"
	"testing"

	"tutti/model/blend"
	"tutti/model/stats"
)

// BenchmarkRank is a recommendation from all three parts, at the size of ml-1m.
func BenchmarkRank(b *testing.B) {
	const items, length = 4000, 50
	r := rand.New(rand.NewPCG(1, 1))
	liked := make([]float32, items)
	for i := range liked {
		liked[i] = float32(2000/(i+1)) + 1
	}
	parts := blend.Parts{Weight: 0.5}
	var err error
	if parts.Popularity, err = stats.NewPopularity(liked, 0); err != nil {
		b.Fatal(err)
	}
	block, err := stats.NewBlock(parts.Popularity.TopK(300), items)
	if err != nil {
		b.Fatal(err)
	}
	sum := make([]float32, block.Cells())
	for i := range sum {
		sum[i] = float32(r.ExpFloat64())
	}
	if parts.Transitions, err = stats.NewTransitions(block, sum, 0); err != nil {
		b.Fatal(err)
	}
	spec := blend.Spec{Items: items, Dim: 64, Blocks: 2, Heads: 2, Hidden: 64, MaxLen: 64}
	if parts.Model, err = spec.Model(blend.Public{}, nil, nil); err != nil {
		b.Fatal(err)
	}
	parts.Params = parts.Model.Init(3)
	recommender := recommender(b, parts)
	history := make([]int32, length)
	for i, p := range r.Perm(items)[:length] {
		history[i] = int32(p)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := recommender.Rank(history, 10, nil); err != nil {
			b.Fatal(err)
		}
	}
}
