// Package share splits vectors of small integers among a committee: packed Shamir sharing over the field of p = 2^31-1
// (Franklin and Yung, STOC 1992; section 4 of the secure-aggregation design).
//
// Each polynomial, of degree below c+ρ, carries ρ secrets at x = -1..-ρ and c random values at x = -ρ-1..-ρ-c;
// member j gets its value at x = j. Any c shares are independent of the secrets, any c+ρ determine them, and sums of shares
// are shares of sums.
package share

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// P is the field's modulus, a Mersenne prime.
const P = 1<<31 - 1

var (
	// ErrScheme reports numbers that make no scheme, or vectors that do not fit one.
	ErrScheme = errors.New("share: scheme")
	// ErrTooFew reports fewer than c+ρ shares.
	ErrTooFew = errors.New("share: too few shares")
	// ErrInconsistent reports shares beyond c+ρ that do not lie on the polynomials of the first c+ρ.
	ErrInconsistent = errors.New("share: shares are inconsistent")
)

// Scheme is an (m, c, ρ) packed sharing, immutable.
type Scheme struct {
	m, c, rho int
	matrix    [][]uint64 // m rows of c+ρ: share j = Σ matrix[j-1][i] · value at node i
}

// New requires m >= c+ρ, c >= 0, ρ >= 1.
func New(m, c, rho int) (*Scheme, error) {
	if c < 0 || rho < 1 || m < c+rho || m > 1<<16 {
		return nil, fmt.Errorf("%w: m=%d, c=%d, rho=%d", ErrScheme, m, c, rho)
	}
	s := &Scheme{m: m, c: c, rho: rho, matrix: make([][]uint64, m)}
	nodes := s.nodes()
	for j := range s.matrix {
		s.matrix[j] = lagrange(nodes, uint64(j+1))
	}
	return s, nil
}

// nodes are -1, ..., -(ρ+c) mod p.
func (s *Scheme) nodes() []uint64 {
	nodes := make([]uint64, s.c+s.rho)
	for i := range nodes {
		nodes[i] = P - uint64(i+1)
	}
	return nodes
}

// Need is c+ρ.
func (s *Scheme) Need() int { return s.c + s.rho }

// Words is the length of one member's share of n secrets, ceil(n/ρ).
func (s *Scheme) Words(n int) int { return (n + s.rho - 1) / s.rho }

// Draws is the number of random field elements that Split takes for n secrets.
func (s *Scheme) Draws(n int) int { return s.c * s.Words(n) }

// Draw fills dst with uniform field elements, by rejection from 31-bit words of r.
func Draw(r io.Reader, dst []uint32) error {
	buf := make([]byte, 4*len(dst))
	defer clear(buf)
	for len(dst) > 0 {
		b := buf[:4*len(dst)]
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("share: randomness: %w", err)
		}
		for ; len(b) > 0; b = b[4:] {
			if v := binary.LittleEndian.Uint32(b) & P; v < P {
				dst[0] = v
				dst = dst[1:]
			}
		}
	}
	return nil
}

// Split returns m shares of the secrets, |s_i| < p/2. random holds Draws(len(secrets)) uniform field elements, used once.
// Word w packs secrets ρw..ρw+ρ-1; the last word is padded with zeros. No branch depends on a secret.
func (s *Scheme) Split(secrets []int64, random []uint32) ([][]uint32, error) {
	words := s.Words(len(secrets))
	if len(random) != s.Draws(len(secrets)) {
		return nil, fmt.Errorf("%w: %d random elements, %d needed", ErrScheme, len(random), s.Draws(len(secrets)))
	}
	shares := make([][]uint32, s.m)
	for j := range shares {
		shares[j] = make([]uint32, words)
	}
	values := make([]uint64, s.c+s.rho)
	defer clear(values)
	for w := range words {
		for i := range s.rho {
			values[i] = 0
			if at := w*s.rho + i; at < len(secrets) {
				v := secrets[at]
				values[i] = uint64(v + P&(v>>63))
			}
		}
		for i := range s.c {
			values[s.rho+i] = uint64(random[w*s.c+i])
		}
		for j, row := range s.matrix {
			shares[j][w] = dot(row, values)
		}
	}
	return shares, nil
}

// Add adds src to dst, word by word, mod p.
func Add(dst, src []uint32) {
	src = src[:len(dst)]
	for i := range dst {
		v := dst[i] + src[i] // below 2^32
		v -= P
		v += P & uint32(int32(v)>>31)
		dst[i] = v
	}
}

// Share is one member's words.
type Share struct {
	X     int // 1..m
	Words []uint32
}

// Combine recovers n secrets, centred in (-p/2, p/2), from the first c+ρ shares; all further shares, and the padding,
// must agree with them.
func (s *Scheme) Combine(n int, shares []Share) ([]int64, error) {
	if err := s.checkShares(n, shares); err != nil {
		return nil, err
	}
	base, extra := shares[:s.Need()], shares[s.Need():]
	xs := make([]uint64, len(base))
	for i, sh := range base {
		xs[i] = uint64(sh.X)
	}
	words := s.Words(n)
	values := make([]uint64, len(base))
	at := func(row []uint64, w int) uint32 {
		for i, sh := range base {
			values[i] = uint64(sh.Words[w])
		}
		return dot(row, values)
	}
	for _, e := range extra {
		row := lagrange(xs, uint64(e.X))
		for w := range words {
			if at(row, w) != e.Words[w] {
				return nil, fmt.Errorf("%w: member %d differs in word %d", ErrInconsistent, e.X, w)
			}
		}
	}
	out := make([]int64, words*s.rho)
	for i, node := range s.nodes()[:s.rho] {
		row := lagrange(xs, node)
		for w := range words {
			out[w*s.rho+i] = centre(at(row, w))
		}
	}
	for _, v := range out[n:] {
		if v != 0 {
			return nil, fmt.Errorf("%w: padding", ErrInconsistent)
		}
	}
	return out[:n], nil
}

func (s *Scheme) checkShares(n int, shares []Share) error {
	if len(shares) < s.Need() {
		return fmt.Errorf("%w: %d of %d", ErrTooFew, len(shares), s.Need())
	}
	seen := make([]bool, s.m+1)
	for _, sh := range shares {
		if sh.X < 1 || sh.X > s.m || seen[sh.X] || len(sh.Words) != s.Words(n) {
			return fmt.Errorf("%w: share of member %d, %d words", ErrScheme, sh.X, len(sh.Words))
		}
		for _, v := range sh.Words {
			if v >= P {
				return fmt.Errorf("%w: member %d leaves the field", ErrScheme, sh.X)
			}
		}
		seen[sh.X] = true
	}
	return nil
}

func centre(v uint32) int64 {
	if v > P/2 {
		return int64(v) - P
	}
	return int64(v)
}
