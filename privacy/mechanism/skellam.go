package mechanism

import (
	"encoding/binary"
	"fmt"
	"math/big"
)

// The Skellam law Sk(0, mu) is that of the difference of two Poisson numbers
// of mean mu/2: P[X = x] = exp(-mu) I_|x|(mu), of variance mu (Agarwal,
// Kairouz, Liu, arXiv 2110.04995). A sum of shares is Skellam again, exactly.
//
// It is sampled by Walker's alias method over all |x| <= 13.3 sigma, to
// 2^-127, with that tail cut off (of mass below 2^-119 from sigma = 16 on): a
// total variation below 2^-111 per sample. The table has up to 2^15 entries
// of 16 bytes, and where it is read depends on what is drawn: someone who
// watches cache lines of the device while it encodes can learn about the
// noise. The discrete Gaussian has no such table.
type skellam struct {
	table *aliasTable
	tail  int64 // ceil(13.3 sigma)
}

// newSkellam builds the sampler for MinSkellamSigma^2 <= mu <= MaxSkellamSigma^2.
func newSkellam(mu *big.Rat) (*skellam, error) {
	if mu.Cmp(big.NewRat(MinSkellamSigma*MinSkellamSigma, 1)) < 0 || mu.Cmp(big.NewRat(MaxSkellamSigma*MaxSkellamSigma, 1)) > 0 {
		return nil, fmt.Errorf("mechanism: a Skellam variance of %s is beyond the sampler", mu.RatString())
	}
	tail, b := tailBound(mu), uint(10)
	for int64(1)<<b <= tail {
		b++
	}
	return &skellam{table: newAliasTable(skellamWeights(mu, 1<<b), b), tail: tail}, nil
}

// skellamWeights returns P[|X| = m] for m in [0, n), n > 13.3 sigma, by
// Miller's recurrence I_(m-1) = I_(m+1) + 2m/mu I_m from 2n downwards, which
// any start leaves with a relative error below exp(-(4n^2-n^2)/mu) < 2^-700
// below n.
func skellamWeights(mu *big.Rat, n int) []uint128 {
	float := func() *big.Float { return new(big.Float).SetPrec(floatPrec) }
	twice := float().SetRat(new(big.Rat).Quo(big.NewRat(2, 1), mu))
	above, here := float(), float().SetInt64(1)
	density := make([]*big.Float, n)
	for m := 2 * n; m >= 0; m-- {
		if m < n {
			density[m] = float().Set(here)
			if m > 0 {
				density[m].Add(here, here) // both signs
			}
		}
		below := float().Mul(twice, float().SetInt64(int64(m)))
		below.Add(below.Mul(below, here), above)
		above, here = here, below
	}
	return unitWeights(density)
}

// addTo adds one fresh sample to each y, taking randomness from s through
// scratch.
func (k *skellam) addTo(y []int32, s keystream, scratch []byte) {
	for len(y) > 0 {
		n := min(len(y), len(scratch)/8)
		random := scratch[:8*n]
		s.fill(random)
		for i := range y[:n] {
			x := k.table.sample(binary.LittleEndian.Uint64(random[8*i:]), s)
			for x > k.tail || x < -k.tail {
				x = k.table.sample(s.uint64(), s)
			}
			y[i] += int32(x)
		}
		y = y[n:]
	}
}

// skellamRho bounds the cost of a vector of d integers of L2 norm at most B
// under Skellam noise of variance mu in each coordinate. By arXiv 2110.04995
// (Corollary 4.1 with scale 1), at every integer order a,
//
//	RDP(a) <= a B^2/(2 mu) + min(((2a-1) B^2 + 6 L1)/(4 mu^2), 3 L1/(2 mu))
//
// with L1 = min(sqrt(d) B, B^2). Over integers a >= 2, RDP(a)/a is largest at
// a = 2 or beyond every a. (a-1) RDP(a) is convex, so that between integers
// n >= 2 and n+1 the bound grows by a factor of at most
// 1 + t(1-t)/((n+t)(n+t-1)) <= 8 - 4 sqrt(3) < 14/13. The result is therefore
// a zCDP rho at every real order of at least 2. It says nothing about orders
// below 2, which the conversion to (epsilon, delta) prefers only where the
// total rho exceeds log(1/delta).
func skellamRho(b int64, d int, mu *big.Rat) *big.Rat {
	rat := func(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }
	square := rat(b)
	square.Mul(square, square)
	l1 := new(big.Rat).Mul(rat(b), rat(min(floorSqrt(int64(d)-1)+1, b)))
	first := new(big.Rat).Mul(l1, rat(3))
	first.Add(first, new(big.Rat).Mul(square, big.NewRat(3, 2))) // a = 2
	if most := new(big.Rat).Add(square, square); most.Cmp(first) > 0 {
		first = most
	}
	first.Quo(first, new(big.Rat).Mul(rat(4), new(big.Rat).Mul(mu, mu)))
	second := new(big.Rat).Mul(l1, big.NewRat(3, 4))
	if second.Quo(second, mu); second.Cmp(first) < 0 {
		first = second
	}
	rho := square.Quo(square, new(big.Rat).Mul(rat(2), mu))
	return rho.Mul(rho.Add(rho, first), big.NewRat(14, 13))
}
