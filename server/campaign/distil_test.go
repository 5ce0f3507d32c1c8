package campaign

import (
	"slices"
	"testing"

	"tutti/model/seqrec"
	"tutti/model/stats"
)

// A step's sequences are the same in any order of asking, and no two steps share one.
func TestLessonsByStep(t *testing.T) {
	const items, steps = 30, 4
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
