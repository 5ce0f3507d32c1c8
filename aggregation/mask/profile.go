package mask

import (
	"fmt"
	"math/big"
	"sync"

	"github.com/tuneinsight/lattigo/v5/ring"
)

// Profile chooses the ring: its degree, and how many coordinates go into a coefficient.
type Profile uint8

const (
	// Standard is N = 2048, log q <= 53: 148 bits at n = 2^14 and 16-bit inputs, 131 at n = 2^16. Beyond that the estimate falls below 128,
	// to 121 at the n = 2^20 of rule 13.
	Standard Profile = 1

	// High is N = 4096, q of 60 bits: at least 240 bits at the bandwidth of Standard.
	High Profile = 2

	// Paired is N = 4096 with two coordinates in every coefficient, m = x_2i + T·x_(2i+1), under a q of two primes, log q <= 84.
	// They share one noise and one rounding margin: 35 bits a coordinate instead of 40 at n = 2^14 and 16-bit inputs, half of the
	// sampler's work, and 183 bits of security; the key is twice as long. It takes an even Dim, log T <= 32 and inputs whose products stay below 2^61.
	//
	// Three coordinates (106 bits, 33.4 each, 5 % less than two) would leave 135 - 14 = 121 bits at N = 4096, below 128, and
	// N = 8192 doubles the key that is shared: with m = 9, c = rho = 2 that is 147 kB. Moduli T and P that are no powers of two would win
	// nothing at n = 2^14 (69.99 of 70 bits a pair are used), 0.9 bits a coordinate at n = 10^4 and 2 at worst, and cost a mixed-radix
	// packing that can no longer be folded without unpacking: left alone.
	Paired Profile = 3
)

// shape is what a profile fixes.
type shape struct {
	logN, maxLogQ  int
	perCoefficient int // coordinates, and primes
}

func (p Profile) shape() (shape, error) {
	switch p {
	case Standard:
		return shape{11, 53, 1}, nil
	case High:
		return shape{12, 60, 1}, nil
	case Paired:
		return shape{12, 84, 2}, nil
	}
	return shape{}, fmt.Errorf("%w: profile %d is unknown", ErrModulus, p)
}

// maxPairedLogT keeps x_2i + T·x_(2i+1) of a sum within an int64.
const maxPairedLogT = 32

// checkPair enforces what Paired needs besides, and that nobody else names a second prime.
func (l *Literal) checkPair(s shape) error {
	if s.perCoefficient == 1 {
		switch {
		case l.Q2 != 0:
			return fmt.Errorf("%w: profile %d has one prime", ErrModulus, l.Profile)
		case l.LogT > MaxLogT:
			return fmt.Errorf("%w: log T = %d, at most %d decodes exactly", ErrOverflow, l.LogT, MaxLogT)
		}
		return nil
	}
	q, logQ := l.modulus()
	switch {
	case l.Dim%2 != 0:
		return fmt.Errorf("%w: %d coordinates, pairs need an even number", ErrDimension, l.Dim)
	case l.LogP%2 != 0 || l.Q == l.Q2 || max(l.Q, l.Q2)>>((logQ+1)/2) != 0:
		return fmt.Errorf("%w: pairs need an even log P and two different primes below the root of 2^%d, have 2^%d and %v",
			ErrModulus, logQ+logQ%2, l.LogP, q)
	case l.LogT > maxPairedLogT || l.Bound > 1<<60>>((logQ+1)/2):
		return fmt.Errorf("%w: pairs need log T <= %d, |x| < 2^%d", ErrOverflow, maxPairedLogT, 60-(logQ+1)/2)
	}
	return nil
}

// estimate is the classical cost in bits of the primal attack on RLWE of degree 2^logN with log q = logQ and secrets and
// errors of deviation 3.25, half of Sigma65 (Hint-RLWE, section 5): uSVP by the condition of Alkim, Ducas, Pöppelmann and Schwabe (USENIX
// Security 2016, section 6.3) with as many samples as the attack wants, 2^(0.292β + 16.4)·8d for blocksize β in dimension d (Becker, Ducas,
// Gama and Laarhoven, SODA 2016, as in the lattice estimator of Albrecht et al.). TestSecurityTable recomputes it.
// Lengths between two entries count as the longer one; beyond the table nothing is secure.
func estimate(logN, logQ int) float64 {
	for _, e := range securityTable {
		if e.logN == logN && logQ <= e.logQ {
			return e.bits
		}
	}
	return 0
}

// securityTable lists, by ascending log q, what the profiles use.
var securityTable = []struct {
	logN, logQ int
	bits       float64
}{
	{11, 40, 191}, {11, 43, 176}, {11, 46, 162}, {11, 48, 154}, {11, 50, 147}, {11, 52, 141}, {11, 53, 138},
	{12, 60, 260}, {12, 66, 232}, {12, 70, 217}, {12, 74, 203}, {12, 76, 197}, {12, 80, 185}, {12, 84, 175},
}

// step holds the primes and lattigo's tables of one profile and length of q.
type step struct {
	once  sync.Once
	rings []*ring.SubRing
}

// steps remembers what Choose can choose and nothing else, so it is bounded: at most 85 entries a profile, of some 100 kB. The entries are
// functions of their index, made once and never changed, and may be shared between goroutines: nobody can tell that they are remembered.
var steps [Paired + 1][85]step

// ladder gives the largest primes for a length of q that the profile allows.
func ladder(profile Profile, logQ int) *step {
	s := &steps[profile][logQ]
	s.once.Do(func() {
		shape, err := profile.shape()
		if err != nil {
			panic(err) // callers have checked it
		}
		next := uint64(1) << (logQ / shape.perCoefficient)
		for range shape.perCoefficient {
			next = largestPrime(next, 2<<shape.logN)
			r, err := newRing(1<<shape.logN, next)
			if err != nil {
				panic(err) // a prime that is 1 mod 2N
			}
			s.rings = append(s.rings, r)
		}
	})
	return s
}

func (s *step) primes() (q, q2 uint64) {
	if len(s.rings) == 2 {
		q2 = s.rings[1].Modulus
	}
	return s.rings[0].Modulus, q2
}

// rings gives the tables of checked lengths: remembered ones for the primes that Choose takes, new ones, after a check, for others.
func (l *Literal) rings(logQ int) ([]*ring.SubRing, error) {
	shape, err := l.Profile.shape()
	if err != nil {
		return nil, err
	}
	known := ladder(l.Profile, logQ)
	if q, q2 := known.primes(); q == l.Q && q2 == l.Q2 {
		return known.rings, nil
	}
	var rings []*ring.SubRing
	for _, q := range []uint64{l.Q, l.Q2}[:shape.perCoefficient] {
		r, err := newRing(1<<shape.logN, q)
		if err != nil {
			return nil, err
		}
		rings = append(rings, r)
	}
	return rings, nil
}

func newRing(n int, q uint64) (*ring.SubRing, error) {
	r, err := ring.NewRing(n, []uint64{q}) // which demands a prime that is 1 mod 2N
	if err != nil {
		return nil, fmt.Errorf("%w: %d: %w", ErrModulus, q, err)
	}
	return r.SubRings[0], nil
}

// largestPrime below end that is 1 mod step; step is a power of two, end far above it.
func largestPrime(end, step uint64) uint64 {
	q := (end-2)/step*step + 1
	for !isPrime(q) {
		q -= step
	}
	return q
}

func isPrime(q uint64) bool { return new(big.Int).SetUint64(q).ProbablyPrime(20) }
