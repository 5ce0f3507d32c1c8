package graph

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"

	"tutti/model"
	"tutti/model/kernel"
	"tutti/model/seqrec"
)

// Engine computes loss and gradient on a gorgonia graph; it is a seqrec.Engine
// and a seqrec.Worker. One goroutine uses it at a time; different engines run at
// the same time. Once the graph is large enough, a call allocates as little for a
// large batch as for a small one.
type Engine struct {
	model    *seqrec.Model
	loss     Loss
	batch    seqrec.Batch
	call     *call
	shared   *shared
	graph    *Graph
	trainer  gorgonia.VM // loss and gradient
	measurer gorgonia.VM // loss only; nil until asked for
}

// NewEngine returns the engine of the recommender's own loss, equal to
// seqrec.NewEngine.
func NewEngine(m *seqrec.Model) (seqrec.Engine, error) { return New(m, Tasks) }

// New returns an engine that minimises loss. It builds the graph once, for the
// model's longest sequence, so that a loss that cannot be built or differentiated
// shows at once.
func New(m *seqrec.Model, loss Loss) (*Engine, error) {
	if m == nil || loss == nil {
		return nil, errors.New("graph: no model or no loss")
	}
	e := &Engine{model: m, loss: loss, call: &call{}, shared: newShared(m.Config())}
	if err := e.build(firstSizes(m.Config())); err != nil {
		return nil, err
	}
	return e, nil
}

// NewParallel returns an engine that splits every batch over so many engines of
// one loss, each with a graph of its own, for training on a server; see
// seqrec.ParallelEngine. A Loss of the caller's own is then the mean of its
// values on the parts, weighed by their positions with a target.
func NewParallel(m *seqrec.Model, loss Loss, workers int) (seqrec.Engine, error) {
	var all []seqrec.Worker
	for range max(1, workers) {
		e, err := New(m, loss)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return seqrec.NewParallel(all), nil
}

// build makes the graph for a size.
func (e *Engine) build(size sizes) error {
	g, vm, err := build(e.model, e.loss, size, e.call, e.shared)
	if err != nil {
		return err
	}
	e.graph, e.trainer, e.measurer = g, vm, nil
	return nil
}

// Layout implements seqrec.Engine.
func (e *Engine) Layout() model.Layout { return e.model.Layout() }

// LossGrad implements seqrec.Engine. With a Loss of the caller's own, loss is the
// value of its node. Until the next call the engine keeps hold of the three
// slices.
func (e *Engine) LossGrad(params []float32, batch []seqrec.Sequence, grad []float32) (loss float64, tokens int, err error) {
	if size := e.Layout().Size(); len(params) != size || grad != nil && len(grad) != size {
		return 0, 0, fmt.Errorf("loss: %d parameters and %d gradients for a layout of %d", len(params), len(grad), size)
	}
	if err := e.batch.Pack(e.model.Config(), batch); err != nil {
		return 0, 0, fmt.Errorf("loss: %w", err)
	}
	loss, err = e.run(params, grad, e.batch.Terms())
	return loss, e.batch.Tokens, err
}

// PackPart implements seqrec.Worker.
func (e *Engine) PackPart(part []seqrec.Sequence, first int, seed uint64) (seqrec.Terms, error) {
	err := e.batch.PackPart(e.model.Config(), part, first, seed)
	return e.batch.Terms(), err
}

// Share implements seqrec.Worker.
func (e *Engine) Share(params, grad []float32, whole seqrec.Terms) (loss float64, err error) {
	if e.graph.ownLoss() {
		return e.run(params, grad, whole)
	}
	part := e.batch.Terms()
	if part.Items == 0 {
		clear(grad)
		return 0, nil
	}
	share := float64(part.Items) / float64(whole.Items)
	loss, err = e.run(params, grad, part)
	kernel.Scale(grad, float32(share))
	return loss * share, err
}

// run evaluates the packed batch.
func (e *Engine) run(params, grad []float32, whole seqrec.Terms) (loss float64, err error) {
	e.call.set(&e.batch, whole, grad != nil)
	if !e.graph.sizes.fit(e.call.live) {
		if err := e.build(e.graph.sizes.grown(e.call.live)); err != nil {
			return 0, err
		}
	}
	vm, err := e.machine()
	if err == nil {
		loss, err = e.graph.run(vm, params, grad)
	}
	if err != nil {
		return 0, fmt.Errorf("loss: %w", err)
	}
	return loss, nil
}

// machine is the program for what is asked.
func (e *Engine) machine() (gorgonia.VM, error) {
	if e.call.training {
		return e.trainer, nil
	}
	if e.measurer == nil {
		vm, err := e.graph.compileLoss()
		if err != nil {
			return nil, err
		}
		e.measurer = vm
	}
	return e.measurer, nil
}
