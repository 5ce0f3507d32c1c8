package validity

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHonestUploadPasses(t *testing.T) {
	for _, s := range []shape{small, {1, 5, 1, 2}, {2048, 7, 2, 2}, {4100, 16, 5, 4}, {100, 9, 2, 1}} {
		w := newWorld(t, s)
		u := w.honest()
		st, answers := w.answers(u)
		rand.New(rand.NewPCG(1, 1)).Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
		for n := w.check.Need(); n <= len(answers); n++ {
			if wrong, err := w.check.Verify(st, answers[:n]); err != nil || wrong != nil {
				t.Errorf("%+v, %d answers: %v, %v", s, n, wrong, err)
			}
		}
		if _, err := w.check.Verify(st, answers[:w.check.Need()-1]); !errors.Is(err, ErrTooFew) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

var _ = slices.Sort[[]int]
