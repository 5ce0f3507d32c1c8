package seqrec_test

import (
	"errors"
	"slices"
	"testing"

	"tutti/model/seqrec"
)

func TestFromHistory(t *testing.T) {
	for _, c := range []struct {
		history        []int32
		maxLen         int
		items, targets []int32
	}{
		{nil, 3, nil, nil},
		{[]int32{1}, 3, nil, nil},
		{[]int32{1, 2}, 3, []int32{1}, []int32{2}},
		{[]int32{1, 2, 3, 4}, 3, []int32{1, 2, 3}, []int32{2, 3, 4}},
		{[]int32{1, 2, 3, 4, 5}, 3, []int32{2, 3, 4}, []int32{3, 4, 5}},
		{[]int32{1, 2}, 0, nil, nil},
	} {
		s := seqrec.FromHistory(c.history, c.maxLen)
		if !slices.Equal(s.Items, c.items) || !slices.Equal(s.Targets, c.targets) {
			t.Errorf("%v to %d: %v -> %v, want %v -> %v", c.history, c.maxLen, s.Items, s.Targets, c.items, c.targets)
		}
	}
}

func TestWindowsTargetEveryItemOnce(t *testing.T) {
	for n := range int32(20) {
		history := make([]int32, n)
		for i := range history {
			history[i] = int32(i)
		}
		for maxLen := 1; maxLen < 8; maxLen++ {
			var targets []int32
			for _, s := range seqrec.Windows(history, maxLen) {
				if len(s.Items) > maxLen {
					t.Fatalf("n=%d maxLen=%d: a window of %d", n, maxLen, len(s.Items))
				}
				for i, target := range s.Targets {
					if s.Items[i] != target-1 {
						t.Fatalf("n=%d maxLen=%d: %v does not lead to %v", n, maxLen, s.Items, s.Targets)
					}
				}
				targets = append(targets, s.Targets...)
			}
			slices.Sort(targets)
			if want := history[min(1, n):]; !slices.Equal(targets, want) {
				t.Fatalf("n=%d maxLen=%d: targets %v, want %v", n, maxLen, targets, want)
			}
		}
	}
}

func TestCrops(t *testing.T) {
	long := make([]int32, 50)
	for i := range long {
		long[i] = int32(i)
	}
	histories := [][]int32{{7}, long, {3, 4}, nil}
	var runs [2][]int32
	for run := range runs {
		source := seqrec.Crops(histories, 5, 2, 0.5, 42)
		for step := range 100 {
			batch, err := source(step)
			if err != nil || len(batch) != 2 {
				t.Fatalf("batch of %d, %v", len(batch), err)
			}
			lengths := []int{len(batch[0].Items), len(batch[1].Items)}
			slices.Sort(lengths)
			if !slices.Equal(lengths, []int{1, 5}) { // one epoch: each history once
				t.Fatalf("step %d: sequences of %v", step, lengths)
			}
			runs[run] = append(runs[run], slices.Concat(batch[0].Items, batch[1].Items)...)
		}
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Error("the same seed gave other batches")
	}
	seen := map[int32]bool{}
	for _, item := range runs[0] {
		seen[item] = true
	}
	if !seen[0] || !seen[48] {
		t.Error("the windows of 100 steps do not reach both ends of a history")
	}
	if _, err := seqrec.Crops([][]int32{{1}}, 5, 2, 0.5, 1)(0); !errors.Is(err, seqrec.ErrNothingToLearn) {
		t.Errorf("without a usable history: %v", err)
	}
}
