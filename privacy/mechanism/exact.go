package mechanism

import "math/big"

// floatPrec is the precision of exact arithmetic: thousands of steps of a
// recurrence lose below 30 of its bits, 128 are needed.
const floatPrec = 256

// expNegative returns exp(-x) for 0 <= x <= 1 by its Taylor series.
func expNegative(x *big.Rat) *big.Float {
	arg := new(big.Float).SetPrec(floatPrec).SetRat(x)
	sum := new(big.Float).SetPrec(floatPrec).SetInt64(1)
	term := new(big.Float).SetPrec(floatPrec).SetInt64(1)
	for i := int64(1); i <= 64; i++ { // 1/64! < 2^-295
		term.Mul(term, arg)
		term.Quo(term, new(big.Float).SetPrec(floatPrec).SetInt64(-i))
		sum.Add(sum, term)
	}
	return sum
}

// expNegativeFloat returns exp(-x) for 0 <= x <= 64.
func expNegativeFloat(x *big.Float) *big.Float {
	part, _ := new(big.Float).SetMantExp(x, -6).Rat(nil)
	p := expNegative(part)
	for range 6 {
		p.Mul(p, p)
	}
	return p
}

// ln2 returns the natural logarithm of 2: the sum of 1/(n 2^n).
func ln2() *big.Float {
	sum := new(big.Float).SetPrec(floatPrec)
	for n := int64(1); n <= floatPrec; n++ {
		term := new(big.Float).SetPrec(floatPrec).SetInt64(1)
		term.SetMantExp(term.Quo(term, new(big.Float).SetInt64(n)), int(-n))
		sum.Add(sum, term)
	}
	return sum
}

// unitWeights returns non-negative densities as integers that sum to exactly
// 2^127; what rounding down loses (below len(density) units) goes to the first.
func unitWeights(density []*big.Float) []uint128 {
	total := new(big.Float).SetPrec(floatPrec)
	for _, p := range density {
		total.Add(total, p)
	}
	unit := new(big.Float).SetMantExp(new(big.Float).SetPrec(floatPrec).SetInt64(1), 127)
	unit.Quo(unit, total)
	weights := make([]uint128, len(density))
	left := uint128{hi: 1 << 63}
	for m, p := range density {
		w, _ := new(big.Float).Mul(p, unit).Int(nil)
		weights[m] = uint128{hi: new(big.Int).Rsh(w, 64).Uint64(), lo: lowWord(w)}
		left = left.sub(weights[m])
	}
	weights[0] = weights[0].add(left)
	return weights
}
