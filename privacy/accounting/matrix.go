package accounting

import (
	"fmt"
	"math"
	"math/big"
)

// Noise that is correlated over rounds: all prefix sums A g of the rounds'
// sums g are released as B (C g + noise) with A = B C, both lower-triangular
// Toeplitz matrices. The release is a post-processing of C g + noise, one
// Gaussian mechanism of sensitivity S(C), so its cost does not depend on C
// when its noise is stated relative to S(C) (Denisov, McMahan, Rush, Smith,
// Thakurta, arXiv 2202.08312, Theorem 2.1, adaptively).

// maxRounds bounds the rounds of a factorisation.
const maxRounds = 1 << 20

// ToeplitzMF is a matrix factorisation mechanism over Rounds rounds whose C
// has the column 1 = Coefficients[0] >= Coefficients[1] >= ... >= 0, zero
// where the list ends. A device takes part at most Participations times, at
// least Separation rounds apart. Z is the noise's standard deviation divided
// by the clip and by ToeplitzSensitivity.
type ToeplitzMF struct {
	Coefficients   []float64
	Rounds         int
	Participations int
	Separation     int
	Z              float64
}

// ToeplitzSensitivity returns the L2 sensitivity S(C), for a clip of 1, of a
// Toeplitz C over n rounds when a device takes part at most k times, at
// least sep rounds apart: the norm of the sum of the columns 0, sep, 2 sep,
// ..., which no other pattern exceeds when the coefficients neither fall
// below zero nor rise (Kalinin, Lampert, arXiv 2405.13763, Theorem 2). It
// is rounded up, by at most (n + 16) 2^-52. The error wraps ErrEvent.
func ToeplitzSensitivity(coefficients []float64, n, k, sep int) (float64, error) {
	if err := checkParticipation(n, k, sep); err != nil {
		return 0, err
	}
	if err := checkCoefficients(coefficients, n); err != nil {
		return 0, err
	}
	return toeplitzSensitivity(coefficients, n, k, sep), nil
}

func toeplitzSensitivity(c []float64, n, k, sep int) float64 {
	column, length := make([]float64, n), 0 // the sum of the columns
	for j := 0; j < k && j*sep < n; j++ {
		from := j * sep
		length = min(n, from+len(c))
		for i := from; i < length; i++ {
			column[i] += c[i-from]
		}
	}
	square := 0.0
	for _, x := range column[:length] {
		square += x * x
	}
	return math.Sqrt(square) * (1 + float64(n+16)*0x1p-52)
}

func checkParticipation(n, k, sep int) error {
	switch {
	case n < 1 || n > maxRounds:
		return fmt.Errorf("%w: %d rounds are outside [1, %d]", ErrEvent, n, maxRounds)
	case k < 1 || k > n:
		return fmt.Errorf("%w: %d participations in %d rounds", ErrEvent, k, n)
	case sep < 1 || sep > n:
		return fmt.Errorf("%w: a separation of %d in %d rounds", ErrEvent, sep, n)
	}
	return nil
}

// checkCoefficients checks the conditions of the theorem.
func checkCoefficients(c []float64, n int) error {
	if len(c) < 1 || len(c) > n || c[0] != 1 {
		return fmt.Errorf("%w: %d coefficients for %d rounds, the first of which is to be 1", ErrEvent, len(c), n)
	}
	for i := 1; i < len(c); i++ {
		if !(c[i] >= 0 && c[i] <= c[i-1]) {
			return fmt.Errorf("%w: coefficient %d, %g, rises or is negative", ErrEvent, i, c[i])
		}
	}
	return nil
}

// SqrtToeplitz returns the first n coefficients of (1 - x)^(-1/2), optimal
// for one participation up to lower-order terms (Fichtenberger, Henzinger,
// Upadhyay, arXiv 2202.11205): 1, 1/2, 3/8, ... Its first b alone are the
// banded strategy of separation b.
func SqrtToeplitz(n int) []float64 {
	c := make([]float64, max(n, 0))
	for i := range c {
		if i == 0 {
			c[0] = 1
			continue
		}
		c[i] = c[i-1] * (1 - 0.5/float64(i))
	}
	return c
}

// PrefixError is the error of released prefix sums, as a standard deviation
// per unit of noise in C g: of the last prefix, and as the root of the mean
// variance over all prefixes. Times the sensitivity it is the loss that
// strategies are compared by.
type PrefixError struct{ Last, Mean float64 }

// ToeplitzError returns the error over n rounds of the strategy with these
// coefficients (arXiv 2405.13763, section 2): with B(x) = 1/((1-x) C(x)) the
// norms of the rows of B. Time n len(coefficients).
func ToeplitzError(coefficients []float64, n int) (PrefixError, error) {
	if n < 1 || n > maxRounds {
		return PrefixError{}, fmt.Errorf("%w: %d rounds are outside [1, %d]", ErrEvent, n, maxRounds)
	}
	if err := checkCoefficients(coefficients, n); err != nil {
		return PrefixError{}, err
	}
	inverse := make([]float64, n) // of C
	inverse[0] = 1
	for t := 1; t < n; t++ {
		for i := 1; i <= t && i < len(coefficients); i++ {
			inverse[t] -= coefficients[i] * inverse[t-i]
		}
	}
	return prefixError(inverse), nil
}

// prefixError sums the coefficients of 1/C to those of B.
func prefixError(inverse []float64) PrefixError {
	b, last, all := 0.0, 0.0, 0.0
	for _, x := range inverse {
		b += x
		last += b * b
		all += last
	}
	return PrefixError{Last: math.Sqrt(last), Mean: math.Sqrt(all / float64(len(inverse)))}
}

// check also computes nothing that depends on Z: a factorisation to which
// the theorem does not apply has no sensitivity that Z could be relative to.
func (e ToeplitzMF) check() error {
	if err := checkParticipation(e.Rounds, e.Participations, e.Separation); err != nil {
		return err
	}
	if err := checkCoefficients(e.Coefficients, e.Rounds); err != nil {
		return err
	}
	return checkPositive("noise multiplier", e.Z)
}

func (e ToeplitzMF) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return gaussianRho(e.Z, 1)
}

func (e ToeplitzMF) rdp(a float64) (float64, error) { return rhoCurve(e, a) }
