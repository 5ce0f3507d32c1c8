package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/kernel"
	"tutti/model/layer"
	"tutti/model/seqrec"
)

// embed is the sum of the terms of what the rows of an axis stand for. Each term
// has a tensor; these are the inputs. The first term writes, the others add, but
// for MASK, which replaces.
type embed struct {
	call  *call
	terms []term
}

// term is what one tensor, w, says about every row.
type term interface {
	forward(y, w []float32, b *seqrec.Batch)
	backward(dw, dy []float32, b *seqrec.Batch) // adds to dw
}

func (l *embed) forward(y []float32, in [][]float32) error {
	for i, t := range l.terms {
		t.forward(y, in[i], l.call.batch)
	}
	return nil
}

func (l *embed) backward(grads [][]float32, dy, _ []float32, _ [][]float32) error {
	for i, t := range l.terms {
		t.backward(grads[i], dy, l.call.batch)
	}
	return nil
}

// embedding collects terms and their nodes.
type embedding struct {
	terms []term
	nodes gorgonia.Nodes
}

func (e *embedding) add(t term, n *gorgonia.Node) {
	e.terms, e.nodes = append(e.terms, t), append(e.nodes, n)
}

// addIf adds a term that some configurations do without.
func (e *embedding) addIf(t term, n *gorgonia.Node) {
	if n != nil {
		e.add(t, n)
	}
}

func (g *Graph) embedding(name string, a axis, e embedding) *gorgonia.Node {
	return g.layer(name, &embed{g.call, e.terms}, g.matrix(a, g.cfg.Dim), e.nodes...)
}

// embedTokens is what the encoder reads: item, position, time gaps and user.
func (g *Graph) embedTokens() *gorgonia.Node {
	ids, d := func(b *seqrec.Batch) []int32 { return b.IDs }, g.cfg.Dim
	var e embedding
	e.add(g.itemTerm(ids), g.items())
	e.addIf(maskTerm{ids, g.cfg.Items, d}, g.Param(seqrec.TensorMask))
	e.addIf(positionTerm{offsetsOf, d}, g.Param(seqrec.TensorPosition))
	e.addIf(rowTerm{func(b *seqrec.Batch) []int32 { return b.Gaps }, d}, g.Param(seqrec.TensorTime))
	e.addIf(rowTerm{func(b *seqrec.Batch) []int32 { return b.Until }, d}, g.Param(seqrec.TensorTimeUntil))
	e.addIf(&userTerm{users: g.cfg.UserDim, d: d}, g.Param(seqrec.TensorUser))
	return g.embedding("embed", tokens, e)
}

// embedReads is what the decoder reads: item, start and position.
func (g *Graph) embedReads() *gorgonia.Node {
	var e embedding
	e.add(g.itemTerm(func(b *seqrec.Batch) []int32 { return b.Reads }), g.items())
	e.add(startTerm{g.cfg.Dim}, g.Param(seqrec.TensorDecoderStart))
	e.addIf(positionTerm{positionsOf, g.cfg.Dim}, g.Param(seqrec.TensorDecoderPosition))
	return g.embedding("decoder.embed", positions, e)
}

// embedRated is the items on which there is feedback. That it is made for said
// makes it an operation of two inputs, which may hand on the gradient of one.
func (g *Graph) embedRated(said *gorgonia.Node) *gorgonia.Node {
	var e embedding
	e.add(g.itemTerm(func(b *seqrec.Batch) []int32 { return b.Rated }), g.items())
	e.nodes = append(e.nodes, said)
	return g.embedding("rated", opinions, e)
}

// itemTerm turns ids into vectors, by what items is.
func (g *Graph) itemTerm(ids func(*seqrec.Batch) []int32) term {
	if g.items() == g.Param(seqrec.TensorProjection) {
		return &featureTerm{ids: ids, features: g.model.Features(), f: g.cfg.FeatureDim, d: g.cfg.Dim}
	}
	return tableTerm{ids, g.cfg.Items, g.cfg.Dim}
}

// tableTerm writes rows of a table of v items, and leaves MASK alone.
type tableTerm struct {
	ids  func(*seqrec.Batch) []int32
	v, d int
}

func (t tableTerm) forward(y, w []float32, b *seqrec.Batch) {
	for i, id := range t.ids(b) {
		if int(id) < t.v {
			copy(y[i*t.d:(i+1)*t.d], w[int(id)*t.d:(int(id)+1)*t.d])
		}
	}
}

func (t tableTerm) backward(dw, dy []float32, b *seqrec.Batch) {
	for i, id := range t.ids(b) {
		if int(id) < t.v {
			kernel.Add(dw[int(id)*t.d:(int(id)+1)*t.d], dy[i*t.d:(i+1)*t.d])
		}
	}
}

// featureTerm projects the items' public features; those of MASK are 0.
type featureTerm struct {
	ids              func(*seqrec.Batch) []int32
	features, looked []float32 // V x f, rows x f
	f, d             int
}

func (t *featureTerm) forward(y, w []float32, b *seqrec.Batch) {
	ids, f := t.ids(b), t.f
	t.looked = kernel.Grow(t.looked, len(ids)*f)
	for i, id := range ids {
		row := t.looked[i*f : (i+1)*f]
		if at := int(id) * f; at < len(t.features) {
			copy(row, t.features[at:])
		} else {
			clear(row)
		}
	}
	layer.LinearForward(y, t.looked, w, nil, len(ids), f, t.d)
}

func (t *featureTerm) backward(dw, dy []float32, b *seqrec.Batch) {
	layer.LinearBackward(nil, dw, nil, dy, t.looked, nil, nil, len(t.ids(b)), t.f, t.d)
}

// maskTerm replaces the rows of MASK, which has the id mask.
type maskTerm struct {
	ids     func(*seqrec.Batch) []int32
	mask, d int
}

func (t maskTerm) forward(y, w []float32, b *seqrec.Batch) {
	for i, id := range t.ids(b) {
		if int(id) == t.mask {
			copy(y[i*t.d:(i+1)*t.d], w)
		}
	}
}

func (t maskTerm) backward(dw, dy []float32, b *seqrec.Batch) {
	for i, id := range t.ids(b) {
		if int(id) == t.mask {
			kernel.Add(dw, dy[i*t.d:(i+1)*t.d])
		}
	}
}

// positionTerm is the place in the sequence.
type positionTerm struct {
	offsets func(*seqrec.Batch) []int32
	d       int
}

func (t positionTerm) forward(y, w []float32, b *seqrec.Batch) {
	layer.PositionForward(y, w, t.offsets(b), t.d)
}

func (t positionTerm) backward(dw, dy []float32, b *seqrec.Batch) {
	layer.PositionBackward(dw, dy, t.offsets(b), t.d)
}

// rowTerm is a row of a small table.
type rowTerm struct {
	rows func(*seqrec.Batch) []int32
	d    int
}

func (t rowTerm) forward(y, w []float32, b *seqrec.Batch) { layer.GatherAdd(y, w, t.rows(b), t.d) }

func (t rowTerm) backward(dw, dy []float32, b *seqrec.Batch) {
	layer.GatherBackward(dw, dy, t.rows(b), t.d)
}

// userTerm is the projected description of the user.
type userTerm struct {
	users, d   int
	said, down []float32 // sequences x d
}

func (t *userTerm) forward(y, w []float32, b *seqrec.Batch) {
	n := len(b.Offsets) - 1
	t.said = kernel.Grow(t.said, n*t.d)
	layer.LinearForward(t.said, b.Users, w, nil, n, t.users, t.d)
	layer.SequenceForward(y, t.said, b.Offsets, t.d)
}

func (t *userTerm) backward(dw, dy []float32, b *seqrec.Batch) {
	n := len(b.Offsets) - 1
	t.down = kernel.Grow(t.down, n*t.d)
	clear(t.down)
	layer.SequenceBackward(t.down, dy, b.Offsets, t.d)
	layer.LinearBackward(nil, dw, nil, t.down, b.Users, nil, nil, n, t.users, t.d)
}

// startTerm marks the first token of every continuation.
type startTerm struct{ d int }

func (t startTerm) forward(y, w []float32, b *seqrec.Batch) {
	for _, first := range b.Positions[:len(b.Positions)-1] {
		kernel.Add(y[int(first)*t.d:(int(first)+1)*t.d], w)
	}
}

func (t startTerm) backward(dw, dy []float32, b *seqrec.Batch) {
	for _, first := range b.Positions[:len(b.Positions)-1] {
		kernel.Add(dw, dy[int(first)*t.d:(int(first)+1)*t.d])
	}
}
