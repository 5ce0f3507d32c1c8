package attack

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// estimate is a figure and its 95 % interval. floor, of a mean, is what it exceeds at the strict level.
type estimate struct{ value, low, high, floor float64 }

// strict is the level at which a protection is found to fail: one in a thousand sound ones would be.
const strict = 0.001

// scored is one case that an attack has ranked.
type scored struct {
	score float64
	in    bool
}

// auc is the area under the ROC curve: how often a case that is in ranks above one that is not, ties counting half.
func auc(cases []scored) float64 {
	slices.SortFunc(cases, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	below, inside, sum := 0.0, 0.0, 0.0
	for first := 0; first < len(cases); {
		last, in := first, 0.0
		for ; last < len(cases) && cases[last].score == cases[first].score; last++ {
			if cases[last].in {
				in++
			}
		}
		out := float64(last-first) - in
		sum += in * (below + out/2)
		below += out
		inside += in
		first = last
	}
	return sum / (inside * below)
}

// aucError is the standard error of an AUC over independent cases, half of them in: Hanley and McNeil, "The meaning and
// use of the area under a receiver operating characteristic (ROC) curve", Radiology 143, 1982.
func aucError(a float64, in, out int) float64 {
	q1, q2 := a/(2-a), 2*a*a/(1+a)
	n, m := float64(in), float64(out)
	return math.Sqrt(max(0, a*(1-a)+(n-1)*(q1-a*a)+(m-1)*(q2-a*a)) / (n * m))
}

// aucOf estimates the AUC of independent cases.
func aucOf(cases []scored) estimate {
	in := 0
	for _, c := range cases {
		if c.in {
			in++
		}
	}
	a := auc(cases)
	half := 1.96 * aucError(a, in, len(cases)-in)
	return estimate{value: a, low: max(0, a-half), high: min(1, a+half)}
}

// mean estimates the mean of independent figures, with Student's interval.
func mean(x []float64) estimate {
	if len(x) == 0 {
		return estimate{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	sum, squares := 0.0, 0.0
	for _, v := range x {
		sum += v
	}
	m := sum / float64(len(x))
	if len(x) == 1 {
		return estimate{m, m, m, m}
	}
	for _, v := range x {
		squares += (v - m) * (v - m)
	}
	n := float64(len(x))
	law, sd := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}, math.Sqrt(squares/(n-1)/n)
	half := law.Quantile(.975) * sd
	return estimate{m, m - half, m + half, m - law.Quantile(1-strict)*sd}
}

// proportion estimates a probability from k successes in n trials: Clopper and Pearson, Biometrika 26, 1934.
func proportion(k, n int, alpha float64) estimate {
	e := estimate{value: float64(k) / float64(n), high: 1}
	if k > 0 {
		e.low = mathext.InvRegIncBeta(float64(k), float64(n-k+1), alpha/2)
	}
	if k < n {
		e.high = mathext.InvRegIncBeta(float64(k+1), float64(n-k), 1-alpha/2)
	}
	return e
}
