package mechanism

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
)

// The discrete Gaussian N_Z(0, sigma^2) has P[X = x] proportional to
// exp(-x^2 / (2 sigma^2)) on the integers.
//
// A trial proposes x = K y + u with y from the half Gaussian of sigma/K, u
// uniform below K = floor(sigma), takes it with probability
// exp(-u(u+2Ky)/(2 sigma^2)), and gives it a sign; zero is taken with one
// sign only. What is taken is distributed as exp(-x^2/(2 sigma^2)), for any
// rational sigma^2 (Ducas, Durmus, Lepoint, Lyubashevsky, CRYPTO 2013,
// section 6; in constant time: Zhao, Steinfeld, Sakzad, "FACCT", IACR ePrint
// 2018/1234). About 1.4 trials make a sample.
//
// Constant time. A trial is a fixed sequence of additions, multiplications
// and shifts: y by a scan of all thresholds, the exponential by a series in
// 64-bit fixed point. Which trials are taken shows in the time and in the
// addresses written; since each taken value has the same law, that says
// nothing about the values. The exceptions: y falls outside the thresholds
// (probability 2^-58), or the computed probability is within its error of the
// drawn word (2^-56), and exact arithmetic decides, in variable time.
//
// How far from exact. The law of y is a multiple of 2^-127 and cut at 18 (of
// mass below 2^-149), taking is decided to 2^-128, and |x| is cut at 13.3
// sigma (of mass below 2^-130): a total variation below 2^-118 per sample,
// 2^-98 for a vector of 2^20 coordinates. It adds to delta (as in
// delta-approximate zCDP, Bun and Steinke, arXiv 1605.02065, section 8), where
// delta >= 10^-12 is above 2^-40.
const (
	trialBytes = 24 // three words: y and sign, u, acceptance
	quickSteps = 12 // values of y told apart by one word
	tableSteps = 18 // values of y in all: 13.3 sigma/K < 16.7, because K = floor(sigma)
	tableUnit  = 126
	quickUnit  = 63 // a quick threshold is a multiple of 2^-63
	expMargin  = 64 // the computed probability is right to 64 units of 2^-64
)

// gaussian samples N_Z(0, sigma2) cut at |x| <= tail. All it holds is public.
type gaussian struct {
	step  uint64             // K
	over  uint64             // 2^64 mod K: below it a u would be biased
	tail  uint64             // ceil(13.3 sigma), the largest |x| that is taken
	quick [quickSteps]uint64 // cumulative probabilities of y, rounded down, in units of 2^-63
	slow  [tableSteps]uint64 // what the rounding took from each y, in units of 2^-127
	rate  [2]uint64          // 1/(2 sigma^2 ln 2) in units of 2^-128, high and low
	exact *big.Float         // 1/(2 sigma^2)
}

// newGaussian builds the sampler for MinSigma^2 <= sigma2 <= MaxSigma^2.
func newGaussian(sigma2 *big.Rat) (*gaussian, error) {
	if sigma2.Cmp(big.NewRat(MinSigma*MinSigma, 1)) < 0 || sigma2.Cmp(big.NewRat(MaxSigma*MaxSigma, 1)) > 0 {
		return nil, fmt.Errorf("mechanism: a noise variance of %s is beyond the sampler", sigma2.RatString())
	}
	step := new(big.Int).Sqrt(new(big.Int).Quo(sigma2.Num(), sigma2.Denom())).Uint64()
	g := &gaussian{step: step, over: -step % step, tail: uint64(tailBound(sigma2))}
	base := new(big.Rat).Quo(sigma2, new(big.Rat).SetInt64(int64(step*step)))
	total := uint64(0)
	for y, w := range halfWeights(base) {
		g.slow[y] = w.lo
		if y < quickSteps {
			total += w.hi
			g.quick[y] = total
		} else if w.hi != 0 {
			panic("mechanism: a far step of the half Gaussian is not rare")
		}
	}
	double := new(big.Rat).Add(sigma2, sigma2)
	g.exact = new(big.Float).SetPrec(floatPrec).SetRat(double.Inv(double))
	rate, _ := new(big.Float).SetMantExp(new(big.Float).Quo(g.exact, ln2()), 128).Int(nil)
	g.rate = [2]uint64{new(big.Int).Rsh(rate, 64).Uint64(), lowWord(rate)}
	return g, nil
}

// lowWord returns the lower 64 bits of a non-negative integer.
func lowWord(v *big.Int) uint64 {
	return new(big.Int).And(v, new(big.Int).SetUint64(^uint64(0))).Uint64()
}

// halfWeights returns P[y] of the half Gaussian on 0 .. tableSteps-1 in units
// of 2^-127.
func halfWeights(sigma2 *big.Rat) []uint128 {
	double := new(big.Rat).Add(sigma2, sigma2)
	q := expNegative(double.Inv(double)) // rho(y) = q^(y^2)
	density := make([]*big.Float, tableSteps)
	for y := range density {
		density[y] = new(big.Float).SetPrec(floatPrec).SetInt64(1)
		for range y * y {
			density[y].Mul(density[y], q)
		}
	}
	return unitWeights(density)
}

// addTo adds one fresh sample to each y, taking randomness from s through
// scratch. Which trials are taken shows in the time it takes; it does not
// depend on the values of those that are.
func (g *gaussian) addTo(y []int32, s keystream, scratch []byte) {
	for done := 0; done < len(y); {
		trials := min(len(scratch)/trialBytes, (len(y)-done)*3/2+1)
		random := scratch[:trials*trialBytes]
		s.fill(random)
		for ; len(random) >= trialBytes && done < len(y); random = random[trialBytes:] {
			x, taken := g.trial(binary.LittleEndian.Uint64(random), binary.LittleEndian.Uint64(random[8:]),
				binary.LittleEndian.Uint64(random[16:]), s)
			y[done] += int32(x) & -int32(taken)
			done += int(taken)
		}
	}
}

// trial turns three uniform words into a proposal and 1 if it is taken, 0 if
// not. It has no branch and no address that depends on them, except with a
// probability below 2^-56.
func (g *gaussian) trial(first, second, third uint64, s keystream) (x int64, taken uint64) {
	sign, r := first&1, first>>1
	q := &g.quick
	y := quickSteps - ((r-q[0])>>63 + (r-q[1])>>63 + (r-q[2])>>63 + (r-q[3])>>63 + // 1 where r is below
		(r-q[4])>>63 + (r-q[5])>>63 + (r-q[6])>>63 + (r-q[7])>>63 +
		(r-q[8])>>63 + (r-q[9])>>63 + (r-q[10])>>63 + (r-q[11])>>63)
	if y == quickSteps { // probability at most 18/2^63
		y = g.slowStep(s)
	}
	u, low := bits.Mul64(second, g.step)
	_, biased := bits.Sub64(low, g.over, 0)
	magnitude := g.step*y + u
	exponent := u * (u + 2*g.step*y) // below 2^32 * 37
	p := expFixed(exponent, g.rate[0], g.rate[1])
	_, taken = bits.Sub64(third, p, 0)
	if third-p+expMargin < 2*expMargin {
		taken = g.settle(exponent, third, s)
	}
	_, beyond := bits.Sub64(g.tail, magnitude, 0)
	zero := (magnitude - 1) >> 63
	taken &^= biased | beyond | zero&sign
	minus := -int64(sign)
	return (int64(magnitude) ^ minus) - minus, taken
}

// slowStep draws y from what the quick thresholds leave out; a draw beyond
// that is drawn again.
func (g *gaussian) slowStep(s keystream) uint64 {
	left := uint128{}
	for _, w := range g.slow {
		left = left.add(uint128{lo: w})
	}
	for {
		draw := uint128{hi: s.uint64() & (1<<(bits.Len64(left.hi)) - 1), lo: s.uint64()}
		for y, w := range g.slow {
			if draw.less(uint128{lo: w}) {
				return uint64(y)
			}
			draw = draw.sub(uint128{lo: w})
		}
	}
}

// settle decides a trial whose third word is too near to the probability,
// with 64 more bits and an exact exponential.
func (g *gaussian) settle(exponent, third uint64, s keystream) uint64 {
	p := new(big.Float).SetMantExp(g.probability(exponent), 128)
	draw := new(big.Int).SetUint64(third)
	draw.Lsh(draw, 64).Or(draw, new(big.Int).SetUint64(s.uint64()))
	if new(big.Float).SetPrec(floatPrec).SetInt(draw).Cmp(p) < 0 {
		return 1
	}
	return 0
}

// probability returns exp(-exponent/(2 sigma^2)) to 2^-200.
func (g *gaussian) probability(exponent uint64) *big.Float {
	t := new(big.Float).SetPrec(floatPrec).SetUint64(exponent)
	return expNegativeFloat(t.Mul(t, g.exact))
}

// In units of 2^-64, rounded down: ln 2 and the inverse factorials.
const (
	ln2Word = 0xB17217F7D1CF79AB
	over2   = 1 << 63
	over3   = 1 << 64 / 6
	over4   = over3 >> 2
	over5   = 1 << 64 / 120
	over6   = 1 << 64 / 720
	over7   = 1 << 64 / 5040
	over8   = over7 >> 3
	over9   = 1 << 64 / 362880
	over10  = 1 << 64 / 3628800
	over11  = 1 << 64 / 39916800
	over12  = 1 << 64 / 479001600
	over13  = 1 << 64 / 6227020800
	over14  = 1 << 64 / 87178291200
	over15  = 1 << 64 / 1307674368000
	over16  = over15 >> 4
	over17  = 1 << 64 / 355687428096000
	over18  = 1 << 64 / 6402373705728000
	over19  = 1 << 64 / 121645100408832000
)

// high returns the upper word of a product: a times b in units of 2^-64.
func high(a, b uint64) uint64 {
	h, _ := bits.Mul64(a, b)
	return h
}

// expFixed returns exp(-exponent/(2 sigma^2)) in units of 2^-64, to within
// expMargin units, as 2^-(k+f) = 2^-k exp(-w), w = f ln 2, by the series of
// cosh w and sinh w up to w^19; the rest is below 2^-71. Each step loses less
// than one unit and is scaled by w^2 < 1/2 afterwards.
func expFixed(exponent, rate, rateLow uint64) uint64 {
	k, fraction := bits.Mul64(exponent, rate)
	fraction, carry := bits.Add64(fraction, high(exponent, rateLow), 0)
	k += carry
	w := high(fraction, ln2Word)
	z := high(w, w)
	odd, even := high(over19, z)+over17, high(over18, z)+over16
	odd, even = high(odd, z)+over15, high(even, z)+over14
	odd, even = high(odd, z)+over13, high(even, z)+over12
	odd, even = high(odd, z)+over11, high(even, z)+over10
	odd, even = high(odd, z)+over9, high(even, z)+over8
	odd, even = high(odd, z)+over7, high(even, z)+over6
	odd, even = high(odd, z)+over5, high(even, z)+over4
	odd, even = high(odd, z)+over3, high(even, z)+over2
	sinh, cosh1 := w+high(high(odd, z), w), high(even, z)
	return ^(sinh - cosh1) >> (k & 63) // 1 - (sinh w - (cosh w - 1)), less one unit
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
