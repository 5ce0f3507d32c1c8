package seqrec

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/optim"
)

// Engine computes the loss of a batch and its gradient. An Engine keeps its
// buffers, so one goroutine uses it at a time.
type Engine interface {
	// Layout is the layout of params and grad.
	Layout() model.Layout
	// LossGrad returns the mean loss per token, in nats, over the positions that
	// have a target, and how many they are. Where the model also has a head for
	// ratings or clicks, the loss is that mean + RatingWeight * the mean squared
	// error of the batch's ratings + ClickWeight * the mean logistic loss of its
	// clicks; a mean of nothing is 0, and tokens counts the items only.
	//
	// With a grad it is training: dropout is on, and grad is overwritten with the
	// gradient of the loss. With a nil grad it computes the loss only, without
	// dropout. Dropout and negatives follow from the Seeds of the sequences: the
	// same call gives the same result. A batch with nothing to learn is
	// ErrNothingToLearn.
	LossGrad(params []float32, batch []Sequence, grad []float32) (loss float64, tokens int, err error)
}

// TrainConfig is how one device trains on its own sequences.
type TrainConfig struct {
	Steps        int     // passes over the device's sequences, 1 to MaxLocalSteps
	LearningRate float64 // > 0
	Optimizer    string  // "sgd" (also ""), "adam", "adamw", "rmsprop" or "adagrad"
}

// MaxLocalSteps bounds what a task can ask a device to compute.
const MaxLocalSteps = 1000

// TrainStats says how local training went. Loss and Tokens describe a user's
// behaviour: they stay on the device.
type TrainStats struct {
	Loss   float64 // mean loss per token before the first step
	Tokens int     // positions with a target, per step
	Steps  int     // steps made
}

// ErrDiverged says that training met a loss or a weight that is not finite.
var ErrDiverged = errors.New("training diverged")

// Train makes cfg.Steps full-batch steps from the global weights over one
// user's sequences and returns what changed. Global is left alone. What is drawn
// at random in a step follows from the sequences' Seeds and the step. Without any
// target it returns ErrNothingToLearn, with a loss or weight that is not finite
// ErrDiverged.
func Train(engine Engine, global model.Params, sequences []Sequence, cfg TrainConfig) (model.Update, TrainStats, error) {
	if cfg.Steps < 1 || cfg.Steps > MaxLocalSteps || !positive(cfg.LearningRate) {
		return model.Update{}, TrainStats{}, fmt.Errorf("train: %d steps at rate %v", cfg.Steps, cfg.LearningRate)
	}
	if cfg.Optimizer == "" {
		cfg.Optimizer = "sgd"
	}
	opt, err := optim.New(cfg.Optimizer)
	if err != nil {
		return model.Update{}, TrainStats{}, fmt.Errorf("train: %w", err)
	}
	if engine.Layout().Digest() != global.Layout().Digest() {
		return model.Update{}, TrainStats{}, fmt.Errorf("train: weights and engine have different layouts")
	}
	local := global.Clone()
	grad := make([]float32, local.Layout().Size())
	batch := slices.Clone(sequences)
	var stats TrainStats
	for step := range cfg.Steps {
		for i, s := range sequences {
			batch[i].Seed = seedAt(s.Seed, step, i)
		}
		loss, tokens, err := checkedStep(engine, local, batch, grad)
		if err != nil {
			return model.Update{}, TrainStats{}, fmt.Errorf("train: step %d: %w", step, err)
		}
		if step == 0 {
			stats.Loss, stats.Tokens = loss, tokens
		}
		opt.Step(local.Values(), grad, cfg.LearningRate)
		stats.Steps++
	}
	update, err := model.NewUpdate(local, global)
	if errors.Is(err, model.ErrNotFinite) {
		err = fmt.Errorf("%w: %w", ErrDiverged, err)
	}
	if err != nil {
		return model.Update{}, TrainStats{}, fmt.Errorf("train: %w", err)
	}
	return update, stats, nil
}

// checkedStep computes loss and gradient and refuses what is not finite.
func checkedStep(engine Engine, params model.Params, batch []Sequence, grad []float32) (float64, int, error) {
	loss, tokens, err := engine.LossGrad(params.Values(), batch, grad)
	if err != nil {
		return 0, 0, err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) || !kernel.Finite(grad) {
		return 0, 0, fmt.Errorf("%w: loss %v", ErrDiverged, loss)
	}
	return loss, tokens, nil
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
