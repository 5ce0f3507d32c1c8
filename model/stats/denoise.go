package stats

import (
	"errors"
	"math"
)

// Bad input to a release.
var (
	errSigma     = errors.New("stats: standard deviation of the noise must be finite and not negative")
	errNotFinite = errors.New("stats: a released value is not finite")
)

// Denoise is the posterior mean of values that are 0 (the spike) or positive
// (the slab) and were seen through Gaussian noise of known standard deviation
// sigma. The weight of the spike and the shape of the slab are estimated from
// the noised values themselves by non-parametric maximum likelihood (Kiefer and
// Wolfowitz 1956; Jiang and Zhang, "General maximum likelihood empirical Bayes
// estimation of normal means", Annals of Statistics 2009): the prior is a
// mixture of point masses on a fixed grid, fitted by EM on a histogram. The
// result is at least 0 and rises with the noised value. Sigma 0, a release
// without noise, only cuts at 0.
func Denoise(noised []float32, sigma float64) ([]float32, error) {
	if !(sigma >= 0) || math.IsInf(sigma, 1) {
		return nil, errSigma
	}
	for _, z := range noised {
		if z != z || math.IsInf(float64(z), 0) {
			return nil, errNotFinite
		}
	}
	means := make([]float32, len(noised))
	if sigma == 0 {
		for i, z := range noised {
			means[i] = max(0, z)
		}
		return means, nil
	}
	prior := fitPrior(noised, sigma)
	for i, z := range noised {
		means[i] = float32(sigma * prior.mean(float64(z)/sigma))
	}
	return means, nil
}

// Everything below is in units of the noise's standard deviation.
const (
	lowest     = -10 // nothing real lies below
	beyond     = 40  // noise does not matter above
	perSigma   = 12  // histogram bins
	bins       = (beyond-lowest)*perSigma + 1
	emRounds   = 120
	slabAtoms  = 60
	lowestAtom = 0.05
)

// prior holds the posterior mean at the centre of every bin.
type prior struct{ means [bins]float64 }

// fitPrior estimates the prior's weights by EM and tabulates posterior means.
func fitPrior(noised []float32, sigma float64) *prior {
	var counts [bins]float64
	total := 0.0
	for _, z := range noised {
		if x := float64(z) / sigma; x < beyond {
			counts[max(0, int((x-lowest)*perSigma+0.5))]++
			total++
		}
	}
	grid := atoms()
	likelihood := likelihoods(grid)
	weights := make([]float64, len(grid))
	for a := range weights {
		weights[a] = 0.5 / slabAtoms
	}
	weights[0] = 0.5
	next := make([]float64, len(grid))
	for range emRounds {
		clear(next)
		for b, count := range counts {
			if count == 0 {
				continue
			}
			evidence := dot(weights, likelihood[b])
			for a, l := range likelihood[b] {
				next[a] += count * weights[a] * l / evidence
			}
		}
		for a := range weights {
			weights[a] = next[a] / max(total, 1)
		}
	}
	return tabulate(likelihood, weights, grid)
}

// atoms is the grid of the prior: 0, then geometric up to where noise does not
// matter.
func atoms() []float64 {
	grid := make([]float64, 1, slabAtoms+1)
	ratio := math.Pow(beyond/lowestAtom, 1.0/(slabAtoms-1))
	for i, a := 0, lowestAtom; i < slabAtoms; i, a = i+1, a*ratio {
		grid = append(grid, a)
	}
	return grid
}

// likelihoods of every atom at every bin, up to a factor of the bin: relative to
// the nearest atom, so that no bin underflows to 0.
func likelihoods(grid []float64) [][]float64 {
	all := make([][]float64, bins)
	for b := range all {
		z := lowest + float64(b)/perSigma
		nearest := math.Inf(1)
		for _, g := range grid {
			nearest = min(nearest, (z-g)*(z-g))
		}
		all[b] = make([]float64, len(grid))
		for a, g := range grid {
			all[b][a] = math.Exp((nearest - (z-g)*(z-g)) / 2)
		}
	}
	return all
}

func tabulate(likelihood [][]float64, weights, grid []float64) *prior {
	p := new(prior)
	for b, row := range likelihood {
		evidence, sum := 0.0, 0.0
		for a, l := range row {
			evidence += weights[a] * l
			sum += weights[a] * l * grid[a]
		}
		if evidence > 0 {
			p.means[b] = sum / evidence
		}
		if b > 0 { // rises in exact arithmetic; keeps rounding from saying otherwise
			p.means[b] = max(p.means[b], p.means[b-1])
		}
	}
	return p
}

// mean interpolates between bins.
func (p *prior) mean(z float64) float64 {
	x := (z - lowest) * perSigma
	if x <= 0 {
		return p.means[0]
	}
	i := int(x)
	if i >= bins-1 {
		return max(z, p.means[bins-1])
	}
	part := x - float64(i)
	return p.means[i]*(1-part) + p.means[i+1]*part
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}
