package layer

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func mustProposal(t *testing.T, weights ...uint64) *Proposal {
	t.Helper()
	p, err := NewProposal(weights)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every point of the weights belongs to the item whose share it lies in; points
// drawn without a target skip its share alone.
func TestProposalPoints(t *testing.T) {
	p := mustProposal(t, 1, 3, 2)
	var got []int32
	for r := range uint64(6) {
		got = append(got, p.at(r))
	}
	if !slices.Equal(got, []int32{0, 1, 1, 1, 2, 2}) {
		t.Errorf("items %v", got)
	}
}

// chiSquare is Pearson's statistic of counts against expected ones.
func chiSquare(counts []int, expected []float64) (sum float64) {
	for i, e := range expected {
		sum += (float64(counts[i]) - e) * (float64(counts[i]) - e) / e
	}
	return sum
}

// Draws follow q, and draws for a token follow q without its target. Each of the
// four statistics has at most 4 degrees of freedom and stays below 30 but for a
// probability of 5e-6; the seeds are fixed, so the test passes always or never.
func TestProposalFrequencies(t *testing.T) {
	const rounds, m, target = 20000, 2, 3
	weighted := mustProposal(t, 1, 2, 3, 4, 10)
	for name, p := range map[string]*Proposal{"weighted": weighted, "uniform": UniformProposal(5)} {
		shared, each := make([]int, 5), make([]int, 5)
		var n Negatives
		for seed := range uint64(rounds) {
			p.Draw(&n, m, seed)
			for _, id := range n.IDs {
				shared[id]++
			}
			n.IDs, n.LogCount = n.IDs[:0], n.LogCount[:0]
			p.AppendEach(&n, []int32{target}, m, seed)
			for _, id := range n.IDs {
				each[id]++
			}
		}
		var want, wantEach []float64
		own, total := p.weight(target)
		for i := range int32(5) {
			w, _ := p.weight(i)
			want = append(want, rounds*m*float64(w)/float64(total))
			wantEach = append(wantEach, rounds*m*float64(w)/float64(total-own))
		}
		if each[target] != 0 {
			t.Errorf("%s: the target was drawn %d times", name, each[target])
		}
		each[target], wantEach[target] = 1, 1
		if a, b := chiSquare(shared, want), chiSquare(each, wantEach); a > 30 || b > 30 {
			t.Errorf("%s: chi-square %v and %v: %v, %v", name, a, b, shared, each)
		}
	}
}

// The log counts are those of what was drawn.
func TestProposalLogCounts(t *testing.T) {
	p := mustProposal(t, 1, 2, 3, 4, 10)
	var n Negatives
	p.Draw(&n, 3, 1)
	for i, id := range n.IDs {
		w, _ := p.weight(id)
		if want := math.Log(3 * float64(w) / 20); !(math.Abs(float64(n.LogCount[i])-want) <= 1e-6) {
			t.Errorf("item %d: log count %v, want %v", id, n.LogCount[i], want)
		}
	}
	n = Negatives{}
	p.AppendEach(&n, []int32{4, -1, 0}, 2, 1)
	if len(n.IDs) != 6 || len(n.LogCount) != 6 {
		t.Fatalf("%d ids and %d counts for 3 tokens of 2", len(n.IDs), len(n.LogCount))
	}
	for i, id := range n.IDs {
		others := []float64{10, 0, 19}[i/2]
		if i/2 == 1 {
			if id != 0 || n.LogCount[i] != 0 {
				t.Errorf("a token without a target got item %d", id)
			}
			continue
		}
		w, _ := p.weight(id)
		if want := math.Log(2 * float64(w) / others); !(math.Abs(float64(n.LogCount[i])-want) <= 1e-6) {
			t.Errorf("token %d: log count %v, want %v", i/2, n.LogCount[i], want)
		}
	}
}

func TestUniformDrawsAreDistinct(t *testing.T) {
	p := UniformProposal(50)
	var n Negatives
	for m := 1; m < 50; m++ {
		p.Draw(&n, m, uint64(m))
		ids := slices.Clone(n.IDs)
		slices.Sort(ids)
		if len(slices.Compact(ids)) != m || ids[0] < 0 || ids[m-1] >= 50 {
			t.Fatalf("%d draws: %v", m, n.IDs)
		}
		if want := float32(math.Log(float64(m) / 50)); n.LogCount[0] != want {
			t.Fatalf("%d draws: log count %v, want %v", m, n.LogCount[0], want)
		}
	}
}

// The same seed draws the same everywhere: what these drew once.
func TestProposalVectors(t *testing.T) {
	var uniform, weighted, each Negatives
	UniformProposal(1000).Draw(&uniform, 5, 42)
	p := mustProposal(t, 5, 1, 1, 8, 1, 16)
	p.Draw(&weighted, 5, 42)
	p.AppendEach(&each, []int32{5, 0}, 3, 42)
	for name, c := range map[string]struct{ got, want []int32 }{
		"uniform":  {uniform.IDs, []int32{409, 569, 603, 892, 32}},
		"weighted": {weighted.IDs, []int32{3, 5, 3, 4, 5}},
		"each":     {each.IDs, []int32{3, 0, 3, 5, 1, 5}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: drew %v, want %v", name, c.got, c.want)
		}
	}
}

func TestProposalRefuses(t *testing.T) {
	for name, weights := range map[string][]uint64{
		"nothing": nil, "a zero": {1, 0, 2}, "too much": {1 << 62, 1 << 62}, "one too much": {1 << 63},
	} {
		if _, err := NewProposal(weights); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewProposal([]uint64{1 << 62, 1<<62 - 1}); err != nil {
		t.Errorf("a sum of 2^63-1: %v", err)
	}
}

func TestPointwise(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	const n, d = 5, 3
	in := PointwiseArgs{
		N: n, D: d, H: random(rng, n*d), E: random(rng, n*d), W: random(rng, d), B: random(rng, 1),
		Labels: []float32{1, 0, float32(math.NaN()), 1, 0}, Scale: 0.25,
	}
	h, e, w, b := wide(in.H), wide(in.E), wide(in.W), wide(in.B)
	score := func(i int) float64 {
		r := b[0]
		for j := range d {
			r += w[j] * h[i*d+j] * e[i*d+j]
		}
		return r
	}
	for name, c := range map[string]struct {
		run func(PointwiseArgs) (float64, int)
		one func(r, label float64) float64
	}{
		"squared": {SquaredError, func(r, label float64) float64 { return (r - label) * (r - label) }},
		"logistic": {Logistic, func(r, label float64) float64 {
			return -label*math.Log(sigmoid(r)) - (1-label)*math.Log(1-sigmoid(r))
		}},
	} {
		oracle := func() (sum float64) {
			for i, label := range in.Labels {
				if !math.IsNaN(float64(label)) {
					sum += c.one(score(i), float64(label))
				}
			}
			return sum
		}
		in.DH, in.DE, in.DW, in.DB = ones(n*d), ones(n*d), ones(d), ones(1)
		got, labels := c.run(in)
		if want := oracle(); !(math.Abs(got-want) <= 1e-6*want) || labels != 4 {
			t.Errorf("%s: loss %v of %d labels, want %v", name, got, labels, want)
		}
		scaled := func() float64 { return 0.25 * oracle() }
		compareSum(t, name+" dH", in.DH, slope(h, scaled))
		compareSum(t, name+" dE", in.DE, slope(e, scaled))
		compareSum(t, name+" dW", in.DW, slope(w, scaled))
		compareSum(t, name+" dB", in.DB, slope(b, scaled))
		in.DH, in.DE, in.DW, in.DB = nil, nil, nil, nil
		if again, _ := c.run(in); again != got {
			t.Errorf("%s: without gradients loss %v, want the same %v", name, again, got)
		}
	}
	r := make([]float32, n)
	Pointwise(r, in)
	want := make([]float64, n)
	for i := range want {
		want[i] = score(i)
	}
	compare(t, "scores", r, want)
}

// A score far off must cost what it costs, not NaN.
func TestLogisticAtTheEdge(t *testing.T) {
	in := PointwiseArgs{
		N: 2, D: 1, H: []float32{1e4, 1e4}, E: []float32{1, 1}, W: []float32{1}, B: []float32{0},
		Labels: []float32{0, 1}, Scale: 1, DB: make([]float32, 1),
	}
	if loss, _ := Logistic(in); loss != 1e4 || in.DB[0] != 1 {
		t.Errorf("loss %v, slope %v", loss, in.DB[0])
	}
}
