package aggregation

import (
	"errors"
)

// Errors of Unmask. None of them ever comes with a sum.
var (
	// ErrTooFew: fewer than c+ρ valid answers; ask more members.
	ErrTooFew = errors.New("aggregation: too few answers")
	// ErrInconsistent: answers beyond c+ρ disagree, so a member or a device lied; the shard is void.
	ErrInconsistent = errors.New("aggregation: answers are inconsistent")
	// ErrGarbled: the unmasked values are not a sum of in-range vectors; the shard is void, the charge stays.
	ErrGarbled = errors.New("aggregation: sum is garbled")
)

// Unmask opens the sum over U (section 3, step 5): at least c+ρ answers determine the sum of the keys, all further ones
// must agree (ErrInconsistent). sum must hold exactly the vectors of U. The result has Dim coordinates with
// |result_j| <= |U|·Bound.
func Unmask(cfg *Config, set *Set, sum *Accumulator, answers []Answer) ([]int64, error) {
	return nil, errors.New("not yet")
}
