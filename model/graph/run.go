package graph

import (
	"fmt"

	"gorgonia.org/gorgonia"
)

// run evaluates the call for the flat weights, and where into is not nil
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

// ownLoss reports whether what is minimised is Tasks.
func (g *Graph) ownLoss() bool { return g.outcome.loss == g.tasks }

// value is the loss of the last run, in float64 where it is known so.
func (g *Graph) value() (loss float64) {
	if !g.ownLoss() {
		return float64(g.outcome.value)
	}
	for _, t := range []*task{g.next, g.rating, g.clicks} {
		if t != nil {
			loss += t.weight * t.mean
		}
	}
	return loss
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
		if p.direct() {
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

// direct reports whether operations of this package alone make the gradient, in
// the caller's memory.
func (p *param) direct() bool {
	b := bufferOf(p.grad)
	return b != nil && b == p.slot
}
