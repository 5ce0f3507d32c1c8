package graph

import (
	"errors"
	"fmt"
	"math"
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

// build makes the graph for a size, its gradients and its program.
func build(m *seqrec.Model, loss Loss, size sizes, c *call, s *shared) (g *Graph, vm gorgonia.VM, err error) {
	building.Lock()
	defer building.Unlock()
	for salt := range 4 {
		g, vm, err = buildSalted(m, loss, size, salt, c, s)
		if err == nil || g == nil || !g.collided { // gorgonia hides the type of errors
			break
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("graph for %d positions: %w", size[positions], err)
	}
	return g, vm, nil
}

func buildSalted(m *seqrec.Model, loss Loss, size sizes, salt int, c *call, s *shared) (g *Graph, vm gorgonia.VM, err error) {
	defer recoverBuild(&err)
	g = newGraph(m, size, salt, c, s)
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
// depends on, and returns the nodes that compute them.
func (g *Graph) differentiate(cost *gorgonia.Node) (outputs gorgonia.Nodes, err error) {
	used := g.reached(cost)
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
	if err := g.assignRoles(used); err != nil {
		return nil, err
	}
	grads, err := gorgonia.Grad(cost, wrt...)
	if err != nil {
		return nil, fmt.Errorf("gradient: %w", err)
	}
	seen := map[*gorgonia.Node]bool{}
	for i, p := range of {
		p.grad = grads[i]
		n := p.grad
		if pick, ok := n.Op().(*pickOp); ok && p.direct() {
			n = pick.from.node // nobody looks at what it would show
		}
		if !seen[n] {
			outputs, seen[n] = append(outputs, n), true
		}
	}
	return outputs, nil
}

// below is every node that n is computed from.
func (g *Graph) below(n *gorgonia.Node) map[*gorgonia.Node]bool {
	return g.visit(n, func(gorgonia.Op, int) []bool { return nil })
}

// reached is every node that a gradient of n reaches.
func (g *Graph) reached(n *gorgonia.Node) map[*gorgonia.Node]bool {
	return g.visit(n, func(op gorgonia.Op, inputs int) []bool {
		if d, ok := op.(gorgonia.SDOp); ok {
			return d.DiffWRT(inputs)
		}
		return make([]bool, inputs)
	})
}

// visit is n and every node below it over the inputs that follow chooses; nil is
// all of them.
func (g *Graph) visit(n *gorgonia.Node, follow func(op gorgonia.Op, inputs int) []bool) map[*gorgonia.Node]bool {
	seen := map[*gorgonia.Node]bool{}
	var visit func(n *gorgonia.Node)
	visit = func(n *gorgonia.Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		children := g.children(n)
		chosen := follow(n.Op(), len(children))
		for i, child := range children {
			if chosen == nil || i < len(chosen) && chosen[i] {
				visit(child)
			}
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
	if err := inOrder(program.Graph()); err != nil {
		return nil, err
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

// inOrder checks what buffers rely on: operations of this package run in the
// order in which they were made.
func inOrder(program *gorgonia.ExprGraph) error {
	sorted, err := gorgonia.Sort(program)
	if err != nil {
		return err
	}
	next := int64(math.MaxInt64)
	for _, n := range sorted { // the last first
		if bufferOf(n) == nil {
			continue
		}
		if n.ID() >= next {
			return fmt.Errorf("%v runs before %d", n, next)
		}
		next = n.ID()
	}
	return nil
}
