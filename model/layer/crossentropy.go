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
	h, hT  []float32 // t x D and D x t: their rows of H
	dh     []float32 // t x D
	score  []float32 // V x t: logits, then exponentials, then dlogits

	shift          []float32 // blocks x t: what each block's logits were lowered by
	top, sum, mass []float32 // t: running maximum, sum of exponentials, sum of the target
	was, factor    []float32 // t
	hit            []float64 // t: inner product of target and logits
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
		if in.DH != nil || in.DTable != nil || in.DBias != nil {
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
	c.h, c.hT, c.dh = kernel.Grow(c.h, t*d), kernel.Grow(c.hT, t*d), kernel.Grow(c.dh, t*d)
	c.score = kernel.Grow(c.score, c.in.V*t)
	c.shift = kernel.Grow(c.shift, (c.in.V+itemBlock-1)/itemBlock*t)
	c.top, c.sum, c.mass = kernel.Grow(c.top, t), kernel.Grow(c.sum, t), kernel.Grow(c.mass, t)
	c.was, c.factor = kernel.Grow(c.was, t), kernel.Grow(c.factor, t)
	c.hit = kernel.Grow(c.hit, t)
	clear(c.sum)
	clear(c.hit)
	clear(c.mass)
	for i := range c.top {
		c.top[i] = float32(math.Inf(-1))
	}
	GatherForward(c.h, c.in.H, tokens, d)
	kernel.Transpose(c.hT, t, c.h, d, t, d)
}

// block is items [v0, v1) and their part of score, shift.
func (c *CrossEntropy) block(v0 int) (v1 int, score, shift []float32) {
	v1 = min(v0+itemBlock, c.in.V)
	b := v0 / itemBlock
	return v1, c.score[v0*c.t : v1*c.t], c.shift[b*c.t : (b+1)*c.t]
}

// forward leaves exp(logit - shift) in score and the softmax's denominators in
// sum, relative to top.
func (c *CrossEntropy) forward() error {
	d, t := c.in.D, c.t
	for v0 := 0; v0 < c.in.V; v0 += itemBlock {
		v1, score, shift := c.block(v0)
		rows := v1 - v0
		kernel.Gemm(rows, t, d, c.in.Table[v0*d:v1*d], d, 1, c.hT, t, score, t, false)
		copy(c.was, c.top)
		for r := range rows {
			var bias float32
			if c.in.Bias != nil {
				bias = c.in.Bias[v0+r]
			}
			raise(score[r*t:(r+1)*t], c.top, bias)
		}
		for i, token := range c.tokens {
			if c.soft(token) == nil {
				if target := int(c.in.Targets[token]); target >= v0 && target < v1 {
					c.hit[i], c.mass[i] = float64(score[(target-v0)*t+i]), 1
				}
			} else if err := c.softHits(i, c.soft(token)[v0:v1], score); err != nil {
				return err
			}
			if c.was[i] != c.top[i] {
				c.sum[i] *= kernel.Exp(c.was[i] - c.top[i])
			}
		}
		copy(shift, c.top)
		kernel.ExpColumns(score, rows, t, shift, c.sum)
	}
	return c.checkSoft()
}

// raise adds bias to a row of logits and lifts the running maxima to it.
func raise(row, top []float32, bias float32) {
	top = top[:len(row)]
	for i, v := range row {
		v += bias
		row[i] = v
		if v > top[i] {
			top[i] = v
		}
	}
}

func (c *CrossEntropy) soft(token int32) []float32 {
	if c.in.Soft == nil {
		return nil
	}
	return c.in.Soft[token]
}

// softHits adds one block of a soft target's inner product with the logits.
func (c *CrossEntropy) softHits(i int, q, score []float32) error {
	hit, mass, lowest := 0.0, float32(0), float32(0)
	for r, p := range q {
		hit += float64(p) * float64(score[r*c.t+i])
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

func (c *CrossEntropy) backward() {
	d, t := c.in.D, c.t
	clear(c.dh)
	for v0 := 0; v0 < c.in.V; v0 += itemBlock {
		v1, score, shift := c.block(v0)
		rows := v1 - v0
		for i := range c.factor {
			c.factor[i] = c.in.Scale * c.mass[i] * kernel.Exp(shift[i]-c.top[i]) / c.sum[i]
		}
		for r := range rows {
			scaleColumns(score[r*t:(r+1)*t], c.factor)
		}
		c.subtractTargets(score, v0, v1)
		if c.in.DBias != nil {
			for r := range rows {
				c.in.DBias[v0+r] += total(score[r*t : (r+1)*t])
			}
		}
		if c.in.DH != nil {
			kernel.Gemm(t, d, rows, score, 1, t, c.in.Table[v0*d:v1*d], d, c.dh, d, true)
		}
		if c.in.DTable != nil {
			kernel.Gemm(rows, d, t, score, t, 1, c.h, d, c.in.DTable[v0*d:v1*d], d, true)
		}
	}
	if c.in.DH != nil {
		GatherBackward(c.in.DH, c.dh, c.tokens, d)
	}
}

func scaleColumns(row, factor []float32) {
	factor = factor[:len(row)]
	for i := range row {
		row[i] *= factor[i]
	}
}

func total(row []float32) (sum float32) {
	for _, v := range row {
		sum += v
	}
	return sum
}

// subtractTargets finishes dlogits = Scale*(mass*softmax - target).
func (c *CrossEntropy) subtractTargets(score []float32, v0, v1 int) {
	for i, token := range c.tokens {
		if q := c.soft(token); q != nil {
			for r, p := range q[v0:v1] {
				score[r*c.t+i] -= c.in.Scale * p
			}
		} else if target := int(c.in.Targets[token]); target >= v0 && target < v1 {
			score[(target-v0)*c.t+i] -= c.in.Scale
		}
	}
}
