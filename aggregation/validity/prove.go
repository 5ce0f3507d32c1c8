package validity

import (
	"fmt"
	"io"

	"tutti/aggregation/mask"
)

// Prove is the device's part: the words of the proof, Words of them for each member, for the packed vector that it masked under secret
// and the public seed of A. first is challenge 1, which binds vector and key shares; random gives bits' and blinds' shares.
//
// ErrNorm: a projection lies outside of [-B, B]; with the norm kept this happens with probability below 2t·exp(-β²/2), which is 2^-37 for
// DefaultSlack. Prove it under another first then; with a slack below 6 that tells the server something, see the package comment.
func (c *Check) Prove(random io.Reader, public, first [32]byte, secret *mask.Secret, packed []byte) ([][]uint64, error) {
	x := make([]int64, c.mask.Literal().Dim)
	defer clear(x)
	if err := c.mask.Open(x, public, secret, packed); err != nil {
		return nil, err
	}
	secrets, ok := c.bitsOf(project(first, x))
	defer clear(secrets)
	if !ok {
		return nil, ErrNorm
	}
	return c.shareProof(random, secrets)
}

// bitsOf gives the bits of all L + B, without a branch on any; not ok if some L lies outside of [-B, B].
func (c *Check) bitsOf(projections *[Projections]int64) (secrets []int64, ok bool) {
	secrets = make([]int64, 0, c.Bits())
	outside := uint64(0)
	for _, l := range projections {
		above := uint64(l) + c.bound
		outside |= (above | (2*c.bound - above)) >> 63
		secrets = c.appendBits(secrets, above)
	}
	return secrets, outside == 0
}

// appendBits writes v <= 2B in the check's weights, without a branch: the last weight is taken if the others do not suffice.
func (c *Check) appendBits(secrets []int64, v uint64) []int64 {
	n := len(c.weights) - 1
	last := (uint64(1)<<n - 1 - v) >> 63
	v -= c.weights[n] & -last
	for i := range n {
		secrets = append(secrets, int64(v>>i&1))
	}
	return append(secrets, int64(last))
}

// shareProof shares bits and blinds: bits by polynomials of degree c, then, K of each, random polynomials of degree c+2ρ-2 whose sum over
// the slots is zero, of degree 2c that are zero at -1, and of degree c.
func (c *Check) shareProof(random io.Reader, secrets []int64) ([][]uint64, error) {
	parts := []struct {
		draws int
		split func(random []uint64) ([][]uint64, error)
	}{
		{c.bit.Draws(len(secrets)), func(r []uint64) ([][]uint64, error) { return c.bit.Split(secrets, r) }},
		{c.repeat * c.linear.Need(), c.blindLinear},
		{c.repeat * 2 * c.c, func(r []uint64) ([][]uint64, error) { return c.square.Split(make([]int64, c.repeat), r) }},
		{c.repeat * c.bit.Need(), c.bit.Blind},
	}
	words := make([][]uint64, c.key.Members())
	for _, part := range parts {
		r := make([]uint64, part.draws)
		if err := c.field.Draw(random, r); err != nil {
			return nil, fmt.Errorf("validity: %w", err)
		}
		shares, err := part.split(r)
		clear(r)
		if err != nil {
			return nil, err
		}
		for j := range words {
			words[j] = append(words[j], shares[j]...)
			clear(shares[j])
		}
	}
	return words, nil
}

// blindLinear shares polynomials of degree c+2ρ-2 by their values at -1, -2, ...: the first makes those at the ρ slots sum to zero.
func (c *Check) blindLinear(random []uint64) ([][]uint64, error) {
	need := c.linear.Need()
	for at := 0; at < len(random); at += need {
		slots := random[at : at+c.rho]
		slots[0] = 0
		for _, v := range slots[1:] {
			slots[0] = c.field.Minus(slots[0], v)
		}
	}
	return c.linear.Blind(random)
}
