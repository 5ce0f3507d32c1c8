package metric

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// naivePlaces sorts the whole catalogue, wrong items before right ones of the
// same score, and looks where the right ones stand. Without ties among wrong
// and right items that is every convention's answer.
func naivePlaces(c Case, scores []float32, mask bool) (places []float64, competing int) {
	right := append([]int32{c.Target}, c.Also...)
	var order []int32
	for i := range int32(len(scores)) {
		if !mask || !slices.Contains(c.History, i) || slices.Contains(right, i) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(scores[b], scores[a]) })
	for place, item := range order {
		if slices.Contains(right, item) {
			places = append(places, float64(place))
		}
	}
	return places, len(order)
}

func TestPlacesAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 400 {
		const items = 40
		scores := make([]float32, items)
		for i, p := range r.Perm(items) {
			scores[i] = float32(p)
		}
		picked := r.Perm(items)
		c := Case{Target: int32(picked[0])}
		for _, a := range picked[1 : 1+r.IntN(6)] {
			c.Also = append(c.Also, int32(a))
		}
		for range r.IntN(30) {
			c.History = append(c.History, r.Int32N(items))
		}
		for _, mask := range []bool{false, true} {
			for _, ties := range []Ties{TiesFree, TiesHalf} {
				j := newJudge(items, Options{K: 10, MaskSeen: mask, Ties: ties})
				got := j.judge(c, scores)
				places, competing := naivePlaces(c, scores, mask)
				if !slices.Equal(got.places, places) || got.items != competing {
					t.Fatalf("%+v, masked %v: places %v of %d, want %v of %d", c, mask, got.places, got.items, places, competing)
				}
				if slices.Contains(j.seen, true) {
					t.Fatal("the mask was left behind")
				}
			}
		}
	}
}

func TestTiesAndMissingNumbersWithSeveralRight(t *testing.T) {
	scores := []float32{5, 5, 5, 5, 1, nan}
	for _, c := range []struct {
		name   string
		target int32
		also   []int32
		ties   Ties
		places []float64
		auc    float64
	}{
		{"two right and two wrong are equal; no number is greater", 0, []int32{1}, TiesFree, []float64{1, 2}, 1 - 2.0/4},
		{"half of the ties", 0, []int32{1}, TiesHalf, []float64{2, 3}, 1 - 2.0/4},
		{"a right item without a number is last", 0, []int32{5}, TiesFree, []float64{0, 7}, (1 - 1.5/4 + 0) / 2},
		{"one right", 4, nil, TiesHalf, []float64{5}, 0},
		{"one right without a number", 5, nil, TiesFree, []float64{6}, 0},
	} {
		got := newJudge(6, Options{K: 3, Ties: c.ties}).judge(Case{Target: c.target, Also: c.also}, scores)
		if !slices.Equal(got.places, c.places) || !(math.Abs(got.auc-c.auc) <= 1e-12) {
			t.Errorf("%s: %v, AUC %v; want %v, %v", c.name, got.places, got.auc, c.places, c.auc)
		}
	}
}

func TestMeasuresByHand(t *testing.T) {
	// Right items at the places 0, 2 and 7 of 10, K = 4.
	m := verdict{places: []float64{0, 2, 7}}.measure(4)
	ideal := 1 + 1/math.Log2(3) + 0.5
	for _, c := range []struct {
		m    Measure
		want float64
	}{
		{HitRateAtK, 1}, {NDCGAtK, 1.5 / ideal}, {ReciprocalRankAll, 1}, {PrecisionAtK, 0.5}, {RecallAtK, 2.0 / 3},
		{F1AtK, 4.0 / 7}, {PrecisionAverageAtK, (1 + 2.0/3) / 3}, {Accuracy, 1},
	} {
		near(t, c.m.String(), m[c.m], c.want)
	}
	for m, want := range (verdict{places: []float64{4}}).measure(4) {
		if m := Measure(m); m == ReciprocalRankAll {
			want -= 0.2
		}
		near(t, "missed: "+Measure(m).String(), want, 0)
	}
}

// TestOneRightItemIsAsBefore holds the figures of a single right item to the
// plain functions, bit for bit.
func TestOneRightItemIsAsBefore(t *testing.T) {
	for _, place := range []float64{0, 0.5, 3, 9, 9.5, 10, 77} {
		m := verdict{places: []float64{place}}.measure(10)
		if m[HitRateAtK] != HitRate(place, 10) || m[NDCGAtK] != NDCG(place, 10) || m[ReciprocalRankAll] != ReciprocalRank(place) || m[RecallAtK] != m[HitRateAtK] {
			t.Errorf("place %v: %v", place, m)
		}
	}
}

func TestFigures(t *testing.T) {
	r := readReference(t)
	result := r.evaluate(t, Options{K: r.K, MaskSeen: true, Logits: true})
	figures := result.Figures(400, 3)
	if len(figures) != measures || figures[1].Name != "NDCG@5" || figures[2].Name != "MRR" {
		t.Fatalf("%+v", figures)
	}
	for m, f := range figures {
		if f.Interval != Bootstrap(result.Values(Measure(m)), 400, 3) {
			t.Errorf("%s: interval %v is not that of Bootstrap", f.Name, f.Interval)
		}
		if f.Value != result.Mean(Measure(m)) || f.Cases != len(r.Cases) || f.Low > f.Value || f.High < f.Value {
			t.Errorf("%+v", f)
		}
	}
	if got := len(r.evaluate(t, Options{K: r.K}).Figures(0, 0)); got != measures-1 {
		t.Errorf("%d figures without logits", got)
	}
	if got := len(Summarise([]float64{1, 2}, 10).Figures(10, 1)); got != measures-2 {
		t.Errorf("%d figures of ranks alone", got)
	}
}

func TestBreakdown(t *testing.T) {
	ranks := make([]float64, 90)
	for i := range ranks {
		ranks[i] = float64(i % 3 * 20) // groups 0, 1, 2 have ranks 0, 20, 40
	}
	ranks = append(ranks, 0)
	r := Summarise(ranks, 10)
	label := func(i int) string {
		if i == 90 {
			return "tiny"
		}
		return []string{"a", "b", "c"}[i%3]
	}
	rows, gaps := r.Breakdown(label, 5, 200, 1)
	if len(rows) != 4 || rows[0].Label != "a" || rows[0].Cases != 30 || rows[3].Label != "tiny" || len(rows[0].Figures) != measures-2 {
		t.Fatalf("%+v", rows)
	}
	for _, g := range gaps {
		switch g.Name {
		case "HR":
			if g.Best != "a" || g.Difference != 1 || g.Relative != 1 || g.Interval != (Interval{1, 1}) {
				t.Errorf("%+v", g)
			}
		case "MRR":
			if g.Best != "a" || g.Worst != "c" || !(math.Abs(g.Difference-(1-1.0/41)) <= 1e-12) {
				t.Errorf("%+v", g)
			}
		}
	}
	if _, gaps := r.Breakdown(label, 1000, 10, 1); gaps != nil {
		t.Errorf("gaps of groups that are too small: %+v", gaps)
	}
	even := Summarise(make([]float64, 40), 10)
	if _, gaps := even.Breakdown(func(i int) string { return []string{"x", "y"}[i%2] }, 1, 50, 1); gaps[0].Difference != 0 || gaps[0].Best == gaps[0].Worst {
		t.Errorf("of equal groups: %+v", gaps[0])
	}
}

// One group has its items in second place, the other in fourth: whatever is drawn,
// their gap is the same.
func TestGapByHand(t *testing.T) {
	r := Summarise([]float64{1, 1, 1, 3, 3}, 10)
	_, gaps := r.Breakdown(func(i int) string { return []string{"near", "far"}[i/3] }, 1, 20, 1)
	for _, g := range gaps {
		if want := (Gap{"MRR", "near", "far", 0.25, 0.5, Interval{0.25, 0.25}}); g.Name == "MRR" && g != want {
			t.Errorf("%+v, want %+v", g, want)
		}
	}
	if len(gaps) != measures-2 {
		t.Errorf("%d gaps", len(gaps))
	}
}

// A resample of two cases holds only one kind half of the time.
func TestAUCOfResamplesOfOneKind(t *testing.T) {
	b, err := NewBinary([]bool{true, false}, []float64{0.9, 0.1})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range b.Figures(0.5, 100, 1) {
		if f.Name == "AUC" && (f.Value != 1 || f.Interval != (Interval{0.5, 1})) {
			t.Errorf("%+v, want 1 between 0.5 and 1", f)
		}
	}
}

func TestCosineOfNothing(t *testing.T) {
	similar := Cosine([]float32{0, 0, 3, 4}, 2)
	if a, b, one := similar(0, 1), similar(0, 0), similar(1, 1); a != 0 || b != 0 || one != 1 {
		t.Errorf("similarities %v, %v and %v, want 0, 0 and 1", a, b, one)
	}
}

func TestLogLossGapNamesTheBetterGroup(t *testing.T) {
	scores := [][]float32{{4, 0, 0}, {0, 0, 0}}
	r, err := Evaluate([]Case{{User: 0, Target: 0}, {User: 1, Target: 0}}, 3, func(u int, _ []int32, out []float32) { copy(out, scores[u]) }, Options{Logits: true})
	if err != nil {
		t.Fatal(err)
	}
	_, gaps := r.Breakdown(func(i int) string { return []string{"sure", "lost"}[i] }, 1, 10, 1)
	last := gaps[len(gaps)-1]
	if last.Name != "log loss" || last.Best != "sure" || !(math.Abs(last.Difference-(math.Log(3)-math.Log(1+2*math.Exp(-4)))) <= 1e-9) {
		t.Errorf("%+v", last)
	}
}

func TestBeyondByHand(t *testing.T) {
	// Four items; lists show 0 three times, 1 twice, 2 once.
	r := Result{Lists: [][]int32{{0, 1}, {0, 1}, {0, 2}, {}}}
	facts := ItemFacts{Items: 4, Counts: []int{4, 2, 2, 0}, Similarity: Jaccard([][]string{{"a", "b"}, {"a"}, {"c"}, nil})}
	want := map[string]float64{
		CoverageName:  0.75,
		GiniName:      5.0 / 12,              // sum (2i-n-1) x = -3*0 - 1*1 + 1*2 + 3*3 = 10, over 4*6
		NoveltyName:   1.5,                   // 1 bit for item 0, 2 for 1 and 2
		DiversityName: (0.5 + 0.5 + 1.0) / 3, // {a,b} and {a} share half
	}
	for _, f := range r.Beyond(facts, 50, 1) {
		near(t, f.Name, f.Value, want[f.Name])
	}
	shares := r.Exposure(4, func(i int32) string { return []string{"x", "y", "y", ""}[i] })
	if len(shares) != 2 || shares[0] != (Share{"x", 1, 1.0 / 3, 0.5}) || shares[1] != (Share{"y", 2, 2.0 / 3, 0.5}) {
		t.Errorf("%+v", shares)
	}
	if got := (Result{}).Beyond(ItemFacts{Items: 3, Counts: []int{1, 1, 1}}, 10, 1); got[0].Value != 0 || got[1].Value != 0 || got[2].Value != 0 {
		t.Errorf("of no lists: %+v", got)
	}
	if got := GiniOf([]int{0, 0, 12}, 3); !(math.Abs(got-2.0/3) <= 1e-12) {
		t.Errorf("one has all of three: %v", got)
	}
	if got := Novelty([][]int32{{3}}, facts.Counts); got[0] != 3 { // 1 of 8
		t.Errorf("an item that nobody met: %v", got)
	}
}

func TestPredictionsRefuse(t *testing.T) {
	if _, err := NewBinary([]bool{true}, nil); err == nil {
		t.Error("lengths")
	}
	if _, err := NewBinary([]bool{true}, []float64{math.NaN()}); err == nil {
		t.Error("not a number")
	}
	if err := NewConfusion(2).Add(0, 2); err == nil {
		t.Error("class")
	}
	if _, err := Ratings([]float64{1}, []float64{math.Inf(1)}, 1, 1); err == nil {
		t.Error("infinite rating")
	}
	if b, _ := NewBinary([]bool{true, true}, []float64{1, 0}); true {
		if _, defined := b.AUC(); defined {
			t.Error("AUC of one kind")
		}
		if loss := b.LogLoss(); math.IsInf(loss, 0) || loss < 10 {
			t.Errorf("sure error: %v", loss)
		}
	}
	for name, c := range map[string]Case{"twice": {Target: 1, Also: []int32{1}}, "outside": {Target: 1, Also: []int32{9}}} {
		if _, err := Evaluate([]Case{c}, 5, identity, Options{}); err == nil {
			t.Error(name)
		}
	}
	if _, err := EvaluateBatch(nil, 5, 0, nil, Options{}); err == nil {
		t.Error("batch size")
	}
}
