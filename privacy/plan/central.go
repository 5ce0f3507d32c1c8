package plan

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"strconv"

	"tutti/privacy/accounting"
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

// Stream names the stream of correlated noise that the round belongs to; zero: none. Everything is in it that the cost of
// the whole stream rests on, and its first round: nothing of it can change midway unseen.
func (p Plan) Stream() Digest {
	c := p.Central
	if c == nil || c.Noise != CentralBLT {
		return Digest{}
	}
	w := new(writer)
	w.text("tutti/stream/v1")
	w.text(p.Task)
	w.out = append(w.out, byte(p.Kind))
	w.text(string(p.Mechanism.AppendCanonical(nil)))
	same := *c
	same.Index = 0
	w.central(&same)
	w.u64(p.StreamFirst())
	w.u32(p.Participations)
	w.u32(p.Separation)
	return sha256.Sum256(w.out)
}

// StreamFirst is the first round of the stream that the round belongs to; 0: none. A stream goes on with the numbers of the
// rounds, whatever becomes of them, so that rounds of a task are as far apart as rows of the stream are.
func (p Plan) StreamFirst() uint64 {
	if p.Central == nil || p.Central.Noise != CentralBLT {
		return 0
	}
	return p.Round - uint64(p.Central.Index)
}

// Cost is what the round costs whoever has paid for the stream; Rho otherwise. A stream is paid for as a whole with the
// first of its rounds.
func (p Plan) Cost(paid Digest) *big.Rat {
	rho := p.Rho()
	if s := p.Stream(); rho == nil || s == (Digest{}) || s != paid {
		return rho
	}
	return rho.Sub(rho, p.Central.Rho())
}

// Event is the central noise for the accountant; nil where the devices add the noise. A stream counts as a whole.
func (p Plan) Event() (accounting.Event, error) {
	if p.Central == nil {
		return nil, nil
	}
	z, err := strconv.ParseFloat(p.Central.Z, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: central noise: its multiplier", ErrPlan)
	}
	if p.Central.Noise == CentralGaussian {
		return accounting.Gaussian{Z: z}, nil
	}
	blt, err := p.Central.BLT()
	if err != nil {
		return nil, err
	}
	rounds := p.Central.Rounds
	apart := max(1, min(p.Separation, rounds))
	most := max(1, min(p.Participations, (rounds+apart-1)/apart)) // no device fits in more often
	return accounting.BLTMF{BLT: blt, Rounds: int(rounds), Participations: int(most), Separation: int(apart), Z: z}, nil
}

// BLT are the buffers as numbers.
func (c *Central) BLT() (accounting.BLT, error) {
	b := accounting.BLT{Theta: make([]float64, len(c.Theta)), Omega: make([]float64, len(c.Omega))}
	for i := range c.Theta {
		var err, err2 error
		b.Theta[i], err = strconv.ParseFloat(c.Theta[i], 64)
		b.Omega[i], err2 = strconv.ParseFloat(c.Omega[i], 64)
		if err != nil || err2 != nil {
			return b, fmt.Errorf("%w: central noise: the numbers of a buffer", ErrPlan)
		}
	}
	if err := b.Valid(int(c.Rounds)); err != nil {
		return b, fmt.Errorf("%w: central noise: %w", ErrPlan, err)
	}
	return b, nil
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
		if p.Groups > 1 {
			return bad("a stream has one sum a round: its noise cannot be split among groups")
		}
		if uint64(c.Index) >= p.Round || p.Separation < 1 {
			return bad("a stream that began before the first round")
		}
		if _, err := c.BLT(); err != nil {
			return err
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
