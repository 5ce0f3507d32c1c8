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
	sums    []sums
	errs    []error
}

// worthSplitting is how many tokens a batch needs for a second worker to pay.
const worthSplitting = 256

// NewParallelEngine returns an engine with at least one worker. One goroutine
// uses it at a time; it starts its own for each call.
func NewParallelEngine(m *Model, workers int) *ParallelEngine {
	workers = max(1, workers)
	e := &ParallelEngine{model: m, grads: make([][]float32, workers), sums: make([]sums, workers), errs: make([]error, workers)}
	for range workers {
		e.workers = append(e.workers, NewEngine(m))
	}
	return e
}

// Layout implements Engine.
func (e *ParallelEngine) Layout() model.Layout { return e.model.layout }

// LossGrad implements Engine.
func (e *ParallelEngine) LossGrad(params []float32, batch []Sequence, grad []float32) (loss float64, tokens int, err error) {
	if err := e.model.checkCall(params, grad); err != nil {
		return 0, 0, err
	}
	workers := e.workers
	if size(batch) < worthSplitting {
		workers = workers[:1]
	}
	parts := split(batch, len(workers))
	var terms sums
	for i, at := 0, 0; i < len(parts); i++ {
		b := &workers[i].batch
		if err := b.pack(e.model.cfg, parts[i], at); err != nil {
			return 0, 0, fmt.Errorf("loss: %w", err)
		}
		b.Seed = batch[0].Seed
		tokens += b.Tokens
		terms.add(b.terms())
		at += len(parts[i])
	}
	if terms == (sums{}) {
		return 0, 0, fmt.Errorf("loss: %w", ErrNothingToLearn)
	}
	sum, err := e.run(len(parts), params, grad, terms)
	return sum.mean(terms, e.model.cfg), tokens, err
}

// run adds up the parts.
func (e *ParallelEngine) run(parts int, params, grad []float32, terms sums) (sum sums, err error) {
	var wait sync.WaitGroup
	for i := range parts {
		wait.Go(func() { e.work(i, params, grad, terms) })
	}
	wait.Wait()
	for i := range parts {
		if e.errs[i] != nil {
			return sums{}, fmt.Errorf("part %d: %w", i, e.errs[i])
		}
		sum.add(e.sums[i])
		if i > 0 && grad != nil {
			kernel.Add(grad, e.grads[i])
		}
	}
	return sum, nil
}

func (e *ParallelEngine) work(i int, params, grad []float32, terms sums) {
	if i > 0 && grad != nil {
		e.grads[i] = kernel.Grow(e.grads[i], len(grad))
		grad = e.grads[i]
	}
	e.sums[i], e.errs[i] = e.workers[i].lossGrad(params, grad, terms)
}

// size is how many tokens a batch has, read or written.
func size(batch []Sequence) (tokens int) {
	for _, s := range batch {
		tokens += len(s.Items) + len(s.Next)
	}
	return tokens
}

// split cuts a batch into at most n runs of about as many tokens each.
func split(batch []Sequence, n int) [][]Sequence {
	tokens := size(batch)
	parts := make([][]Sequence, 0, n)
	start, seen := 0, 0
	for i, s := range batch {
		seen += len(s.Items) + len(s.Next)
		if seen*n >= tokens*(len(parts)+1) || i == len(batch)-1 {
			parts = append(parts, batch[start:i+1])
			start = i + 1
		}
	}
	return parts
}
