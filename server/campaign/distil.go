package campaign

import (
	"context"
	"fmt"

	"tutti/model"
	"tutti/model/seqrec"
	"tutti/model/stats"
)

// Distillation is how the Transformer's start is made from the released statistics (model study, section 5.4): synthetic
// sequences, drawn from the statistics, with the statistics' whole distribution as target at every position.
type Distillation struct {
	Steps        int // gradient steps; 0: none, the start is the initial weights
	Batch        int // synthetic sequences per step
	Length       int // of a synthetic sequence, at most the model's MaxLen
	LearningRate float64
	WarmUp       int
	Seed         uint64
}

// distil returns weights that imitate the statistics. It reads nothing but releases, so it costs no privacy.
func distil(ctx context.Context, engine seqrec.Engine, start model.Params, statistics *stats.Scorer, items int, d Distillation, progress func(step int, loss float64)) (model.Params, error) {
	if d.Steps == 0 {
		return start, nil
	}
	if d.Batch < 1 || d.Length < 2 {
		return model.Params{}, fmt.Errorf("distillation: batches of %d sequences of length %d", d.Batch, d.Length)
	}
	source := lessons(stats.NewTeacher(statistics), items, d)
	params, _, err := seqrec.FitSource(ctx, engine, start, source, seqrec.FitConfig{
		Steps: d.Steps, LearningRate: d.LearningRate, WarmUp: d.WarmUp, Progress: progress,
	})
	return params, err
}

// lessons are the synthetic sequences: number b of a step is drawn by Seed + step x Batch + b, whatever was asked for before.
func lessons(teacher *stats.Teacher, items int, d Distillation) seqrec.Source {
	batch := make([]seqrec.Sequence, d.Batch)
	return func(step int) ([]seqrec.Sequence, error) {
		for b := range batch {
			drawn := d.Seed + uint64(step)*uint64(d.Batch) + uint64(b)
			batch[b] = taught(teacher, teacher.Sequence(d.Length, drawn), items)
			batch[b].Seed = drawn
		}
		return batch, nil
	}
}

// taught is one synthetic sequence with a distribution over the items behind each position: length x V.
func taught(teacher *stats.Teacher, history []int32, items int) seqrec.Sequence {
	soft := make([]float32, len(history)*items)
	teacher.Targets(history, func(position int, target []float32) {
		copy(soft[position*items:(position+1)*items], target)
	})
	return seqrec.Sequence{Items: history, Soft: soft}
}
