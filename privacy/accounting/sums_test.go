package accounting

import (
	"errors"
	"math"
	"math/big"
	"testing"
)

// Shares of small variance have a Renyi curve with its terms in the
// dimension, but no rho: it is refused, not approximated.
func TestSmallSharesHaveNoRho(t *testing.T) {
	sum := DiscreteGaussianSum{L2: big.NewRat(100, 1), Sigma2: big.NewRat(1, 2), Shares: 50, Dim: 1000}
	if _, err := Rho(sum); !errors.Is(err, ErrEvent) {
		t.Errorf("rho of shares of variance 1/2: %v", err)
	}
	curve, err := RDP(sum, []float64{2})
	if err != nil {
		t.Fatal(err)
	}
	if limit := 100.0 * 100 / (50 * 0.5); curve.Values[0] <= limit {
		t.Errorf("the curve %g has no excess over %g", curve.Values[0], limit)
	}
}

// The excess of sums of many small shares, all terms of it.
func TestExcessOfManyShares(t *testing.T) {
	const shares, variance = 5000, 0.5
	tau := 0.0
	for k := 1.0; k < shares; k++ {
		tau += 10 * math.Exp(-2*math.Pi*math.Pi*variance*k/(k+1))
	}
	r := 1e6 / math.Sqrt(shares*variance)
	const a, dim = 4, 3
	want := a/2.0*min(r*r+2*tau*dim/a, r*r+2*math.Sqrt(dim)*r*tau+tau*tau*dim, (r+math.Sqrt(dim)*tau)*(r+math.Sqrt(dim)*tau)) - a/2.0*r*r
	sum := DiscreteGaussianSum{L2: big.NewRat(1e6, 1), Sigma2: big.NewRat(1, 2), Shares: shares, Dim: dim}
	got, err := sum.rdp(a)
	if got -= a / 2.0 * r * r; err != nil || got < want*(1-1e-6) || got > want*1.05 {
		t.Errorf("an excess of %g, want %g, %v", got, want, err)
	}
}

// The divergence of one integer with Skellam noise, from its probabilities,
// is below the curve, which is the theorem's with both its terms.
func TestSkellamAgainstItsProbabilities(t *testing.T) {
	for _, mu := range []float64{1, 4, 30} {
		poisson := func(k int) float64 {
			if k < 0 {
				return 0
			}
			log, _ := math.Lgamma(float64(k) + 1)
			return math.Exp(float64(k)*math.Log(mu/2) - mu/2 - log)
		}
		const edge = 70
		density := map[int]float64{}
		for i := range 2 * edge {
			for j := range 2 * edge {
				density[i-j] += poisson(i) * poisson(j)
			}
		}
		e := SkellamSum{L2: big.NewRat(1, 1), Sigma2: new(big.Rat).SetFloat64(mu / 2), Shares: 2, Dim: 1}
		for _, a := range []float64{2, 3, 8} {
			sum := 0.0
			for x := -edge; x <= edge; x++ {
				if p, q := density[x-1], density[x]; p > 0 && q > 0 {
					sum += math.Exp(a*math.Log(p) + (1-a)*math.Log(q))
				}
			}
			truth := math.Log(sum) / (a - 1)
			formula := a/(2*mu) + min((2*a-1+6)/(4*mu*mu), 3/(2*mu))
			if got, err := e.rdp(a); err != nil || got < truth || !relative(got, formula, 1e-12) {
				t.Errorf("mu %g, order %g: %.9g, by formula %.9g, from the probabilities %.9g, %v", mu, a, got, formula, truth, err)
			}
		}
	}
}
