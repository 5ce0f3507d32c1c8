package share

import (
	"fmt"
	"slices"
)

// Share is one member's words.
type Share struct {
	X     int // 1..m
	Words []uint64
}

// Combine recovers n secrets, centred in (-p/2, p/2), from at least c+ρ shares. Up to floor((len(shares)-c-ρ)/2) wrong shares,
// wrong in whichever words, are left out and named: wrong holds their X, ascending. A member wrong in one word counts as
// wrong in all. More wrong ones are ErrInconsistent; a wrong sum needs more than len(shares)-c-ρ-floor((len(shares)-c-ρ)/2) liars
// that agree. What the last word holds in places beyond n is ignored: any one sharer could put something there.
func (s *Scheme) Combine(n int, shares []Share) (secrets []int64, wrong []int, err error) {
	if err := s.checkShares(n, shares); err != nil {
		return nil, nil, err
	}
	good, wrong, err := s.weed(shares, s.Words(n))
	if err != nil {
		return nil, nil, err
	}
	at := s.field.interpolate(positions(good[:s.Need()]))
	values := make([]uint64, s.Need())
	defer clear(values)
	secrets = make([]int64, s.Words(n)*s.rho)
	for i, node := range s.nodes()[:s.rho] {
		row := at.row(node)
		for w := range s.Words(n) {
			secrets[w*s.rho+i] = s.field.Centre(s.dot(row, good, w, values))
		}
	}
	clear(secrets[n:])
	return secrets[:n], wrong, nil
}

// dot is row times word w of the first shares; values is scratch.
func (s *Scheme) dot(row []uint64, shares []Share, w int, values []uint64) uint64 {
	for i := range row {
		values[i] = shares[i].Words[w]
	}
	return s.field.Dot(row, values)
}

// weed returns the shares that lie on polynomials of degree below c+ρ in every word, and who does not.
func (s *Scheme) weed(shares []Share, words int) (good []Share, wrong []int, err error) {
	good = slices.Clone(shares)
	budget := (len(shares) - s.Need()) / 2
	for w := s.firstBroken(good, 0, words); w < words; w = s.firstBroken(good, w, words) {
		values := make([]uint64, len(good))
		for i := range good {
			values[i] = good[i].Words[w]
		}
		_, bad, err := s.field.Decode(positions(good), values, s.Need()-1)
		if err != nil || len(wrong)+len(bad) > budget {
			return nil, nil, fmt.Errorf("%w: more than %d of %d shares are wrong, first in word %d", ErrInconsistent, budget, len(shares), w)
		}
		for _, at := range slices.Backward(bad) {
			wrong = append(wrong, good[at].X)
			good = slices.Delete(good, at, at+1)
		}
	}
	slices.Sort(wrong)
	return good, wrong, nil
}

// firstBroken is the first word from from on in which the shares lie on no polynomial of degree below c+ρ, or words.
func (s *Scheme) firstBroken(shares []Share, from, words int) int {
	base := shares[:s.Need()]
	at := s.field.interpolate(positions(base))
	values := make([]uint64, len(base))
	defer clear(values)
	broken := words
	for _, e := range shares[s.Need():] {
		row := at.row(uint64(e.X))
		for w := from; w < broken; w++ {
			if s.dot(row, base, w, values) != e.Words[w] {
				broken = w
				break
			}
		}
	}
	return broken
}

func positions(shares []Share) []uint64 {
	xs := make([]uint64, len(shares))
	for i, sh := range shares {
		xs[i] = uint64(sh.X)
	}
	return xs
}

func (s *Scheme) checkShares(n int, shares []Share) error {
	if n < 0 {
		return fmt.Errorf("%w: %d secrets", ErrScheme, n)
	}
	if len(shares) < s.Need() {
		return fmt.Errorf("%w: %d of %d", ErrTooFew, len(shares), s.Need())
	}
	seen := make([]bool, s.m+1)
	for _, sh := range shares {
		if sh.X < 1 || sh.X > s.m || seen[sh.X] || len(sh.Words) != s.Words(n) {
			return fmt.Errorf("%w: share of member %d, %d words", ErrScheme, sh.X, len(sh.Words))
		}
		for _, v := range sh.Words {
			if v >= s.field.p {
				return fmt.Errorf("%w: member %d leaves the field", ErrScheme, sh.X)
			}
		}
		seen[sh.X] = true
	}
	return nil
}
