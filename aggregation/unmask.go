package aggregation

import (
	"errors"
	"fmt"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

// Errors of Unmask. None of them ever comes with a sum.
var (
	// ErrTooFew: fewer than c+ρ valid answers, or fewer than a check needs; ask more members.
	ErrTooFew = errors.New("aggregation: too few answers")
	// ErrInconsistent: more answers are wrong than can be corrected; ask more members, and without them the shard is void.
	ErrInconsistent = errors.New("aggregation: answers are inconsistent")
	// ErrGarbled: the unmasked values are not a sum of in-range vectors; the shard is void, the charge stays.
	ErrGarbled = errors.New("aggregation: sum is garbled")
)

// Unmask opens the sum over U (section 3, step 5): c+ρ answers determine the sum of the keys, and of c+ρ+2e answers e may be
// wrong; those are corrected and wrong names their members, ascending. An answer that is badly formed, of another round or set,
// or not signed by its member is as if it had not come. More wrong ones than can be corrected: ErrInconsistent.
// Answers of members that CheckShares did not hear on an upload of U may be wrong though their members are honest.
// sum must hold exactly the vectors of U. The result has Dim coordinates with |result_j| <= |U|·Bound; with the norm check it is no
// longer than that many proven vectors, whatever their coordinates (ErrGarbled for both).
func Unmask(cfg *Config, set *Set, sum *Accumulator, answers []Answer) (result []int64, wrong []uint16, err error) {
	p := cfg.params
	if sum.cfg != cfg.digest || sum.n != set.Len() {
		return nil, nil, fmt.Errorf("%w: a sum of %d vectors for a set of %d", ErrConfig, sum.n, set.Len())
	}
	if set.Len() < p.NMin() || set.Len() > p.NMax() {
		return nil, nil, fmt.Errorf("%w: a set of %d, the round takes %d to %d", ErrCohort, set.Len(), p.NMin(), p.NMax())
	}
	shares := validShares(cfg, set.Digest(cfg.digest), answers)
	if len(shares) < p.Need() {
		return nil, nil, fmt.Errorf("%w: %d valid, %d needed", ErrTooFew, len(shares), p.Need())
	}
	key, liars, err := p.shares.Combine(p.mask.N(), shares)
	if errors.Is(err, share.ErrInconsistent) {
		return nil, nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, x := range liars {
		wrong = append(wrong, uint16(x))
	}
	defer clear(key)
	out, err := p.unmask(cfg.digest, key, sum)
	if errors.Is(err, mask.ErrGarbled) {
		return nil, nil, fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	if err != nil {
		return nil, nil, err
	}
	return out, wrong, nil
}

// unmask decodes, and refuses (mask.ErrGarbled) what is no sum of honest masks, or in rounds with a norm of proven vectors.
func (p *Params) unmask(cfg Digest, key []int64, sum *Accumulator) ([]int64, error) {
	if p.norm == nil {
		return p.mask.Unmask(seedA(cfg), key, sum.sums, sum.n)
	}
	out, err := p.mask.UnmaskProven(seedA(cfg), key, sum.sums)
	if err != nil {
		return nil, err
	}
	return out, p.checkProvenSum(out, sum.n)
}

// validShares keeps one valid answer of each member; others are as if they had not come.
func validShares(cfg *Config, setDigest Digest, answers []Answer) []share.Share {
	var shares []share.Share
	seen := make(map[uint16]bool)
	for i := range answers {
		if a := &answers[i]; !seen[a.Member] && a.Verify(cfg, setDigest) {
			seen[a.Member] = true
			shares = append(shares, share.Share{X: int(a.Member), Words: a.Words})
		}
	}
	return shares
}
