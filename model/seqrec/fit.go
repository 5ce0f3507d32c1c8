package seqrec

import (
	"context"
	"fmt"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/optim"
)

// FitConfig is how a model is trained in one place: in the clear for
// comparison, or on the server by distillation.
type FitConfig struct {
	Steps        int     // >= 1
	Batch        int     // sequences per step, >= 1; FitSource ignores it
	LearningRate float64 // peak, > 0
	WarmUp       int     // steps of linear warm-up, >= 0
	Constant     bool    // keep the peak; else a cosine falls to 0 at the last step
	WeightDecay  float64 // AdamW's decoupled decay; 0: Adam
	Seed         uint64  // order of the sequences
	// Progress, if set, hears the loss of each step, counted from 1.
	Progress func(step int, loss float64)
}

// FitStats says how Fit went.
type FitStats struct {
	Loss   float64 // mean loss per token over the last tenth of the steps
	Tokens int     // positions with a target, over all steps
}

// Source gives the batch of a step, counted from 0, for the same step always the
// same: whoever resumes a run asks for the steps that are left only. The batch
// may be reused after the step.
type Source func(step int) ([]Sequence, error)

// Fit trains from start with Adam and returns new weights. Every step draws
// cfg.Batch sequences without replacement, reshuffled each epoch by cfg.Seed.
// Cancelling ctx ends it between two steps with ctx's error.
func Fit(ctx context.Context, engine Engine, start model.Params, sequences []Sequence, cfg FitConfig) (model.Params, FitStats, error) {
	if cfg.Batch < 1 || len(sequences) == 0 {
		return model.Params{}, FitStats{}, fmt.Errorf("fit: batches of %d from %d sequences", cfg.Batch, len(sequences))
	}
	walk := newOrder(len(sequences), cfg.Seed)
	batch := make([]Sequence, min(cfg.Batch, len(sequences)))
	return FitSource(ctx, engine, start, func(step int) ([]Sequence, error) {
		for i := range batch {
			position := step*len(batch) + i
			batch[i] = sequences[walk.at(position)]
			batch[i].Seed = seedAt(cfg.Seed, 0, position)
		}
		return batch, nil
	}, cfg)
}

// FitSource is Fit on batches that are made as they are needed: crops of long
// histories, or synthetic sequences with soft targets.
func FitSource(ctx context.Context, engine Engine, start model.Params, source Source, cfg FitConfig) (model.Params, FitStats, error) {
	if cfg.Steps < 1 || !positive(cfg.LearningRate) || cfg.WarmUp < 0 || !(cfg.WeightDecay >= 0) {
		return model.Params{}, FitStats{}, fmt.Errorf("fit: %d steps, rate %v, warm-up %d, weight decay %v",
			cfg.Steps, cfg.LearningRate, cfg.WarmUp, cfg.WeightDecay)
	}
	if engine.Layout().Digest() != start.Layout().Digest() {
		return model.Params{}, FitStats{}, fmt.Errorf("fit: weights and engine have different layouts")
	}
	rate := optim.Cosine(cfg.LearningRate, 0, cfg.Steps)
	if cfg.Constant {
		rate = optim.Constant(cfg.LearningRate)
	}
	rate = optim.WarmUp(cfg.WarmUp, rate)
	adam := optim.NewAdam()
	adam.WeightDecay = cfg.WeightDecay

	params := start.Clone()
	grad := make([]float32, params.Layout().Size())
	var stats FitStats
	tail := cfg.Steps - max(1, cfg.Steps/10)
	for step := range cfg.Steps {
		if err := ctx.Err(); err != nil {
			return model.Params{}, FitStats{}, fmt.Errorf("fit: %w", err)
		}
		batch, err := source(step)
		if err != nil {
			return model.Params{}, FitStats{}, fmt.Errorf("fit: step %d: %w", step, err)
		}
		loss, tokens, err := checkedStep(engine, params, batch, grad)
		if err != nil {
			return model.Params{}, FitStats{}, fmt.Errorf("fit: step %d: %w", step, err)
		}
		adam.Step(params.Values(), grad, rate(step))
		stats.Tokens += tokens
		if step >= tail {
			stats.Loss += loss / float64(cfg.Steps-tail)
		}
		if cfg.Progress != nil {
			cfg.Progress(step+1, loss)
		}
	}
	if !kernel.Finite(params.Values()) {
		return model.Params{}, FitStats{}, fmt.Errorf("fit: %w: a weight is not finite", ErrDiverged)
	}
	return params, stats, nil
}
