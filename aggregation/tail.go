package aggregation

import "math"

// Levels of every sizing in this package.
const (
	privacyLevel  = 0x1p-40 // more corrupt members or devices than assumed
	livenessLevel = 0x1p-20 // fewer live members than a quorum, a group outside its bounds
	arrivalLevel  = 0x1p-10 // a round falls short of NMin, is abandoned and costs nothing
)

// above is P[X > k] for X binomial of n draws with probability p, to about 1e-8 of its value above the mean:
// the first term in the logarithmic domain, the others by their exact ratios, until they no longer count.
func above(n int, p float64, k int) float64 {
	switch {
	case k >= n || p <= 0 && k >= 0:
		return 0
	case k < 0 || p >= 1:
		return 1
	case float64(k+1) <= float64(n)*p:
		return 1 - above(n, 1-p, n-k-1) // P[X <= k] from the other end
	}
	i := k + 1
	term := math.Exp(logChoose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	sum := term
	for odds := p / (1 - p); i < n && term > sum*0x1p-50; i++ {
		term *= float64(n-i) / float64(i+1) * odds
		sum += term
	}
	return math.Min(sum, 1)
}

// below is P[X < k].
func below(n int, p float64, k int) float64 { return above(n, 1-p, n-k) }

// upperQuantile is the smallest t with P[X > t] < level.
func upperQuantile(n int, p, level float64) int {
	low, high := -1, n // P[X > low] >= level, P[X > high] = 0
	mean, step := float64(n)*p, 1+int(math.Sqrt(float64(n)*p*(1-p)))
	for t := int(mean) + step; t < n; t += step { // the tail is sought by strides of one standard deviation
		if above(n, p, t) < level {
			high = t
			break
		}
		low = t
	}
	for high-low > 1 {
		if t := (low + high) / 2; above(n, p, t) < level {
			high = t
		} else {
			low = t
		}
	}
	return high
}

// lowerQuantile is the largest t with P[X < t] < level.
func lowerQuantile(n int, p, level float64) int { return n - upperQuantile(n, 1-p, level) }

func logChoose(n, k int) float64 {
	return logFactorial(n) - logFactorial(k) - logFactorial(n-k)
}

func logFactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}
