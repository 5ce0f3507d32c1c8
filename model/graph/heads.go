package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// task is a loss of the recommender: a mean, which the graph sees rounded.
type task struct {
	node   *gorgonia.Node
	weight float64
	mean   float64 // of the last run
}

// nextItem is the mean loss of the items to be predicted, as the model's
// configuration judges it. It computes its gradients on the way forward, while
// the probabilities are at hand. in: h (M x d), items (V x d), bias (1 x V); with
// features alone only the outputs in feature space (M x f).
type nextItem struct {
	g         *Graph
	op        *layerOp
	task      *task
	entropy   *layer.CrossEntropy
	sampled   *layer.Sampled
	negatives layer.Negatives
}

func (g *Graph) nextItem(children ...*gorgonia.Node) *task {
	l := &nextItem{g: g, task: &task{weight: 1}, entropy: layer.NewCrossEntropy(), sampled: layer.NewSampled()}
	l.op = &layerOp{layer: l, early: true}
	l.task.node = g.add(l.op, g.cfg.Loss.Kind.String(), children)
	return l.task
}

func (l *nextItem) forward(y []float32, in [][]float32) (err error) {
	c := l.g.call
	var grads [][]float32
	if c.training && l.op.grad != nil {
		grads = l.op.grad.prepare()
	}
	sum := 0.0
	if l.task.mean = 0; c.batch.Tokens > 0 {
		if sum, err = l.run(in, grads); err != nil {
			return err
		}
		l.task.mean = sum / float64(c.whole.Items)
	}
	y[0] = float32(l.task.mean)
	return nil
}

// run is the summed loss; it adds the gradients of the mean to grads.
func (l *nextItem) run(in, grads [][]float32) (float64, error) {
	cfg, b := l.g.cfg, l.g.call.batch
	a := layer.CrossEntropyArgs{
		N: len(b.Targets), V: cfg.Items, D: cfg.Dim, H: in[0],
		Targets: b.Targets, Soft: b.Soft, Scale: 1 / float32(l.g.call.whole.Items),
	}
	if len(in) == 1 {
		a.D, a.Table = cfg.FeatureDim, l.g.model.Features()
	} else {
		a.Table, a.Bias = in[1], in[2]
	}
	if grads != nil {
		a.DH = grads[0]
	}
	if len(grads) == 3 {
		a.DTable, a.DBias = grads[1], grads[2]
	}
	if cfg.Loss.Kind == seqrec.FullSoftmax {
		return l.entropy.Run(a)
	}
	return l.sample(a), nil
}

// sample is run for the losses that draw negatives.
func (l *nextItem) sample(a layer.CrossEntropyArgs) float64 {
	loss := l.g.cfg.Loss
	l.g.call.batch.Draw(&l.negatives, l.g.model)
	args := layer.SampledArgs{
		N: a.N, V: a.V, D: a.D, H: a.H, Table: a.Table, Bias: a.Bias, Targets: a.Targets,
		Negatives: l.negatives.IDs, LogCount: l.negatives.LogCount, Each: loss.Each(),
		Scale: a.Scale, DH: a.DH, DTable: a.DTable, DBias: a.DBias,
	}
	switch loss.Kind {
	case seqrec.GBCE:
		return l.sampled.GBCE(args, loss.Calibration)
	case seqrec.BPR:
		return l.sampled.BPR(args)
	}
	return l.sampled.Softmax(args)
}

// backward weighs the gradients where the loss is not this mean itself.
func (l *nextItem) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	if dy[0] != 1 {
		for _, g := range grads {
			kernel.Scale(g, dy[0])
		}
	}
	return nil
}

// gather is what is said at the positions with feedback. in: h (M x d).
type gather struct {
	call *call
	d    int
}

func (g *Graph) gather(h *gorgonia.Node) *gorgonia.Node {
	return g.layer("gather", &gather{g.call, g.cfg.Dim}, g.matrix(opinions, g.cfg.Dim), h)
}

func (l *gather) forward(y []float32, in [][]float32) error {
	layer.GatherForward(y, in[0], l.call.batch.FeedbackAt, l.d)
	return nil
}

func (l *gather) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	layer.GatherBackward(grads[0], dy, l.call.batch.FeedbackAt, l.d)
	return nil
}

// opinion is the mean loss of the ratings, or of the clicks. in: what is said
// and the items it is about (K x d), weight (1 x d), bias (1 x 1).
type opinion struct {
	g      *Graph
	task   *task
	labels func(*seqrec.Batch) []float32
	terms  func(seqrec.Terms) int
	judge  func(layer.PointwiseArgs) (float64, int)
}

func (g *Graph) opinion(name string, weight float64, l *opinion, w, b string) *task {
	if g.said == nil {
		g.said = g.gather(g.hidden)
		g.rated = g.embedRated(g.said)
	}
	l.g, l.task = g, &task{weight: weight}
	l.task.node = g.add(&layerOp{layer: l}, name, gorgonia.Nodes{g.said, g.rated, g.Param(w), g.Param(b)})
	return l.task
}

func (l *opinion) args(in [][]float32) layer.PointwiseArgs {
	b := l.g.call.batch
	return layer.PointwiseArgs{
		N: len(b.FeedbackAt), D: l.g.cfg.Dim, H: in[0], E: in[1], W: in[2], B: in[3], Labels: l.labels(b),
	}
}

func (l *opinion) forward(y []float32, in [][]float32) error {
	l.task.mean = 0
	if terms := l.terms(l.g.call.whole); terms > 0 {
		sum, _ := l.judge(l.args(in))
		l.task.mean = sum / float64(terms)
	}
	y[0] = float32(l.task.mean)
	return nil
}

func (l *opinion) backward(grads [][]float32, dy, _ []float32, in [][]float32) error {
	if terms := l.terms(l.g.call.whole); terms > 0 {
		a := l.args(in)
		a.DH, a.DE, a.DW, a.DB = grads[0], grads[1], grads[2], grads[3]
		by := float64(dy[0])
		if dy[0] == float32(l.task.weight) {
			by = l.task.weight // as it was before it was rounded
		}
		a.Scale = float32(by / float64(terms))
		l.judge(a)
	}
	return nil
}

// resultOp keeps the value of the loss: what a node shows after a run may have
// been overwritten.
type resultOp struct {
	base
	loss  *gorgonia.Node // its input
	node  *gorgonia.Node // itself
	value float32
}

func (g *Graph) result(loss *gorgonia.Node) *gorgonia.Node {
	children := gorgonia.Nodes{loss}
	op := &resultOp{base: g.newBase("result", loss.Shape(), children), loss: loss}
	op.node, g.outcome = g.apply(op, loss), op
	return op.node
}

// Do implements gorgonia.Op.
func (op *resultOp) Do(values ...gorgonia.Value) (out gorgonia.Value, err error) {
	defer op.guard(&err)
	in, err := op.read(values)
	if err != nil {
		return nil, err
	}
	op.value = in[0][0]
	return values[0], nil
}
