package mechanism

import (
	"math"
	"math/big"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// law is a probability function on the integers.
type law func(x int) float64

// exactLaw returns the probability function of N_Z(0, sigma^2) in float64.
func exactLaw(sigma float64) law {
	total := 1.0
	for x := 1; x < int(40*sigma)+2; x++ {
		total += 2 * math.Exp(-float64(x)*float64(x)/(2*sigma*sigma))
	}
	return func(x int) float64 { return math.Exp(-float64(x)*float64(x)/(2*sigma*sigma)) / total }
}

// skellamLaw returns the probability function of Sk(0, mu).
func skellamLaw(mu *big.Rat) law {
	weights := skellamWeights(mu, 1<<15)
	return func(x int) float64 {
		m := max(x, -x)
		p, _ := new(big.Float).SetMantExp(new(big.Float).SetInt(wide(weights[m])), -127).Float64()
		if m > 0 {
			p /= 2
		}
		return p
	}
}

const chiDraws = 1_000_000

// chiSquare returns the p-value of counts of samples against the exact law,
// in bins of whole integers that each expect at least least samples.
func chiSquare(counts tally, total int, exact law, sigma, least float64) float64 {
	statistic, bins := 0.0, 0
	expect, seen := 0.0, 0
	closeBin := func() {
		statistic += (float64(seen) - expect) * (float64(seen) - expect) / expect
		bins++
		expect, seen = 0, 0
	}
	edge := int(4 * sigma)
	left, rest := total, float64(total)
	for x := -edge; x <= edge; x++ {
		expect += exact(x) * float64(total)
		seen += counts.of(x)
		if expect >= least {
			left, rest = left-seen, rest-expect
			closeBin()
		}
	}
	expect, seen = rest, left // both tails and the last open bin
	closeBin()
	return distuv.ChiSquared{K: float64(bins - 1)}.Survival(statistic)
}

// tally counts integers from -len/2 to len/2.
type tally []int

func newTally(reach int) tally { return make(tally, 2*reach+1) }

func (c tally) add(x int)    { c[len(c)/2+x]++ }
func (c tally) of(x int) int { return c[len(c)/2+x] }

// draw counts the given number of samples of g under a fixed seed.
func draw(t *testing.T, g sampler, draws int, seed uint64) (counts tally, square float64) {
	t.Helper()
	s, err := newStream(seeded(seed))
	if err != nil {
		t.Fatal(err)
	}
	y := make([]int32, draws)
	g.addTo(y, s, make([]byte, scratchBytes))
	counts = newTally(1 << 20)
	for _, x := range y {
		counts.add(int(x))
		square += float64(x) * float64(x)
	}
	return counts, square
}

// Every sampler against exact probabilities, a million draws each. Each is
// falsely rejected with probability 1e-4; the draws are fixed by their seed,
// so the test does not flicker.
func TestSamplersMatchTheExactLaw(t *testing.T) {
	seed := uint64(0)
	check := func(kind NoiseKind, num, den int64) {
		seed++
		sigma2 := big.NewRat(num, den)
		variance, _ := sigma2.Float64()
		sigma, exact := math.Sqrt(variance), exactLaw(math.Sqrt(variance))
		if kind == Skellam {
			exact = skellamLaw(sigma2)
		}
		g, err := newSampler(kind, sigma2)
		if err != nil {
			t.Fatal(err)
		}
		counts, square := draw(t, g, chiDraws, seed)
		p := chiSquare(counts, chiDraws, exact, sigma, chiDraws/200)
		ratio := square / chiDraws / variance
		t.Logf("%v, sigma %.2f: chi-square p %.4f, variance ratio %.5f", kind, sigma, p, ratio)
		// 5 standard deviations of sqrt(2/N): false rejection 6e-7
		if p < 1e-4 || math.Abs(ratio-1) > 5*math.Sqrt(2.0/chiDraws) {
			t.Errorf("%v, sigma2 %v: p = %g, variance ratio %g", kind, sigma2, p, ratio)
		}
	}
	for _, sigma2 := range [][2]int64{{16, 1}, {2499, 100}, {625, 1}, {123457, 17}, {300 * 300, 1}, {2000 * 2000, 1}, {1 << 32, 1}} {
		check(DiscreteGaussian, sigma2[0], sigma2[1])
	}
	for _, sigma2 := range [][2]int64{{256, 1}, {123457, 17}, {2000 * 2000, 1}} {
		check(Skellam, sigma2[0], sigma2[1])
	}
}

// The sampler and the exact rational one, a million draws each, against each
// other and the oracle against the law. False rejection 1e-4 each.
func TestSamplerMatchesTheOracle(t *testing.T) {
	const draws = chiDraws
	for seed, sigma2 := range [][2]int64{{16, 1}, {2499, 100}, {10000, 1}} {
		variance := float64(sigma2[0]) / float64(sigma2[1])
		sigma := math.Sqrt(variance)
		o := newOracle(sigma2[0], sigma2[1], uint64(seed)+50)
		theirs := newTally(1 << 12)
		for range draws {
			theirs.add(int(o.gaussian()))
		}
		g, err := newGaussian(big.NewRat(sigma2[0], sigma2[1]))
		if err != nil {
			t.Fatal(err)
		}
		ours, _ := draw(t, g, draws, uint64(seed)+90)
		exact := exactLaw(sigma)
		p := chiSquare(theirs, draws, exact, sigma, draws/100)
		// two samples of one law: the difference of two counts has twice their variance
		statistic, bins, a, b, expect := 0.0, 0, 0, 0, 0.0
		for x := -int(4 * sigma); x <= int(4*sigma); x++ {
			a, b, expect = a+ours.of(x), b+theirs.of(x), expect+exact(x)*draws
			if expect >= draws/100 {
				statistic += float64((a-b)*(a-b)) / float64(a+b)
				bins, a, b, expect = bins+1, 0, 0, 0
			}
		}
		both := distuv.ChiSquared{K: float64(bins)}.Survival(statistic)
		t.Logf("sigma2 %d/%d: oracle against the law p %.4f, against the sampler p %.4f", sigma2[0], sigma2[1], p, both)
		if p < 1e-4 || both < 1e-4 {
			t.Errorf("sigma2 %v: p = %g and %g", sigma2, p, both)
		}
	}
}

// A sampler that is wrong by little must be seen: the control of the tests
// above.
func TestChiSquareRejectsTheWrongLaw(t *testing.T) {
	for name, test := range map[string]struct {
		kind   NoiseKind
		sigma2 *big.Rat
		exact  law
		sigma  float64
	}{
		"sigma 4.05 for 4":           {DiscreteGaussian, big.NewRat(405*405, 100*100), exactLaw(4), 4},
		"sigma 305 for 300":          {DiscreteGaussian, big.NewRat(305*305, 1), exactLaw(300), 300},
		"Skellam, sigma 16.3 for 16": {Skellam, big.NewRat(163*163, 100), skellamLaw(big.NewRat(256, 1)), 16},
	} {
		g, err := newSampler(test.kind, test.sigma2)
		if err != nil {
			t.Fatal(err)
		}
		counts, _ := draw(t, g, chiDraws, 9)
		p := chiSquare(counts, chiDraws, test.exact, test.sigma, chiDraws/200)
		if p > 1e-6 {
			t.Errorf("%s passes: p = %g", name, p)
		} else {
			t.Logf("%s: p = %g", name, p)
		}
	}
}

// Samples beyond the tail are drawn again, never clamped.
func TestTailIsRedrawn(t *testing.T) {
	const tail = 300
	gauss, err := newGaussian(big.NewRat(300*300, 1))
	if err != nil {
		t.Fatal(err)
	}
	other, err := newSkellam(big.NewRat(300*300, 1))
	if err != nil {
		t.Fatal(err)
	}
	gauss.tail, other.tail = tail, tail // far tighter than in use
	for _, g := range []sampler{gauss, other} {
		counts, _ := draw(t, g, chiDraws, 11)
		inside := 0
		for x := -tail; x <= tail; x++ {
			inside += counts.of(x)
		}
		if inside != chiDraws {
			t.Fatalf("%d of %d are beyond %d", chiDraws-inside, chiDraws, tail)
		}
		// P[|X| = tail] is 2 exp(-1/2) phi(0)/sigma over P[|X| <= tail] = 0.683; 6 standard deviations: false rejection 1e-9
		expect := chiDraws * 2 * math.Exp(-0.5) * 0.39894 / tail / 0.683
		if at := float64(counts.of(tail) + counts.of(-tail)); math.Abs(at-expect) > 6*math.Sqrt(expect)+0.01*expect {
			t.Errorf("%g samples sit on the edge, %g expected: clamped?", at, expect)
		}
	}
}
