package mechanism

import (
	"math/bits"
	"slices"
)

// aliasTable draws |x| by Walker's alias method (in the form of Vose, IEEE
// Trans. Softw. Eng. 17(9), 1991) with thresholds of 127-b bits, so that
// every probability is an exact multiple of 2^-127; the sign is one more bit.
//
// A 64-bit word is read, from the least significant bit, as sign (1),
// bucket j (b), fraction (63-b). The bucket holds x = j below its threshold
// and x = alias above; where the fraction equals the threshold's upper part
// (probability 2^-(63-b)) 64 more bits decide.
type aliasTable struct {
	bits    uint
	entries []uint64 // threshold's upper 64-b bits << b | alias
	low     []uint64 // threshold's lower 64 bits
}

// sample turns one uniform word into a signed sample.
func (t *aliasTable) sample(word uint64, s keystream) int64 {
	b := t.bits & 63
	mask := uint64(1)<<b - 1
	j := (word >> 1) & mask
	entry := t.entries[j]
	gap := word>>(b+1) - entry>>b // both below 2^63: the top bit is a borrow
	if gap == 0 {
		return t.settle(word, j, s)
	}
	alias := entry & mask
	x := alias ^ ((alias ^ j) & -(gap >> 63))
	sign := -int64(word & 1)
	return (int64(x) ^ sign) - sign
}

// settle decides a tie of the upper bits.
func (t *aliasTable) settle(word, j uint64, s keystream) int64 {
	x := j
	if s.uint64() >= t.low[j] {
		x = t.entries[j] & (1<<t.bits - 1)
	}
	if word&1 == 1 {
		return -int64(x)
	}
	return int64(x)
}

// uint128 is an unsigned 128-bit integer.
type uint128 struct{ hi, lo uint64 }

func (a uint128) add(b uint128) uint128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return uint128{hi, lo}
}

func (a uint128) sub(b uint128) uint128 {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return uint128{hi, lo}
}

func (a uint128) less(b uint128) bool {
	return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo
}

// newAliasTable builds the table of 2^b weights, which sum to 2^127.
func newAliasTable(weights []uint128, b uint) *aliasTable {
	weights = slices.Clone(weights)
	capacity := uint128{hi: 1 << (63 - b)} // 2^127 / 2^b
	t := &aliasTable{bits: b, entries: make([]uint64, len(weights)), low: make([]uint64, len(weights))}
	set := func(j int, threshold uint128, alias int) {
		t.entries[j] = threshold.hi<<b | uint64(alias)
		t.low[j] = threshold.lo
	}
	var small, large []int
	for j, w := range weights {
		if w.less(capacity) {
			small = append(small, j)
		} else {
			large = append(large, j)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		poor, rich := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		set(poor, weights[poor], rich)
		weights[rich] = weights[rich].sub(capacity.sub(weights[poor]))
		if weights[rich].less(capacity) {
			large = large[:len(large)-1]
			small = append(small, rich)
		}
	}
	if len(small) > 0 {
		panic("mechanism: the weights of an alias table do not add up")
	}
	for _, j := range large { // each holds exactly its capacity
		set(j, capacity, j)
	}
	return t
}
