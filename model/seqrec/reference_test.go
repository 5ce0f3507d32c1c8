package seqrec_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"testing"

	"tutti/model"
	"tutti/model/seqrec"
)

// reference.json holds what PyTorch computes in float64 for the same weights and
// data; testdata/reference.py writes it.
type reference struct {
	Torch string
	Cases []referenceCase
}

type referenceCase struct {
	Name           string
	Soft, Features bool
	Loss           float64
	Logits         []float64            // after the third sequence
	Gradient       map[string][]float64 // by tensor
	Losses         []float64            // before each of ten steps of Adam at 0.01
}

// draws repeats the generator of reference.py.
func draws(seed uint32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		seed = seed*1664525 + 1013904223
		out[i] = float32(seed>>16)/65536 - 0.5
	}
	return out
}

const referenceItems = 29

func referenceModel(t *testing.T, features bool) (*seqrec.Model, model.Params) {
	cfg := seqrec.Config{Items: referenceItems, Dim: 8, Blocks: 2, Heads: 2, Hidden: 12, MaxLen: 9}
	var matrix []float32
	if features {
		cfg.FeatureDim = 5
		matrix = draws(900, cfg.Items*cfg.FeatureDim)
		for i := range matrix {
			matrix[i] *= 4
		}
	}
	m := mustModel(t, cfg, matrix)
	params := model.NewParams(m.Layout())
	for i, spec := range m.Layout().Tensors() {
		copy(params.View(spec.Name), draws(uint32(100+i), spec.Size()))
	}
	return m, params
}

func referenceBatch(soft bool) []seqrec.Sequence {
	var batch []seqrec.Sequence
	for i, n := range []int{9, 1, 4, 7} {
		history := make([]int32, n+1)
		for j, x := range draws(uint32(500+i), n+1) {
			history[j] = int32((float64(x) + 0.5) * referenceItems)
		}
		s := seqrec.FromHistory(history, 9)
		if soft {
			raw := draws(uint32(1000+i), n*referenceItems)
			for p := range n {
				s.Soft = append(s.Soft, softmax(raw[p*referenceItems:(p+1)*referenceItems], 3)...)
			}
		}
		batch = append(batch, s)
	}
	return batch
}

func softmax(x []float32, factor float64) []float32 {
	total := 0.0
	for _, v := range x {
		total += math.Exp(factor * float64(v))
	}
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(math.Exp(factor*float64(v)) / total)
	}
	return out
}

func TestAgainstPyTorch(t *testing.T) {
	file, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref reference
	if err := json.Unmarshal(file, &ref); err != nil || len(ref.Cases) != 4 {
		t.Fatalf("%d cases, %v", len(ref.Cases), err)
	}
	for _, c := range ref.Cases {
		t.Run(c.Name, func(t *testing.T) { compareWithReference(t, c) })
	}
}

func compareWithReference(t *testing.T, c referenceCase) {
	m, params := referenceModel(t, c.Features)
	batch := referenceBatch(c.Soft)
	engine := seqrec.NewEngine(m)
	grad := make([]float32, m.Layout().Size())
	loss, _, err := engine.LossGrad(params.Values(), batch, grad)
	if err != nil {
		t.Fatal(err)
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
	scorer := mustScorer(t, m, params)
	if err := scorer.Scores(batch[2].Items, scores); err != nil || !(relativeError(scores, c.Logits) <= 1e-5) {
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

// relativeError is the largest difference as a part of the largest value.
func relativeError(got []float32, want []float64) float64 {
	diff, most := 0.0, 0.0
	for i, w := range want {
		diff = math.Max(diff, math.Abs(float64(got[i])-w))
		most = math.Max(most, math.Abs(w))
	}
	return diff / most
}
