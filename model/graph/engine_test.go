package graph

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"tutti/model"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// variants are a learned item table and public features.
func variants() map[string]seqrec.Config {
	table := seqrec.Config{Items: 150, Dim: 16, Blocks: 2, Heads: 2, Hidden: 24, MaxLen: 20}
	features := table
	features.FeatureDim = 12
	return map[string]seqrec.Config{"table": table, "features": features}
}

func forVariants(t *testing.T, f func(t *testing.T, m *seqrec.Model)) {
	for name, cfg := range variants() {
		t.Run(name, func(t *testing.T) { f(t, newModel(t, cfg)) })
	}
}

func newModel(t testing.TB, cfg seqrec.Config) *seqrec.Model {
	t.Helper()
	var features []float32
	if cfg.FeatureDim > 0 {
		rng := rand.New(rand.NewPCG(1, 1))
		features = make([]float32, cfg.Items*cfg.FeatureDim)
		for i := range features {
			features[i] = float32(rng.NormFloat64())
		}
	}
	m, err := seqrec.New(cfg, features)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// spread moves initial weights away from zero and one, so that no gradient is
// small by symmetry.
func spread(m *seqrec.Model, seed uint64) model.Params {
	p := m.Init(seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	for i, v := range p.Values() {
		p.Values()[i] = v + float32(0.1*rng.NormFloat64())
	}
	return p
}

// randomBatch draws sequences of every length, with hard and, if asked, soft
// targets, and some positions without any.
func randomBatch(cfg seqrec.Config, rng *rand.Rand, sequences int, soft bool) []seqrec.Sequence {
	out := make([]seqrec.Sequence, sequences)
	for i := range out {
		n := 1 + rng.IntN(cfg.MaxLen)
		s := seqrec.Sequence{Items: make([]int32, n), Targets: make([]int32, n)}
		for p := range n {
			s.Items[p], s.Targets[p] = int32(rng.IntN(cfg.Items)), int32(rng.IntN(cfg.Items))
			if rng.IntN(5) == 0 {
				s.Targets[p] = seqrec.NoTarget
			}
		}
		if soft && i%2 == 0 {
			s.Targets, s.Soft = nil, softRows(cfg.Items, n, rng)
		}
		out[i] = s
	}
	out[0].Items, out[0].Targets = append([]int32{}, 1, 2), []int32{2, 3}
	if soft {
		out[0].Targets, out[0].Soft = nil, softRows(cfg.Items, 2, rng)
	}
	return out
}

func softRows(v, n int, rng *rand.Rand) []float32 {
	rows := make([]float32, n*v)
	for p := range n {
		if p > 0 && rng.IntN(4) == 0 {
			continue // no loss here
		}
		row, sum := rows[p*v:(p+1)*v], float32(0)
		for i := range row {
			row[i] = float32(rng.ExpFloat64())
			sum += row[i]
		}
		for i := range row {
			row[i] /= sum
		}
	}
	return rows
}

// difference is the largest distance of two vectors, relative to the largest
// value of want in the same tensor; it also says in which.
func difference(layout model.Layout, got, want []float32) (worst float64, tensor string) {
	for _, spec := range layout.Tensors() {
		_, offset, _ := layout.Tensor(spec.Name)
		var far, scale float64
		for i := offset; i < offset+spec.Size(); i++ {
			far = math.Max(far, math.Abs(float64(got[i])-float64(want[i])))
			scale = math.Max(scale, math.Abs(float64(want[i])))
		}
		if scale > 0 {
			far /= scale
		}
		if far >= worst {
			worst, tensor = far, spec.Name
		}
	}
	return worst, tensor
}

// TestStudySize: the equality of TestFamily on a model and batches as they are
// trained.
func TestStudySize(t *testing.T) {
	m := studyModel(t)
	fused, engine := seqrec.NewEngine(m), newEngine(t, m, Tasks)
	params := spread(m, 3).Values()
	for _, size := range []struct{ sequences, length int }{{1, 50}, {6, 200}} {
		batch := fullBatch(m.Config(), size.sequences, size.length)
		wantLoss, want := lossGrad(t, fused, params, batch)
		loss, grad := lossGrad(t, engine, params, batch)
		if loss != wantLoss || !slices.Equal(grad, want) {
			far, where := difference(m.Layout(), grad, want)
			t.Errorf("loss %v, want %v; gradient of %s differs by %v", loss, wantLoss, where, far)
		}
	}
}

func TestGradientIsTheSlope(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		engine, err := NewEngine(m)
		if err != nil {
			t.Fatal(err)
		}
		params := spread(m, 5)
		rng := rand.New(rand.NewPCG(5, 5))
		batch := randomBatch(m.Config(), rng, 6, true)
		grad := make([]float32, len(params.Values()))
		if _, _, err := engine.LossGrad(params.Values(), batch, grad); err != nil {
			t.Fatal(err)
		}
		slopeIsNorm(t, engine, params, batch, grad)
	})
}

// slopeIsNorm checks a gradient by numbers: along that of one tensor, the slope of
// the loss is its norm.
func slopeIsNorm(t *testing.T, engine seqrec.Engine, params model.Params, batch []seqrec.Sequence, grad []float32) {
	t.Helper()
	for _, spec := range params.Layout().Tensors() {
		_, offset, _ := params.Layout().Tensor(spec.Name)
		part := grad[offset : offset+spec.Size()]
		var square float64
		for _, g := range part {
			square += float64(g) * float64(g)
		}
		if square == 0 {
			continue
		}
		norm := math.Sqrt(square)
		const step = 2e-2
		at := func(by float64) float64 {
			moved := params.Clone()
			for i, g := range part {
				moved.Values()[offset+i] += float32(by * float64(g) / norm)
			}
			loss, _, err := engine.LossGrad(moved.Values(), batch, nil)
			if err != nil {
				t.Fatal(err)
			}
			return loss
		}
		slope := (at(step) - at(-step)) / (2 * step)
		if !(math.Abs(slope-norm) <= 5e-3*norm+2e-5) {
			t.Errorf("%s: slope %v, norm of the gradient %v", spec.Name, slope, norm)
		}
	}
}

func TestRefusals(t *testing.T) {
	m := newModel(t, variants()["table"])
	engine, err := NewEngine(m)
	if err != nil {
		t.Fatal(err)
	}
	params := m.Init(1).Values()
	v := m.Config().Items
	ok := seqrec.Sequence{Items: []int32{1}, Targets: []int32{2}}
	bad := make([]float32, v)
	bad[0] = 0.5
	for name, c := range map[string]struct {
		batch []seqrec.Sequence
		grad  []float32
		want  error
	}{
		"nothing":       {nil, nil, seqrec.ErrNothingToLearn},
		"no target":     {[]seqrec.Sequence{{Items: []int32{1}, Targets: []int32{seqrec.NoTarget}}}, nil, seqrec.ErrNothingToLearn},
		"empty":         {[]seqrec.Sequence{ok, {}}, nil, nil},
		"item":          {[]seqrec.Sequence{{Items: []int32{int32(v)}, Targets: []int32{1}}}, nil, nil},
		"negative item": {[]seqrec.Sequence{{Items: []int32{-1}, Targets: []int32{1}}}, nil, nil},
		"target":        {[]seqrec.Sequence{{Items: []int32{1}, Targets: []int32{int32(v)}}}, nil, nil},
		"targets":       {[]seqrec.Sequence{{Items: []int32{1, 2}, Targets: []int32{1}}}, nil, nil},
		"too long":      {[]seqrec.Sequence{{Items: make([]int32, 21), Targets: make([]int32, 21)}}, nil, nil},
		"soft length":   {[]seqrec.Sequence{{Items: []int32{1}, Soft: bad[:1]}}, nil, nil},
		"soft sum":      {[]seqrec.Sequence{{Items: []int32{1}, Soft: bad}}, nil, layer.ErrSoftTarget},
		"gradient":      {[]seqrec.Sequence{ok}, make([]float32, 3), nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := engine.LossGrad(params, c.batch, c.grad)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	if _, _, err := engine.LossGrad(params, []seqrec.Sequence{ok}, nil); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
	if _, _, err := engine.LossGrad(params[1:], []seqrec.Sequence{ok}, nil); err == nil {
		t.Error("parameters of another layout are taken")
	}
}

// TestTrains makes the same steps on both engines; they must stay together.
func TestTrains(t *testing.T) {
	forVariants(t, func(t *testing.T, m *seqrec.Model) {
		engine, err := NewEngine(m)
		if err != nil {
			t.Fatal(err)
		}
		batch := randomBatch(m.Config(), rand.New(rand.NewPCG(6, 6)), 4, false)
		start := m.Init(6)
		cfg := seqrec.TrainConfig{Steps: 12, LearningRate: 0.1, Optimizer: "sgd"}
		got, stats, err := seqrec.Train(engine, start, batch, cfg)
		if err != nil {
			t.Fatal(err)
		}
		want, wantStats, err := seqrec.Train(seqrec.NewEngine(m), start, batch, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if stats.Tokens != wantStats.Tokens || !(math.Abs(stats.Loss-wantStats.Loss) <= 1e-6*wantStats.Loss) {
			t.Errorf("stats %+v, want %+v", stats, wantStats)
		}
		if far, where := difference(m.Layout(), got.Values(), want.Values()); !(far <= 1e-4) {
			t.Errorf("after 12 steps %s differs by %v", where, far)
		}
	})
}
