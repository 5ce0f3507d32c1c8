package stats

import (
	"math"
	"testing"
)

// small is a release without noise over a catalogue of 6 items: the block holds
// 4, 1, 0 (in that order), with cells 4-1: 3, 4-0: 1, 1-0: 0.
func small(t testing.TB) (*Popularity, *Transitions, *Scorer) {
	t.Helper()
	popularity, err := NewPopularity([]float32{1, 2, 0, 0, 4, 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	block, err := NewBlock(popularity.TopK(3), 6)
	if err != nil {
		t.Fatal(err)
	}
	transitions, err := NewTransitions(block, []float32{3, 1, 0}, 0)
	if err != nil {
		t.Fatal(err)
	}
	scorer, err := NewScorer(popularity, transitions)
	if err != nil {
		t.Fatal(err)
	}
	return popularity, transitions, scorer
}

// Rows, with a ridge of 1: 4 -> 1: 3/5, 0: 1/5; 1 -> 4: 3/4; 0 -> 4: 1/2.
func TestScoresByHand(t *testing.T) {
	_, transitions, scorer := small(t)
	history := []int32{0, 1, 5, 4} // ages: 4 is 0, 5 is 1 (outside), 1 is 2, 0 is 3
	want := []float64{1. / 5, 3. / 5, 0, 0, .64*3/4 + .512/2, 0}
	got := make([]float32, 6)
	got[3] = 99 // an old score
	transitions.Scores(history, got)
	for i := range want {
		if !(math.Abs(float64(got[i])-want[i]) <= 1e-4) {
			t.Errorf("item %d: %v, want %v", i, got[i], want[i])
		}
	}
	scorer.Scores(history, got)
	for i, share := range []float64{1. / 8, 2. / 8, 0, 0, 4. / 8, 1. / 8} {
		if !(math.Abs(float64(got[i])-want[i]-.3*share) <= 1e-4) {
			t.Errorf("with popularity, item %d: %v, want %v", i, got[i], want[i]+.3*share)
		}
	}
	scorer.Distribution([]int32{4, 1}, got)
	total := 0.0
	for _, v := range got {
		total += float64(v)
	}
	if !(math.Abs(total-1) <= 1e-6) || got[4] != 0 || got[1] != 0 {
		t.Errorf("distribution %v sums to %v", got, total)
	}
	scorer.Distribution([]int32{0, 1, 4, 5}, got) // what is left has no score
	for i, v := range got {
		if v != 0 {
			t.Errorf("item %d has probability %v though nothing is left", i, v)
		}
	}
}

func TestExplainByHand(t *testing.T) {
	_, transitions, scorer := small(t)
	// For item 4 speak item 1 with .64*3/4 = .48 and item 0 with .512/2 = .256.
	history := []int32{0, 1, 5, 2}
	because, part, ok := transitions.Explain(history, 4)
	wantPart := .64 * .75 / (.64*.75 + .512*.5)
	if !ok || because != 1 || !(math.Abs(part-wantPart) <= 1e-4) {
		t.Errorf("because %d, part %v, %v; want 1 and %v", because, part, ok, wantPart)
	}
	reason := scorer.Explain(history, 4)
	whole := .64*.75 + .512*.5 + .3/2
	if reason.Because != 1 || !(math.Abs(reason.Part-.48/whole) <= 1e-4) || !(math.Abs(reason.Popular-.15/whole) <= 1e-4) {
		t.Errorf("reason %+v", reason)
	}
	for name, c := range map[string]struct {
		history []int32
		item    int32
	}{"outside the block": {history, 5}, "nothing speaks for it": {[]int32{1}, 0}, "no history": {nil, 4}} {
		if got := scorer.Explain(c.history, c.item); got != (Reason{Because: -1, Popular: 1}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := scorer.Explain(history, 6); got != (Reason{Because: -1}) {
		t.Errorf("outside the catalogue: %+v", got)
	}
}

// Repeats add up: item 1 twice beats item 0 once more recently.
func TestExplainAddsRepeats(t *testing.T) {
	_, transitions, _ := small(t)
	because, part, ok := transitions.Explain([]int32{1, 1, 0}, 4)
	one, zero := (.8+.64)*.75, .5
	if !ok || because != 1 || !(math.Abs(part-one/(one+zero)) <= 1e-4) {
		t.Errorf("because %d, part %v, want %v", because, part, one/(one+zero))
	}
}

func TestPopularity(t *testing.T) {
	popularity, _, _ := small(t)
	if got := popularity.TopK(4); len(got) != 4 || got[0] != 4 || got[1] != 1 || got[2] != 0 || got[3] != 5 {
		t.Errorf("top %v", got)
	}
	if got := popularity.TopK(99); len(got) != 6 {
		t.Errorf("top %v", got)
	}
	flat, err := NewPopularity([]float32{-1, -2, 0}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, share := range flat.Shares() {
		if !(math.Abs(float64(share)-1./3) <= 1e-6) {
			t.Errorf("nothing above the noise: item %d has share %v", i, share)
		}
	}
	scorer, err := NewScorer(flat, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, 3)
	scorer.Scores([]int32{0}, out)
	if out[0] != out[2] || scorer.Explain([]int32{0}, 1) != (Reason{Because: -1, Popular: 1}) {
		t.Errorf("popularity alone: %v", out)
	}
}

func TestReleasesThatDoNotFit(t *testing.T) {
	popularity, transitions, _ := small(t)
	other, err := NewPopularity([]float32{1, 2}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewScorer(other, transitions); err == nil {
		t.Error("releases of different catalogues were joined")
	}
	if _, err := NewScorer(nil, transitions); err == nil {
		t.Error("a scorer without popularity")
	}
	if _, err := NewTransitions(transitions.Block(), []float32{1}, 0); err == nil {
		t.Error("a sum of the wrong length was accepted")
	}
	if _, err := NewPopularity(nil, 1); err == nil {
		t.Error("popularity of no item was accepted")
	}
	empty, err := NewTransitions(transitions.Block(), []float32{-1, 0, -2}, 0)
	if err != nil {
		t.Fatal(err)
	}
	scorer, err := NewScorer(popularity, empty)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, 6)
	scorer.Scores([]int32{4, 1}, out)
	for i, v := range out {
		if v != v || !(math.Abs(float64(v-.3*popularity.Shares()[i])) <= 1e-7) {
			t.Errorf("no transition remains, item %d scores %v", i, v)
		}
	}
}

// Two histories 0 1 2 and 1 0, width 1: the first gives 0>1 and 1>2 at 1/sqrt 2
// each, the second 1>0 at 1.
func TestItemItemByHand(t *testing.T) {
	histories := [][]int32{{0, 1, 2}, {1, 0}}
	half := 1 / math.Sqrt2
	for _, c := range []struct {
		backward float64
		want     [3][3]float64 // rows before normalising
	}{
		{0, [3][3]float64{{0, half, 0}, {1, 0, half}, {}}},
		{1, [3][3]float64{{0, half + 1, 0}, {1 + half, 0, half}, {0, half, 0}}},
	} {
		model, err := NewItemItem(histories, 3, Window{1, 1}, c.backward)
		if err != nil {
			t.Fatal(err)
		}
		for from, row := range c.want {
			out := make([]float32, 3)
			model.Scores([]int32{int32(from)}, out)
			sum := row[0] + row[1] + row[2] + 1
			for to, v := range row {
				if !(math.Abs(float64(out[to])-v/sum) <= 1e-6) {
					t.Errorf("backward %v, %d to %d: %v, want %v", c.backward, from, to, out[to], v/sum)
				}
			}
		}
	}
	repeated, err := NewItemItem([][]int32{{0, 1, 0, 1}}, 2, Window{1, 1}, 0) // 0>1 twice, 1>0 once
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, 2)
	repeated.Scores([]int32{0}, out)
	if v := 2 / math.Sqrt(5); !(math.Abs(float64(out[1])-v/(v+1)) <= 1e-6) {
		t.Errorf("repeated transitions: %v", out)
	}
	if _, err := NewItemItem(nil, 0, DefaultWindow, 0); err == nil {
		t.Error("an empty catalogue was accepted")
	}
	if _, err := NewItemItem(nil, 3, DefaultWindow, 2); err == nil {
		t.Error("a backward weight of 2 was accepted")
	}
}
