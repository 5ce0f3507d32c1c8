package layer

import (
	"errors"
	"fmt"
	"math"

	"tutti/model/kernel"
)

// CrossEntropyArgs is one call of CrossEntropy. Nil gradients are not computed.
type CrossEntropyArgs struct {
	N, V, D int
	H       []float32 // N x D: what the encoder says
	Table   []float32 // V x D: item vectors
	Bias    []float32 // V, or nil for none
	Targets []int32   // N: an item in [0, V), or negative for no loss
	// Soft, if not nil, has N rows. A row that is not nil replaces the token's
	// target by a distribution over the V items: finite, not negative, summing to
	// 1 within SoftTolerance, or all zero for no loss.
	Soft [][]float32
	// Scale multiplies the gradients (not the loss): 1/tokens for a mean.
	Scale float32

	DH     []float32 // N x D
	DTable []float32 // V x D
	DBias  []float32 // V
}

// SoftTolerance is how far the sum of a soft target may be from 1.
const SoftTolerance = 1e-3

// ErrSoftTarget says that a soft target is not a distribution.
var ErrSoftTarget = errors.New("soft target is not a distribution")

// CrossEntropy is the softmax over the whole catalogue and its cross-entropy,
// fused: logits = H*Table^T + Bias. It works off the tokens in tiles and the
// catalogue in blocks, so that no N x V matrix exists. A tile's exponentials are
// made, added up and multiplied by the items while they are hot; what is left of
// dlogits = Scale*(softmax - target) is a factor for every token, known once all
// blocks are done, which H takes over instead of the exponentials.
//
// Logits are lowered by the largest one of the first block. Should the sum of the
// exponentials be too large then, the tile is done again with the largest of all.
//
// It owns scratch memory: one goroutine uses it at a time.
type CrossEntropy struct {
	in CrossEntropyArgs

	active []int32   // tokens that have a loss
	tokens []int32   // those of this tile
	goals  []int32   // t: their targets, -1 for soft ones
	t      int       // len(tokens)
	keep   bool      // gradients for the items are asked for, so the exponentials of all blocks stay
	h, dh  []float32 // t x D: their rows of H
	items  []float32 // D x rows of each block of Table, or of one: transposed
	packed bool      // items holds all blocks
	score  []float32 // t x rows of each block, or of one: logits, then exponentials

	shift, sum, mass []float32 // t: what logits were lowered by, sum of exponentials, sum of the target
	own, factor      []float32 // t: exponential of a target that is an item; Scale*mass/sum
	hit              []float64 // t: inner product of target and logits

	softRows []int32   // those of the tile that have a soft target
	soft     []float32 // len(softRows) x rows of a block: their targets
	softH    []float32 // len(softRows) x D: the products of the targets with the items
}

const (
	tokenTile  = 64      // most tokens in a tile
	itemBlock  = 128     // items whose logits are made, used and still hot together
	tileBudget = 1 << 20 // most values in a tile's scores, if 8 tokens fit
	packBudget = 1 << 22 // most values in a transposed Table, which saves transposing it for every tile
	// sumLimit is the largest sum of exponentials whose products with weights are
	// sure to stay finite.
	sumLimit = 1e30
)

// NewCrossEntropy returns an operation without any memory yet.
func NewCrossEntropy() *CrossEntropy { return &CrossEntropy{} }

// Run returns the sum of the tokens' losses, in nats, and adds the gradients of
// Scale times that sum. The error is ErrSoftTarget; gradients are then
// undefined.
func (c *CrossEntropy) Run(in CrossEntropyArgs) (loss float64, err error) {
	c.in = in
	defer func() { c.in = CrossEntropyArgs{} }()
	c.keep, c.packed = in.DTable != nil || in.DBias != nil, false
	c.active = c.active[:0]
	for i := range in.N {
		if HasTarget(in.Targets, in.Soft, i) {
			c.active = append(c.active, int32(i))
		}
	}
	for rest := c.active; len(rest) > 0; rest = rest[c.t:] {
		c.startTile(rest[:tileWidth(len(rest), in.V)])
		if err := c.forward(); err != nil {
			return 0, err
		}
		loss += c.loss()
		c.backward()
	}
	return loss, nil
}

// HasTarget reports whether token i takes part in the loss.
func HasTarget(targets []int32, soft [][]float32, i int) bool {
	if soft == nil || soft[i] == nil {
		return targets[i] >= 0
	}
	for _, q := range soft[i] {
		if q != 0 {
			return true
		}
	}
	return false
}

// tileWidth cuts what is left of the tokens into even tiles.
func tileWidth(left, v int) int {
	most := min(tokenTile, max(8, tileBudget/v))
	tiles := (left + most - 1) / most
	even := (left + tiles - 1) / tiles
	return min(left, (even+3)&^3)
}

func (c *CrossEntropy) startTile(tokens []int32) {
	d, t := c.in.D, len(tokens)
	c.tokens, c.t = tokens, t
	scores, items := itemBlock, itemBlock
	if c.keep {
		scores = c.in.V
	}
	if c.packs() {
		items = c.in.V
	}
	c.h, c.dh, c.items = kernel.Grow(c.h, t*d), kernel.Grow(c.dh, t*d), kernel.Grow(c.items, d*items)
	c.score, c.own, c.factor = kernel.Grow(c.score, scores*t), kernel.Grow(c.own, t), kernel.Grow(c.factor, t)
	c.shift, c.sum, c.mass = kernel.Grow(c.shift, t), kernel.Grow(c.sum, t), kernel.Grow(c.mass, t)
	c.hit = kernel.Grow(c.hit, t)
	GatherForward(c.h, c.in.H, tokens, d)
	c.softRows = c.softRows[:0]
	c.goals = kernel.Grow(c.goals, t)
	for i, token := range tokens {
		if c.target(token) == nil {
			c.goals[i] = c.in.Targets[token]
		} else {
			c.goals[i] = -1
			c.softRows = append(c.softRows, int32(i))
		}
	}
	c.soft, c.softH = kernel.Grow(c.soft, len(c.softRows)*itemBlock), kernel.Grow(c.softH, len(c.softRows)*d)
}

// packs reports whether the transposed Table is kept for the tiles to come.
func (c *CrossEntropy) packs() bool {
	return c.t < len(c.active) && c.in.V*c.in.D <= packBudget
}

// target is the soft target of a token, if it has one.
func (c *CrossEntropy) target(token int32) []float32 {
	if c.in.Soft == nil {
		return nil
	}
	return c.in.Soft[token]
}

// block is items [v0, v1) and their part of score, t x (v1-v0).
func (c *CrossEntropy) block(v0 int) (v1 int, score []float32) {
	v1 = min(v0+itemBlock, c.in.V)
	at := v0 * c.t
	if !c.keep {
		at = 0
	}
	return v1, c.score[at : at+(v1-v0)*c.t]
}

// logits of the items [v0, v1).
func (c *CrossEntropy) logits(score []float32, v0, v1 int) {
	d, t, n := c.in.D, c.t, v1-v0
	items := c.items
	if c.packs() {
		items = items[v0*d : v1*d]
	}
	if !c.packed {
		kernel.Transpose(items, n, c.in.Table[v0*d:v1*d], d, n, d)
	}
	if c.in.Bias != nil {
		kernel.GemmBias(t, n, d, c.h, d, items, n, score, n, c.in.Bias[v0:v1])
	} else {
		kernel.Gemm(t, n, d, c.h, d, 1, items, n, score, n, false)
	}
}

// forward leaves exp(logit - shift) in score, the softmax's denominators in sum
// and the exponentials' products with the items in dh.
func (c *CrossEntropy) forward() error {
	for i := range c.shift {
		c.shift[i] = float32(math.Inf(-1))
	}
	if err := c.exponentials(min(itemBlock, c.in.V)); err != nil {
		return err
	}
	for _, sum := range c.sum {
		if !(sum <= sumLimit) {
			for v0 := 0; v0 < c.in.V; v0 += itemBlock {
				v1, score := c.block(v0)
				c.logits(score, v0, v1)
				c.lift(score, v1-v0)
			}
			return c.exponentials(0)
		}
	}
	return nil
}

// lift raises shift to the largest logits of n items.
func (c *CrossEntropy) lift(score []float32, n int) {
	for i := range c.shift {
		c.shift[i] = max(c.shift[i], kernel.Max(score[i*n:(i+1)*n]))
	}
}

// exponentials is forward, with shift from the first logits on the way.
func (c *CrossEntropy) exponentials(first int) error {
	d, t := c.in.D, c.t
	clear(c.sum)
	clear(c.hit)
	clear(c.mass)
	clear(c.dh)
	clear(c.softH)
	for v0 := 0; v0 < c.in.V; v0 += itemBlock {
		v1, score := c.block(v0)
		n := v1 - v0
		c.logits(score, v0, v1)
		if v0 < first {
			c.lift(score, n)
		}
		if err := c.hits(score, v0, n); err != nil {
			return err
		}
		kernel.ExpRows(score, n, c.shift, c.sum)
		c.takeOwn(score, v0, n)
		if c.in.DH != nil {
			kernel.Gemm(t, d, n, score, n, 1, c.in.Table[v0*d:v1*d], d, c.dh, d, true)
			kernel.Gemm(len(c.softRows), d, n, c.soft, n, 1, c.in.Table[v0*d:v1*d], d, c.softH, d, true)
		}
	}
	c.packed = c.packs()
	return c.checkSoft()
}

// hits adds one block of the targets' inner products with the logits.
func (c *CrossEntropy) hits(score []float32, v0, n int) error {
	c.takeSoft(v0, n)
	for s, i := range c.softRows {
		if err := c.softHits(int(i), c.soft[s*n:(s+1)*n], score[int(i)*n:(int(i)+1)*n]); err != nil {
			return err
		}
	}
	for i, goal := range c.goals {
		if at := int(goal) - v0; uint(at) < uint(n) {
			c.hit[i], c.mass[i] = float64(score[i*n+at]), 1
		}
	}
	return nil
}

// takeOwn moves the exponentials of the targets to own. They may be nearly all of
// sum, which is subtracted from them first of all.
func (c *CrossEntropy) takeOwn(score []float32, v0, n int) {
	for i, goal := range c.goals {
		if at := int(goal) - v0; uint(at) < uint(n) {
			c.own[i], score[i*n+at] = score[i*n+at], 0
		}
	}
}

// takeSoft copies n values of the soft targets.
func (c *CrossEntropy) takeSoft(v0, n int) {
	for s, i := range c.softRows {
		copy(c.soft[s*n:(s+1)*n], c.target(c.tokens[i])[v0:v0+n])
	}
}

// softHits adds one block of a soft target's inner product with the logits.
func (c *CrossEntropy) softHits(i int, q, logits []float32) error {
	hit, mass, lowest := 0.0, float32(0), float32(0)
	for r, p := range q {
		hit += float64(p) * float64(logits[r])
		mass += p
		lowest = min(lowest, p)
	}
	if !(lowest >= 0) {
		return fmt.Errorf("%w: token %d has a value below 0 or not a number", ErrSoftTarget, c.tokens[i])
	}
	c.hit[i] += hit
	c.mass[i] += mass
	return nil
}

func (c *CrossEntropy) checkSoft() error {
	for _, i := range c.softRows {
		if !(math.Abs(float64(c.mass[i])-1) <= SoftTolerance) {
			return fmt.Errorf("%w: token %d sums to %v", ErrSoftTarget, c.tokens[i], c.mass[i])
		}
	}
	return nil
}

// loss is the sum over the tile of mass*log(sum of exp) - <target, logits>.
func (c *CrossEntropy) loss() (sum float64) {
	for i := range c.tokens {
		lse := float64(c.shift[i]) + math.Log(float64(c.sum[i]))
		sum += float64(c.mass[i])*lse - c.hit[i]
	}
	return sum
}

// backward adds the tile's gradients: dlogits are factor times the exponentials
// less sum/mass times the target.
func (c *CrossEntropy) backward() {
	d := c.in.D
	for i := range c.factor {
		c.factor[i] = c.in.Scale * c.mass[i] / c.sum[i]
	}
	if c.in.DH != nil {
		c.tokenGradients()
	}
	if !c.keep {
		return
	}
	for i, f := range c.factor {
		kernel.Scale(c.h[i*d:(i+1)*d], f)
	}
	// In the opposite order: the last blocks are still hot.
	for v0 := (c.in.V - 1) / itemBlock * itemBlock; v0 >= 0; v0 -= itemBlock {
		c.itemGradients(v0)
	}
}

func (c *CrossEntropy) tokenGradients() {
	d := c.in.D
	for i, goal := range c.goals {
		if at := int(goal) * d; at >= 0 {
			kernel.Axpy(c.dh[i*d:(i+1)*d], c.own[i]-c.sum[i], c.in.Table[at:at+d])
		}
	}
	for s, i := range c.softRows {
		kernel.Axpy(c.dh[int(i)*d:(int(i)+1)*d], -c.sum[i]/c.mass[i], c.softH[s*d:(s+1)*d])
	}
	for i, f := range c.factor {
		kernel.Scale(c.dh[i*d:(i+1)*d], f)
	}
	GatherBackward(c.in.DH, c.dh, c.tokens, d)
}

// itemGradients adds those of a block; h is multiplied by the factors.
func (c *CrossEntropy) itemGradients(v0 int) {
	d, t := c.in.D, c.t
	v1, score := c.block(v0)
	n := v1 - v0
	for i, goal := range c.goals {
		if at := int(goal) - v0; uint(at) < uint(n) {
			score[i*n+at] = c.own[i] - c.sum[i]
		}
	}
	for _, i := range c.softRows {
		kernel.Axpy(score[int(i)*n:(int(i)+1)*n], -c.sum[i]/c.mass[i], c.target(c.tokens[i])[v0:v1])
	}
	if c.in.DTable != nil {
		kernel.Gemm(n, d, t, score, 1, n, c.h, d, c.in.DTable[v0*d:v1*d], d, true)
	}
	if c.in.DBias != nil {
		kernel.Gemm(1, n, t, c.factor, t, 1, score, n, c.in.DBias[v0:v1], n, true)
	}
}
