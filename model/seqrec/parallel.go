package seqrec

import (
	"fmt"
	"sync"

	"tutti/model"
	"tutti/model/kernel"
)

// ParallelEngine splits every batch over several workers: for central training
// on a server. The split depends on the batch and the number of workers only, and
// the parts are added in a fixed order, so that runs repeat bit for bit; another
// number of workers differs in the last bits.
type ParallelEngine struct {
	layout  model.Layout
	workers []Worker
	grads   [][]float32 // of all workers but the first
	losses  []float64
	errs    []error
}

// Worker computes what a part of a batch adds to its loss and gradient. Fused
// engines are workers, and so are those of package graph.
type Worker interface {
	// Layout is the layout of params and grad.
	Layout() model.Layout
	// PackPart takes the sequences of a part, which may have nothing to learn, and
	// counts what they have. first is the number of the part's first sequence in
	// the batch, for errors; seed that of what the batch shares.
	PackPart(part []Sequence, first int, seed uint64) (Terms, error)
	// Share returns what the packed part adds to the loss of the whole batch and
	// overwrites grad, if not nil, with what it adds to the gradient. Means are over
	// whole.
	Share(params, grad []float32, whole Terms) (loss float64, err error)
}

// Terms counts what a batch has to learn, per task.
type Terms struct{ Items, Ratings, Clicks int }

// Terms counts what b has to learn.
func (b *Batch) Terms() Terms { return Terms{b.Tokens, b.RatingCount, b.ClickCount} }

// PackPart is Pack of a part of a batch, as a Worker wants it.
func (b *Batch) PackPart(cfg Config, part []Sequence, first int, seed uint64) error {
	err := b.pack(cfg, part, first)
	b.Seed = seed
	return err
}

// PackPart implements Worker.
func (e *FusedEngine) PackPart(part []Sequence, first int, seed uint64) (Terms, error) {
	err := e.batch.PackPart(e.model.cfg, part, first, seed)
	return e.batch.Terms(), err
}

// Share implements Worker.
func (e *FusedEngine) Share(params, grad []float32, whole Terms) (loss float64, err error) {
	terms := sums{float64(whole.Items), float64(whole.Ratings), float64(whole.Clicks)}
	sum, err := e.lossGrad(params, grad, terms)
	return sum.mean(terms, e.model.cfg), err
}

// worthSplitting is how many tokens a batch needs for a second worker to pay.
const worthSplitting = 256

// NewParallelEngine returns an engine of at least one fused worker. One goroutine
// uses it at a time; it starts its own for each call.
func NewParallelEngine(m *Model, workers int) *ParallelEngine {
	all := []Worker{NewEngine(m)}
	for len(all) < workers {
		all = append(all, NewEngine(m))
	}
	return NewParallel(all)
}

// NewParallel returns an engine of at least one worker, all of one model.
func NewParallel(workers []Worker) *ParallelEngine {
	n := len(workers)
	return &ParallelEngine{
		layout: workers[0].Layout(), workers: workers,
		grads: make([][]float32, n), losses: make([]float64, n), errs: make([]error, n),
	}
}

// Layout implements Engine.
func (e *ParallelEngine) Layout() model.Layout { return e.layout }

// LossGrad implements Engine.
func (e *ParallelEngine) LossGrad(params []float32, batch []Sequence, grad []float32) (loss float64, tokens int, err error) {
	if err := checkCall(e.layout, params, grad); err != nil {
		return 0, 0, err
	}
	workers := e.workers
	if size(batch) < worthSplitting {
		workers = workers[:1]
	}
	parts := split(batch, len(workers))
	var whole Terms
	for i, at := 0, 0; i < len(parts); i++ {
		terms, err := workers[i].PackPart(parts[i], at, batch[0].Seed)
		if err != nil {
			return 0, 0, fmt.Errorf("loss: %w", err)
		}
		whole.Items += terms.Items
		whole.Ratings += terms.Ratings
		whole.Clicks += terms.Clicks
		at += len(parts[i])
	}
	if whole == (Terms{}) {
		return 0, 0, fmt.Errorf("loss: %w", ErrNothingToLearn)
	}
	loss, err = e.run(len(parts), params, grad, whole)
	return loss, whole.Items, err
}

// run adds up the parts.
func (e *ParallelEngine) run(parts int, params, grad []float32, whole Terms) (loss float64, err error) {
	var wait sync.WaitGroup
	for i := range parts {
		wait.Go(func() { e.work(i, params, grad, whole) })
	}
	wait.Wait()
	for i := range parts {
		if e.errs[i] != nil {
			return 0, fmt.Errorf("part %d: %w", i, e.errs[i])
		}
		loss += e.losses[i]
		if i > 0 && grad != nil {
			kernel.Add(grad, e.grads[i])
		}
	}
	return loss, nil
}

func (e *ParallelEngine) work(i int, params, grad []float32, whole Terms) {
	if i > 0 && grad != nil {
		e.grads[i] = kernel.Grow(e.grads[i], len(grad))
		grad = e.grads[i]
	}
	e.losses[i], e.errs[i] = e.workers[i].Share(params, grad, whole)
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
