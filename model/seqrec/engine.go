package seqrec

import (
	"fmt"

	"tutti/model"
	"tutti/model/kernel"
)

// FusedEngine is the Engine on the fused layers, without any graph: what phones
// and browsers run. After the first batch of a size it allocates nothing, unless
// its loss draws negatives.
type FusedEngine struct {
	model *Model
	items *itemVectors
	enc   *encoder
	dec   *decoder // nil but for an EncoderDecoder
	heads *heads
	batch Batch

	params, grads weights
	dh            []float32 // M x d
}

// NewEngine returns an engine for m; one goroutine uses it at a time.
func NewEngine(m *Model) *FusedEngine {
	items := newItemVectors(m)
	e := &FusedEngine{model: m, items: items, enc: newEncoder(m, items), heads: newHeads(m, items)}
	if m.cfg.Arch == EncoderDecoder {
		e.dec = newDecoder(m, items)
	}
	return e
}

// Layout implements Engine.
func (e *FusedEngine) Layout() model.Layout { return e.model.layout }

// LossGrad implements Engine.
func (e *FusedEngine) LossGrad(params []float32, batch []Sequence, grad []float32) (loss float64, tokens int, err error) {
	if err := checkCall(e.model.layout, params, grad); err != nil {
		return 0, 0, err
	}
	if err := e.batch.Pack(e.model.cfg, batch); err != nil {
		return 0, 0, fmt.Errorf("loss: %w", err)
	}
	terms := e.batch.terms()
	sum, err := e.lossGrad(params, grad, terms)
	return sum.mean(terms, e.model.cfg), e.batch.Tokens, err
}

// checkCall refuses vectors of another layout.
func checkCall(layout model.Layout, params, grad []float32) error {
	if size := layout.Size(); len(params) != size || grad != nil && len(grad) != size {
		return fmt.Errorf("loss: %d parameters and %d gradients for a layout of %d", len(params), len(grad), size)
	}
	return nil
}

// lossGrad returns the summed losses of the packed batch, which may be a part of
// one, and overwrites grad, if not nil, with the gradient of its share of the
// whole batch's loss; terms counts what that has to learn.
func (e *FusedEngine) lossGrad(params, grad []float32, terms sums) (sums, error) {
	w, b := &e.params, &e.batch
	w.bind(e.model.cfg, params)
	e.items.prepare(w)
	training := grad != nil
	memory := e.enc.forward(w, b, training)
	h := memory
	if e.dec != nil {
		h = e.dec.forward(w, b, memory, training)
	}
	if !training {
		sum, err := e.heads.run(b, h, w, terms, nil, nil)
		return sum, wrapLoss(err)
	}
	clear(grad)
	e.grads.bind(e.model.cfg, grad)
	e.dh = kernel.Grow(e.dh, len(h))
	clear(e.dh)
	sum, err := e.heads.run(b, h, w, terms, e.dh, &e.grads)
	if err != nil {
		return sums{}, wrapLoss(err)
	}
	e.backward()
	return sum, nil
}

// backward passes the gradient of the outputs on.
func (e *FusedEngine) backward() {
	dh := e.dh
	if e.dec != nil {
		dh = e.dec.backward(&e.params, &e.grads, e.dh)
	}
	e.enc.backward(&e.params, &e.grads, dh)
	e.items.finish(&e.grads)
}

func wrapLoss(err error) error {
	if err != nil {
		return fmt.Errorf("loss: %w", err)
	}
	return nil
}
