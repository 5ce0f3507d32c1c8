package seqrec_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"tutti/model"
	"tutti/model/layer"
	"tutti/model/optim"
	"tutti/model/seqrec"
)

// family.json holds what PyTorch computes in float64 for one model of each kind;
// testdata/family.py writes it.
type familyCase struct {
	Name                            string
	Arch                            seqrec.Arch
	Norm                            seqrec.Norm
	Positions                       seqrec.Positions
	Activation                      seqrec.Activation
	Kind                            seqrec.LossKind
	Blocks, Buckets, User, Features int
	Hybrid                          bool
	Rating, Click, Calibration      float64
	Negatives                       []int32 // as they must be drawn
	Loss                            float64
	Logits                          []float64            // asked after the first sequence
	Gradient                        map[string][]float64 // by tensor
	Losses                          []float64            // before each of ten steps of Adam at 0.01
}

const familyItems = 13

var familyLengths = []int{7, 1, 4}

func (c familyCase) batch() (batch []seqrec.Sequence) {
	for i := range familyLengths {
		s, _ := c.sequence(i)
		batch = append(batch, s)
	}
	return batch
}

func (c familyCase) model(t *testing.T, dropout float64) (*seqrec.Model, model.Params) {
	cfg := seqrec.Config{
		Items: familyItems, Dim: 8, Blocks: c.Blocks, Heads: 2, Hidden: 6, MaxLen: 7, FeatureDim: c.Features, Hybrid: c.Hybrid,
		Arch: c.Arch, Norm: c.Norm, Positions: c.Positions, Activation: c.Activation,
		TimeBuckets: c.Buckets, UserDim: c.User, RatingWeight: c.Rating, ClickWeight: c.Click,
		Dropout: dropout, Loss: seqrec.Loss{Kind: c.Kind, Calibration: c.Calibration},
	}
	switch c.Kind {
	case seqrec.SampledSoftmax:
		cfg.Loss.Negatives = len(c.Negatives)
	case seqrec.GBCE, seqrec.BPR:
		cfg.Loss.Negatives = 3
	}
	matrix := draws(900, cfg.Items*cfg.FeatureDim)
	for i := range matrix {
		matrix[i] *= 4
	}
	m := mustModel(t, cfg, matrix)
	if c.Kind == seqrec.SampledSoftmax {
		counts := make([]int, cfg.Items)
		for i := range counts {
			counts[i] = i
		}
		var err error
		if m, err = m.WithFrequency(counts); err != nil {
			t.Fatal(err)
		}
	}
	params := model.NewParams(m.Layout())
	for i, spec := range m.Layout().Tensors() {
		copy(params.View(spec.Name), draws(uint32(100+i), spec.Size()))
	}
	return m, params
}

// integers repeats the generator of family.py.
func integers(seed uint32, n, below int) []int {
	out := make([]int, n)
	for i, x := range draws(seed, n) {
		out[i] = int((float64(x) + 0.5) * float64(below))
	}
	return out
}

// sequence is what user i did, and what was asked after it.
func (c familyCase) sequence(i int) (seqrec.Sequence, seqrec.Query) {
	n := familyLengths[i]
	s := seqrec.Sequence{User: draws(uint32(700+i), 3)[:c.User], Seed: uint64(71 + i)}
	var ids []int32
	for _, id := range integers(uint32(500+i), n+1, familyItems) {
		ids = append(ids, int32(id))
	}
	now := int64(1_700_000_000)
	for _, k := range integers(uint32(600+i), n+1, 65536) {
		now += int64(k * k / 256)
		s.Times = append(s.Times, now)
	}
	s.Items, s.Targets = ids[:n], ids[1:]
	q := seqrec.Query{Items: ids[:n], Times: s.Times[:n], Now: now, User: s.User}
	if c.Arch == seqrec.Bidirectional {
		q.Items, q.Times, q.Now = ids[:n-1], s.Times[:n-1], s.Times[n-1]
		s.Times = s.Times[:n]
		s.Items, s.Targets = slices.Clone(ids[:n]), make([]int32, n)
		for j := range n {
			if s.Targets[j] = seqrec.NoTarget; j%3 == 0 {
				s.Items[j], s.Targets[j] = familyItems, ids[j]
			}
		}
	}
	if i == 2 {
		s.Times, s.User = nil, nil
	}
	s.Feedback = c.feedback(i, n)
	return s, q
}

func (c familyCase) feedback(i, n int) (out []seqrec.Feedback) {
	rated, clicks := integers(uint32(800+i), n, familyItems), integers(uint32(820+i), n, 3)
	for j, x := range draws(uint32(810+i), n) {
		f := seqrec.Feedback{Item: int32(rated[j]), Rating: 4*x + 3, Click: int8(clicks[j] - 1)}
		if j%3 == 1 {
			f.Rating = float32(math.NaN())
		}
		out = append(out, f)
	}
	return out
}

func family(t *testing.T) []familyCase {
	file, err := os.ReadFile("testdata/family.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref struct{ Cases []familyCase }
	if err := json.Unmarshal(file, &ref); err != nil || len(ref.Cases) != 7 {
		t.Fatalf("%d cases, %v", len(ref.Cases), err)
	}
	return ref.Cases
}

func TestFamilyAgainstPyTorch(t *testing.T) {
	for _, c := range family(t) {
		t.Run(c.Name, func(t *testing.T) { c.compare(t) })
	}
}

func (c familyCase) compare(t *testing.T) {
	m, params := c.model(t, 0)
	batch := c.batch()
	if got := drawn(m, batch); !slices.Equal(got, c.Negatives) {
		t.Fatalf("the model draws %v, the reference has %v", got, c.Negatives)
	}
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
		e := relativeError(grad[at:at+len(want)], want)
		if !(e <= 1e-5) {
			t.Errorf("gradient of %s differs by %g of its largest value", spec.Name, e)
		}
		worst = max(worst, e)
	}
	t.Logf("worst gradient: %.2g of its tensor's largest", worst)
	c.compareScores(t, m, params)
	c.compareSteps(t, engine, params, batch)
}

// drawn is what a model with a sampled loss compares the batch with.
func drawn(m *seqrec.Model, batch []seqrec.Sequence) []int32 {
	var n layer.Negatives
	loss := m.Config().Loss
	switch loss.Kind {
	case seqrec.SampledSoftmax:
		m.Proposal().Draw(&n, loss.Negatives, batch[0].Seed)
	case seqrec.GBCE, seqrec.BPR:
		for _, s := range batch {
			m.Proposal().AppendEach(&n, s.Targets, loss.Negatives, s.Seed)
		}
	}
	return n.IDs
}

func (c familyCase) compareScores(t *testing.T, m *seqrec.Model, params model.Params) {
	_, q := c.sequence(0)
	scores := make([]float32, familyItems)
	if err := mustScorer(t, m, params).ScoresOf(q, scores); err != nil || !(relativeError(scores, c.Logits) <= 1e-5) {
		t.Errorf("logits differ by %g (%v)", relativeError(scores, c.Logits), err)
	}
}

func (c familyCase) compareSteps(t *testing.T, engine seqrec.Engine, params model.Params, batch []seqrec.Sequence) {
	adam, err := optimAdam()
	if err != nil {
		t.Fatal(err)
	}
	grad := make([]float32, len(params.Values()))
	for step, want := range c.Losses {
		loss, _, err := engine.LossGrad(params.Values(), batch, grad)
		if err != nil || !(math.Abs(loss-want) <= 1e-5*want) {
			t.Errorf("loss %v before step %d (%v), want %v", loss, step, err, want)
		}
		adam.Step(params.Values(), grad, 0.01)
	}
}

func optimAdam() (optim.Optimizer, error) { return optim.New("adam") }
