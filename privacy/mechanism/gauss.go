package mechanism

import (
	"encoding/binary"
	"fmt"
	"math/big"
)

// The discrete Gaussian N_Z(0, sigma^2) has P[X = x] proportional to
// exp(-x^2 / (2 sigma^2)) on the integers.
//
// Choice. A constant-time scan of a small cumulative table (80 entries)
// needs three levels of convolution, eight base samples, to reach
// sigma = 2048: measured 668 ns against a bar of 50 ns. What is used instead
// takes 7 to 17 ns: Walker's alias method over |x|, exact to 2^-127, and for
// sigma > 76 the sum x1 + k x2 of two such samples. It has no branch that
// depends on a drawn value, except with probability below 2^-49, but it
// looks up addresses that do, in a table of 16 KiB (128 KiB at the largest
// sigma). A party that can watch cache lines of the device while it encodes
// is outside the claim, as is anyone who can read its memory.
//
// How far from exact. (1) Completing the square gives
// P[x1 + k x2 = x] = rho_sigma(x) * sum over y in Z of rho_t(y - c_x), up to
// normalisation, with sigma^2 = (1+k^2) s^2 and t^2 = s^2/(1+k^2); by
// Poisson summation the inner sum varies with c_x by a factor of at most
// 1 +- 2.1 exp(-2 pi^2 t^2) < 1 +- 2^-129, because the plan keeps
// t^2 >= 23/5. So the law has a max-divergence below 2^-127 from the exact
// one, in both directions (Peikert, CRYPTO 2010, Theorem 3.1, in one
// dimension). (2) Table entries are multiples of 2^-127 and the tail beyond
// 13.3 sigma, of mass < 2^-130, is cut: a total variation below 2^-112 per
// sample, 2^-92 for a vector of 2^20 coordinates, to be added to delta.

// minSmoothing is the least t^2 of the analysis above.
var minSmoothing = big.NewRat(23, 5)

// gaussian samples N_Z(0, sigma2) cut at |x| <= tail.
type gaussian struct {
	table *aliasTable
	k     int64 // 0: one base sample; else x1 + k*x2
	tail  int64 // ceil(13.3 sigma)
}

// newGaussian builds the sampler for 0 < sigma2 <= MaxSigma^2.
func newGaussian(sigma2 *big.Rat) (*gaussian, error) {
	bits, k, err := convolutionPlan(sigma2)
	if err != nil {
		return nil, err
	}
	base := new(big.Rat).Quo(sigma2, new(big.Rat).SetInt64(1+k*k))
	return &gaussian{table: newAliasTable(base, bits), k: k, tail: tailBound(sigma2)}, nil
}

// convolutionPlan finds the smallest table of 2^bits entries, and then the
// smallest k, so that 13.3 sigma/sqrt(1+k^2) fits in the table and the
// smoothing condition holds.
func convolutionPlan(sigma2 *big.Rat) (bits uint, k int64, err error) {
	if sigma2.Sign() <= 0 {
		return 0, 0, fmt.Errorf("mechanism: a noise variance of %s is not positive", sigma2.RatString())
	}
	for bits = 10; bits <= 13; bits++ {
		// base variance at most ((2^bits - 1)/13.3)^2
		limit := big.NewRat((1<<bits-1)*tailDen, tailNum)
		limit.Mul(limit, limit)
		k = leastConvolution(sigma2, limit)
		scale := new(big.Rat).SetInt64(1 + k*k)
		base := new(big.Rat).Quo(sigma2, scale)
		if k == 0 || base.Quo(base, scale).Cmp(minSmoothing) >= 0 {
			return bits, k, nil
		}
	}
	return 0, 0, fmt.Errorf("mechanism: a noise variance of %s is beyond the sampler", sigma2.RatString())
}

// leastConvolution returns the smallest k >= 0 with sigma2/(1+k^2) <= limit.
func leastConvolution(sigma2, limit *big.Rat) int64 {
	ratio := new(big.Rat).Quo(sigma2, limit)
	need := new(big.Int).Quo(ratio.Num(), ratio.Denom()) // floor
	if !ratio.IsInt() {
		need.Add(need, big.NewInt(1))
	}
	need.Sub(need, big.NewInt(1)) // k^2 >= ceil(ratio) - 1
	if need.Sign() <= 0 {
		return 0
	}
	k := new(big.Int).Sqrt(need)
	if new(big.Int).Mul(k, k).Cmp(need) < 0 {
		k.Add(k, big.NewInt(1))
	}
	return k.Int64()
}

// words returns how many 64-bit words one sample takes.
func (g *gaussian) words() int {
	if g.k == 0 {
		return 1
	}
	return 2
}

// addTo adds one fresh sample to each y, taking randomness from s through
// scratch, whose length is a multiple of 16.
func (g *gaussian) addTo(y []int32, s keystream, scratch []byte) {
	perSample := 8 * g.words()
	for len(y) > 0 {
		n := min(len(y), len(scratch)/perSample)
		random := scratch[:n*perSample]
		s.fill(random)
		if g.k == 0 {
			g.addSingle(y[:n], random, s)
		} else {
			g.addConvolved(y[:n], random, s)
		}
		y = y[n:]
	}
}

func (g *gaussian) addSingle(y []int32, random []byte, s keystream) {
	for i := range y {
		x := g.table.sample(binary.LittleEndian.Uint64(random[8*i:]), s)
		if x > g.tail || x < -g.tail {
			x = g.redraw(s)
		}
		y[i] += int32(x)
	}
}

func (g *gaussian) addConvolved(y []int32, random []byte, s keystream) {
	for i := range y {
		pair := random[16*i : 16*i+16]
		x1 := g.table.sample(binary.LittleEndian.Uint64(pair), s)
		x2 := g.table.sample(binary.LittleEndian.Uint64(pair[8:]), s)
		x := x1 + g.k*x2
		if x > g.tail || x < -g.tail {
			x = g.redraw(s)
		}
		y[i] += int32(x)
	}
}

// redraw replaces a sample that fell beyond the tail (probability < 2^-127).
func (g *gaussian) redraw(s keystream) int64 {
	for {
		x := g.table.sample(s.uint64(), s)
		if g.k != 0 {
			x += g.k * g.table.sample(s.uint64(), s)
		}
		if x <= g.tail && x >= -g.tail {
			return x
		}
	}
}

// tailBound returns ceil(13.3 sigma), the smallest T with
// (10 T)^2 >= 133^2 sigma2, exactly.
func tailBound(sigma2 *big.Rat) int64 {
	if sigma2.Sign() <= 0 {
		return 0
	}
	// (10T)^2 den >= 133^2 num  <=>  T^2 >= 133^2 num / (100 den)
	square := new(big.Rat).Mul(sigma2, big.NewRat(tailNum*tailNum, tailDen*tailDen))
	return ceilSqrt(square).Int64()
}

// ceilSqrt returns the smallest integer t >= 0 with t^2 >= r.
func ceilSqrt(r *big.Rat) *big.Int {
	floor := new(big.Int).Quo(r.Num(), r.Denom())
	t := new(big.Int).Sqrt(floor)
	for new(big.Rat).SetInt(new(big.Int).Mul(t, t)).Cmp(r) < 0 {
		t.Add(t, big.NewInt(1))
	}
	return t
}
