package audit

import (
	"errors"
	"fmt"
	"math"
)

// ErrRange is wrapped where a count or a probability is out of range.
var ErrRange = errors.New("audit: out of range")

func outOfRange(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRange, fmt.Sprintf(format, args...))
}

// maxTrials bounds the number of trials of a binomial test.
const maxTrials = 1 << 22

// binomial returns P[X = k] for k in [0, n], X ~ Bin(n, e^x/(1+e^x)): from
// the mode outwards, so that only what is below 1e-300 is rounded to zero.
func binomial(n int, logit float64) []float64 {
	q := 1 / (1 + math.Exp(-logit))
	rest := 1 / (1 + math.Exp(logit)) // 1-q, without cancellation
	mode := min(n, int(float64(n+1)*q))
	p := make([]float64, n+1)
	p[mode] = math.Exp(logChoose(n, mode) + times(mode, math.Log(q)) + times(n-mode, math.Log(rest)))
	odds := math.Exp(logit)
	for k := mode; k < n; k++ {
		p[k+1] = p[k] * odds * float64(n-k) / float64(k+1)
	}
	for k := mode; k > 0; k-- {
		p[k-1] = p[k] / odds * float64(k) / float64(n-k+1)
	}
	return p
}

// times is k*x with 0 times minus infinity = 0.
func times(k int, x float64) float64 {
	if k == 0 {
		return 0
	}
	return float64(k) * x
}

func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// tail returns P[X >= k], smallest terms first.
func tail(p []float64, k int) float64 {
	sum := 0.0
	for i := len(p) - 1; i >= max(k, 0); i-- {
		sum += p[i]
	}
	return min(sum, 1)
}

// ClopperPearson returns the one-sided bounds of a rate of which k of n
// trials succeeded: the true rate is below low, or above high, each with a
// probability of at most alpha (Clopper and Pearson 1934).
func ClopperPearson(k, n int, alpha float64) (low, high float64, err error) {
	if n < 1 || n > maxTrials || k < 0 || k > n {
		return 0, 0, outOfRange("%d successes of %d", k, n)
	}
	if !(alpha > 0 && alpha < 0.5) {
		return 0, 0, outOfRange("a level of %g", alpha)
	}
	high = 1
	const far = 800 // a logit beyond which the rate is 0 or 1 in float64
	if k > 0 {      // P[X >= k] rises in the rate
		low = rate(bisect(-far, far, func(x float64) bool { return tail(binomial(n, x), k) >= alpha }))
	}
	if k < n { // P[X <= k] falls in the rate
		high = rate(bisect(-far, far, func(x float64) bool { return 1-tail(binomial(n, x), k+1) <= alpha }))
	}
	return low, high, nil
}

func rate(logit float64) float64 { return 1 / (1 + math.Exp(-logit)) }

// EpsilonClopperPearson returns ln((TPR_low - delta)/FPR_high), never below
// 0: the lower bound on epsilon, at level alpha, of a membership test that
// named tp of pos members and fp of neg others. Each rate is bounded at
// alpha/2. The trials have to be independent.
func EpsilonClopperPearson(tp, pos, fp, neg int, delta, alpha float64) (float64, error) {
	if !(delta >= 0 && delta < 1) {
		return 0, outOfRange("a delta of %g", delta)
	}
	low, _, err := ClopperPearson(tp, pos, alpha/2)
	if err != nil {
		return 0, err
	}
	_, high, err := ClopperPearson(fp, neg, alpha/2)
	if err != nil {
		return 0, err
	}
	if low <= delta {
		return 0, nil
	}
	return max(0, math.Log((low-delta)/high)), nil
}

// bisect returns the least x in (low, high] for which ok, which is monotone
// and taken to be true at high, holds, to about 1e-13 of the interval.
func bisect(low, high float64, ok func(float64) bool) float64 {
	for range 60 {
		middle := low + (high-low)/2
		if middle <= low || middle >= high {
			break
		}
		if ok(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}
