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
// catalogue in blocks, with the running maximum of Milakov & Gimelshein 2018
// (algorithm 3), so that no N x V matrix exists; and it adds the gradients in
// the same pass, while the probabilities of a tile are at hand:
// dlogits = Scale*(softmax - target).
//
// It owns scratch memory: one goroutine uses it at a time.
type CrossEntropy struct {
	in CrossEntropyArgs

	active []int32   // tokens that have a loss
	tokens []int32   // those of this tile
	t      int       // len(tokens)
	keep   bool      // gradients are asked for, so the scores of all blocks stay
	h, dh  []float32 // t x D: their rows of H
	items  []float32 // D x itemBlock: a block of Table, transposed
	score  []float32 // t x rows of each block: logits, then exponentials, then dlogits

	shift           []float32 // blocks x t: what each block's logits were lowered by
	top, sum, mass  []float32 // t: running maximum, sum of exponentials, sum of the target
	weight, factors []float32 // t
	hit             []float64 // t: inner product of target and logits
	unused          []float32 // itemBlock: column sums that nobody asked for
}

const (
	tokenTile  = 64      // most tokens in a tile
	itemBlock  = 128     // items whose logits are made, used and still hot together
	tileBudget = 1 << 20 // most values in a tile's scores, if 8 tokens fit
)

// NewCrossEntropy returns an operation without any memory yet.
func NewCrossEntropy() *CrossEntropy { return &CrossEntropy{} }

// Run returns the sum of the tokens' losses, in nats, and adds the gradients of
// Scale times that sum. The error is ErrSoftTarget; gradients are then
// undefined.
func (c *CrossEntropy) Run(in CrossEntropyArgs) (loss float64, err error) {
	c.in = in
	defer func() { c.in = CrossEntropyArgs{} }()
	c.keep = in.DH != nil || in.DTable != nil || in.DBias != nil
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
		if c.keep {
			c.backward()
		}
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
	scores := itemBlock
	if c.keep {
		scores = c.in.V
	}
	c.h, c.dh, c.items = kernel.Grow(c.h, t*d), kernel.Grow(c.dh, t*d), kernel.Grow(c.items, d*itemBlock)
	c.score, c.unused = kernel.Grow(c.score, scores*t), kernel.Grow(c.unused, itemBlock)
	c.shift = kernel.Grow(c.shift, (c.in.V+itemBlock-1)/itemBlock*t)
	c.top, c.sum, c.mass = kernel.Grow(c.top, t), kernel.Grow(c.sum, t), kernel.Grow(c.mass, t)
	c.weight, c.factors = kernel.Grow(c.weight, t), kernel.Grow(c.factors, t)
	c.hit = kernel.Grow(c.hit, t)
	clear(c.sum)
	clear(c.hit)
	clear(c.mass)
	for i := range c.top {
		c.top[i] = float32(math.Inf(-1))
	}
	GatherForward(c.h, c.in.H, tokens, d)
}

// block is items [v0, v1) and their part of score, t x (v1-v0), and of shift.
func (c *CrossEntropy) block(v0 int) (v1 int, score, shift []float32) {
	v1 = min(v0+itemBlock, c.in.V)
	b, at := v0/itemBlock, v0*c.t
	if !c.keep {
		at = 0
	}
	return v1, c.score[at : at+(v1-v0)*c.t], c.shift[b*c.t : (b+1)*c.t]
}

// forward leaves exp(logit - shift) in score and the softmax's denominators in
// sum, relative to top.
func (c *CrossEntropy) forward() error {
	d, t := c.in.D, c.t
	for v0 := 0; v0 < c.in.V; v0 += itemBlock {
		v1, score, shift := c.block(v0)
		n := v1 - v0
		kernel.Transpose(c.items, n, c.in.Table[v0*d:v1*d], d, n, d)
		if c.in.Bias != nil {
			kernel.GemmBias(t, n, d, c.h, d, c.items, n, score, n, c.in.Bias[v0:v1])
		} else {
			kernel.Gemm(t, n, d, c.h, d, 1, c.items, n, score, n, false)
		}
		for i, token := range c.tokens {
			if q := c.soft(token); q != nil {
				if err := c.softHits(i, q[v0:v1], score[i*n:(i+1)*n]); err != nil {
					return err
				}
			} else if target := int(c.in.Targets[token]); target >= v0 && target < v1 {
				c.hit[i], c.mass[i] = float64(score[i*n+target-v0]), 1
			}
		}
		kernel.OnlineSoftmax(score, n, c.top, c.sum)
		copy(shift, c.top)
	}
	return c.checkSoft()
}

func (c *CrossEntropy) soft(token int32) []float32 {
	if c.in.Soft == nil {
		return nil
	}
	return c.in.Soft[token]
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
	for i, token := range c.tokens {
		if c.soft(token) != nil && !(math.Abs(float64(c.mass[i])-1) <= SoftTolerance) {
			return fmt.Errorf("%w: token %d sums to %v", ErrSoftTarget, token, c.mass[i])
		}
	}
	return nil
}

// loss is the sum over the tile of mass*log(sum of exp) - <target, logits>.
func (c *CrossEntropy) loss() (sum float64) {
	for i := range c.tokens {
		lse := float64(c.top[i]) + math.Log(float64(c.sum[i]))
		sum += float64(c.mass[i])*lse - c.hit[i]
	}
	return sum
}

// backward takes the blocks in the opposite order: the last ones are still hot.
func (c *CrossEntropy) backward() {
	d, t := c.in.D, c.t
	clear(c.dh)
	for i := range c.weight {
		c.weight[i] = c.in.Scale * c.mass[i] / c.sum[i]
	}
	for v0 := (c.in.V - 1) / itemBlock * itemBlock; v0 >= 0; v0 -= itemBlock {
		v1, score, shift := c.block(v0)
		n := v1 - v0
		dBias := c.unused[:n]
		if c.in.DBias != nil {
			dBias = c.in.DBias[v0:v1]
		}
		c.gradients(score, shift, dBias, v0)
		if c.in.DH != nil {
			kernel.Gemm(t, d, n, score, n, 1, c.in.Table[v0*d:v1*d], d, c.dh, d, true)
		}
		if c.in.DTable != nil {
			kernel.Gemm(n, d, t, score, 1, n, c.h, d, c.in.DTable[v0*d:v1*d], d, true)
		}
	}
	if c.in.DH != nil {
		GatherBackward(c.in.DH, c.dh, c.tokens, d)
	}
}

// gradients turns a block's exponentials into dlogits = Scale*(mass*softmax -
// target) and adds their sums over the tokens to dBias.
func (c *CrossEntropy) gradients(score, shift, dBias []float32, v0 int) {
	for i, weight := range c.weight {
		if shift[i] != c.top[i] {
			weight *= kernel.Exp(shift[i] - c.top[i])
		}
		c.factors[i] = weight
	}
	kernel.ScaleRows(score, c.factors, dBias)
	n := len(dBias)
	for i, token := range c.tokens {
		if q := c.soft(token); q != nil {
			kernel.Axpy(score[i*n:(i+1)*n], -c.in.Scale, q[v0:v0+n])
			kernel.Axpy(dBias, -c.in.Scale, q[v0:v0+n])
		} else if target := int(c.in.Targets[token]) - v0; target >= 0 && target < n {
			score[i*n+target] -= c.in.Scale
			dBias[target] -= c.in.Scale
		}
	}
}
