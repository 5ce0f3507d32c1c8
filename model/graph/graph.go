package graph

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"tutti/model/layer"
	"tutti/model/seqrec"
)

// Loss finishes a recommender's graph with a scalar float32 node to minimise. It
// must give the same nodes every time it is called, which is once for each
// capacity, and it must not make another engine. It may panic, as gorgonia.Must
// does: that becomes New's error.
type Loss func(g *Graph) (*gorgonia.Node, error)

// Graph is the recommender for at most Capacity positions, for a Loss to build
// on. C is the capacity, V the items, d the width of the model. Positions are
// where something is predicted: those of the items that are read, and for an
// EncoderDecoder those of the continuations.
type Graph struct {
	model  *seqrec.Model
	cfg    seqrec.Config
	sizes  sizes
	call   *call
	shared *shared

	expr       *gorgonia.ExprGraph
	salt       int // told apart with, should two nodes have the same hash
	collided   bool
	operations int // so far
	params     []*param
	byName     map[string]*param
	byNode     map[*gorgonia.Node]*param
	running    map[*gorgonia.Node]running
	free       []*buffer // of gradients that have been used

	rotary   *layer.Rotary  // nil with learned positions
	combined *gorgonia.Node // the vectors of the items, of a hybrid model
	hidden   *gorgonia.Node
	output   *buffer        // of hidden
	asked    *gorgonia.Node // C x f: hidden in feature space
	logits   *gorgonia.Node

	said, rated          *gorgonia.Node // K x d: what is said of which items
	next, rating, clicks *task
	tasks                *gorgonia.Node // their weighted sum

	targets  *gorgonia.Node
	mask     *gorgonia.Node
	perToken *gorgonia.Node
	fill     []func() // give those three their values for the batch
	outcome  *resultOp

	nodes   int   // in the program compiled last
	failure error // the first error of an operation in this run
}

// param is a tensor of the model as an input node.
type param struct {
	name         string
	offset       int // in the flat vector
	rows, cols   int
	node         *gorgonia.Node
	grad         *gorgonia.Node // nil where the loss does not depend on it
	slot         *buffer        // its place in the caller's gradient, once an operation writes there
	values, into []float32      // its part of the flat vectors of the current run
}

func newGraph(m *seqrec.Model, size sizes, salt int, c *call, s *shared) *Graph {
	g := &Graph{
		model: m, cfg: m.Config(), sizes: size, salt: salt, call: c, shared: s, expr: gorgonia.NewGraph(),
		byName: map[string]*param{}, byNode: map[*gorgonia.Node]*param{}, running: map[*gorgonia.Node]running{},
	}
	offset := 0
	for _, t := range m.Layout().Tensors() {
		p := &param{name: t.Name, offset: offset, rows: 1, cols: t.Size()}
		if len(t.Shape) == 2 {
			p.rows, p.cols = t.Shape[0], t.Shape[1]
		}
		offset += t.Size()
		p.node = gorgonia.NewMatrix(g.expr, tensor.Float32, gorgonia.WithShape(p.rows, p.cols), gorgonia.WithName(t.Name))
		g.params = append(g.params, p)
		g.byName[p.name], g.byNode[p.node] = p, p
	}
	g.transform()
	return g
}

// Expr is the gorgonia graph itself, for new input nodes.
func (g *Graph) Expr() *gorgonia.ExprGraph { return g.expr }

// Capacity is C, the number of rows of Hidden, Logits, Targets and Mask. A batch
// has fewer positions or as many.
func (g *Graph) Capacity() int { return g.sizes[positions] }

// Config describes the recommender.
func (g *Graph) Config() seqrec.Config { return g.cfg }

// Param is the node of a tensor of the model by its name (seqrec.TensorTable and
// others), nil if it has none. A vector of n values is 1 x n.
func (g *Graph) Param(name string) *gorgonia.Node {
	if p := g.byName[name]; p != nil {
		return p.node
	}
	return nil
}

// Hidden is what the Transformer says, C x d; rows after the last position are
// zero.
func (g *Graph) Hidden() *gorgonia.Node {
	g.output.reachable = true
	return g.hidden
}

// Logits is the score of every item as what is to be predicted at each position,
// C x V; rows after the last position are zero. NextItem never makes this matrix.
func (g *Graph) Logits() *gorgonia.Node {
	if g.logits != nil {
		return g.logits
	}
	if g.featuresAlone() {
		g.logits = g.scores(g.inFeatures())
	} else {
		g.logits = g.linearT("logits", g.hidden, g.items(), g.Param(seqrec.TensorItemBias))
	}
	bufferOf(g.logits).reachable = true
	return g.logits
}

// featuresAlone reports whether items have no vectors of their own.
func (g *Graph) featuresAlone() bool { return g.cfg.FeatureDim > 0 && !g.cfg.Hybrid }

// inFeatures is hidden in feature space: h*(F*W)^T + F*b = (h*W^T + b)*F^T, so
// the catalogue is never projected.
func (g *Graph) inFeatures() *gorgonia.Node {
	if g.asked == nil {
		g.asked = g.linearT("features", g.hidden, g.items(), g.Param(seqrec.TensorItemBias))
	}
	return g.asked
}

// NextItem is the loss of the items to be predicted, a scalar: the mean, over
// the positions with a target, of what the model's configuration judges by: the
// cross-entropy over the whole catalogue, in nats, or a sampled loss.
func (g *Graph) NextItem() *gorgonia.Node {
	switch {
	case g.next != nil:
	case g.featuresAlone():
		g.next = g.nextItem(g.inFeatures())
	default:
		g.next = g.nextItem(g.hidden, g.items(), g.Param(seqrec.TensorItemBias))
	}
	return g.next.node
}

// Rating is the mean squared error of the batch's ratings, a scalar; nil for a
// model without a RatingWeight.
func (g *Graph) Rating() *gorgonia.Node {
	if g.cfg.RatingWeight == 0 {
		return nil
	}
	if g.rating == nil {
		g.rating = g.opinion("rating", g.cfg.RatingWeight, &opinion{
			judge:  layer.SquaredError,
			labels: func(b *seqrec.Batch) []float32 { return b.Ratings },
			terms:  func(t seqrec.Terms) int { return t.Ratings },
		}, seqrec.TensorRating, seqrec.TensorRatingBias)
	}
	return g.rating.node
}

// Click is the mean logistic loss of the batch's clicks, a scalar; nil for a
// model without a ClickWeight.
func (g *Graph) Click() *gorgonia.Node {
	if g.cfg.ClickWeight == 0 {
		return nil
	}
	if g.clicks == nil {
		g.clicks = g.opinion("click", g.cfg.ClickWeight, &opinion{
			judge:  layer.Logistic,
			labels: func(b *seqrec.Batch) []float32 { return b.Clicks },
			terms:  func(t seqrec.Terms) int { return t.Clicks },
		}, seqrec.TensorClick, seqrec.TensorClickBias)
	}
	return g.clicks.node
}

// Tasks is the recommender's own loss, a scalar: NextItem, plus Rating and Click
// with their weights where the model has them.
func (g *Graph) Tasks() *gorgonia.Node {
	if g.tasks != nil {
		return g.tasks
	}
	rating, click := g.Rating(), g.Click() // before NextItem: gradients add up as in seqrec
	g.tasks = g.NextItem()
	for _, t := range []struct {
		node   *gorgonia.Node
		weight float64
	}{{rating, g.cfg.RatingWeight}, {click, g.cfg.ClickWeight}} {
		if t.node != nil {
			weight := gorgonia.NewConstant(float32(t.weight))
			g.tasks = gorgonia.Must(gorgonia.Add(g.tasks, gorgonia.Must(gorgonia.Mul(t.node, weight))))
		}
	}
	return g.tasks
}

// Tasks is the Loss of NewEngine.
func Tasks(g *Graph) (*gorgonia.Node, error) { return g.Tasks(), nil }

// Targets is what each position should predict, C x V: a one, or the sequence's
// soft row; rows without a target and those after the last position are zero.
func (g *Graph) Targets() *gorgonia.Node {
	if g.targets == nil {
		g.targets = g.batchInput("targets", g.cfg.Items, g.call.fillTargets)
	}
	return g.targets
}

// Mask is C x 1: one for positions with a target, zero for all other rows. A loss
// whose terms are not zero by themselves in those rows multiplies by it
// (gorgonia.BroadcastHadamardProd).
func (g *Graph) Mask() *gorgonia.Node {
	if g.mask == nil {
		g.mask = g.batchInput("mask", 1, func(rows []float32, _ int) { g.call.fillMask(rows) })
	}
	return g.mask
}

// batchInput adds an input of one row per position that fill writes before each
// run.
func (g *Graph) batchInput(name string, cols int, fill func(rows []float32, cols int)) *gorgonia.Node {
	n := g.Capacity()
	rows := make([]float32, n*cols)
	g.fill = append(g.fill, func() { fill(rows, cols) })
	return gorgonia.NewMatrix(g.expr, tensor.Float32, gorgonia.WithName(name),
		gorgonia.WithShape(n, cols), gorgonia.WithValue(denseOf(rows, n, cols)))
}

// PerToken is the scalar 1/(positions with a target): it turns a sum over
// positions into their mean. It is 0 for a batch that has only ratings or clicks.
func (g *Graph) PerToken() *gorgonia.Node {
	if g.perToken == nil {
		share := gorgonia.NewF32(1)
		g.fill = append(g.fill, func() {
			if *share = 0; g.call.whole.Items > 0 {
				*share = gorgonia.F32(1 / float32(g.call.whole.Items))
			}
		})
		g.perToken = gorgonia.NewScalar(g.expr, tensor.Float32, gorgonia.WithName("per token"), gorgonia.WithValue(share))
	}
	return g.perToken
}
