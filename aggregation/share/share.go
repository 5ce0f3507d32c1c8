// Package share splits vectors of small integers among a committee: packed Shamir sharing over a prime field
// (Franklin and Yung, STOC 1992; section 4 of the secure-aggregation design).
//
// Each polynomial, of degree below c+ρ, carries ρ secrets at x = -1..-ρ and c random values at x = -ρ-1..-ρ-c;
// member j gets its value at x = j. Any c shares are independent of the secrets, any c+ρ determine them, and sums of shares
// are shares of sums. Shares beyond c+ρ correct and name wrong ones: n shares are a word of a Reed-Solomon code of
// distance n-(c+ρ)+1.
//
// The field is p = 2^31-1 by default, or any prime below 2^61, such as the modulus of the ring whose keys are shared.
package share

import (
	"errors"
	"fmt"
)

var (
	// ErrScheme reports numbers that make no field or scheme, or vectors that do not fit one.
	ErrScheme = errors.New("share: scheme")
	// ErrWord reports bytes that are not field elements.
	ErrWord = errors.New("share: not field elements")
	// ErrTooFew reports fewer than c+ρ shares.
	ErrTooFew = errors.New("share: too few shares")
	// ErrInconsistent reports shares that lie on no polynomial within the distance that is corrected.
	ErrInconsistent = errors.New("share: shares are inconsistent")
)

// Scheme is an (m, c, ρ) packed sharing over a field, immutable.
type Scheme struct {
	field     Field
	m, c, rho int
	matrix    [][]uint64 // m rows of c+ρ: share j = Σ matrix[j-1][i] · value at node i
}

// New requires m >= c+ρ, c >= 0, ρ >= 1 and a field with more than m+c+ρ elements.
func New(f Field, m, c, rho int) (*Scheme, error) {
	if c < 0 || rho < 1 || m < c+rho || m > 1<<16 || f.p <= uint64(m+c+rho) {
		return nil, fmt.Errorf("%w: m=%d, c=%d, rho=%d mod %d", ErrScheme, m, c, rho, f.p)
	}
	s := &Scheme{field: f, m: m, c: c, rho: rho, matrix: make([][]uint64, m)}
	at := f.interpolate(s.nodes())
	for j := range s.matrix {
		s.matrix[j] = at.row(uint64(j + 1))
	}
	return s, nil
}

// nodes are -1, ..., -(ρ+c) mod p.
func (s *Scheme) nodes() []uint64 {
	nodes := make([]uint64, s.c+s.rho)
	for i := range nodes {
		nodes[i] = s.field.p - uint64(i+1)
	}
	return nodes
}

// Field is the field of the shares.
func (s *Scheme) Field() Field { return s.field }

// Members is m.
func (s *Scheme) Members() int { return s.m }

// Rho is ρ.
func (s *Scheme) Rho() int { return s.rho }

// Need is c+ρ.
func (s *Scheme) Need() int { return s.c + s.rho }

// Words is the length of one member's share of n secrets, ceil(n/ρ).
func (s *Scheme) Words(n int) int { return (n + s.rho - 1) / s.rho }

// Draws is the number of random field elements that Split takes for n secrets.
func (s *Scheme) Draws(n int) int { return s.c * s.Words(n) }

// Split returns m shares of the secrets, |s_i| < p/2. random holds Draws(len(secrets)) uniform field elements, used once.
// Word w packs secrets ρw..ρw+ρ-1; the last word is padded with zeros. No branch depends on a secret.
func (s *Scheme) Split(secrets []int64, random []uint64) ([][]uint64, error) {
	words := s.Words(len(secrets))
	if len(random) != s.Draws(len(secrets)) {
		return nil, fmt.Errorf("%w: %d random elements, %d needed", ErrScheme, len(random), s.Draws(len(secrets)))
	}
	values := make([]uint64, words*s.Need())
	defer clear(values)
	for w := range words {
		v := values[w*s.Need():]
		for i := range min(s.rho, len(secrets)-w*s.rho) {
			v[i] = s.field.Of(secrets[w*s.rho+i])
		}
		copy(v[s.rho:s.Need()], random[w*s.c:(w+1)*s.c])
	}
	return s.evaluate(values), nil
}

// Blind returns m shares of uniformly random polynomials of degree below c+ρ: random holds c+ρ uniform field elements for
// each, used once. Word w of every member is one polynomial.
func (s *Scheme) Blind(random []uint64) ([][]uint64, error) {
	if len(random)%s.Need() != 0 {
		return nil, fmt.Errorf("%w: %d random elements for polynomials of %d", ErrScheme, len(random), s.Need())
	}
	return s.evaluate(random), nil
}

// evaluate takes the values at the nodes, c+ρ a word, to the members.
func (s *Scheme) evaluate(values []uint64) [][]uint64 {
	need, words := s.Need(), len(values)/s.Need()
	shares := make([][]uint64, s.m)
	for j, row := range s.matrix {
		shares[j] = make([]uint64, words)
		for w := range words {
			shares[j][w] = s.field.Dot(row, values[w*need:(w+1)*need])
		}
	}
	return shares
}
