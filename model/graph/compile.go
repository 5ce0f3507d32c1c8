package graph

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"gorgonia.org/gorgonia"

	"tutti/model/seqrec"
)

// building is held while a graph is made: gorgonia writes to a node of its own
// that all graphs of the process share. Running graphs needs no lock.
var building sync.Mutex

// errCollision says that two different nodes of a graph have the same 32-bit
// hash, so that gorgonia would take one for the other.
var errCollision = errors.New("two nodes have the same hash")

// recoverBuild turns a panic of gorgonia into an error. Defer it.
func recoverBuild(err *error) {
	switch p := recover().(type) {
	case nil:
	case error:
		*err = p
	default:
		*err = fmt.Errorf("panic: %v", p)
	}
}

// build makes the graph for a capacity, its gradients and its program.
func build(m *seqrec.Model, loss Loss, capacity int, b *batch, s *shared) (g *Graph, vm gorgonia.VM, err error) {
	building.Lock()
	defer building.Unlock()
	for salt := range 4 {
		g, vm, err = buildSalted(m, loss, capacity, salt, b, s)
		if err == nil || g == nil || !g.collided { // gorgonia hides the type of errors
			break
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("graph for %d tokens: %w", capacity, err)
	}
	return g, vm, nil
}

func buildSalted(m *seqrec.Model, loss Loss, capacity, salt int, b *batch, s *shared) (g *Graph, vm gorgonia.VM, err error) {
	defer recoverBuild(&err)
	g = newGraph(m, capacity, salt, b, s)
	cost, err := loss(g)
	if err != nil {
		return nil, nil, fmt.Errorf("loss: %w", err)
	}
	if cost == nil || cost.Graph() != g.expr || !cost.IsScalar() {
		return nil, nil, fmt.Errorf("loss: %v is not a scalar of this graph", cost)
	}
	outputs, err := g.differentiate(cost)
	if err != nil {
		return nil, nil, err
	}
	vm, err = g.compile(append(outputs, g.result(cost)))
	return g, vm, err
}

// compileLoss makes the program that only evaluates the loss.
func (g *Graph) compileLoss() (vm gorgonia.VM, err error) {
	building.Lock()
	defer building.Unlock()
	defer recoverBuild(&err)
	return g.compile(gorgonia.Nodes{g.outcome.node})
}

// differentiate has gorgonia add the gradients of all parameters that cost
// depends on, and returns them.
func (g *Graph) differentiate(cost *gorgonia.Node) (grads gorgonia.Nodes, err error) {
	used := g.below(cost)
	var wrt gorgonia.Nodes
	var of []*param
	for _, p := range g.params {
		if used[p.node] {
			wrt, of = append(wrt, p.node), append(of, p)
		}
	}
	if len(wrt) == 0 {
		return nil, errors.New("the loss depends on no parameter")
	}
	if grads, err = gorgonia.Grad(cost, wrt...); err != nil {
		return nil, fmt.Errorf("gradient: %w", err)
	}
	for i, p := range of {
		grads[i] = g.addInPlace(grads[i])
		p.grad = grads[i]
	}
	return grads, nil
}

// below is every node that n is computed from.
func (g *Graph) below(n *gorgonia.Node) map[*gorgonia.Node]bool {
	seen := map[*gorgonia.Node]bool{}
	var visit func(n *gorgonia.Node)
	visit = func(n *gorgonia.Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, child := range g.children(n) {
			visit(child)
		}
	}
	visit(n)
	return seen
}

func (g *Graph) children(n *gorgonia.Node) (out gorgonia.Nodes) {
	for it := g.expr.From(n.ID()); it.Next(); {
		out = append(out, it.Node().(*gorgonia.Node))
	}
	return out
}

// addInPlace replaces the sum of a gradient with that of the item weights as
// inputs by an operation that adds the few rows in place: the item table is both
// the encoder's input and its output, and gorgonia would fill and add a whole
// matrix. Any other node is returned as it is.
func (g *Graph) addInPlace(sum *gorgonia.Node) *gorgonia.Node {
	terms := g.children(sum)
	if !isSum(sum) || len(terms) != 2 {
		return sum
	}
	items, ok := terms[1].Op().(*itemGradOp)
	if _, picked := terms[0].Op().(*pickOp); !ok || !picked && !isSum(terms[0]) || g.expr.To(terms[0].ID()).Len() != 1 {
		return sum
	}
	op := &addItemGradOp{base: g.newBase("dembed/add", 3, sum.Shape()), of: items.of}
	return g.apply(op, terms[0], items.output, items.dy)
}

// isSum reports whether a node is gorgonia's own element-wise sum.
func isSum(n *gorgonia.Node) bool { return n.Op() != nil && strings.HasPrefix(n.Op().String(), "+ ") }

// compile makes a machine for what the outputs need, and nothing else.
func (g *Graph) compile(outputs gorgonia.Nodes) (gorgonia.VM, error) {
	used := map[*gorgonia.Node]bool{}
	for _, n := range outputs {
		for below := range g.below(n) {
			used[below] = true
		}
	}
	var inputs gorgonia.Nodes
	for _, n := range g.expr.Inputs() {
		if used[n] {
			inputs = append(inputs, n)
		}
	}
	program, registers, err := gorgonia.CompileFunction(g.expr, inputs, outputs)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	nodes := program.Graph().AllNodes()
	byHash := make(map[uint32]*gorgonia.Node, len(nodes))
	for _, n := range nodes {
		if other := byHash[n.Hashcode()]; other != nil {
			g.collided = true
			return nil, fmt.Errorf("%w: %v and %v", errCollision, n, other)
		}
		byHash[n.Hashcode()] = n
	}
	g.nodes = len(nodes)
	return gorgonia.NewTapeMachine(g.expr, gorgonia.WithPrecompiled(program, registers)), nil
}
