package layer

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// problem is a cross-entropy with its targets also as dense rows q (N x V).
type problem struct {
	n, v, d        int
	h, table, bias []float32
	targets        []int32
	soft           [][]float32
	q              []float64
}

// newProblem mixes hard targets, soft ones (if soft) and tokens without loss.
func newProblem(seed uint64, n, v, d int, soft bool) problem {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := problem{n: n, v: v, d: d, h: random(rng, n*d), table: random(rng, v*d), bias: random(rng, v), q: make([]float64, n*v)}
	for i := range n {
		p.targets, p.soft = append(p.targets, -1), append(p.soft, nil)
		switch kind := rng.IntN(4); {
		case kind == 0: // no loss
			if soft && rng.IntN(2) == 0 {
				p.soft[i] = make([]float32, v)
			}
		case kind == 1 && soft:
			p.soft[i] = distribution(rng, v)
			p.targets[i] = 0 // must not count
			copy(p.q[i*v:], wide(p.soft[i]))
		default:
			p.targets[i] = int32(rng.IntN(v))
			p.q[i*v+int(p.targets[i])] = 1
		}
	}
	if !soft {
		p.soft = nil
	}
	return p
}

// distribution sums to as much more than 1 as is allowed, nearly.
func distribution(rng *rand.Rand, v int) []float32 {
	q := make([]float32, v)
	sum := 0.0
	for i := range q {
		q[i] = float32(rng.ExpFloat64())
		sum += float64(q[i])
	}
	for i := range q {
		q[i] = float32(float64(q[i]) / sum * (1 + 0.8*SoftTolerance))
	}
	return q
}

func (p problem) args() CrossEntropyArgs {
	return CrossEntropyArgs{N: p.n, V: p.v, D: p.d, H: p.h, Table: p.table, Bias: p.bias, Targets: p.targets, Soft: p.soft}
}

func TestCrossEntropy(t *testing.T) {
	for _, c := range []struct {
		n, v, d int
		soft    bool
	}{
		{1, 2, 1, false}, {5, 7, 3, false}, {9, 130, 4, false}, {70, 11, 2, false}, // more than a tile
		{5, 7, 3, true}, {40, 131, 2, true}, {70, 9, 2, true},
		{12, 2*itemBlock + 9, 2, false}, {12, 2*itemBlock + 9, 2, true}, // the maximum rises from block to block
	} {
		p := newProblem(uint64(c.n), c.n, c.v, c.d, c.soft)
		h64, table64, bias64 := wide(p.h), wide(p.table), wide(p.bias)
		loss := func() float64 { return crossEntropyOracle(h64, table64, bias64, p.q, p.n, p.v, p.d) }

		const scale = 0.25
		args := p.args()
		args.Scale = scale
		args.DH, args.DTable, args.DBias = ones(p.n*p.d), ones(p.v*p.d), ones(p.v)
		ce := NewCrossEntropy()
		got, err := ce.Run(args)
		if err != nil {
			t.Fatal(err)
		}
		if want := loss(); !(math.Abs(got-want) <= 2e-6*math.Abs(want)) {
			t.Errorf("%+v: loss %v, want %v", c, got, want)
		}
		scaled := func() float64 { return scale * loss() }
		compareSum(t, "dH", args.DH, slope(h64, scaled))
		compareSum(t, "dTable", args.DTable, slope(table64, scaled))
		compareSum(t, "dBias", args.DBias, slope(bias64, scaled))

		args.DH, args.DTable, args.DBias = nil, nil, nil
		if again, err := ce.Run(args); err != nil || again != got {
			t.Errorf("%+v: without gradients loss %v (%v), want the same %v", c, again, err, got)
		}
	}
}

func TestCrossEntropyWithoutBias(t *testing.T) {
	p := newProblem(3, 6, 20, 3, false)
	args := p.args()
	args.Bias = nil
	got, err := NewCrossEntropy().Run(args)
	if err != nil {
		t.Fatal(err)
	}
	if want := crossEntropyOracle(wide(p.h), wide(p.table), nil, p.q, p.n, p.v, p.d); !(math.Abs(got-want) <= 2e-6*want) {
		t.Errorf("loss %v, want %v", got, want)
	}
}

// Logits far apart, rising block by block: the running maximum must carry over.
func TestCrossEntropyWithLargeLogits(t *testing.T) {
	const v = 3*itemBlock + 5
	bias, q := make([]float32, v), make([]float32, v)
	for i := range bias {
		bias[i] = float32(i) * 2
	}
	q[0] = 1
	for name, args := range map[string]CrossEntropyArgs{
		"hard": {Targets: []int32{0}},
		"soft": {Targets: []int32{-1}, Soft: [][]float32{q}},
	} {
		args.N, args.V, args.D = 1, v, 1
		args.H, args.Table, args.Bias = []float32{0}, make([]float32, v), bias
		args.DBias, args.Scale = make([]float32, v), 1
		got, err := NewCrossEntropy().Run(args)
		if err != nil {
			t.Fatal(err)
		}
		want := 2*(v-1) - math.Log(1-math.Exp(-2)) // sum of a geometric series
		if !(math.Abs(got-want) <= 1e-3) {
			t.Errorf("%s: loss %v, want %v", name, got, want)
		}
		if top := args.DBias[v-1]; !(math.Abs(float64(top)-(1-math.Exp(-2))) <= 1e-6) || args.DBias[0] != -1 {
			t.Errorf("%s: gradients %v and %v", name, top, args.DBias[0])
		}
	}
}

func TestCrossEntropyRefusesSoftTargets(t *testing.T) {
	nan := float32(math.NaN())
	for name, q := range map[string][]float32{
		"too little": {0.5, 0.4, 0}, "too much": {0.7, 0.4, 0}, "negative": {1.5, -0.5, 0}, "NaN": {1, 0, nan},
		"infinite": {float32(math.Inf(1)), 0, 0},
	} {
		args := CrossEntropyArgs{
			N: 1, V: 3, D: 1, H: []float32{1}, Table: []float32{1, 2, 3}, Bias: make([]float32, 3),
			Targets: []int32{-1}, Soft: [][]float32{q},
		}
		if _, err := NewCrossEntropy().Run(args); !errors.Is(err, ErrSoftTarget) {
			t.Errorf("%s: error %v, want ErrSoftTarget", name, err)
		}
	}
}

func TestTileWidth(t *testing.T) {
	for _, c := range []struct{ left, v, want int }{
		{1, 10, 1}, {50, 3706, 50}, {64, 3706, 64}, {65, 3706, 36}, {128, 3706, 64}, {100, 1 << 24, 8},
	} {
		if got := tileWidth(c.left, c.v); got != c.want {
			t.Errorf("%d tokens of %d items: tile of %d, want %d", c.left, c.v, got, c.want)
		}
	}
}
