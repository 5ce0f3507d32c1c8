package graph

import (
	"gorgonia.org/gorgonia"

	"tutti/model/seqrec"
)

// Where several operations read the same node, its gradient is the sum of
// theirs, and gorgonia would make a matrix for each and add them all. The
// operations of this package add in place instead: each to what those before it,
// in the order in which gorgonia differentiates, have put there. All but the last
// of them hand on: gorgonia takes their input for one without a gradient, and
// gets the whole from the last. It still adds what its own operations contribute.

// role is what an operation does with the gradient of an input.
type role int

const (
	// gives: what is there so far and its own go to gorgonia.
	gives role = iota
	// handsOn leaves both for the next operation that reads the same node.
	handsOn
	// apart gives its own alone: it has no other input, and gorgonia would pass over
	// an operation without any gradient.
	apart
)

// running is the gradient of a node so far: its memory, and the node after which
// it is there.
type running struct {
	buffer *buffer
	node   *gorgonia.Node
}

// assignRoles decides who hands on to whom, for a loss that is computed from
// used. Gorgonia differentiates in the order of Sort.
func (g *Graph) assignRoles(used map[*gorgonia.Node]bool) error {
	sorted, err := gorgonia.Sort(g.expr)
	if err != nil {
		return err
	}
	type use struct {
		op    *layerOp
		input int
	}
	last := map[*gorgonia.Node]use{}
	for _, n := range sorted {
		op, ok := n.Op().(*layerOp)
		if !ok || !used[n] {
			continue
		}
		for i, child := range g.children(n) {
			if before, ok := last[child]; ok {
				before.op.handOn(before.input)
			}
			last[child] = use{op, i}
		}
	}
	return nil
}

func (op *layerOp) handOn(input int) {
	op.role[input] = handsOn
	for _, r := range op.role {
		if r == gives {
			return
		}
	}
	op.role[input] = apart
}

// target finds the place for the gradient of n, and the node that must run
// before it is added to. An early gradient is there before any other and needs
// memory that none has used.
func (g *Graph) target(n *gorgonia.Node, r role, early bool) (t target, before *gorgonia.Node) {
	if r == apart {
		return target{buffer: g.shapedAs(n)}, nil
	}
	if so, ok := g.running[n]; ok {
		so.buffer.held--
		return target{buffer: so.buffer, adds: true}, so.node
	}
	return target{buffer: g.gradient(n, early)}, nil
}

// written notes that d computes the gradient of its input i, which is n, and
// returns the node of it for gorgonia.
func (g *Graph) written(n *gorgonia.Node, d *gradOp, i int, r role) *gorgonia.Node {
	if r != apart {
		g.running[n] = running{d.into[i].buffer, d.node}
	}
	switch {
	case r == handsOn:
		d.into[i].held++
		return nil
	case i == 0:
		return d.node
	}
	children := gorgonia.Nodes{d.node}
	return g.apply(&pickOp{base: g.newBase("pick", n.Shape(), children), from: d, input: i}, children...)
}

// gradient finds a buffer for the gradient of a node. That of a parameter is the
// caller's own memory. Others use what is free: operations run in the order in
// which they were made (inOrder).
func (g *Graph) gradient(n *gorgonia.Node, early bool) *buffer {
	b := g.shapedAs(n)
	p := g.byNode[n]
	if n == g.combined {
		p = g.byName[seqrec.TensorTable]
	}
	if p != nil && p.slot == nil {
		p.slot = b
	}
	if p != nil || early || b.axis == fixed {
		return b
	}
	for i, free := range g.free {
		if free.axis == b.axis && free.cols == b.cols {
			g.free = append(g.free[:i:i], g.free[i+1:]...)
			return free
		}
	}
	return b
}

// release frees the buffer of a gradient that has been used, unless it is also
// that of a node whose turn is still to come.
func (g *Graph) release(b *buffer) {
	if b != nil && b.held == 0 && b.axis != fixed {
		g.free = append(g.free, b)
	}
}

// shapedAs makes a buffer for values of the shape of a node's.
func (g *Graph) shapedAs(n *gorgonia.Node) *buffer {
	if b := bufferOf(n); b != nil {
		return b.like()
	}
	return g.constant(n.Shape()[0], n.Shape()[1])
}

// bufferOf is what a node of this package shows, nil for the others.
func bufferOf(n *gorgonia.Node) *buffer {
	switch op := n.Op().(type) {
	case *layerOp:
		return op.y
	case *gradOp:
		return op.into[0].buffer
	case *pickOp:
		return op.from.into[op.input].buffer
	}
	return nil
}
