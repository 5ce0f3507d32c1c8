package client_test

import (
	"context"
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"tutti/client"
	"tutti/client/transport/testserver"
	"tutti/model"
	"tutti/model/blend"
	"tutti/model/metric"
	"tutti/model/seqrec"
	"tutti/model/stats"
	"tutti/privacy/mechanism"
	"tutti/privacy/plan"
)

// asking adds metrics to a round's plan.
func asking(t *testing.T, names []string, rho *big.Rat) func(*plan.Plan) {
	return func(p *plan.Plan) {
		m, err := plan.DesignMetrics(names, p.Mechanism, rho, [32]byte{9})
		if err != nil {
			t.Fatal(err)
		}
		p.Metrics = m
	}
}

// TestMetricsRound: five devices measure the model on the last event of each, learn nothing from it, and the sum says
// what they know; the one with a single event and the one whose last event is a repetition are not counted.
func TestMetricsRound(t *testing.T) {
	w := newWorld(t)
	m := smallModel(t)
	version := w.published(5)
	w.Publish(version)
	training := plan.Training{Steps: 1, LearningRate: "0.05", Optimizer: "sgd", MaxLen: 6}
	histories := [][]int{{0, 1, 2, 3, 4}, {5, 6, 7}, {8}, {1, 0, 9, 11}, {2, 3, 2}}
	var devices []*client.Device
	for _, h := range histories {
		o := w.options()
		o.Policy.AllowNoiseOff = true
		devices = append(devices, w.member(o, h...))
	}
	r := w.Open(testserver.Spec{Kind: plan.Model, Dim: m.Layout().Size(), Goal: 5, Training: training, Edit: asking(t, plan.MetricsGroups.Names(), nil)})
	for _, d := range devices {
		w.want(d, client.Contributed)
	}
	sum, set := w.Close(r)
	if len(set) != len(histories) || len(sum) != r.Plan.Dim() {
		t.Fatalf("%d devices, %d numbers", len(set), len(sum))
	}
	update := make([]float64, m.Layout().Size())
	var hits, ndcg, mrr, within, trainedOn float64
	for _, h := range histories {
		rest := h
		if len(h) > 1 {
			rest = h[:len(h)-1]
		}
		square := 0.0
		for i, x := range trained(t, m, 5, rest, training) {
			update[i] += float64(x)
			square += float64(x) * float64(x)
		}
		if square > 0 {
			trainedOn++
			if math.Sqrt(square) <= r.Plan.Mechanism.Clip {
				within++
			}
		}
	}
	for _, k := range []int{0, 1, 3} {
		rank := rankOf(t, histories[k])
		hits, ndcg, mrr = hits+metric.HitRate(rank, 10), ndcg+metric.NDCG(rank, 10), mrr+metric.ReciprocalRank(rank)
	}
	for i, x := range w.Decode(r, sum, len(set)).Values {
		if d := float64(x) - update[i]; d > 1e-4 || d < -1e-4 {
			t.Fatalf("weight %d: sum %v, want %v: was the last event learned from?", i, x, update[i])
		}
	}
	want := map[string]float64{"evaluated": 3, "hit10": hits / 3, "ndcg10": ndcg / 3, "mrr": mrr / 3, "trained": trainedOn,
		"clip": 0.5 + (within-trainedOn/2)/5, "history.short.in": 3, "history.long.in": 0, "history.short.ndcg10": ndcg / 3}
	for _, f := range w.DecodeMetrics(r, sum, len(set)) {
		if x, asked := want[f.Name]; asked && math.Abs(f.Value-x) > 1e-3 {
			t.Errorf("%s is %+v, want %v", f.Name, f, x)
		}
		if f.Name == "loss" && !(f.Value > 0.5 && f.Value < 2) {
			t.Errorf("the loss is %+v of a uniform guess", f)
		}
	}
}

// rankOf is where the served blend ranks the last event after the others.
func rankOf(t *testing.T, met []int) float64 {
	t.Helper()
	counts, all := make([]float32, items), make([]int32, items)
	for i := range counts {
		counts[i], all[i] = float32(2*items-i), int32(i)
	}
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	popularity, err := stats.NewPopularity(counts, 0)
	check(err)
	block, err := stats.NewBlock(all, items)
	check(err)
	cells := make([]float32, block.Cells())
	for p := range items - 1 {
		cells[block.Cell(p, p+1)] = 5
	}
	transitions, err := stats.NewTransitions(block, cells, 0.01)
	check(err)
	spec := smallSpec()
	m, err := spec.Model(blend.Public{}, popularity, transitions)
	check(err)
	b, err := blend.New(blend.Parts{Popularity: popularity, Transitions: transitions, Model: m, Params: m.Init(5), Weight: 0.2})
	check(err)
	var history []int32
	for _, i := range met {
		history = append(history, int32(i))
	}
	last := len(history) - 1
	best, err := b.Rank(history[:last], items, nil)
	check(err)
	return float64(slices.IndexFunc(best, func(r blend.Recommendation) bool { return r.Item == history[last] }))
}

// TestMetricsOfABrokenModel: training that diverges gives no loss, and the device is not counted; it takes part all the same.
func TestMetricsOfABrokenModel(t *testing.T) {
	w := newWorld(t)
	m := smallModel(t)
	shared, err := client.NewShared(client.SharedConfig{Catalogue: catalogue(), NewEngine: func(m *seqrec.Model) seqrec.Engine {
		return nanEngine{seqrec.NewEngine(m)}
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.Publish(w.published(5))
	var devices []*client.Device
	for range 2 {
		o := w.options()
		o.Policy.AllowNoiseOff, o.Shared = true, shared
		devices = append(devices, w.member(o, 1, 2, 3, 4))
	}
	training := plan.Training{Steps: 1, LearningRate: "0.05", Optimizer: "sgd", MaxLen: 6}
	r := w.Open(testserver.Spec{Kind: plan.Model, Dim: m.Layout().Size(), Goal: 2, Training: training, Edit: asking(t, plan.MetricsBasic.Names(), nil)})
	for _, d := range devices {
		w.want(d, client.Contributed)
	}
	sum, set := w.Close(r)
	want := map[string]float64{"evaluated": 2, "trained": 0, "clip": 0.5}
	for _, f := range w.DecodeMetrics(r, sum, len(set)) {
		if x, asked := want[f.Name]; asked && math.Abs(f.Value-x) > 1e-3 {
			t.Errorf("%s is %+v, want %v", f.Name, f, x)
		}
	}
}

type nanEngine struct{ seqrec.Engine }

func (nanEngine) LossGrad([]float32, []seqrec.Sequence, []float32) (float64, int, error) {
	return math.NaN(), 3, nil
}

// TestMetricsAreRefused: what a device does not know, or what would give it away, it does not send.
func TestMetricsAreRefused(t *testing.T) {
	spoil := func(rho *big.Rat, change func(*plan.Metrics)) func(*plan.Plan) {
		return func(p *plan.Plan) {
			asking(t, []string{"clip", "evaluated"}, rho)(p)
			change(p.Metrics)
		}
	}
	for name, c := range map[string]struct {
		edit func(*plan.Plan)
		want plan.Reason
	}{
		"a metric that nobody knows": {spoil(big.NewRat(1, 4), func(m *plan.Metrics) { m.Names[0] = "location" }), plan.ReasonMetrics},
		"weak noise": {spoil(big.NewRat(1, 4), func(m *plan.Metrics) {
			m.Mechanism.Sigma2 = mechanism.Rational{Num: m.Mechanism.Sigma2.Num / m.Mechanism.Sigma2.Den / 2, Den: 1}
		}), plan.ReasonMetrics},
		"noise weaker than the round's": {asking(t, []string{"clip"}, big.NewRat(3, 4)), plan.ReasonMetrics},
	} {
		w := newWorld(t)
		d := w.device(1, 2, 3)
		spec := popularityRound(2)
		spec.Edit = c.edit
		r := w.Open(spec)
		w.refuses(d, client.ReasonPolicy, c.want)
		if w.Count(r) != 0 || d.Privacy().Spent.Sign() != 0 {
			t.Errorf("%s: something was sent or charged", name)
		}
	}
}

// TestMetricsAreCharged: the device books what both vectors cost, and its owner sees how much is sent.
func TestMetricsAreCharged(t *testing.T) {
	w := newWorld(t)
	d, e := w.device(1, 2, 3), w.device(4, 5)
	spec := popularityRound(2)
	spec.Edit = asking(t, []string{"evaluated", "hit10"}, big.NewRat(1, 8))
	r := w.Open(spec)
	w.want(d, client.Contributed)
	w.want(e, client.Contributed)
	if spent := d.Privacy().Spent; spent.Cmp(r.Plan.Rho()) != 0 || spent.Cmp(r.Plan.Mechanism.Rho()) <= 0 {
		t.Errorf("spent %v, the round costs %v", spent, r.Plan.Rho())
	}
	if l := d.Privacy().Leaving; l.Sent != r.Plan.Dim() || l.Numbers != items+2 {
		t.Errorf("leaving: %+v", l)
	}
	sum, set := w.Close(r)
	if f := w.DecodeMetrics(r, sum, len(set)); len(f) != 2 {
		t.Errorf("figures %+v", f)
	}
}

// A learner of the app's own tells no loss, which is not counted; its update decides the clip bit.
func TestMetricsOfAnOwnLearner(t *testing.T) {
	w := newWorld(t)
	var devices []*client.Device
	for k := range 2 {
		o := w.options()
		o.Policy.AllowNoiseOff = true
		o.Learner = func(_ context.Context, l client.Lesson) (model.Update, error) {
			if len(l.History) != 2 {
				return model.Update{}, errors.New("the last event was not held out")
			}
			x := make([]float32, l.Plan.Mechanism.Dim)
			x[0] = float32(3 * k)
			return model.NewStatistic(x), nil
		}
		devices = append(devices, w.member(o, 1, 2, 3))
	}
	r := w.Open(testserver.Spec{Kind: plan.Popularity, Dim: items, Goal: 2, Edit: asking(t, plan.MetricsBasic.Names(), nil)})
	for _, d := range devices {
		w.want(d, client.Contributed)
	}
	sum, set := w.Close(r)
	want := map[string]float64{"trained": 0, "evaluated": 0, "clip": 0.25} // one learned nothing, the other too much
	for _, f := range w.DecodeMetrics(r, sum, len(set)) {
		if x, asked := want[f.Name]; asked && math.Abs(f.Value-x) > 1e-3 {
			t.Errorf("%s is %+v, want %v", f.Name, f, x)
		}
	}
}
