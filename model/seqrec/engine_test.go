package seqrec_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

var small = seqrec.Config{Items: 11, Dim: 4, Blocks: 2, Heads: 2, Hidden: 6, MaxLen: 5}

// smallModels are the small recommender with a table and with features, with
// weights that are all different from each other and not small.
func smallModels(t *testing.T) map[string]*seqrec.Model {
	featured := small
	featured.FeatureDim = 3
	return map[string]*seqrec.Model{
		"table":    mustModel(t, small, nil),
		"features": mustModel(t, featured, normal(rand.New(rand.NewPCG(8, 8)), small.Items*3, 1)),
	}
}

func normal(rng *rand.Rand, n int, std float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(std * rng.NormFloat64())
	}
	return x
}

// lively returns weights around the initial ones that leave no term at zero.
func lively(t *testing.T, m *seqrec.Model) model.Params {
	t.Helper()
	p := m.Init(1)
	for i, noise := range normal(rand.New(rand.NewPCG(9, 9)), p.Layout().Size(), 0.4) {
		p.Values()[i] += noise
	}
	return p
}

// mixedBatch has hard and soft sequences of several lengths and positions
// without a target.
func mixedBatch(v int) []seqrec.Sequence {
	rng := rand.New(rand.NewPCG(10, 10))
	soft := make([]float32, 2*v) // the second row stays zero: no loss
	for i := range v {
		soft[i] = float32(2*(i+1)) / float32(v*(v+1))
	}
	return []seqrec.Sequence{
		seqrec.FromHistory(randomHistory(rng, 6, v), 5),
		{Items: []int32{3}, Targets: []int32{1}},
		{Items: []int32{4, 4}, Soft: soft},
		{Items: []int32{0, 1, 2}, Targets: []int32{seqrec.NoTarget, seqrec.NoTarget, 10}},
	}
}

func TestLossAndGradientAgainstOracle(t *testing.T) {
	for name, m := range smallModels(t) {
		for _, batch := range [][]seqrec.Sequence{mixedBatch(small.Items), mixedBatch(small.Items)[:2]} {
			params := lively(t, m)
			o := newOracle(m, params)
			grad := make([]float32, m.Layout().Size())
			loss, tokens, err := seqrec.NewEngine(m).LossGrad(params.Values(), batch, grad)
			if err != nil {
				t.Fatal(err)
			}
			if want := o.loss(batch); !(math.Abs(loss-want) <= 1e-6*want) {
				t.Errorf("%s: loss %v, want %v", name, loss, want)
			}
			if want := map[int]int{4: 5 + 1 + 1 + 1, 2: 5 + 1}[len(batch)]; tokens != want {
				t.Errorf("%s: %d tokens, want %d", name, tokens, want)
			}
			compareGradient(t, name, m, grad, o, func() float64 { return o.loss(batch) })
		}
	}
}

func compareGradient(t *testing.T, name string, m *seqrec.Model, grad []float32, o *oracle, loss func() float64) {
	t.Helper()
	for _, spec := range m.Layout().Tensors() {
		_, at, _ := m.Layout().Tensor(spec.Name)
		want := slope(o.p[spec.Name], loss)
		most := 1e-3
		for _, w := range want {
			most = math.Max(most, math.Abs(w))
		}
		for i, w := range want {
			if got := float64(grad[at+i]); !(math.Abs(got-w) <= 1e-5*most) {
				t.Errorf("%s: gradient of %s[%d] = %v, want %v", name, spec.Name, i, got, w)
				break
			}
		}
	}
}

// A batch must give what its sequences give one by one, however many ran before.
func TestRaggedEqualsOneByOne(t *testing.T) {
	for name, m := range smallModels(t) {
		params, batch := lively(t, m), mixedBatch(small.Items)
		size := m.Layout().Size()
		engine := seqrec.NewEngine(m)
		together, single := make([]float32, size), make([]float32, size)
		loss, tokens, err := engine.LossGrad(params.Values(), batch, together)
		if err != nil {
			t.Fatal(err)
		}
		sum, sumGrad := 0.0, make([]float64, size)
		for i := range batch {
			l, n, err := engine.LossGrad(params.Values(), batch[i:i+1], single)
			if err != nil {
				t.Fatal(err)
			}
			sum += l * float64(n) / float64(tokens)
			for j, g := range single {
				sumGrad[j] += float64(g) * float64(n) / float64(tokens)
			}
		}
		if !(math.Abs(sum-loss) <= 1e-6*loss) {
			t.Errorf("%s: one by one the loss is %v, together %v", name, sum, loss)
		}
		for j, g := range together {
			if !(math.Abs(sumGrad[j]-float64(g)) <= 1e-6) {
				t.Fatalf("%s: gradient %d is %v one by one, %v together", name, j, sumGrad[j], g)
			}
		}
	}
}

// A batch that is not worth splitting is what one engine computes, to the bit.
func TestSmallBatchesAreNotSplit(t *testing.T) {
	for name, m := range smallModels(t) {
		params, batch := lively(t, m), mixedBatch(small.Items)
		want, grad := make([]float32, m.Layout().Size()), make([]float32, m.Layout().Size())
		loss, _, err := seqrec.NewEngine(m).LossGrad(params.Values(), batch, want)
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := seqrec.NewParallelEngine(m, 4).LossGrad(params.Values(), batch, grad)
		if err != nil || l != loss || !slices.Equal(grad, want) {
			t.Errorf("%s: loss %v (%v), want %v; equal gradients: %v", name, l, err, loss, slices.Equal(grad, want))
		}
	}
}

// What comes later must not change what the model says before.
func TestCausality(t *testing.T) {
	for name, m := range smallModels(t) {
		params := lively(t, m)
		engine := seqrec.NewEngine(m)
		only := func(items []int32, at int) float64 { // loss of one position
			targets := []int32{-1, -1, -1, -1, -1}
			targets[at] = 7
			loss, _, err := engine.LossGrad(params.Values(), []seqrec.Sequence{{Items: items, Targets: targets}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return loss
		}
		for at := range 5 {
			before, after := []int32{1, 2, 3, 4, 5}, []int32{1, 2, 3, 4, 5}
			for later := at + 1; later < 5; later++ {
				after[later] = 9
			}
			if only(before, at) != only(after, at) {
				t.Errorf("%s: position %d sees the future", name, at)
			}
			after[at] = 10
			if only(before, at) == only(after, at) {
				t.Errorf("%s: position %d does not see its own item", name, at)
			}
		}
	}
}

func TestLossWithoutGradientIsTheSame(t *testing.T) {
	m := smallModels(t)["table"]
	params, batch := lively(t, m), mixedBatch(small.Items)
	engine := seqrec.NewEngine(m)
	with, _, err := engine.LossGrad(params.Values(), batch, make([]float32, m.Layout().Size()))
	if err != nil {
		t.Fatal(err)
	}
	if without, _, err := engine.LossGrad(params.Values(), batch, nil); err != nil || without != with {
		t.Errorf("loss %v without gradient (%v), %v with", without, err, with)
	}
}

func TestEngineRefusesBadBatches(t *testing.T) {
	m := smallModels(t)["table"]
	params := m.Init(1).Values()
	grad := make([]float32, len(params))
	one := func(s seqrec.Sequence) []seqrec.Sequence { return []seqrec.Sequence{s} }
	long := make([]int32, 6)
	for name, c := range map[string]struct {
		params, grad []float32
		batch        []seqrec.Sequence
		says         string
	}{
		"short params": {params[1:], grad, mixedBatch(11), "parameters"},
		"short grad":   {params, grad[1:], mixedBatch(11), "gradients"},
		"no sequence":  {params, grad, nil, "no position has a target"},
		"empty":        {params, grad, one(seqrec.Sequence{}), "0 items"},
		"too long":     {params, grad, one(seqrec.Sequence{Items: long, Targets: long}), "6 items"},
		"item too big": {params, grad, one(seqrec.Sequence{Items: []int32{11}, Targets: []int32{0}}), "item 0 is 11"},
		"item below 0": {params, grad, one(seqrec.Sequence{Items: []int32{-1}, Targets: []int32{0}}), "item 0 is -1"},
		"target":       {params, grad, one(seqrec.Sequence{Items: []int32{0}, Targets: []int32{11}}), "target 0 is 11"},
		"no targets":   {params, grad, one(seqrec.Sequence{Items: []int32{0}}), "0 targets"},
		"soft length":  {params, grad, one(seqrec.Sequence{Items: []int32{0}, Soft: make([]float32, 12)}), "12 soft values"},
		"soft sum":     {params, grad, one(seqrec.Sequence{Items: []int32{0}, Soft: []float32{.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}), "sums to 0.5"},
	} {
		for _, engine := range []seqrec.Engine{seqrec.NewEngine(m), seqrec.NewParallelEngine(m, 2)} {
			_, _, err := engine.LossGrad(c.params, c.batch, c.grad)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
			}
		}
	}
	_, _, err := seqrec.NewEngine(m).LossGrad(params, one(seqrec.Sequence{Items: []int32{0}, Targets: []int32{-1}}), grad)
	if !errors.Is(err, seqrec.ErrNothingToLearn) {
		t.Errorf("without a target: %v, want ErrNothingToLearn", err)
	}
}

func TestEngineAllocatesNothingOnceWarm(t *testing.T) {
	for name, m := range smallModels(t) {
		params, batch := lively(t, m).Values(), mixedBatch(small.Items)
		grad := make([]float32, len(params))
		engine := seqrec.NewEngine(m)
		run := func() {
			if _, _, err := engine.LossGrad(params, batch, grad); err != nil {
				panic(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations per step", name, n)
		}
	}
}

func TestNewRefusesBadConfigs(t *testing.T) {
	for _, c := range []struct {
		change   func(*seqrec.Config)
		features []float32
		says     string
	}{
		{func(c *seqrec.Config) { c.Items = 1 }, nil, "nothing to choose"},
		{func(c *seqrec.Config) { c.Items = 1 << 25 }, nil, "Items"},
		{func(c *seqrec.Config) { c.Dim = 0 }, nil, "Dim"},
		{func(c *seqrec.Config) { c.Heads = 3 }, nil, "multiple of Heads"},
		{func(c *seqrec.Config) { c.Blocks = -1 }, nil, "Blocks"},
		{func(c *seqrec.Config) { c.Hidden = 0 }, nil, "Hidden"},
		{func(c *seqrec.Config) { c.MaxLen = 0 }, nil, "MaxLen"},
		{func(c *seqrec.Config) { c.FeatureDim = -1 }, nil, "FeatureDim"},
		{func(c *seqrec.Config) { c.FeatureDim = 2 }, make([]float32, 21), "21 feature values"},
		{func(c *seqrec.Config) {}, make([]float32, 22), "22 feature values"},
		{func(c *seqrec.Config) { c.FeatureDim = 1 }, append(make([]float32, 10), float32(math.NaN())), "not finite"},
	} {
		cfg := small
		c.change(&cfg)
		if _, err := seqrec.New(cfg, c.features); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: error %v, want one that says %q", cfg, err, c.says)
		}
	}
}

func TestInit(t *testing.T) {
	for name, m := range smallModels(t) {
		first, again, other := m.Init(1).Digest(), m.Init(1).Digest(), m.Init(2).Digest()
		if first != again || first == other {
			t.Errorf("%s: the seed does not decide the weights", name)
		}
	}
	// One known value keeps seeds meaning the same; and the spread is as promised.
	values := mustModel(t, seqrec.DefaultConfig(3706), nil).Init(1).View(seqrec.TensorTable)
	mean, square := 0.0, 0.0
	for _, v := range values {
		mean += float64(v) / float64(len(values))
		square += float64(v) * float64(v) / float64(len(values))
	}
	if values[0] != -0.019170538 || !(math.Abs(mean) <= 2e-4) || !(math.Abs(math.Sqrt(square)-0.02) <= 2e-4) {
		t.Errorf("first weight %v, mean %v, spread %v", values[0], mean, math.Sqrt(square))
	}
	// What adds to the stream of a decoder, three times a block, and the two parts
	// of a hybrid vector are smaller, so that their sums are not larger.
	cfg := seqrec.DefaultConfig(500)
	cfg.Arch, cfg.DecoderBlocks, cfg.Horizon = seqrec.EncoderDecoder, 2, 4
	cfg.FeatureDim, cfg.Hybrid = 3, true
	written := mustModel(t, cfg, draws(1, 1500)).Init(1)
	for name, want := range map[string]float64{
		seqrec.TensorTable:                             0.02 / math.Sqrt(2),
		seqrec.BlockTensor(1, seqrec.TensorDown):       0.02 / math.Sqrt(4),
		seqrec.DecoderTensor(1, seqrec.TensorOut):      0.02 / math.Sqrt(6),
		seqrec.DecoderTensor(0, seqrec.TensorCrossOut): 0.02 / math.Sqrt(6),
		seqrec.DecoderTensor(1, seqrec.TensorDown):     0.02 / math.Sqrt(6),
		seqrec.DecoderTensor(1, seqrec.TensorCrossKV):  0.02,
	} {
		square, values := 0.0, written.View(name)
		for _, v := range values {
			square += float64(v) * float64(v) / float64(len(values))
		}
		if got := math.Sqrt(square); math.Abs(got/want-1) > 0.06 { // 4,096 numbers or more: five deviations
			t.Errorf("%s spreads by %v, want %v", name, got, want)
		}
	}
	// The study's network at L = 64 has 295,611 weights, 65 of them the vector and
	// bias of a padding item, which a ragged batch does without.
	if got := mustModel(t, seqrec.DefaultConfig(3706), nil).Layout().Size(); got != 295611-65 {
		t.Errorf("default model has %d weights, want %d", got, 295611-65)
	}
	// An untrained model knows nothing: its loss is about log V.
	m := mustModel(t, seqrec.DefaultConfig(500), nil)
	loss, _, err := seqrec.NewEngine(m).LossGrad(m.Init(3).Values(), randomBatch(3, 2, 20, 500), nil)
	if err != nil || !(math.Abs(loss-math.Log(500)) <= 0.1) {
		t.Errorf("untrained loss %v (%v), want about %v", loss, err, math.Log(500))
	}
}

func ExampleNewEngine() {
	m, err := seqrec.New(seqrec.Config{Items: 8, Dim: 4, Blocks: 1, Heads: 1, Hidden: 4, MaxLen: 4}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	params := m.Init(1)
	grad := make([]float32, m.Layout().Size())
	batch := []seqrec.Sequence{seqrec.FromHistory([]int32{1, 2, 3}, 4)}
	loss, tokens, err := seqrec.NewEngine(m).LossGrad(params.Values(), batch, grad)
	fmt.Printf("%.1f %d %v\n", loss, tokens, err)
	// Output: 2.1 2 <nil>
}
