package campaign

import (
	"context"
	"errors"
	"slices"
	"testing"

	"tutti/model/seqrec"
	"tutti/model/stats"
)

// liking is what statistics of popularity alone say; the lower an item's index, the more it is liked.
func liking(t *testing.T, items int) *stats.Scorer {
	t.Helper()
	liked := make([]float32, items)
	for i := range liked {
		liked[i] = float32(items - i)
	}
	popularity, err := stats.NewPopularity(liked, 0)
	if err != nil {
		t.Fatal(err)
	}
	statistics, err := stats.NewScorer(popularity, nil)
	if err != nil {
		t.Fatal(err)
	}
	return statistics
}

// Distillation teaches what its settings say, each of which counts; it can be stopped, and refuses what cannot be.
func TestDistil(t *testing.T) {
	const items = 30
	statistics := liking(t, items)
	m, err := seqrec.New(seqrec.Config{Items: items, Dim: 8, Blocks: 1, Heads: 2, Hidden: 8, MaxLen: 8}, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := Distillation{Steps: 6, Batch: 3, Length: 8, LearningRate: 0.01, WarmUp: 2, Seed: 11}
	start := m.Init(1)
	run := func(ctx context.Context, change func(*Distillation)) (digest string, losses []float64, err error) {
		d := good
		change(&d)
		params, err := distil(ctx, seqrec.NewEngine(m), start, statistics, items, d, func(_ int, loss float64) { losses = append(losses, loss) })
		return params.Digest().String(), losses, err
	}
	same := func(*Distillation) {}
	met := map[string]string{start.Digest().String(): "nothing"}
	for name, change := range map[string]func(*Distillation){
		"as it is": same,
		"steps":    func(d *Distillation) { d.Steps++ },
		"batch":    func(d *Distillation) { d.Batch++ },
		"length":   func(d *Distillation) { d.Length-- },
		"rate":     func(d *Distillation) { d.LearningRate *= 2 },
		"warm-up":  func(d *Distillation) { d.WarmUp++ },
		"seed":     func(d *Distillation) { d.Seed++ },
	} {
		got, _, err := run(t.Context(), change)
		again, losses, _ := run(t.Context(), change)
		if err != nil || got != again || losses[len(losses)-1] >= losses[0] {
			t.Errorf("%s: losses %v, repeated: %v, %v", name, losses, got == again, err)
		}
		if met[got] != "" {
			t.Errorf("%s teaches what %s does", name, met[got])
		}
		met[got] = name
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, losses, err := run(stopped, same); !errors.Is(err, context.Canceled) || len(losses) != 0 {
		t.Errorf("%d steps after the end, %v", len(losses), err)
	}
	for name, change := range map[string]func(*Distillation){
		"no batch": func(d *Distillation) { d.Batch = 0 },
		"length 1": func(d *Distillation) { d.Length = 1 },
		"too long": func(d *Distillation) { d.Length = 9 },
		"no steps": func(d *Distillation) { d.Steps = -1 },
		"no rate":  func(d *Distillation) { d.LearningRate = 0 },
	} {
		if _, _, err := run(t.Context(), change); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if got, _, err := run(t.Context(), func(d *Distillation) { *d = Distillation{} }); err != nil || got != start.Digest().String() {
		t.Errorf("without steps the start is not what it was (%v)", err)
	}
}

// A step's sequences are the same in any order of asking, and no two steps share one.
func TestLessonsByStep(t *testing.T) {
	const items, steps = 30, 4
	statistics := liking(t, items)
	d := Distillation{Steps: steps, Batch: 3, Length: 8, Seed: 11}
	ask := func(source seqrec.Source, step int) []seqrec.Sequence {
		batch, err := source(step)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(batch)
	}
	forward, backward := lessons(stats.NewTeacher(statistics), items, d), lessons(stats.NewTeacher(statistics), items, d)
	seeds := map[uint64]bool{}
	var want, got [steps][]seqrec.Sequence
	for step := range steps {
		want[step], got[steps-1-step] = ask(forward, step), ask(backward, steps-1-step)
	}
	for step := range steps {
		for b, s := range want[step] {
			seeds[s.Seed] = true
			if other := got[step][b]; !slices.Equal(s.Items, other.Items) || !slices.Equal(s.Soft, other.Soft) || s.Seed != other.Seed {
				t.Errorf("step %d, sequence %d depends on what was asked before", step, b)
			}
		}
	}
	if len(seeds) != steps*d.Batch {
		t.Errorf("%d seeds for %d sequences", len(seeds), steps*d.Batch)
	}
}
