package mask

import (
	"fmt"
	"math/bits"
)

// Secret is a device's key s for one upload: N small coefficients, also kept in NTT form. It has no text form.
type Secret struct {
	coeffs []int64
	ntt    []uint64
}

// NewSecret draws s from the discrete Gaussian under a seed that is used for nothing else.
func NewSecret(p *Params, seed [32]byte) *Secret {
	draw := newSampler(p.literal.Sigma, seed)
	defer draw.erase()
	s := &Secret{coeffs: make([]int64, p.n), ntt: make([]uint64, p.blockDim())}
	draw.fill(s.coeffs)
	p.toNTT(s.ntt, s.coeffs)
	return s
}

// toNTT reduces signed coefficients, |c| < 2^46 and below every prime, without a branch and transforms them, for Paired under one prime
// after the other and times the inverse of the other prime.
func (p *Params) toNTT(dst []uint64, coeffs []int64) {
	if p.pair != nil {
		p.pair.toNTT(dst, coeffs)
		return
	}
	lift(dst, coeffs, p.literal.Q)
	p.ring.NTT(dst, dst)
}

// lift gives c mod q for |c| < q.
func lift(dst []uint64, coeffs []int64, q uint64) {
	for i, c := range coeffs {
		dst[i] = uint64(c + int64(q)&(c>>63))
	}
}

// maskOf writes a·s of the next public a, for Paired its two halves y.
func (p *Params) maskOf(block []uint64, expand *expander, ntt []uint64) {
	if p.pair != nil {
		p.pair.maskOf(block, expand, ntt)
		return
	}
	expand.next(block, p.literal.Q)
	p.ring.MulCoeffsMontgomery(block, ntt, block)
	p.ring.INTT(block, block)
}

// Coefficients lends the key for sharing; it is gone after Erase.
func (s *Secret) Coefficients() []int64 { return s.coeffs }

// Erase overwrites the key.
func (s *Secret) Erase() {
	clear(s.coeffs)
	clear(s.ntt)
}

// Mask writes the packed wire of x, Dim coordinates with |x_j| <= Bound, to dst of PackedLen bytes.
// public is the seed of A; noise seeds e and is used for nothing else, not even for the same x again.
func (p *Params) Mask(dst []byte, public [32]byte, s *Secret, noise [32]byte, x []int32) error {
	return newWork(p, public, noise).mask(p, dst, s, x)
}

// work is what masking holds: a block of a·s, which becomes v, its noise and its words.
type work struct {
	expand       *expander
	draw         *sampler
	noise        []int64
	block, words []uint64
}

func newWork(p *Params, public, noise [32]byte) *work {
	w := &work{expand: newExpander(p, public), draw: newSampler(p.literal.Sigma, noise), noise: make([]int64, p.n)}
	w.block = make([]uint64, p.blockDim())
	w.words = w.block
	if p.pair != nil {
		w.words = make([]uint64, p.blockDim())
	}
	return w
}

func (w *work) mask(p *Params, dst []byte, s *Secret, x []int32) error {
	defer w.erase()
	if len(x) != p.literal.Dim || len(dst) != p.PackedLen() {
		return fmt.Errorf("%w: %d coordinates into %d bytes", ErrDimension, len(x), len(dst))
	}
	width := p.WordBits()
	blockLen := len(w.block) / 8 * width
	for len(x) > 0 {
		k := min(len(w.block), len(x))
		p.maskOf(w.block, w.expand, s.ntt)
		w.draw.fill(w.noise)
		if p.pair != nil {
			p.pair.addAndSwitch(w.words[:k], w.block[:k/2], w.block[p.n:], w.noise, x[:k])
		} else {
			p.addAndSwitch(w.block[:k], w.noise[:k], x[:k])
		}
		pack(dst[:min(blockLen, len(dst))], w.words[:k], width)
		x, dst = x[k:], dst[min(blockLen, len(dst)):]
	}
	return nil
}

// erase overwrites all of it but the words, which are sent.
func (w *work) erase() {
	w.draw.erase()
	clear(w.block)
	clear(w.noise)
}

// addAndSwitch turns a·s into the wire words of a·s + e + Δ·m, in place, without a branch on any of them.
func (p *Params) addAndSwitch(as []uint64, e []int64, m []int32) {
	q, delta := int64(p.literal.Q), int64(p.delta)
	e, m = e[:len(as)], m[:len(as)]
	for i := range as {
		v := int64(as[i]) + e[i] + delta*int64(m[i]) // in (-q, 2q): |Δ·m| < q/2
		v += q & (v >> 63)
		v -= q
		v += q & (v >> 63)
		as[i] = p.modSwitch(uint64(v))
	}
}

// modSwitch is round(v·P/q) mod P for 0 <= v < q, in integers. The product with the reciprocal is the floor or one below;
// no tie exists, because q is odd.
func (p *Params) modSwitch(v uint64) uint64 {
	q := p.literal.Q
	t, _ := bits.Mul64(v, p.switchM)
	r := v<<p.literal.LogP - t*q // in [0, 2q), exact mod 2^64
	_, below := bits.Sub64(r, q, 0)
	t += 1 - below
	r -= q & (below - 1)
	_, up := bits.Sub64(q, r<<1, 0) // 2r > q
	return (t + up) & (1<<p.literal.LogP - 1)
}
