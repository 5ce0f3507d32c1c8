package metric

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

var nan = float32(math.NaN())

func TestRankByHand(t *testing.T) {
	scores := []float32{5, 3, 3, 9, 3, 1}
	seen := []bool{true, false, true, false, false, false}
	cases := []struct {
		name   string
		scores []float32
		target int32
		seen   []bool
		ties   Ties
		want   float64
	}{
		{"two greater", scores, 1, nil, TiesFree, 2},
		{"two greater, half of two equal", scores, 1, nil, TiesHalf, 3},
		{"one greater and one equal masked", scores, 1, seen, TiesFree, 1},
		{"one greater, half of one equal", scores, 1, seen, TiesHalf, 1.5},
		{"a seen target still competes", scores, 0, seen, TiesFree, 1},
		{"best", scores, 3, nil, TiesHalf, 0},
		{"last", scores, 5, nil, TiesHalf, 5},
		{"all equal", []float32{7, 7, 7, 7, 7}, 2, nil, TiesHalf, 2},
		{"all equal, ties free", []float32{7, 7, 7, 7, 7}, 2, nil, TiesFree, 0},
		{"a rival without a number is greater", []float32{nan, 1, 2}, 2, nil, TiesFree, 1},
		{"a target without a number is last", []float32{1, nan, 2}, 1, nil, TiesFree, 3},
		{"outside the catalogue", scores, 6, nil, TiesFree, 6},
		{"negative", scores, -1, nil, TiesFree, 6},
	}
	for _, c := range cases {
		if got := Rank(c.scores, c.target, c.seen, c.ties); got != c.want {
			t.Errorf("%s: rank %v, want %v", c.name, got, c.want)
		}
	}
}

func TestGainsByHand(t *testing.T) {
	cases := []struct{ rank, hr, ndcg, mrr float64 }{
		{0, 1, 1, 1},
		{1, 1, 1 / math.Log2(3), 0.5},
		{2, 1, 0.5, 1.0 / 3},
		{1.5, 1, 1 / math.Log2(3.5), 0.4},
		{9, 1, 1 / math.Log2(11), 0.1},
		{9.5, 1, 1 / math.Log2(11.5), 1 / 10.5},
		{10, 0, 0, 1.0 / 11},
	}
	for _, c := range cases {
		for _, v := range []struct {
			name      string
			got, want float64
		}{{"HR", HitRate(c.rank, 10), c.hr}, {"NDCG", NDCG(c.rank, 10), c.ndcg}, {"RR", ReciprocalRank(c.rank), c.mrr}} {
			if !(math.Abs(v.got-v.want) <= 1e-12) {
				t.Errorf("rank %v: %s %v, want %v", c.rank, v.name, v.got, v.want)
			}
		}
	}
}

// identity scores item i with i, so that the rank of a target is known.
func identity(_ int, _ []int32, out []float32) {
	for i := range out {
		out[i] = float32(i)
	}
}

func TestEvaluateByHand(t *testing.T) {
	cases := []Case{
		{User: 0, History: []int32{4}, Target: 4},    // the last of 0..4: rank 0
		{User: 1, History: []int32{4, 4}, Target: 2}, // 3 above it, and 4 when seen items compete
		{User: 2, Target: 0},                         // four above it
	}
	all, err := Evaluate(cases, 5, identity, Options{K: 3})
	if err != nil {
		t.Fatal(err)
	}
	wantResult(t, "seen items compete", all, 2.0/3, (1+1/math.Log2(4))/3, (1+1.0/3+1.0/5)/3)
	masked, err := Evaluate(cases, 5, identity, Options{K: 3, MaskSeen: true})
	if err != nil {
		t.Fatal(err)
	}
	wantResult(t, "masked", masked, 2.0/3, (1+1/math.Log2(3))/3, (1+1.0/2+1.0/5)/3)
	groups := masked.By(func(i int) string { return []string{"b", "a", ""}[i] })
	if len(groups) != 2 || groups[0].Label != "a" || groups[0].MRR != 0.5 || groups[1].Label != "b" || groups[1].HR != 1 {
		t.Errorf("groups %+v", groups)
	}
}

func wantResult(t *testing.T, name string, r Result, hr, ndcg, mrr float64) {
	t.Helper()
	if !(math.Abs(r.HR-hr) <= 1e-12) || !(math.Abs(r.NDCG-ndcg) <= 1e-12) || !(math.Abs(r.MRR-mrr) <= 1e-12) {
		t.Errorf("%s: %+v, want HR %v, NDCG %v, MRR %v", name, r, hr, ndcg, mrr)
	}
}

func TestEvaluateDoesNotDependOnWorkers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	cases := make([]Case, 500)
	for i := range cases {
		cases[i] = Case{User: i, History: []int32{random.Int32N(50), random.Int32N(50)}, Target: random.Int32N(50)}
	}
	score := func(user int, history []int32, out []float32) {
		own := rand.New(rand.NewPCG(uint64(user), uint64(history[0])))
		for i := range out {
			out[i] = own.Float32()
		}
	}
	one, err := Evaluate(cases, 50, score, Options{Workers: 1, MaskSeen: true})
	if err != nil {
		t.Fatal(err)
	}
	many, err := Evaluate(cases, 50, score, Options{Workers: 7, MaskSeen: true})
	if err != nil {
		t.Fatal(err)
	}
	if one.NDCG != many.NDCG || one.HR != many.HR || one.MRR != many.MRR {
		t.Errorf("one worker %v %v, seven %v %v", one.NDCG, one.HR, many.NDCG, many.HR)
	}
}

func TestEvaluateRefuses(t *testing.T) {
	for name, c := range map[string]Case{
		"target":  {Target: 5},
		"history": {History: []int32{-1}},
	} {
		if _, err := Evaluate([]Case{c}, 5, identity, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s outside the catalogue: error %v", name, err)
		}
	}
	if _, err := Evaluate(nil, 5, identity, Options{K: -1}); err == nil {
		t.Error("a negative cut-off was accepted")
	}
	if r, err := Evaluate(nil, 5, identity, Options{}); err != nil || r.NDCG != 0 || r.K != 10 {
		t.Errorf("no case: %+v, %v", r, err)
	}
}

func TestBootstrap(t *testing.T) {
	values := make([]float64, 400)
	for i := range values {
		values[i] = float64(i % 2)
	}
	got := Bootstrap(values, 1000, 7)
	// The mean of 400 fair coins has a standard deviation of 0.025; the interval
	// is about 0.5 -+ 0.049. The seed is fixed, so the test cannot fail by chance.
	if !(math.Abs(got.Low-0.451) <= 0.01) || !(math.Abs(got.High-0.549) <= 0.01) {
		t.Errorf("interval %+v", got)
	}
	if again := Bootstrap(values, 1000, 7); again != got {
		t.Errorf("the same seed gave %+v and %+v", got, again)
	}
	if same := Bootstrap([]float64{3, 3, 3}, 100, 1); same.Low != 3 || same.High != 3 {
		t.Errorf("of a constant: %+v", same)
	}
	if none := Bootstrap(nil, 100, 1); none != (Interval{}) {
		t.Errorf("of nothing: %+v", none)
	}
	ranks := Summarise([]float64{0, 0, 20, 20}, 10)
	if ndcg, hr := ranks.NDCGInterval(500, 3), ranks.HRInterval(500, 3); ndcg != hr || ndcg.Low >= 0.5 || ndcg.High <= 0.5 {
		t.Errorf("intervals %+v and %+v must be equal where gains are 0 or 1", ndcg, hr)
	}
}

// 2.5 % of the draws lie beyond each end; the other kind of interval reaches 1.96
// standard deviations, but not beyond what a share can be.
func TestIntervalsByHand(t *testing.T) {
	draws := make([]float64, 1000)
	for i := range draws {
		draws[(i*7)%1000] = float64(i)
	}
	if got := percentiles(draws); got != (Interval{25, 974}) {
		t.Errorf("percentiles %+v, want 25 and 974", got)
	}
	wide := 1.96 * math.Sqrt(0.0275/3) // squares of 0.1, 0.1, 0.2, 0.3 less their mean
	if got := around(0.4, []float64{0.1, 0.1, 0.2, 0.3}); !(math.Abs(got.Low-(0.4-wide)) <= 1e-12 && math.Abs(got.High-(0.4+wide)) <= 1e-12) {
		t.Errorf("around 0.4: %+v, want -+ %v", got, wide)
	}
	if got := around(0.4, []float64{0, 1}); got != (Interval{0, 1}) {
		t.Errorf("around 0.4: %+v, want all that is possible", got)
	}
}

func BenchmarkRank(b *testing.B) {
	scores := make([]float32, 3706)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range scores {
		scores[i] = random.Float32()
	}
	for b.Loop() {
		Rank(scores, 17, nil, TiesFree)
	}
}
