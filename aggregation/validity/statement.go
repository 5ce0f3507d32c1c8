package validity

import (
	"crypto/sha256"
	"fmt"
)

// Statement is what challenge 2 makes of a masked vector: that a linear function of key and bits has a certain value, K times over.
// All of it is public.
type Statement struct {
	k      coefficients
	alpha  []uint64 // K rows of ρ·KeyWords: slot by slot, as Answer multiplies them
	target []uint64 // K
}

// Alpha is α* = Aᵀ·Σ_t χ_t·r_t, K times, AlphaWords field elements: what a member needs to answer and does not compute itself. The device
// signs it, so that no server shows members another one.
func (s *Statement) Alpha() []uint64 { return s.alpha }

// State computes the statement; device and server both do.
func (c *Check) State(public, first, second [32]byte, packed []byte) (*Statement, error) {
	dim, n := c.mask.Literal().Dim, c.mask.N()
	lifted := make([]uint64, dim)
	if err := c.mask.Lift(lifted, packed); err != nil {
		return nil, err
	}
	adjoint, err := c.mask.NewAdjoint(public, c.repeat)
	if err != nil {
		return nil, err
	}
	s := &Statement{k: c.coefficients(second), target: make([]uint64, c.repeat)}
	combiners := make([]*combiner, c.repeat/2)
	for i := range combiners {
		combiners[i] = newCombiner(c.field, s.k.chi[2*i], s.k.chi[2*i+1])
	}
	for k, chi := range s.k.chi {
		for _, v := range chi {
			s.target[k] = c.field.Plus(s.target[k], c.field.Mul(v, c.bound))
		}
	}
	signs := newSigns(first)
	rows := make([][]uint64, c.repeat)
	for at := 0; at < dim; at += n {
		size := min(n, dim-at)
		for k := range rows {
			rows[k] = append(rows[k][:0], make([]uint64, size)...)
		}
		for from := 0; from < size; from += signsAtOnce {
			to := min(from+signsAtOnce, size)
			b := signs.next(to - from)
			for i, combine := range combiners {
				combine.fill(rows[2*i][from:to], rows[2*i+1][from:to], b)
			}
		}
		for k, row := range rows {
			s.target[k] = c.field.Plus(s.target[k], c.field.Dot(row, lifted[at:at+size]))
		}
		adjoint.Add(rows)
	}
	s.alpha = c.arrange(adjoint.Sums())
	return s, nil
}

// arrange sorts the coefficients by slot: coefficient wρ+i of row k comes to place w of slot i.
func (c *Check) arrange(sums [][]uint64) []uint64 {
	words := c.KeyWords()
	alpha := make([]uint64, c.AlphaWords())
	for k, sum := range sums {
		row := alpha[k*c.rho*words:]
		for at, v := range sum {
			row[at%c.rho*words+at/c.rho] = v
		}
	}
	return alpha
}

const labelCommit = "tutti/agg/v1/validity/key"

// saltBits is the randomness of a commitment.
const saltBits = 256

// SaltWords is the number of field elements that salt a commitment.
func (c *Check) SaltWords() int { return (saltBits + c.field.Bits() - 1) / c.field.Bits() }

// Commit binds a member's share of the key before challenge 1. salt is SaltWords uniform field elements, used for nothing else, which
// only the member gets, with its share: then, SHA-256 a random oracle, the commitment shows nothing to who guesses keys. Words that
// serve twice, such as those of blinding polynomials, whose masks the checks publish, would leave that to an assumption of its own.
func (c *Check) Commit(salt []uint64, member int, key []uint64) (d [32]byte) {
	size := c.field.Bytes()
	b := make([]byte, (len(salt)+len(key))*size)
	defer clear(b)
	c.field.Put(b, salt)
	c.field.Put(b[len(salt)*size:], key)
	h := sha256.New()
	h.Write([]byte{byte(len(labelCommit))})
	h.Write([]byte(labelCommit))
	h.Write([]byte{byte(member >> 8), byte(member)})
	h.Write(b)
	h.Sum(d[:0])
	return d
}

func (c *Check) checkLength(name string, have, want int) error {
	if have != want {
		return fmt.Errorf("%w: %d words of %s, %d expected", ErrLength, have, name, want)
	}
	return nil
}
