package graph

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"

	"tutti/model"
	"tutti/model/seqrec"
)

// Engine computes loss and gradient on a gorgonia graph; it is a seqrec.Engine.
// One goroutine uses it at a time; different engines run at the same time. Once
// the graph is large enough, a call allocates as little for a large batch as for
// a small one.
type Engine struct {
	model    *seqrec.Model
	loss     Loss
	batch    batch
	shared   *shared
	graph    *Graph
	trainer  gorgonia.VM // loss and gradient
	measurer gorgonia.VM // loss only; nil until asked for
}

// NewEngine returns the engine of the recommender's own loss, equal to
// seqrec.NewEngine.
func NewEngine(m *seqrec.Model) (seqrec.Engine, error) { return New(m, CrossEntropy) }

// New returns an engine that minimises loss. It builds the graph once, for the
// model's longest sequence, so that a loss that cannot be built or differentiated
// shows at once.
func New(m *seqrec.Model, loss Loss) (*Engine, error) {
	if m == nil || loss == nil {
		return nil, errors.New("graph: no model or no loss")
	}
	e := &Engine{model: m, loss: loss, shared: newShared(m.Config())}
	if err := e.grow(m.Config().MaxLen); err != nil {
		return nil, err
	}
	return e, nil
}

// grow makes the graph for a capacity.
func (e *Engine) grow(capacity int) error {
	g, vm, err := build(e.model, e.loss, capacity, &e.batch, e.shared)
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
	if err := e.batch.pack(e.model.Config(), batch); err != nil {
		return 0, 0, fmt.Errorf("loss: %w", err)
	}
	if n := e.batch.n; n > e.graph.capacity {
		// Half more at least, so that batches of growing size rebuild rarely.
		if err := e.grow(max(n, e.graph.capacity*3/2)); err != nil {
			return 0, 0, err
		}
	}
	e.batch.wantGrad = grad != nil
	vm, err := e.machine()
	if err == nil {
		loss, err = e.graph.run(vm, params, grad)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("loss: %w", err)
	}
	return loss, e.batch.tokens, nil
}

// machine is the program for what the packed batch asks.
func (e *Engine) machine() (gorgonia.VM, error) {
	if e.batch.wantGrad {
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
