package accounting

import (
	"fmt"
	"math/big"
)

// BLT is a buffered linear Toeplitz matrix (McMahan, Pillutla, Steinke,
// Thakurta and others, arXiv 2404.16706 and 2408.08868): the strategy
//
//	C(x) = 1 + sum over j of Omega[j] x / (1 - Theta[j] x)
//
// whose noise needs one buffer of the model's size per j. Theta and Omega
// are of one length; see Valid.
type BLT struct{ Theta, Omega []float64 }

// maxBuffers bounds the buffers of a BLT.
const maxBuffers = 16

// BLTMF is a matrix factorisation mechanism over Rounds rounds with a BLT as
// its C. A device takes part at most Participations times, at least
// Separation rounds apart. Z is the noise's standard deviation divided by
// the clip and by BLT.Sensitivity(Rounds, Participations, Separation): a
// Gaussian mechanism of that noise multiplier.
type BLTMF struct {
	BLT            BLT
	Rounds         int
	Participations int
	Separation     int
	Z              float64
}

// Valid says whether the sensitivity theorem holds over n rounds: at most 16
// buffers, 0 <= Theta <= 1 and Omega >= 0, so that the coefficients do not
// rise after the first, and a sum of Omega (the coefficient after 1) of at
// most 1. The inverse, by which noise is made, is then stable. The error
// wraps ErrEvent.
func (b BLT) Valid(n int) error {
	if n < 1 || n > maxRounds {
		return fmt.Errorf("%w: %d rounds are outside [1, %d]", ErrEvent, n, maxRounds)
	}
	if len(b.Theta) != len(b.Omega) || len(b.Theta) > maxBuffers {
		return fmt.Errorf("%w: a BLT of %d theta and %d omega, at most %d each", ErrEvent, len(b.Theta), len(b.Omega), maxBuffers)
	}
	sum := 0.0
	for j, theta := range b.Theta {
		omega := b.Omega[j]
		if !(theta >= 0 && theta <= 1) || !(omega >= 0 && omega <= 1) {
			return fmt.Errorf("%w: a BLT with theta %g and omega %g, which are to be within [0, 1]", ErrEvent, theta, omega)
		}
		sum += omega
	}
	if sum > 1 {
		return fmt.Errorf("%w: a BLT whose omega sum to %g, above 1", ErrEvent, sum)
	}
	return nil
}

// Coefficients returns the first n coefficients of C: 1, then the sum over j
// of Omega[j] Theta[j]^(i-1). The BLT is Valid.
func (b BLT) Coefficients(n int) []float64 {
	c := make([]float64, max(n, 0))
	if n < 1 {
		return c
	}
	c[0] = 1
	for j, theta := range b.Theta {
		power := b.Omega[j]
		for i := 1; i < n; i++ {
			c[i] += power
			power *= theta
		}
	}
	return c
}

// InverseCoefficients returns the first n coefficients of 1/C(x), the noise
// that one unit in round 0 leaves in the rounds after it, by the buffers'
// recursion (arXiv 2408.08868, Algorithm 3): x_t = y_t - sum omega_j buf_j;
// buf_j = theta_j buf_j + x_t.
func (b BLT) InverseCoefficients(n int) []float64 {
	x := make([]float64, max(n, 0))
	var buffers [maxBuffers]float64
	for t := range x {
		if t == 0 {
			x[0] = 1
		}
		for j, omega := range b.Omega {
			x[t] -= omega * buffers[j]
		}
		for j, theta := range b.Theta {
			buffers[j] = theta*buffers[j] + x[t]
		}
	}
	return x
}

// Sensitivity returns the L2 sensitivity of C over n rounds for a clip of 1,
// a device taking part at most k times, at least sep rounds apart; see
// ToeplitzSensitivity. It is rounded up.
func (b BLT) Sensitivity(n, k, sep int) (float64, error) {
	if err := checkParticipation(n, k, sep); err != nil {
		return 0, err
	}
	if err := b.Valid(n); err != nil {
		return 0, err
	}
	return toeplitzSensitivity(b.Coefficients(n), n, k, sep), nil
}

// Error returns the error of the prefixes over n rounds, per unit of noise
// in C g.
func (b BLT) Error(n int) (PrefixError, error) {
	if err := b.Valid(n); err != nil {
		return PrefixError{}, err
	}
	return prefixError(b.InverseCoefficients(n)), nil
}

// MaxLoss returns the error of the last of n prefixes times the sensitivity:
// what the released model suffers, per unit of Z and clip.
func (b BLT) MaxLoss(n, k, sep int) (float64, error) {
	s, err := b.Sensitivity(n, k, sep)
	if err != nil {
		return 0, err
	}
	e, err := b.Error(n)
	return s * e.Last, err
}

func (e BLTMF) check() error {
	if err := checkParticipation(e.Rounds, e.Participations, e.Separation); err != nil {
		return err
	}
	if err := e.BLT.Valid(e.Rounds); err != nil {
		return err
	}
	return checkPositive("noise multiplier", e.Z)
}

func (e BLTMF) rho() (*big.Rat, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return gaussianRho(e.Z, 1)
}

func (e BLTMF) rdp(a float64) (float64, error) { return rhoCurve(e, a) }
