package seqrec_test

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

// decoder.json holds what PyTorch computes in float64 for the same weights and
// data; testdata/decoder.py writes it.
type decoderReference struct {
	Torch string
	Cases []decoderCase
}

type decoderCase struct {
	Norm       seqrec.Norm
	Positions  seqrec.Positions
	Activation seqrec.Activation
	Features   bool
	Loss       float64
	Logits     []float64            // of the first item after the third history
	Gradient   map[string][]float64 // by tensor
	Losses     []float64            // before each of ten steps of Adam at 0.01
}

func (c decoderCase) name() string {
	name := c.Norm.String() + " " + c.Positions.String() + " " + c.Activation.String()
	if c.Features {
		name += " features"
	}
	return name
}

func (c decoderCase) model(t *testing.T) (*seqrec.Model, model.Params) {
	cfg := seqrec.Config{
		Items: referenceItems, Dim: 8, Blocks: 2, Heads: 2, Hidden: 12, MaxLen: 9,
		Arch: seqrec.EncoderDecoder, DecoderBlocks: 2, Horizon: 6,
		Norm: c.Norm, Positions: c.Positions, Activation: c.Activation,
	}
	var matrix []float32
	if c.Features {
		cfg.FeatureDim = 5
		matrix = draws(900, cfg.Items*cfg.FeatureDim)
		for i := range matrix {
			matrix[i] *= 4
		}
	}
	m := mustModel(t, cfg, matrix)
	params := model.NewParams(m.Layout())
	for i, spec := range m.Layout().Tensors() {
		view := params.View(spec.Name)
		copy(view, draws(uint32(100+i), spec.Size()))
		for j := range view {
			if strings.HasSuffix(spec.Name, ".gain") {
				view[j]++ // 16 bits: exact
			}
		}
	}
	return m, params
}

func decoderBatch() []seqrec.Sequence {
	var batch []seqrec.Sequence
	for i, n := range []struct{ read, learnt int }{{9, 3}, {1, 6}, {4, 1}, {7, 5}} {
		history := make([]int32, n.read+n.learnt)
		for j, x := range draws(uint32(500+i), len(history)) {
			history[j] = int32((float64(x) + 0.5) * referenceItems)
		}
		batch = append(batch, seqrec.Continuation(history, n.read, 9, 6))
	}
	return batch
}

func TestDecoderAgainstPyTorch(t *testing.T) {
	file, err := os.ReadFile("testdata/decoder.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref decoderReference
	if err := json.Unmarshal(file, &ref); err != nil || len(ref.Cases) != 4 {
		t.Fatalf("%d cases, %v", len(ref.Cases), err)
	}
	for _, c := range ref.Cases {
		t.Run(c.name(), func(t *testing.T) { compareDecoder(t, c) })
	}
}

func compareDecoder(t *testing.T, c decoderCase) {
	m, params := c.model(t)
	batch := decoderBatch()
	engine := seqrec.NewEngine(m)
	grad := make([]float32, m.Layout().Size())
	loss, tokens, err := engine.LossGrad(params.Values(), batch, grad)
	if err != nil || tokens != 3+6+1+5 {
		t.Fatalf("%d tokens, %v", tokens, err)
	}
	if !(math.Abs(loss-c.Loss) <= 1e-6*c.Loss) {
		t.Errorf("loss %v, want %v", loss, c.Loss)
	}
	worst := 0.0
	for _, spec := range m.Layout().Tensors() {
		want := c.Gradient[spec.Name]
		_, at, _ := m.Layout().Tensor(spec.Name)
		if len(want) != spec.Size() {
			t.Fatalf("%s has %d gradients in the reference, want %d", spec.Name, len(want), spec.Size())
		}
		worst = max(worst, relativeError(grad[at:at+len(want)], want))
	}
	t.Logf("worst gradient: %.2g of its tensor's largest", worst)
	if !(worst <= 1e-5) {
		t.Errorf("gradients differ by %g of a tensor's largest value", worst)
	}

	scores := make([]float32, referenceItems)
	if err := mustScorer(t, m, params).Scores(batch[2].Items, scores); err != nil || !(relativeError(scores, c.Logits) <= 1e-5) {
		t.Errorf("logits differ by %g (%v)", relativeError(scores, c.Logits), err)
	}

	step := 0
	_, _, err = seqrec.FitSource(context.Background(), engine, params,
		func(int) ([]seqrec.Sequence, error) { return batch, nil },
		seqrec.FitConfig{Steps: 10, LearningRate: 0.01, Schedule: "constant", Progress: func(_ int, loss float64) {
			if want := c.Losses[step]; !(math.Abs(loss-want) <= 1e-5*want) {
				t.Errorf("loss %v before step %d, want %v", loss, step, want)
			}
			step++
		}})
	if err != nil || step != 10 {
		t.Errorf("%d steps, %v", step, err)
	}
}

// The gradient is the slope of the loss also while weights and values are
// dropped: the same ones in every call, forward and backward.
func TestDecoderGradientUnderDropout(t *testing.T) {
	for _, norm := range []seqrec.Norm{seqrec.PreNorm, seqrec.PostNorm} {
		m := mustModel(t, seqrec.Config{
			Items: 7, Dim: 4, Blocks: 1, Heads: 2, Hidden: 5, MaxLen: 4, Dropout: 0.3, Norm: norm,
			Arch: seqrec.EncoderDecoder, DecoderBlocks: 2, Horizon: 3, Positions: seqrec.RotaryPositions,
		}, nil)
		params := lively(t, m)
		batch := []seqrec.Sequence{
			{Items: []int32{1, 2, 3, 4}, Next: []int32{5, 6, 0}, Seed: 1},
			{Items: []int32{6, 0}, Next: []int32{1}, Seed: 2},
		}
		engine := seqrec.NewEngine(m)
		grad, other := make([]float32, m.Layout().Size()), make([]float32, m.Layout().Size())
		loss := func() float64 {
			l, _, err := engine.LossGrad(params.Values(), batch, other)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		if _, _, err := engine.LossGrad(params.Values(), batch, grad); err != nil {
			t.Fatal(err)
		}
		without, _, err := engine.LossGrad(params.Values(), batch, nil)
		if err != nil || without == loss() {
			t.Errorf("%v: nothing is dropped, or always (%v)", norm, err)
		}
		for _, spec := range m.Layout().Tensors() {
			_, at, _ := m.Layout().Tensor(spec.Name)
			along := 0.0 // the slope along the gradient of one tensor is its squared length
			before := slices.Clone(params.Values())
			for i := range spec.Size() {
				along += float64(grad[at+i]) * float64(grad[at+i])
			}
			step := 4e-3 / math.Sqrt(along)
			move := func(by float64) float64 {
				for i := range spec.Size() {
					params.Values()[at+i] = before[at+i] + float32(by*float64(grad[at+i]))
				}
				defer copy(params.Values(), before)
				return loss()
			}
			// float32 losses are good to some 1e-7: of 8e-3 times the slope.
			if got := (move(step) - move(-step)) / (2 * step); !(math.Abs(got-along) <= 5e-3*along+1e-4*math.Sqrt(along)) {
				t.Errorf("%v: %s: slope %v, want %v", norm, spec.Name, got, along)
			}
		}
	}
}

// What is said later must not change what is said before; what was said and
// every item that was read count.
func TestDecoderSeesThePastOnly(t *testing.T) {
	m := mustModel(t, tinyDecoder(5), nil)
	params := lively(t, m)
	engine := seqrec.NewEngine(m)
	only := func(items, next []int32, at int) float64 { // loss of one step
		soft := make([]float32, len(next)*5)
		soft[at*5+3] = 1
		loss, _, err := engine.LossGrad(params.Values(), []seqrec.Sequence{{Items: items, Next: next, Soft: soft}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return loss
	}
	items, next := []int32{1, 2, 3}, []int32{4, 0, 2, 1}
	for at := range next {
		want := only(items, next, at)
		for i := range next { // the step reads the items before its own
			other := slices.Clone(next)
			other[i] = (other[i] + 1) % 5
			if reads := only(items, other, at) != want; reads != (i < at) {
				t.Errorf("step %d reads item %d of the continuation: %v", at, i, reads)
			}
		}
		for i := range items {
			other := slices.Clone(items)
			other[i] = 0
			if only(other, next, at) == want {
				t.Errorf("step %d does not read item %d of the history", at, i)
			}
		}
	}
}

// tinyDecoder is an encoder-decoder over a few items.
func tinyDecoder(items int) seqrec.Config {
	return seqrec.Config{
		Items: items, Dim: 6, Blocks: 1, Heads: 2, Hidden: 5, MaxLen: 6,
		Arch: seqrec.EncoderDecoder, DecoderBlocks: 2, Horizon: 4,
	}
}

func TestDecoderEnginesAgree(t *testing.T) {
	m := mustModel(t, tinyDecoder(9), nil)
	params := lively(t, m)
	var batch []seqrec.Sequence
	rng := rand.New(rand.NewPCG(3, 3))
	for split := 1; split < 8; split++ {
		batch = append(batch, seqrec.Continuation(randomHistory(rng, 9, 9), split, 6, 4))
	}
	size := m.Layout().Size()
	want := make([]float32, size)
	loss, tokens, err := seqrec.NewEngine(m).LossGrad(params.Values(), batch, want)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, size)
	l, n, err := seqrec.NewParallelEngine(m, 3).LossGrad(params.Values(), batch, got)
	if err != nil || n != tokens || !(math.Abs(l-loss) <= 1e-6*loss) {
		t.Fatalf("three workers: loss %v over %d, want %v over %d (%v)", l, n, loss, tokens, err)
	}
	for i := range want {
		if !(math.Abs(float64(want[i]-got[i])) <= 1e-6) {
			t.Fatalf("gradient %d is %v, want %v", i, got[i], want[i])
		}
	}
	engine, grad := seqrec.NewEngine(m), make([]float32, size)
	run := func() {
		if _, _, err := engine.LossGrad(params.Values(), batch, grad); err != nil {
			panic(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations per step", n)
	}
}

func TestDecoderRefusesBadContinuations(t *testing.T) {
	m := mustModel(t, tinyDecoder(5), nil)
	for says, next := range map[string][]int32{
		"continuation of 0": nil, "continuation of 5": {1, 1, 1, 1, 1}, "item 1 is 5": {1, 5}, "item 0 is -1": {-1, 2},
	} {
		_, _, err := seqrec.NewEngine(m).LossGrad(m.Init(1).Values(), []seqrec.Sequence{{Items: []int32{1}, Next: next}}, nil)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		}
	}
}
