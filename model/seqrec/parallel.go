package seqrec

import (
	"fmt"
	"sync"

	"tutti/model"
	"tutti/model/kernel"
)

// ParallelEngine splits every batch over several fused engines: for central
// training on a server. The split depends on the batch and the number of
// workers only, and the parts are added in a fixed order, so that runs repeat
// bit for bit; another number of workers differs in the last bits.
type ParallelEngine struct {
	model   *Model
	workers []*FusedEngine
	grads   [][]float32 // of all workers but the first
	sums    []float64
	errs    []error
}

// NewParallelEngine returns an engine with at least one worker. One goroutine
// uses it at a time; it starts its own for each call.
func NewParallelEngine(m *Model, workers int) *ParallelEngine {
	workers = max(1, workers)
	e := &ParallelEngine{model: m, grads: make([][]float32, workers), sums: make([]float64, workers), errs: make([]error, workers)}
	for range workers {
		e.workers = append(e.workers, NewEngine(m))
	}
	return e
}

// Layout implements Engine.
func (e *ParallelEngine) Layout() model.Layout { return e.model.layout }

// LossGrad implements Engine.
func (e *ParallelEngine) LossGrad(params []float32, batch []Sequence, grad []float32) (loss float64, tokens int, err error) {
	if tokens, err = e.model.checkCall(params, batch, grad); err != nil {
		return 0, 0, err
	}
	parts := split(batch, len(e.workers))
	var wait sync.WaitGroup
	for i, part := range parts {
		wait.Go(func() { e.work(i, params, part, grad, 1/float32(tokens)) })
	}
	wait.Wait()
	for i := range parts {
		if e.errs[i] != nil {
			return 0, 0, fmt.Errorf("part %d: %w", i, e.errs[i])
		}
		loss += e.sums[i]
		if i > 0 && grad != nil {
			kernel.Add(grad, e.grads[i])
		}
	}
	return loss / float64(tokens), tokens, nil
}

func (e *ParallelEngine) work(i int, params []float32, part []Sequence, grad []float32, scale float32) {
	if i > 0 && grad != nil {
		e.grads[i] = kernel.Grow(e.grads[i], len(grad))
		grad = e.grads[i]
	}
	e.sums[i], e.errs[i] = e.workers[i].lossGrad(params, part, grad, scale)
}

// split cuts a batch into at most n runs of about as many items each.
func split(batch []Sequence, n int) [][]Sequence {
	items := 0
	for _, s := range batch {
		items += len(s.Items)
	}
	parts := make([][]Sequence, 0, n)
	start, seen := 0, 0
	for i, s := range batch {
		seen += len(s.Items)
		if seen*n >= items*(len(parts)+1) || i == len(batch)-1 {
			parts = append(parts, batch[start:i+1])
			start = i + 1
		}
	}
	return parts
}
