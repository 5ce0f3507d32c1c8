package seqrec

import (
	"tutti/model/kernel"
	"tutti/model/layer"
)

// heads judge what the Transformer puts out at M positions: the items that come
// next, ratings and clicks.
type heads struct {
	model     *Model
	items     *itemVectors
	ce        *layer.CrossEntropy
	sampled   *layer.Sampled
	negatives layer.Negatives

	asked, dAsked []float32 // M x f: outputs in feature space; only with features alone
	scratch       []float32 // d x f

	said, dSaid   []float32 // K x d: outputs where there is feedback
	rated, dRated []float32 // K x d: vectors of the items it is on
	looked        []float32 // K x f
}

// sums are summed losses of the tasks, or how many terms each has.
type sums struct{ items, ratings, clicks float64 }

// mean is the weighted sum of the tasks' mean losses.
func (s sums) mean(of sums, c Config) float64 {
	loss := 0.0
	for _, task := range []struct{ weight, sum, terms float64 }{
		{1, s.items, of.items}, {c.RatingWeight, s.ratings, of.ratings}, {c.ClickWeight, s.clicks, of.clicks},
	} {
		if task.terms > 0 {
			loss += task.weight * (task.sum / task.terms)
		}
	}
	return loss
}

// terms counts what a batch has to learn.
func (b *Batch) terms() sums {
	return sums{float64(b.Tokens), float64(b.RatingCount), float64(b.ClickCount)}
}

func newHeads(m *Model, items *itemVectors) *heads {
	return &heads{model: m, items: items, ce: layer.NewCrossEntropy(), sampled: layer.NewSampled()}
}

// run returns the summed losses of a batch, whose outputs are h (M x d). With g
// it adds the gradients of the weighted sum of means to g and dh, terms counting
// what the means are over.
func (t *heads) run(b *Batch, h []float32, w *weights, terms sums, dh []float32, g *weights) (sums, error) {
	var out sums
	var err error
	if b.Tokens > 0 {
		if out.items, err = t.next(b, h, w, 1/float32(terms.items), dh, g); err != nil {
			return sums{}, err
		}
	}
	if len(b.FeedbackAt) > 0 {
		t.feedback(&out, b, h, w, terms, dh, g)
	}
	return out, nil
}

// scored is a matrix of vectors and one of items, whose products are the scores,
// with the places for their gradients.
type scored struct {
	d                     int
	h, table, bias        []float32
	dh, dTable, dItemBias []float32
}

// next is the loss of the items to be predicted.
func (t *heads) next(b *Batch, h []float32, w *weights, scale float32, dh []float32, g *weights) (float64, error) {
	c := t.model.cfg
	if t.items.table != nil {
		s := scored{d: c.Dim, h: h, table: t.items.table, bias: w.itemBias}
		if g != nil {
			s.dh, s.dTable, s.dItemBias = dh, g.table, g.itemBias
		}
		return t.loss(b, s, scale)
	}
	// h*(F*W)^T + F*b = (h*W^T + b)*F^T: the catalogue is never projected.
	m := len(b.Targets)
	t.asked, t.scratch = kernel.Grow(t.asked, m*c.FeatureDim), kernel.Grow(t.scratch, c.Dim*c.FeatureDim)
	layer.LinearTForward(t.asked, h, w.projection, w.itemBias, t.scratch, m, c.Dim, c.FeatureDim)
	s := scored{d: c.FeatureDim, h: t.asked, table: t.model.features}
	if g == nil {
		return t.loss(b, s, scale)
	}
	t.dAsked = kernel.Grow(t.dAsked, m*c.FeatureDim)
	clear(t.dAsked)
	s.dh = t.dAsked
	sum, err := t.loss(b, s, scale)
	if err != nil {
		return 0, err
	}
	layer.LinearTBackward(dh, g.projection, g.itemBias, t.dAsked, h, w.projection, m, c.Dim, c.FeatureDim)
	return sum, nil
}

// loss is the model's loss of the scores.
func (t *heads) loss(b *Batch, s scored, scale float32) (float64, error) {
	c := t.model.cfg
	if c.Loss.Kind == FullSoftmax {
		return t.ce.Run(layer.CrossEntropyArgs{
			N: len(b.Targets), V: c.Items, D: s.d, H: s.h, Table: s.table, Bias: s.bias,
			Targets: b.Targets, Soft: b.Soft, Scale: scale, DH: s.dh, DTable: s.dTable, DBias: s.dItemBias,
		})
	}
	args := layer.SampledArgs{
		N: len(b.Targets), V: c.Items, D: s.d, H: s.h, Table: s.table, Bias: s.bias,
		Targets: b.Targets, Scale: scale, DH: s.dh, DTable: s.dTable, DBias: s.dItemBias,
		Each: c.Loss.Each(),
	}
	b.Draw(&t.negatives, t.model)
	args.Negatives, args.LogCount = t.negatives.IDs, t.negatives.LogCount
	switch c.Loss.Kind {
	case GBCE:
		return t.sampled.GBCE(args, c.Loss.Calibration), nil
	case BPR:
		return t.sampled.BPR(args), nil
	}
	return t.sampled.Softmax(args), nil
}

// feedback adds the losses of ratings and clicks to out.
func (t *heads) feedback(out *sums, b *Batch, h []float32, w *weights, terms sums, dh []float32, g *weights) {
	c, d, k := t.model.cfg, t.model.cfg.Dim, len(b.FeedbackAt)
	t.said, t.rated = kernel.Grow(t.said, k*d), kernel.Grow(t.rated, k*d)
	layer.GatherForward(t.said, h, b.FeedbackAt, d)
	t.items.forward(t.rated, w, b.Rated, &t.looked)
	args := layer.PointwiseArgs{N: k, D: d, H: t.said, E: t.rated}
	if g != nil {
		t.dSaid, t.dRated = kernel.Grow(t.dSaid, k*d), kernel.Grow(t.dRated, k*d)
		clear(t.dSaid)
		clear(t.dRated)
		args.DH, args.DE = t.dSaid, t.dRated
	}
	if b.RatingCount > 0 {
		ratings := args
		ratings.W, ratings.B, ratings.Labels = w.rating, w.ratingBias, b.Ratings
		if g != nil {
			ratings.DW, ratings.DB, ratings.Scale = g.rating, g.ratingBias, float32(c.RatingWeight/terms.ratings)
		}
		out.ratings, _ = layer.SquaredError(ratings)
	}
	if b.ClickCount > 0 {
		clicks := args
		clicks.W, clicks.B, clicks.Labels = w.click, w.clickBias, b.Clicks
		if g != nil {
			clicks.DW, clicks.DB, clicks.Scale = g.click, g.clickBias, float32(c.ClickWeight/terms.clicks)
		}
		out.clicks, _ = layer.Logistic(clicks)
	}
	if g != nil {
		layer.GatherBackward(dh, t.dSaid, b.FeedbackAt, d)
		t.items.backward(g, t.dRated, b.Rated, t.looked)
	}
}
