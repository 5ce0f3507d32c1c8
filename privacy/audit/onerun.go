package audit

import "math"

// maxEpsilon is where searches for an epsilon end.
const maxEpsilon = 64.0

// Guesses is the outcome of one-run auditing: of Canaries independent fair
// coins, Guessed were guessed and Correct of those rightly.
type Guesses struct {
	Canaries int // m
	Guessed  int // r
	Correct  int // v
}

func (g Guesses) check() error {
	if g.Canaries < 1 || g.Canaries > maxTrials || g.Guessed < 0 || g.Guessed > g.Canaries || g.Correct < 0 || g.Correct > g.Guessed {
		return outOfRange("%d correct of %d guesses about %d canaries", g.Correct, g.Guessed, g.Canaries)
	}
	return nil
}

func checkLevel(delta, alpha float64) error {
	if !(delta >= 0 && delta < 1) || !(alpha > 0 && alpha < 1) {
		return outOfRange("a delta of %g at level %g", delta, alpha)
	}
	return nil
}

// PValueOneRun returns an upper bound on the probability that any guesser
// does as well against an (epsilon, delta)-DP mechanism (Steinke, Nasr and
// Jagielski, arXiv 2305.08846, Theorem 5.2 and Appendix D): with X ~
// Bin(r, e^eps/(1+e^eps)),
//
//	min(1, P[X >= v] + 2 m delta max over i of P[v > X >= v-i]/i)
func PValueOneRun(g Guesses, eps, delta float64) (float64, error) {
	if err := g.check(); err != nil {
		return 0, err
	}
	if !(eps >= 0) || !(delta >= 0 && delta < 1) {
		return 0, outOfRange("epsilon %g, delta %g", eps, delta)
	}
	return pValueOneRun(g, eps, delta), nil
}

func pValueOneRun(g Guesses, eps, delta float64) float64 {
	p := binomial(g.Guessed, eps)
	beta := tail(p, g.Correct)
	if delta == 0 {
		return beta
	}
	below, steepest := 0.0, 0.0
	for i := 1; i <= g.Correct; i++ {
		below += p[g.Correct-i]
		steepest = max(steepest, below/float64(i))
	}
	return min(1, beta+2*float64(g.Canaries)*delta*steepest)
}

// EpsilonOneRun returns the largest epsilon that g refutes at level alpha,
// given delta; 0 where it refutes none. It exceeds the mechanism's true
// epsilon with a probability of at most alpha, whatever the mechanism does.
func EpsilonOneRun(g Guesses, delta, alpha float64) (float64, error) {
	if err := g.check(); err != nil {
		return 0, err
	}
	if err := checkLevel(delta, alpha); err != nil {
		return 0, err
	}
	holds := func(eps float64) bool { return pValueOneRun(g, eps, delta) >= alpha }
	if holds(0) {
		return 0, nil
	}
	return bisect(0, maxEpsilon, holds), nil
}

// PerfectGuesses returns how many guesses, all of them right, it takes to
// refute eps at level alpha: ln(1/alpha)/ln(1+exp(-eps)), rounded up. Below
// it one-run auditing cannot refute eps, however broken the mechanism.
func PerfectGuesses(eps, alpha float64) float64 {
	return math.Ceil(-math.Log(alpha) / math.Log1p(math.Exp(-eps)))
}

// MuOneRunFDP returns the largest mu for which g refutes mu-GDP at level
// alpha (Mahloujifar, Melis and Chaudhuri, arXiv 2410.22235, Algorithm 3):
// it tests the whole trade-off curve of the Gaussian mechanism, not one
// point of it, so it is tighter and holds for Gaussian curves only.
func MuOneRunFDP(g Guesses, alpha float64) (float64, error) {
	if err := g.check(); err != nil {
		return 0, err
	}
	if err := checkLevel(0, alpha); err != nil {
		return 0, err
	}
	holds := func(mu float64) bool { return !refutesCurve(g, alpha, mu) }
	if holds(0) {
		return 0, nil
	}
	return bisect(0, maxEpsilon, holds), nil
}

// refutesCurve follows the recursion of the paper from the counts that were
// seen down to zero: r and h bound the mass of right and of wrong guesses
// that a mu-GDP mechanism allows; if together they exceed the guesses that
// there were, it did not allow what was seen.
func refutesCurve(g Guesses, alpha, mu float64) bool {
	m := float64(g.Canaries)
	right := alpha * float64(g.Correct) / m
	wrong := alpha * float64(g.Guessed-g.Correct) / m
	for i := g.Correct - 1; i >= 0; i-- {
		next := max(wrong, normalCDF(normalQuantile(right)-mu))
		if next == wrong {
			break // neither can change any more
		}
		right = min(1, right+float64(i)/float64(g.Guessed-i)*(next-wrong))
		wrong = next
	}
	return right+wrong > float64(g.Guessed)/m
}

// normalCDF is Phi.
func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// normalQuantile is Phi^-1, infinite at 0 and 1.
func normalQuantile(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }
