package mechanism

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// oracle samples N_Z(0, num/den) exactly, with rational arithmetic only:
// Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential
// Privacy", arXiv 2004.00010, Algorithms 1 to 3. Slow, obviously right, and
// independent of every table above. Numbers must be small enough for int64.
type oracle struct {
	num, den int64 // sigma^2
	t        int64 // floor(sigma) + 1
	random   io.Reader
}

func newOracle(num, den int64, seed uint64) *oracle {
	t := int64(1)
	for t*t*den <= num {
		t++
	}
	return &oracle{num: num, den: den, t: t, random: seeded(seed)}
}

// below returns a uniform integer in [0, n).
func (o *oracle) below(n uint64) uint64 {
	mask := uint64(1)<<bits.Len64(n-1) - 1
	for {
		var b [8]byte
		if _, err := io.ReadFull(o.random, b[:]); err != nil {
			panic(err)
		}
		if v := binary.LittleEndian.Uint64(b[:]) & mask; v < n {
			return v
		}
	}
}

// bernoulliExp is true with probability exp(-num/den) (Algorithm 1).
func (o *oracle) bernoulliExp(num, den uint64) bool {
	for ; num > den; num -= den {
		if !o.bernoulliExpOne(1, 1) {
			return false
		}
	}
	return o.bernoulliExpOne(num, den)
}

// bernoulliExpOne is bernoulliExp for num <= den.
func (o *oracle) bernoulliExpOne(num, den uint64) bool {
	k := uint64(1)
	for o.below(den*k) < num { // Bernoulli(num / (den k))
		k++
	}
	return k%2 == 1
}

// laplace samples the discrete Laplace of scale t (Algorithm 2, s = 1).
func (o *oracle) laplace() int64 {
	t := uint64(o.t)
	for {
		u := o.below(t)
		if !o.bernoulliExpOne(u, t) {
			continue
		}
		v := uint64(0)
		for o.bernoulliExpOne(1, 1) {
			v++
		}
		x := int64(u + t*v)
		if o.below(2) == 0 {
			return x
		}
		if x != 0 {
			return -x
		}
	}
}

// gaussian samples the discrete Gaussian (Algorithm 3).
func (o *oracle) gaussian() int64 {
	for {
		y := o.laplace()
		gap := max(y, -y)*o.t*o.den - o.num // (|y| - sigma^2/t) t den
		square := uint64(gap * gap)
		if o.bernoulliExp(square, uint64(2*o.num*o.den*o.t*o.t)) {
			return y
		}
	}
}
