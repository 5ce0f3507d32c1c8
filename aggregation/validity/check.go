package validity

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

var (
	// ErrLiteral reports numbers that make no check.
	ErrLiteral = errors.New("validity: parameters")
	// ErrNorm reports a vector of the device's own that the check would refuse; it must not be sent.
	ErrNorm = errors.New("validity: the vector exceeds the norm")
	// ErrProof reports a proof that is none: the device's vector, key, bits or shares are not what they have to be, or more
	// members lie than can be corrected.
	ErrProof = errors.New("validity: proof refused")
	// ErrTooFew reports fewer answers than Need.
	ErrTooFew = errors.New("validity: too few answers")
	// ErrLength reports a vector, key share or proof of another length than the check's.
	ErrLength = errors.New("validity: length")
)

const (
	// Projections is t: a vector with a coordinate beyond 2B passes with 2^-t, any vector beyond √2·B with (26/32)^t at most.
	Projections = 128
	// DefaultSlack is β: an honest device of the full norm is refused with less than 2^-37, whatever its vector.
	DefaultSlack = 8

	minSlack, maxSlack = 3, 16
	soundBits          = 92 // of the checks in the field
	groups             = 2 * Projections / 8
)

// Literal is the open form of a Check.
type Literal struct {
	Mask   *mask.Params  // of one prime q
	Shares *share.Scheme // of the key, over the field of q
	Norm   float64       // R, the bound on the Euclidean norm of one device's integer vector, noise included, > 0
	Slack  float64       // β in [3, 16], DefaultSlack if 0: vectors beyond about β·R are refused
}

// Check is the norm check of one round, immutable.
type Check struct {
	mask    *mask.Params
	key     *share.Scheme
	bit     *share.Scheme // degree c, the secret at -1
	linear  *share.Scheme // degree c+2ρ-2
	square  *share.Scheme // degree 2c
	field   share.Field
	q       uint64
	c, rho  int
	bound   uint64   // B
	weights []uint64 // of the bits of L+B
	repeat  int      // K, even
	slots   []uint64 // -1, ..., -ρ
	rows    [][]uint64
}

// New computes B = ceil(β·(Δ·R + noise)/√2), where noise bounds the norm of e and of the rounding, and requires 64·B <= q, a committee
// of at least Need, and keys shared over the ring's own field (ErrLiteral).
func New(l Literal) (*Check, error) {
	if l.Slack == 0 {
		l.Slack = DefaultSlack
	}
	ring, f := l.Mask.Literal(), l.Shares.Field()
	c := &Check{mask: l.Mask, key: l.Shares, field: f, q: ring.Q, rho: l.Shares.Rho(), c: l.Shares.Need() - l.Shares.Rho()}
	switch {
	case ring.Q2 != 0 || f.Modulus() != ring.Q:
		return nil, fmt.Errorf("%w: keys have to be shared mod q, the ring's one prime", ErrLiteral)
	case !(l.Norm >= 1) || !(l.Slack >= minSlack && l.Slack <= maxSlack):
		return nil, fmt.Errorf("%w: norm %v, slack %v", ErrLiteral, l.Norm, l.Slack)
	}
	ratio := math.Ldexp(float64(ring.Q), -ring.LogP)
	deviation := math.Sqrt(ring.Sigma.Value()*ring.Sigma.Value() + (ratio+1)*(ratio+1)/12)
	noise := deviation * (math.Sqrt(float64(ring.Dim)) + 8)
	bound := math.Ceil(l.Slack * (float64(ring.Q>>ring.LogT)*l.Norm + noise) / math.Sqrt2)
	if 64*bound > float64(ring.Q) {
		return nil, fmt.Errorf("%w: a norm of %g needs a modulus above 2^%.1f, the ring has 2^%.1f; the sum domain is too small for it",
			ErrLiteral, l.Norm, math.Log2(64*bound), math.Log2(float64(ring.Q)))
	}
	c.bound = uint64(bound)
	c.repeat = 2 * ((soundBits/2 + f.Bits() - 1) / f.Bits())
	c.weigh()
	return c, c.schemes()
}

// weigh sets the weights 1, 2, 4, ... and a last one so that they reach exactly the numbers 0..2B.
func (c *Check) weigh() {
	n := bits.Len64(2 * c.bound)
	c.weights = make([]uint64, n)
	for i := range n - 1 {
		c.weights[i] = 1 << i
	}
	c.weights[n-1] = 2*c.bound - (1<<(n-1) - 1)
}

func (c *Check) schemes() (err error) {
	m := c.key.Members()
	for _, s := range []struct {
		scheme **share.Scheme
		degree int
	}{{&c.bit, c.c}, {&c.square, 2 * c.c}, {&c.linear, c.c + 2*c.rho - 2}} {
		if *s.scheme, err = share.New(c.field, m, s.degree, 1); err != nil {
			return fmt.Errorf("%w: %w", ErrLiteral, err)
		}
	}
	c.slots = make([]uint64, c.rho)
	for i := range c.slots {
		c.slots[i] = c.q - uint64(i+1)
	}
	c.rows = make([][]uint64, m)
	for j := range c.rows {
		c.rows[j] = c.field.Weights(c.slots, uint64(j+1))
	}
	return nil
}

// Bound is B, the limit of every projection mod q.
func (c *Check) Bound() uint64 { return c.bound }

// Bits is the number of bits that a device shares, t·ceil(log2(2B+1)).
func (c *Check) Bits() int { return Projections * len(c.weights) }

// Words is the number of field elements that the proof adds to a member's share.
func (c *Check) Words() int { return c.Bits() + 3*c.repeat }

// AnswerWords is the number of field elements in a member's answer.
func (c *Check) AnswerWords() int { return 3 * c.repeat }

// Need is the fewest answers that determine the check: max(2c, c+2ρ-2) + 1.
func (c *Check) Need() int { return max(2*c.c, c.c+2*c.rho-2) + 1 }

// KeyWords is the number of field elements in a member's share of the key.
func (c *Check) KeyWords() int { return c.key.Words(c.mask.N()) }

// AlphaWords is the number of field elements in a statement's α.
func (c *Check) AlphaWords() int { return c.repeat * c.rho * c.KeyWords() }
