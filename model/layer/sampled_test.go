package layer

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sampledOracle sums the losses of args with the scores in float64, one pair
// after another.
func sampledOracle(in SampledArgs, h, table, bias []float64, loss func(own float64, others, logCount []float64) float64) (sum float64) {
	d, m := in.D, len(in.Negatives)
	if in.Each {
		m /= in.N
	}
	score := func(n int, item int32) (s float64) {
		for c := range d {
			s += h[n*d+c] * table[int(item)*d+c]
		}
		if bias != nil {
			s += bias[item]
		}
		return s
	}
	for n, target := range in.Targets {
		if target < 0 {
			continue
		}
		lo := 0
		if in.Each {
			lo = n * m
		}
		var others, logCount []float64
		for j := lo; j < lo+m; j++ {
			if in.Negatives[j] != target {
				others = append(others, score(n, in.Negatives[j]))
				logCount = append(logCount, float64(in.LogCount[j]))
			}
		}
		sum += loss(score(n, target), others, logCount)
	}
	return sum
}

func softmaxOracle(own float64, others, logCount []float64) float64 {
	z := math.Exp(own)
	for j, s := range others {
		z += math.Exp(s - logCount[j])
	}
	return math.Log(z) - own
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func gbceOracle(k, v int, t float64) func(own float64, others, _ []float64) float64 {
	return func(own float64, others, _ []float64) float64 {
		alpha := float64(k) / float64(v-1)
		beta := alpha * (t*(1-1/alpha) + 1/alpha)
		sum := math.Log(math.Pow(sigmoid(own), beta))
		for _, s := range others {
			sum += math.Log(1 - sigmoid(s))
		}
		return -sum / float64(len(others)+1)
	}
}

func bprOracle(own float64, others, _ []float64) (sum float64) {
	for _, s := range others {
		sum -= math.Log(sigmoid(own-s)) / float64(len(others))
	}
	return sum
}

// sampledProblem has repeats, accidental hits and tokens without a target.
func sampledProblem(seed uint64, n, v, d, m int, each bool) SampledArgs {
	rng := rand.New(rand.NewPCG(seed, 1))
	in := SampledArgs{N: n, V: v, D: d, H: random(rng, n*d), Table: random(rng, v*d), Bias: random(rng, v), Each: each}
	for range n {
		in.Targets = append(in.Targets, int32(rng.IntN(v+1)-1))
	}
	if each {
		m *= n
	}
	for range m {
		in.Negatives = append(in.Negatives, int32(rng.IntN(v)))
		in.LogCount = append(in.LogCount, float32(rng.NormFloat64()))
	}
	return in
}

// The rows of the losses and what they should be, for m negatives of v items.
var sampledLosses = map[string]struct {
	run    func(s *Sampled, in SampledArgs) float64
	oracle func(m, v int) func(own float64, others, logCount []float64) float64
}{
	"softmax": {(*Sampled).Softmax, func(int, int) func(float64, []float64, []float64) float64 { return softmaxOracle }},
	"gbce": {func(s *Sampled, in SampledArgs) float64 { return s.GBCE(in, 0.75) },
		func(m, v int) func(float64, []float64, []float64) float64 { return gbceOracle(m, v, 0.75) }},
	"bpr": {(*Sampled).BPR, func(int, int) func(float64, []float64, []float64) float64 { return bprOracle }},
}

func TestSampledLosses(t *testing.T) {
	for name, loss := range sampledLosses {
		s := NewSampled() // reused: what a large call leaves behind must not matter
		for _, c := range []struct {
			n, v, d, m    int
			each, without bool
		}{
			{70, 11, 3, 5, false, false}, // more than a tile
			{70, 11, 3, 4, true, false},
			{1, 3, 1, 2, false, false}, {5, 9, 4, 1, false, false}, {5, 9, 4, 1, true, false},
			{6, 9, 4, 40, false, false}, // repeats, and more negatives than items
			{6, 9, 4, 3, false, true}, {6, 9, 4, 3, true, true},
		} {
			in := sampledProblem(uint64(c.n), c.n, c.v, c.d, c.m, c.each)
			if c.m > c.v && name == "gbce" {
				continue // alpha would be above 1: see TestGBCEBeta
			}
			bias64 := wide(in.Bias)
			if c.without {
				in.Bias, bias64 = nil, nil
			}
			h64, table64 := wide(in.H), wide(in.Table)
			want := func() float64 { return sampledOracle(in, h64, table64, bias64, loss.oracle(c.m, c.v)) }
			const scale = 0.25
			in.Scale = scale
			in.DH, in.DTable, in.DBias = ones(c.n*c.d), ones(c.v*c.d), ones(c.v)
			got := loss.run(s, in)
			if !(math.Abs(got-want()) <= 2e-6*want()) {
				t.Errorf("%s %+v: loss %v, want %v", name, c, got, want())
			}
			scaled := func() float64 { return scale * want() }
			compareSum(t, name+" dH", in.DH, slope(h64, scaled))
			compareSum(t, name+" dTable", in.DTable, slope(table64, scaled))
			if !c.without {
				compareSum(t, name+" dBias", in.DBias, slope(bias64, scaled))
			}
			in.DH, in.DTable, in.DBias = nil, nil, nil
			if again := loss.run(s, in); again != got {
				t.Errorf("%s %+v: without gradients loss %v, want the same %v", name, c, again, got)
			}
		}
	}
}

// With every item drawn once it is the full softmax, value and gradients.
func TestSampledSoftmaxOfTheWholeCatalogue(t *testing.T) {
	p := newProblem(5, 70, 40, 6, false)
	full := p.args()
	full.Scale, full.DH, full.DTable, full.DBias = 0.5, ones(p.n*p.d), ones(p.v*p.d), ones(p.v)
	want, err := NewCrossEntropy().Run(full)
	if err != nil {
		t.Fatal(err)
	}
	uneven := make([]uint64, p.v)
	for i := range uneven {
		uneven[i] = uint64(1 + i*i)
	}
	weighted, err := NewProposal(uneven)
	if err != nil {
		t.Fatal(err)
	}
	for name, proposal := range map[string]*Proposal{"uniform": UniformProposal(p.v), "weighted": weighted} {
		var drawn Negatives
		proposal.Draw(&drawn, p.v, 1)
		in := SampledArgs{
			N: p.n, V: p.v, D: p.d, H: p.h, Table: p.table, Bias: p.bias, Targets: p.targets,
			Negatives: drawn.IDs, LogCount: drawn.LogCount, Scale: 0.5,
			DH: ones(p.n * p.d), DTable: ones(p.v * p.d), DBias: ones(p.v),
		}
		if got := NewSampled().Softmax(in); !(math.Abs(got-want) <= 1e-6*want) {
			t.Errorf("%s: loss %v, full softmax %v", name, got, want)
		}
		compare(t, name+" dH", in.DH, wide(full.DH))
		compare(t, name+" dTable", in.DTable, wide(full.DTable))
		compare(t, name+" dBias", in.DBias, wide(full.DBias))
	}
}

// Z' has the expectation Z: over all draws of two negatives from five items,
// weighed by their probability, exactly.
func TestSampledSoftmaxIsUnbiased(t *testing.T) {
	const v = 5
	scores, weights := []float32{0.5, -1, 2, 0, 1.5}, []uint64{1, 2, 3, 4, 10}
	weighted, err := NewProposal(weights)
	if err != nil {
		t.Fatal(err)
	}
	uniform := float32(math.Log(2.0 / v))
	z := func(target int32, ids []int32, counts []float32) float64 {
		in := SampledArgs{
			N: 1, V: v, D: 1, H: []float32{1}, Table: scores, Targets: []int32{target}, Negatives: ids, LogCount: counts,
		}
		return math.Exp(NewSampled().Softmax(in) + float64(scores[target]))
	}
	for target := range int32(v) {
		want := 0.0
		for _, s := range scores {
			want += math.Exp(float64(s))
		}
		var got, gotDistinct float64
		for i := range int32(v) {
			for j := range int32(v) {
				wi, total := weighted.weight(i)
				wj, _ := weighted.weight(j)
				p := float64(wi) / float64(total) * float64(wj) / float64(total)
				got += p * z(target, []int32{i, j}, []float32{weighted.logCount(math.Log(2/float64(total)), i), weighted.logCount(math.Log(2/float64(total)), j)})
				if i != j { // uniform, without replacement
					gotDistinct += z(target, []int32{i, j}, []float32{uniform, uniform}) / (v * (v - 1))
				}
			}
		}
		if !(math.Abs(got-want) <= 1e-5*want) || !(math.Abs(gotDistinct-want) <= 1e-5*want) {
			t.Errorf("target %d: expectation %v with replacement, %v without, want %v", target, got, gotDistinct, want)
		}
	}
}

// Logits that would overflow, and a target that is all its negatives.
func TestSampledLossesAtTheEdge(t *testing.T) {
	in := SampledArgs{
		N: 2, V: 3, D: 1, H: []float32{200, -200}, Table: []float32{1, -1, 0}, Targets: []int32{0, 0},
		Negatives: []int32{1, 2}, LogCount: []float32{0, 0}, Scale: 1,
	}
	for name, want := range map[string]float64{
		"softmax": 400 + math.Log1p(math.Exp(-200)),
		"bpr":     (400 + 200) / 2,
		// alpha = 1, beta = 1: log 2 for item 2 twice; softplus(200) for the target and for item 1, once each.
		"gbce": (400 + 2*math.Ln2) / 3,
	} {
		in.DH, in.DTable = make([]float32, 2), make([]float32, 3)
		if got := sampledLosses[name].run(NewSampled(), in); !(math.Abs(got-want) <= 1e-5*want) {
			t.Errorf("%s: loss %v, want %v", name, got, want)
		}
		for _, g := range slices.Concat(in.DH, in.DTable) {
			if math.IsNaN(float64(g)) || math.IsInf(float64(g), 0) {
				t.Errorf("%s: gradients %v, %v", name, in.DH, in.DTable)
			}
		}
	}
	in.Negatives = []int32{0, 0}
	in.DH, in.DTable = make([]float32, 2), make([]float32, 3)
	for _, name := range []string{"softmax", "bpr"} {
		if got := sampledLosses[name].run(NewSampled(), in); got != 0 || in.DTable[0] != 0 || in.DH[0] != 0 {
			t.Errorf("%s with nothing but hits: loss %v, gradients %v, %v", name, got, in.DH, in.DTable)
		}
	}
	in.Targets = []int32{-1, -1}
	for name, loss := range sampledLosses {
		if got := loss.run(NewSampled(), in); got != 0 {
			t.Errorf("%s without targets: loss %v", name, got)
		}
	}
}

func TestSampledSoftmaxWantsCounts(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("sampled softmax ran without the correction")
		}
	}()
	in := sampledProblem(1, 2, 5, 2, 3, false)
	in.LogCount = nil
	NewSampled().Softmax(in)
}

func TestGBCEBeta(t *testing.T) {
	for _, c := range []struct {
		k, v int
		t    float64
		want float64
	}{
		{1, 101, 0, 1},              // plain binary cross-entropy
		{1, 101, 1, 0.01},           // alpha: fully calibrated
		{256, 3417, 0.75, 0.306206}, // the paper's setting for MovieLens-1M
		{100, 101, 0.75, 1},         // all negatives: nothing to calibrate
		{500, 101, 0.75, 1}, {0, 101, 1, 1}, {1, 1, 1, 1},
	} {
		if got := GBCEBeta(c.k, c.v, c.t); !(math.Abs(got-c.want) <= 1e-6) {
			t.Errorf("beta(%d of %d, t=%v) = %v, want %v", c.k, c.v, c.t, got, c.want)
		}
	}
}

func TestLogisticRow(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	z := random(rng, 700)
	for i := range z {
		z[i] *= 30
	}
	z[0], z[1], z[2], z[3] = outside, 1e4, -1e4, 0
	want, sum := make([]float64, len(z)), 0.0
	for i, v := range wide(z) {
		value, s := softplus(v)
		want[i] = s
		sum += value
	}
	if got := logisticRow(z); !(math.Abs(got-sum) <= 1e-6*sum) {
		t.Errorf("sum %v, want %v", got, sum)
	}
	compare(t, "sigmoid", z, want)
	if z[0] != 0 {
		t.Errorf("an item that is left out weighs %v", z[0])
	}
}

// Where the probability is as good as 1, what is missing to it still counts.
func TestSoftplusFarBelow(t *testing.T) {
	for _, z := range []float64{-50, -40, -20} {
		want := math.Exp(z) // less exp(2z)/2
		if value, slope := softplus(z); !(math.Abs(value/want-1) <= 1e-8) || !(math.Abs(slope/want-1) <= 1e-8) {
			t.Errorf("softplus(%v) = %v with slope %v, want %v for both", z, value, slope, want)
		}
	}
}

// The correction of a softmax leaves nothing behind for the loss after it.
func TestSampledLossesDoNotMeet(t *testing.T) {
	in := SampledArgs{
		N: 1, V: 3, D: 1, H: []float32{2}, Table: []float32{1, -1, 0.5}, Targets: []int32{0},
		Negatives: []int32{1, 2}, LogCount: []float32{-3, -4},
	}
	s := NewSampled()
	want := s.GBCE(in, 0.5)
	s.Softmax(in)
	if got := s.GBCE(in, 0.5); got != want {
		t.Errorf("gBCE %v, and %v after a softmax", want, got)
	}
}
