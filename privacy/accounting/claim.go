package accounting

import (
	"math"
	"math/big"
)

// CentralDelta is the delta of the column that compares with studies.
const CentralDelta = 1e-5

// Claim is what a user is told about a total of rho.
//
// Epsilon is the distributed claim: zCDP under zero-out adjacency, converted
// by Canonne-Kamath-Steinke at Delta. Mu and CentralEpsilon are the other
// column, "central GDP at 1e-5": what exact Gaussian noise of the same rho
// would give. They compare with the literature and are no claim about our
// discrete noise.
type Claim struct {
	Rho            *big.Rat // zCDP, exact
	Delta          float64
	Epsilon        float64
	Mu             float64 // sqrt(2 rho)
	CentralEpsilon float64 // exact Gaussian at CentralDelta
}

// NewClaim computes both columns for rho > 0 at delta.
func NewClaim(rho *big.Rat, delta float64) (Claim, error) {
	eps, err := EpsilonFromRho(rho, delta)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{Rho: new(big.Rat).Set(rho), Delta: delta, Epsilon: eps}
	if rho.Sign() == 0 {
		return c, nil
	}
	f, _ := rho.Float64()
	c.Mu = math.Sqrt(2 * f)
	c.CentralEpsilon, err = GaussianEpsilon(c.Mu, CentralDelta)
	return c, err
}

// ClaimDelta returns the largest delta that a claim about a population of n
// devices may use: min(1e-6, 1/(10 n)).
func ClaimDelta(n int) float64 {
	return min(1e-6, 1/(10*float64(max(n, 1))))
}
