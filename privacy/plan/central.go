package plan

import (
	"fmt"
	"math/big"
	"strconv"
)

// CentralNoise says how the server noises an opened sum.
type CentralNoise uint8

// The kinds. The numbers are part of the format.
const (
	CentralGaussian CentralNoise = 1 + iota // independent Gaussian noise in every round
	CentralBLT                              // Gaussian noise correlated over the rounds of one stream
)

// String is the kind's name in logs and reports.
func (n CentralNoise) String() string {
	switch n {
	case CentralGaussian:
		return "gaussian"
	case CentralBLT:
		return "blt"
	}
	return fmt.Sprintf("central(%d)", uint8(n))
}

// Central moves the noise from the devices to the server, which is trusted to add it: it sees the sum without, though
// no single upload. The claim of such a round is about what is released, not about what the server sees.
type Central struct {
	Noise CentralNoise
	Z     string // decimal: noise multiplier, relative to the sensitivity of the round (gaussian) or of the whole stream (blt)

	Theta, Omega []string // decimals: decay and weight of every buffer; blt only (arXiv 2408.08868, section 3)
	Rounds       uint32   // n: rounds of the stream; blt only
	Index        uint32   // of this round in the stream, from 0; blt only
}

// maxBuffers bounds the buffers of a stream; more than four earn nothing.
const maxBuffers = 8

// Rho is what the release costs: of the round, or of the whole stream however many of its rounds a device is in.
func (c *Central) Rho() *big.Rat {
	z, ok := new(big.Rat).SetString(c.Z)
	if !ok || z.Sign() <= 0 {
		return nil
	}
	z.Mul(z, z)
	return z.Inv(z.Mul(z, big.NewRat(2, 1)))
}

func (c *Central) check(p Plan) error {
	bad := func(what string) error { return fmt.Errorf("%w: central noise: %s", ErrPlan, what) }
	if c == nil {
		return nil
	}
	if p.Mechanism.Noise {
		return bad("the devices add noise as well")
	}
	if !isDecimal(c.Z, 1e6) || len(c.Theta) != len(c.Omega) || len(c.Theta) > maxBuffers {
		return bad("its multiplier or its buffers")
	}
	for i := range c.Theta {
		if !isDecimal(c.Theta[i], 1) || !isDecimal(c.Omega[i], 1) {
			return bad("the numbers of a buffer")
		}
	}
	if z, err := strconv.ParseFloat(c.Z, 64); err != nil || z < 1e-3 {
		return bad("a multiplier below 0.001")
	}
	switch c.Noise {
	case CentralGaussian:
		if len(c.Theta) > 0 || c.Rounds != 0 || c.Index != 0 {
			return bad("a stream belongs to correlated noise")
		}
	case CentralBLT:
		if p.Kind != Model || len(c.Theta) == 0 || c.Index >= c.Rounds || c.Rounds > 1<<20 {
			return bad("a stream has model rounds and buffers")
		}
	default:
		return bad("its kind")
	}
	return nil
}

func (w *writer) central(c *Central) {
	w.flag(c != nil)
	if c == nil {
		return
	}
	w.out = append(w.out, byte(c.Noise))
	w.text(c.Z)
	w.u32(uint32(len(c.Theta)))
	for i := range c.Theta {
		w.text(c.Theta[i])
		w.text(c.Omega[i])
	}
	w.u32(c.Rounds)
	w.u32(c.Index)
}

func (r *reader) central() *Central {
	if !r.flag() {
		return nil
	}
	c := &Central{Noise: CentralNoise(r.byte()), Z: r.text(maxDecimal)}
	n := r.u32()
	if n > maxBuffers {
		r.fail("too many buffers")
		return nil
	}
	for range n {
		c.Theta = append(c.Theta, r.text(maxDecimal))
		c.Omega = append(c.Omega, r.text(maxDecimal))
	}
	c.Rounds, c.Index = r.u32(), r.u32()
	return c
}
