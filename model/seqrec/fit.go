package seqrec

import (
	"context"
	"fmt"

	"tutti/model"
	"tutti/model/optim"
)

// FitConfig is how a model is trained in one place: in the clear for
// comparison, or on the server by distillation.
type FitConfig struct {
	Steps        int     // >= 1
	Batch        int     // sequences of a batch, >= 1; read by Fit alone
	LearningRate float64 // peak, > 0
	WarmUp       int     // steps of linear warm-up, >= 0
	// Schedule is what the rate does after the warm-up: "cosine" (also ""), falling
	// to FinalRate at the last step, "constant", "exponential" or "step"; see
	// optim.ScheduleConfig.
	Schedule  string
	FinalRate float64
	// Optimizer is the rule: "adam" (also ""), "adamw", "sgd", "rmsprop" or
	// "adagrad", with the constants of optim.Defaults but for the next two.
	Optimizer string
	Momentum  float64 // of sgd and rmsprop, in [0, 1)
	// WeightDecay is decoupled for adamw, and for "", which it turns into adamw; for
	// the others it is an L2 penalty. Here adamw has no decay of its own accord.
	WeightDecay float64
	Accumulate  int     // batches whose gradients make one step; 0: 1
	Clip        float64 // largest L2 norm of a step's gradient; 0: no limit
	Seed        uint64  // order of the sequences; read by Fit alone

	// Validate, if set, rates the weights, more being better, every ValidateEvery
	// steps (>= 1) and after the last one. It has them for the length of the call:
	// the next step changes them. The result is then the best weights met, the
	// earliest of equals. Patience is after how many ratings in a row without a
	// new best training ends; 0: never.
	Validate      func(model.Params) (float64, error)
	ValidateEvery int
	Patience      int

	// Progress, if set, hears the loss of each step, counted from 1.
	Progress func(step int, loss float64)
}

// FitStats says how training went.
type FitStats struct {
	// Loss is the mean loss per token over the last tenth of cfg.Steps; after an
	// early end over the part of a tenth that training ended in.
	Loss     float64
	Tokens   int // positions with a target, over all steps
	Steps    int // steps made
	Best     float64
	BestStep int // steps before the best rating; 0 without Validate
}

// Source gives a batch by its number, counted from 0: step s reads the batches
// s*Accumulate to (s+1)*Accumulate-1. The same number must give the same batch
// whether the ones before were asked for or not; a run that is resumed asks for
// what is left. The batch may be reused at the next call.
type Source func(step int) ([]Sequence, error)

// Fit trains from start and returns new weights. Batches of cfg.Batch sequences
// are drawn without replacement, reshuffled each epoch by cfg.Seed, which also
// gives every sequence its own Seed. Cancelling ctx ends it between two steps
// with ctx's error.
func Fit(ctx context.Context, engine Engine, start model.Params, sequences []Sequence, cfg FitConfig) (model.Params, FitStats, error) {
	if cfg.Batch < 1 || len(sequences) == 0 {
		return model.Params{}, FitStats{}, fmt.Errorf("fit: batches of %d from %d sequences", cfg.Batch, len(sequences))
	}
	return FitSource(ctx, engine, start, Batches(sequences, cfg.Batch, cfg.Seed), cfg)
}

// Batches is the source of Fit: at least one sequence, batch >= 1.
func Batches(sequences []Sequence, batch int, seed uint64) Source {
	walk := newOrder(len(sequences), seed)
	out := make([]Sequence, min(batch, len(sequences)))
	return func(step int) ([]Sequence, error) {
		for i := range out {
			position := step*len(out) + i
			out[i] = sequences[walk.at(position)]
			out[i].Seed = seedAt(seed, 0, position)
		}
		return out, nil
	}
}

// FitSource is Fit on batches that are made as they are needed: crops of long
// histories, or synthetic sequences with soft targets.
func FitSource(ctx context.Context, engine Engine, start model.Params, source Source, cfg FitConfig) (model.Params, FitStats, error) {
	f, err := NewFitter(engine, start, source, cfg)
	if err != nil {
		return model.Params{}, FitStats{}, err
	}
	for !f.Done() {
		if err := ctx.Err(); err != nil {
			return model.Params{}, FitStats{}, fmt.Errorf("fit: %w", err)
		}
		if err := f.Step(); err != nil {
			return model.Params{}, FitStats{}, err
		}
	}
	return f.Result()
}

// optimizer is what cfg names.
func (cfg FitConfig) optimizer() (optim.Optimizer, error) {
	rule := optim.Rule(cfg.Optimizer)
	switch {
	case rule == "" && cfg.WeightDecay != 0:
		rule = optim.AdamW
	case rule == "":
		rule = optim.Adam
	}
	c, err := optim.Defaults(rule)
	if err != nil {
		return nil, err
	}
	c.Momentum, c.WeightDecay = cfg.Momentum, cfg.WeightDecay
	return optim.NewOptimizer(c)
}

func (cfg FitConfig) schedule() (optim.Schedule, error) {
	return optim.NewSchedule(optim.ScheduleConfig{
		Kind: cfg.Schedule, Rate: cfg.LearningRate, Final: cfg.FinalRate, Steps: cfg.Steps, WarmUp: cfg.WarmUp,
	})
}
