package graph

import (
	"fmt"

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

// Graph is the recommender for at most Capacity tokens, for a Loss to build on.
// C is the capacity, V the items, d the width of the model.
type Graph struct {
	model    *seqrec.Model
	cfg      seqrec.Config
	capacity int
	batch    *batch
	shared   *shared

	expr       *gorgonia.ExprGraph
	salt       int // told apart with, should two nodes have the same hash
	collided   bool
	operations int // so far
	params     []*param
	byName     map[string]*param
	byNode     map[*gorgonia.Node]*param

	hidden   *gorgonia.Node
	output   *buffer        // of hidden
	asked    *gorgonia.Node // C x f: hidden in feature space
	logits   *gorgonia.Node
	loss     *gorgonia.Node // the cross-entropy
	entropy  *crossEntropy
	targets  *gorgonia.Node
	mask     *gorgonia.Node
	perToken *gorgonia.Node
	fill     []func() // give those three their values for the packed batch
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

func newGraph(m *seqrec.Model, capacity, salt int, b *batch, s *shared) *Graph {
	g := &Graph{
		model: m, cfg: m.Config(), capacity: capacity, salt: salt, batch: b, shared: s,
		expr: gorgonia.NewGraph(), byName: map[string]*param{}, byNode: map[*gorgonia.Node]*param{},
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
	g.encode()
	return g
}

// encode is the Transformer of seqrec: pre-norm blocks over the embedding.
func (g *Graph) encode() {
	x := g.embed()
	for b := range g.cfg.Blocks {
		p := func(name string) *gorgonia.Node { return g.Param(seqrec.BlockTensor(b, name)) }
		y := g.norm(x, p(seqrec.TensorNorm1Gain), p(seqrec.TensorNorm1Bias))
		y = g.attend(g.linear(y, p(seqrec.TensorQKV), p(seqrec.TensorQKVBias), nil))
		x = g.linear(y, p(seqrec.TensorOut), p(seqrec.TensorOutBias), x)
		y = g.norm(x, p(seqrec.TensorNorm2Gain), p(seqrec.TensorNorm2Bias))
		y = g.gelu(g.linear(y, p(seqrec.TensorUp), p(seqrec.TensorUpBias), nil))
		x = g.linear(y, p(seqrec.TensorDown), p(seqrec.TensorDownBias), x)
	}
	g.hidden = g.norm(x, g.Param(seqrec.TensorFinalGain), g.Param(seqrec.TensorFinalBias))
	g.output = g.hidden.Op().(*layerOp).y
}

// Expr is the gorgonia graph itself, for new input nodes.
func (g *Graph) Expr() *gorgonia.ExprGraph { return g.expr }

// Capacity is C, the number of rows of token matrices. A batch has fewer tokens
// or as many.
func (g *Graph) Capacity() int { return g.capacity }

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

func (g *Graph) itemWeights() *gorgonia.Node {
	if g.cfg.FeatureDim > 0 {
		return g.Param(seqrec.TensorProjection)
	}
	return g.Param(seqrec.TensorTable)
}

// Hidden is what the encoder says, C x d; rows after the last token are zero.
func (g *Graph) Hidden() *gorgonia.Node {
	g.output.reachable = true
	return g.hidden
}

// Logits is the score of every item as the next one after each token, C x V; rows
// after the last token are zero. The cross-entropy never makes this matrix.
func (g *Graph) Logits() *gorgonia.Node {
	if g.logits != nil {
		return g.logits
	}
	if g.cfg.FeatureDim > 0 {
		g.logits = g.scores(g.inFeatures())
	} else {
		g.logits = g.linearT("logits", g.hidden, g.itemWeights(), g.Param(seqrec.TensorItemBias))
	}
	g.logits.Op().(*layerOp).y.reachable = true
	return g.logits
}

// inFeatures is hidden in feature space: h*(F*W)^T + F*b = (h*W^T + b)*F^T, so
// the catalogue is never projected.
func (g *Graph) inFeatures() *gorgonia.Node {
	if g.asked == nil {
		g.asked = g.linearT("features", g.hidden, g.itemWeights(), g.Param(seqrec.TensorItemBias))
	}
	return g.asked
}

// CrossEntropy is the recommender's own loss, a scalar: the mean over the
// positions with a target of the full-softmax cross-entropy, in nats.
func (g *Graph) CrossEntropy() *gorgonia.Node {
	switch {
	case g.loss != nil:
	case g.cfg.FeatureDim > 0:
		g.loss = g.crossEntropy(g.inFeatures())
	default:
		g.loss = g.crossEntropy(g.hidden, g.itemWeights(), g.Param(seqrec.TensorItemBias))
	}
	return g.loss
}

// CrossEntropy is the Loss of NewEngine.
func CrossEntropy(g *Graph) (*gorgonia.Node, error) { return g.CrossEntropy(), nil }

// Targets is what each token should predict, C x V: a one, or the sequence's soft
// row; rows without a target and those after the last token are zero.
func (g *Graph) Targets() *gorgonia.Node {
	if g.targets == nil {
		g.targets = g.batchInput("targets", g.cfg.Items, g.batch.fillTargets)
	}
	return g.targets
}

// Mask is C x 1: one for tokens with a target, zero for all other rows. A loss
// whose terms are not zero by themselves in those rows multiplies by it
// (gorgonia.BroadcastHadamardProd).
func (g *Graph) Mask() *gorgonia.Node {
	if g.mask == nil {
		g.mask = g.batchInput("mask", 1, func(rows []float32, _ int) { g.batch.fillMask(rows) })
	}
	return g.mask
}

// batchInput adds an input of one row per token that fill writes before each run.
func (g *Graph) batchInput(name string, cols int, fill func(rows []float32, cols int)) *gorgonia.Node {
	rows := make([]float32, g.capacity*cols)
	g.fill = append(g.fill, func() { fill(rows, cols) })
	return gorgonia.NewMatrix(g.expr, tensor.Float32, gorgonia.WithName(name),
		gorgonia.WithShape(g.capacity, cols), gorgonia.WithValue(denseOf(rows, g.capacity, cols)))
}

// PerToken is the scalar 1/(positions with a target): it turns a sum over tokens
// into their mean.
func (g *Graph) PerToken() *gorgonia.Node {
	if g.perToken == nil {
		share := gorgonia.NewF32(1)
		g.fill = append(g.fill, func() { *share = gorgonia.F32(1 / float32(g.batch.tokens)) })
		g.perToken = gorgonia.NewScalar(g.expr, tensor.Float32, gorgonia.WithName("per token"), gorgonia.WithValue(share))
	}
	return g.perToken
}

// gradient makes the buffer for the gradient of a node. The first operation to
// ask for that of a parameter gets the caller's own memory.
func (g *Graph) gradient(n *gorgonia.Node) *buffer {
	s := n.Shape()
	b := &buffer{rows: s[0], cols: s[1]}
	p := g.byNode[n]
	switch {
	case p == nil:
		b.perToken = true
	case p.slot == nil:
		p.slot = b
	}
	return b
}

// run evaluates the packed batch for the flat weights, and where into is not nil
// overwrites it with the gradient.
func (g *Graph) run(vm gorgonia.VM, params, into []float32) (loss float64, err error) {
	if err := g.bind(params, into); err != nil {
		return 0, err
	}
	for _, fill := range g.fill {
		fill()
	}
	g.failure = nil
	vm.Reset()
	err = vm.RunAll()
	if g.failure != nil {
		err = g.failure
	}
	if err != nil {
		return 0, err
	}
	if into != nil {
		if err := g.collect(); err != nil {
			return 0, err
		}
	}
	return g.value(), nil
}

// value is the loss of the last run, in float64 where it is known so.
func (g *Graph) value() float64 {
	if g.loss != nil && g.outcome.loss == g.loss {
		return g.entropy.mean
	}
	return float64(g.outcome.value)
}

// bind points the input nodes at the weights and the gradients' buffers at into.
// Callers that use the same vectors again, as trainers do, pay nothing.
func (g *Graph) bind(params, into []float32) error {
	for _, p := range g.params {
		end := p.offset + p.rows*p.cols
		if values := params[p.offset:end]; !same(values, p.values) {
			if err := gorgonia.Let(p.node, denseOf(values, p.rows, p.cols)); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			p.values = values
		}
		if into == nil {
			continue
		}
		if grad := into[p.offset:end]; !same(grad, p.into) {
			if p.slot != nil {
				p.slot.point(grad)
			}
			p.into = grad
		}
	}
	return nil
}

func same(a, b []float32) bool { return len(a) == len(b) && &a[0] == &b[0] }

// collect brings the gradients into the caller's memory where they are not yet.
func (g *Graph) collect() error {
	for _, p := range g.params {
		if p.grad == nil {
			clear(p.into)
			continue
		}
		grad, err := floats(p.grad.Value())
		if err == nil && len(grad) != len(p.into) {
			err = fmt.Errorf("%d values, want %d", len(grad), len(p.into))
		}
		if err != nil {
			return fmt.Errorf("gradient of %s: %w", p.name, err)
		}
		if !same(grad, p.into) {
			copy(p.into, grad)
		}
	}
	return nil
}

func newShared(cfg seqrec.Config) *shared {
	return &shared{attention: layer.NewAttention(cfg.Dim, cfg.Heads)}
}
