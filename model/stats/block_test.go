package stats

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b float64) bool { return math.Abs(a-b) < 2e-6 }

func square(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return sum
}

func TestPopularityVectorByHand(t *testing.T) {
	got := PopularityVector([]int32{3, 1, 3, 0, 1, 4, 9, -1}, 6) // four different items
	for i, want := range []float64{.5, .5, 0, .5, .5, 0} {
		if !near(float64(got[i]), want) {
			t.Errorf("item %d: %v, want %v", i, got[i], want)
		}
	}
	if square(PopularityVector(nil, 3)) != 0 {
		t.Error("an empty history has a vector that is not 0")
	}
}

// Items 5, 2, 7 at positions 0, 1, 2; cells 01, 02, 12. The history 5 x 2 7 5
// filters to 5 2 7 5: pairs 5-2 (1), 5-7 (a), 5-5 none, 2-7 (1), 2-5 (a), 7-5
// (1), with a decay of a = .5.
func TestVectorByHand(t *testing.T) {
	block, err := NewBlock([]int32{5, 2, 7}, 10)
	if err != nil {
		t.Fatal(err)
	}
	got := block.Vector([]int32{5, 9, 2, 7, 5}, Window{Width: 3, Decay: .5})
	norm := math.Sqrt(1.5*1.5 + 1.5*1.5 + 1)
	for cell, want := range []float64{1.5 / norm, 1.5 / norm, 1 / norm} {
		if !near(float64(got[cell]), want) {
			t.Errorf("cell %d: %v, want %v", cell, got[cell], want)
		}
	}
	narrow := block.Vector([]int32{5, 9, 2, 7, 5}, Window{Width: 1, Decay: .5})
	for cell, want := range []float64{1 / math.Sqrt(3), 1 / math.Sqrt(3), 1 / math.Sqrt(3)} {
		if !near(float64(narrow[cell]), want) {
			t.Errorf("width 1, cell %d: %v, want %v", cell, narrow[cell], want)
		}
	}
	for name, history := range map[string][]int32{"empty": nil, "one item": {5}, "one item again": {5, 5, 5}, "outside": {1, 3, -4, 100}} {
		if square(block.Vector(history, DefaultWindow)) != 0 {
			t.Errorf("%s: the vector is not 0", name)
		}
	}
}

func TestCellsAreTheUpperTriangle(t *testing.T) {
	items := []int32{4, 0, 9, 3, 7, 1}
	block, err := NewBlock(items, 10)
	if err != nil {
		t.Fatal(err)
	}
	cell := 0
	for p := range items {
		for q := p + 1; q < len(items); q++ {
			if block.Cell(p, q) != cell || block.Cell(q, p) != cell {
				t.Errorf("positions %d and %d: cells %d and %d, want %d", p, q, block.Cell(p, q), block.Cell(q, p), cell)
			}
			cell++
		}
	}
	if block.Cells() != cell || block.K() != len(items) || block.Catalogue() != 10 {
		t.Errorf("%d cells of %d items of %d", block.Cells(), block.K(), block.Catalogue())
	}
	if block.Position(9) != 2 || block.Position(8) != -1 || block.Position(-1) != -1 || block.Position(10) != -1 {
		t.Error("positions are wrong")
	}
}

func TestNewBlockRefuses(t *testing.T) {
	for name, items := range map[string][]int32{"one": {1}, "twice": {1, 2, 1}, "outside": {1, 10}, "negative": {1, -1}, "more than there are": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}} {
		if _, err := NewBlock(items, 10); err == nil {
			t.Errorf("%s: accepted %v", name, items)
		}
	}
	for _, w := range []Window{{0, .5}, {65, .5}, {8, 0}, {8, 1.1}, {8, math.NaN()}} {
		if w.Check() == nil {
			t.Errorf("accepted %+v", w)
		}
	}
	if err := DefaultWindow.Check(); err != nil {
		t.Error(err)
	}
}

// Whatever the history, a vector has norm 0 or (nearly) 1, never more, and no
// negative entry: what the privacy claim rests on before the clip.
func TestVectorsAreBounded(t *testing.T) {
	const catalogue = 12
	block, err := NewBlock([]int32{3, 8, 1, 0, 11, 6}, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		history := rapid.SliceOfN(rapid.Int32Range(-2, catalogue+2), 0, 80).Draw(t, "history")
		window := Window{Width: rapid.IntRange(1, 64).Draw(t, "width"), Decay: rapid.Float64Range(.01, 1).Draw(t, "decay")}
		for name, vector := range map[string][]float32{"popularity": PopularityVector(history, catalogue), "block": block.Vector(history, window)} {
			norm := square(vector)
			if norm > 1 || (norm != 0 && norm < 1-1e-5) {
				t.Fatalf("%s: squared norm %v", name, norm)
			}
			for _, v := range vector {
				if !(v >= 0 && v <= 1) {
					t.Fatalf("%s: entry %v", name, v)
				}
			}
		}
	})
}

func BenchmarkVector(b *testing.B) {
	items := make([]int32, 1000)
	for i := range items {
		items[i] = int32(i)
	}
	block, err := NewBlock(items, 3706)
	if err != nil {
		b.Fatal(err)
	}
	history := make([]int32, 165)
	for i := range history {
		history[i] = int32(i*37) % 2000
	}
	for b.Loop() {
		block.Vector(history, DefaultWindow)
	}
}
