package mask

import (
	"fmt"
	"math/bits"
)

// What a proof about a masked vector needs (package validity): the vector as residues mod q, what is left of it without its mask,
// and the transpose of the map s -> A·s. Profiles of one prime only.

// checkOnePrime refuses Paired.
func (p *Params) checkOnePrime() error {
	if p.pair != nil {
		return fmt.Errorf("%w: profile %d has two primes", ErrModulus, p.literal.Profile)
	}
	return nil
}

// Lift writes round(w·q/P), below q, for the Dim words w of a packed vector.
func (p *Params) Lift(dst []uint64, packed []byte) error {
	if err := p.checkOnePrime(); err != nil {
		return err
	}
	clear(dst)
	if err := p.Fold(dst, packed); err != nil {
		return err
	}
	for i, w := range dst {
		hi, lo := bits.Mul64(w, p.literal.Q)
		lo, carry := bits.Add64(lo, 1<<(p.literal.LogP-1), 0)
		dst[i] = (hi+carry)<<(64-p.literal.LogP) | lo>>p.literal.LogP
	}
	return nil
}

// Open writes x = round(w·q/P) - a·s mod q, in (-q/2, q/2), for the Dim words w of a packed vector: Δ·m + e and a rounding error of at
// most (q/P+1)/2, if the vector is Mask's under s. No branch depends on x.
func (p *Params) Open(dst []int64, public [32]byte, s *Secret, packed []byte) error {
	lifted := make([]uint64, len(dst))
	defer clear(lifted)
	if err := p.Lift(lifted, packed); err != nil {
		return err
	}
	expand := newExpander(p, public)
	block := make([]uint64, p.n)
	defer clear(block)
	q := int64(p.literal.Q)
	for at := 0; at < len(dst); at += p.n {
		p.maskOf(block, expand, s.ntt)
		for i, v := range lifted[at:min(at+p.n, len(dst))] {
			x := int64(v) - int64(block[i]) // in (-q, q)
			x += q & ((x + q/2) >> 63)
			dst[at+i] = x - q&((q/2-x)>>63)
		}
	}
	return nil
}

// Adjoint computes Aᵀ·r mod q block by block: <r, A·s> = <Aᵀ·r, s> for every s. With r'(X) = r(1/X), which turns coefficients around,
// Aᵀr = (Σ_b a_b·r_b')', so that one inverse transform serves all blocks.
type Adjoint struct {
	p      *Params
	expand *expander
	a, r   []uint64
	sums   [][]uint64
}

// NewAdjoint starts the sums of as many vectors r as rows.
func (p *Params) NewAdjoint(public [32]byte, rows int) (*Adjoint, error) {
	if err := p.checkOnePrime(); err != nil {
		return nil, err
	}
	t := &Adjoint{p: p, expand: newExpander(p, public), a: make([]uint64, p.n), r: make([]uint64, p.n), sums: make([][]uint64, rows)}
	for i := range t.sums {
		t.sums[i] = make([]uint64, p.n)
	}
	return t, nil
}

// Add takes the next N coordinates, below q, of every row; the last block may be shorter.
func (t *Adjoint) Add(rows [][]uint64) {
	t.expand.next(t.a, t.p.literal.Q)
	for i, row := range rows {
		clear(t.r)
		t.p.turn(t.r, row)
		t.p.ring.NTT(t.r, t.r)
		t.p.ring.MulCoeffsMontgomeryThenAdd(t.a, t.r, t.sums[i])
	}
}

// Sums are the N coordinates of Aᵀ·r, below q, of every row; the Adjoint is used up.
func (t *Adjoint) Sums() [][]uint64 {
	for i, sum := range t.sums {
		t.p.ring.INTT(sum, t.r)
		clear(sum)
		t.p.turn(sum, t.r)
		t.sums[i] = sum
	}
	return t.sums
}

// turn writes r(1/X) mod X^N+1 over zeros.
func (p *Params) turn(dst, r []uint64) {
	q := p.literal.Q
	dst[0] = r[0]
	for i, v := range r[1:] {
		if v != 0 {
			v = q - v
		}
		dst[p.n-1-i] = v
	}
}
