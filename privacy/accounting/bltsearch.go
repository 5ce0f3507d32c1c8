package accounting

import (
	"fmt"
	"math"
	"slices"
)

// maxSearchRounds bounds ChooseBLT, whose time grows with the rounds.
const maxSearchRounds = 1 << 16

// ChooseBLT returns a BLT of at most buffers buffers that nearly minimises
// MaxLoss(n, k, sep), by a deterministic search: the same arguments give the
// same parameters. 1 <= buffers <= 8; two or three suffice for most tasks.
// It takes of the order of n microseconds times buffers squared.
func ChooseBLT(n, k, sep, buffers int) (BLT, error) {
	if err := checkParticipation(n, k, sep); err != nil {
		return BLT{}, err
	}
	if buffers < 1 || buffers > 8 || n > maxSearchRounds {
		return BLT{}, fmt.Errorf("%w: a BLT of %d buffers over %d rounds", ErrRange, buffers, n)
	}
	loss := bltLoss(n, k, sep)
	var best []float64
	least := math.Inf(1)
	for _, decades := range []float64{1, 0.6} {
		flat, _ := minimise(loss, bltStart(n, sep, buffers, decades), 400*buffers)
		at, value := minimise(loss, flat, 400*buffers) // a fresh simplex gets out of a flat one
		if value < least {
			best, least = at, value
		}
	}
	chosen := bltOf(best)
	if err := chosen.Valid(n); err != nil {
		return BLT{}, err
	}
	return chosen, nil
}

// bltStart spreads 1 - theta evenly in logarithms from 1/2 down to
// 1/(reach), with omega as in an approximation of (1 - x)^(-1/2).
func bltStart(n, sep, buffers int, decades float64) []float64 {
	reach := float64(min(n, 2*sep) + 2)
	x := make([]float64, 2*buffers)
	for j := range buffers {
		place := (float64(j) + 0.5) / float64(buffers)
		gap := 0.5 * math.Pow(1/reach, place*decades)
		x[j] = math.Log(gap / (1 - gap))
		x[buffers+j] = math.Log(0.5 * math.Sqrt(gap) / math.Sqrt(float64(buffers)))
	}
	return x
}

// bltOf maps a point of the search to a BLT: theta = 1/(1 + e^x), omega =
// e^x, the sum of omega held at 1; the largest theta comes first.
func bltOf(x []float64) BLT {
	d := len(x) / 2
	type pair struct{ theta, omega float64 }
	pairs, sum := make([]pair, d), 0.0
	for j := range pairs {
		pairs[j] = pair{1 / (1 + math.Exp(x[j])), math.Exp(x[d+j])}
		sum += pairs[j].omega
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if a.theta > b.theta {
			return -1
		}
		return 1
	})
	var b BLT
	for _, p := range pairs {
		if sum > 1 {
			p.omega *= (1 - 1e-12) / sum
		}
		b.Theta, b.Omega = append(b.Theta, p.theta), append(b.Omega, p.omega)
	}
	return b
}

// bltLoss returns the objective of the search.
func bltLoss(n, k, sep int) func([]float64) float64 {
	return func(x []float64) float64 {
		loss, err := bltOf(x).MaxLoss(n, k, sep)
		if err != nil || math.IsNaN(loss) {
			return math.Inf(1)
		}
		return loss
	}
}

// minimise is the downhill simplex of Nelder and Mead (1965) with the usual
// coefficients, from a simplex of edge 1/2, for at most steps steps.
func minimise(f func([]float64) float64, start []float64, steps int) (at []float64, value float64) {
	type vertex struct {
		x []float64
		f float64
	}
	d := len(start)
	simplex := make([]vertex, d+1)
	for i := range simplex {
		x := slices.Clone(start)
		if i > 0 {
			x[i-1] += 0.5
		}
		simplex[i] = vertex{x, f(x)}
	}
	centre := make([]float64, d)
	along := func(t float64) vertex { // centre + t (worst - centre)
		x := make([]float64, d)
		for i := range x {
			x[i] = centre[i] + t*(simplex[d].x[i]-centre[i])
		}
		return vertex{x, f(x)}
	}
	for range steps {
		slices.SortStableFunc(simplex, func(a, b vertex) int {
			switch {
			case a.f < b.f:
				return -1
			case a.f > b.f:
				return 1
			}
			return 0
		})
		if simplex[d].f-simplex[0].f <= 1e-9*simplex[0].f {
			break
		}
		for i := range centre {
			centre[i] = 0
			for _, v := range simplex[:d] {
				centre[i] += v.x[i] / float64(d)
			}
		}
		switch reflected := along(-1); {
		case reflected.f < simplex[0].f:
			if expanded := along(-2); expanded.f < reflected.f {
				reflected = expanded
			}
			simplex[d] = reflected
		case reflected.f < simplex[d-1].f:
			simplex[d] = reflected
		default:
			inner := along(0.5)
			if reflected.f < simplex[d].f {
				inner = along(-0.5)
			}
			if inner.f < min(reflected.f, simplex[d].f) {
				simplex[d] = inner
				continue
			}
			for i := range simplex[1:] { // shrink towards the best
				x := simplex[i+1].x
				for j := range x {
					x[j] = (x[j] + simplex[0].x[j]) / 2
				}
				simplex[i+1].f = f(x)
			}
		}
	}
	best := slices.MinFunc(simplex, func(a, b vertex) int {
		if a.f < b.f {
			return -1
		}
		return 1
	})
	return best.x, best.f
}
