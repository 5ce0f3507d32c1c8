package graph

import (
	"math/rand/v2"
	"slices"
	"testing"

	"tutti/model/seqrec"
)

// anyConfig draws every option on its own.
func anyConfig(rng *rand.Rand) seqrec.Config {
	some := func(n int) int { return rng.IntN(2) * (1 + rng.IntN(n)) }
	c := seqrec.Config{
		Items: 4 + rng.IntN(60), Heads: 1 + rng.IntN(3), Blocks: 1 + rng.IntN(3), Hidden: 1 + rng.IntN(20), MaxLen: 2 + rng.IntN(12),
		FeatureDim: some(9), TimeBuckets: some(2) * 5, UserDim: some(4),
		Arch: seqrec.Arch(rng.IntN(3)), Norm: seqrec.Norm(rng.IntN(2)), Positions: seqrec.Positions(rng.IntN(2)),
		Activation: seqrec.Activation(rng.IntN(3)), Dropout: float64(some(1)) * 0.9 * rng.Float64(),
		RatingWeight: float64(some(1)) * rng.Float64(), ClickWeight: float64(some(1)) * rng.Float64(),
	}
	c.Dim = 2 * c.Heads * (1 + rng.IntN(6))
	c.Hybrid = c.FeatureDim > 0 && rng.IntN(2) == 0
	if c.Arch == seqrec.EncoderDecoder {
		c.DecoderBlocks, c.Horizon = 1+rng.IntN(3), 1+rng.IntN(6)
	}
	if c.Loss.Kind = seqrec.LossKind(rng.IntN(4)); c.Loss.Kind != seqrec.FullSoftmax {
		c.Loss.Negatives = 1 + rng.IntN(c.Items-1)
	}
	if c.Loss.Kind == seqrec.GBCE {
		c.Loss.Calibration = rng.Float64()
	}
	return c
}

// TestAnyConfig: whatever the options, the graph is the fused engine to the bit.
func TestAnyConfig(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 51))
		cfg := anyConfig(rng)
		m := newModel(t, cfg)
		engine, params := newEngine(t, m, Tasks), spread(m, seed).Values()
		for range 3 {
			batch := familyBatch(cfg, rng, 1+rng.IntN(6))
			loss, grad := lossGrad(t, engine, params, batch)
			wantLoss, want := lossGrad(t, seqrec.NewEngine(m), params, batch)
			if loss != wantLoss || !slices.Equal(grad, want) {
				far, where := difference(m.Layout(), grad, want)
				t.Fatalf("seed %d, %+v: loss %v, want %v; gradient of %s differs by %v", seed, cfg, loss, wantLoss, where, far)
			}
		}
	}
}
