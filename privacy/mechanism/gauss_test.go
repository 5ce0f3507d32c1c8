package mechanism

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func wide(a uint128) *big.Int {
	v := new(big.Int).Lsh(new(big.Int).SetUint64(a.hi), 64)
	return v.Add(v, new(big.Int).SetUint64(a.lo))
}

// The exact law of what a trial proposes and takes, from the table and the
// probabilities that decide it, is rho(x) up to normalisation.
func TestTrialsAreTheDiscreteGaussianExactly(t *testing.T) {
	for _, sigma2 := range []*big.Rat{big.NewRat(16, 1), big.NewRat(2499, 100), big.NewRat(1<<33+1, 2048), big.NewRat(1<<32, 1)} {
		g, err := newGaussian(sigma2)
		if err != nil {
			t.Fatal(err)
		}
		share := func(y uint64) *big.Float { // P[y], from the two stages of the scan
			mass := new(big.Int).SetUint64(g.slow[y])
			if y < quickSteps {
				step := g.quick[y]
				if y > 0 {
					step -= g.quick[y-1]
				}
				mass.Add(mass, new(big.Int).Lsh(new(big.Int).SetUint64(step), 64))
			}
			return new(big.Float).SetPrec(floatPrec).SetMantExp(new(big.Float).SetInt(mass), -127)
		}
		if g.quick[quickSteps-1] > 1<<63 || 1<<63-g.quick[quickSteps-1] > tableSteps {
			t.Fatalf("sigma2 %v: the scan leaves out %d units of 2^-63", sigma2, 1<<63-g.quick[quickSteps-1])
		}
		least := share(0) // rho(0) = 1, so P[0] scales all
		for _, x := range []uint64{0, 1, 2, g.step - 1, g.step, g.step + 1, 3*g.step + 1, 8 * g.step, 13*g.step + 2, g.tail} {
			y, u := x/g.step, x%g.step
			got := new(big.Float).Mul(share(y), g.probability(u*(u+2*g.step*y)))
			exponent := new(big.Rat).SetFrac(new(big.Int).SetUint64(x*x), big.NewInt(2))
			rho, _ := new(big.Float).SetPrec(floatPrec).SetRat(exponent.Quo(exponent, sigma2)).Float64()
			want := new(big.Float).Mul(least, expBig(rho, exponent))
			// absolute, in units of 2^-127: one each for P[y] and P[0], and what rounding gave to y = 0
			diff, _ := new(big.Float).SetMantExp(got.Sub(got, want), 127).Float64()
			if math.Abs(diff) > 2*tableSteps {
				t.Errorf("sigma2 %v: P[|X| = %d] is off by %g units of 2^-127", sigma2, x, diff)
			}
		}
	}
}

// expBig returns exp(-x) for any x >= 0, halved until small.
func expBig(about float64, x *big.Rat) *big.Float {
	halvings := max(0, int(math.Ceil(math.Log2(about+1))))
	part := new(big.Rat).Quo(x, new(big.Rat).SetInt64(1<<halvings))
	p := expNegative(part)
	for range halvings {
		p.Mul(p, p)
	}
	return p
}

// The fixed-point exponential keeps far within the margin in which exact
// arithmetic decides.
func TestExpFixedKeepsItsMargin(t *testing.T) {
	r, worst := rand.New(rand.NewPCG(1, 2)), 0.0
	for _, sigma2 := range []*big.Rat{big.NewRat(16, 1), big.NewRat(2499, 100), big.NewRat(300*300, 1), big.NewRat(1<<32, 1)} {
		g, err := newGaussian(sigma2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3000 {
			largest := g.step * g.step * (2*tableSteps + 1)
			exponent := uint64(i)
			if i > 100 {
				exponent = r.Uint64N(largest) >> r.UintN(20)
			}
			exact := new(big.Float).SetMantExp(g.probability(exponent), 64)
			exact.Sub(exact, new(big.Float).SetUint64(expFixed(exponent, g.rate[0], g.rate[1])))
			off, _ := exact.Float64()
			worst = max(worst, math.Abs(off))
		}
	}
	t.Logf("off by at most %.2f units of 2^-64", worst)
	if worst > expMargin/8 {
		t.Errorf("off by %g units", worst)
	}
}

// What happens with a probability below 2^-56 is forced here.
func TestRareTrials(t *testing.T) {
	g, err := newGaussian(big.NewRat(300*300+1, 1))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStream(seeded(3))
	if err != nil {
		t.Fatal(err)
	}
	const draws = 5000
	total, counts := 0.0, [tableSteps]float64{}
	for _, w := range g.slow {
		total += float64(w)
	}
	for range draws {
		x, taken := g.trial(^uint64(1), 1<<54, 1000, s) // beyond the thresholds, u = 0, plus
		if (taken == 1) != (uint64(x) <= g.tail) || uint64(x)%g.step != 0 {
			t.Fatalf("%d, taken %d", x, taken)
		}
		counts[uint64(x)/g.step]++
	}
	for y, w := range g.slow {
		p := float64(w) / total
		// 5 standard deviations: false rejection 6e-7 each, fixed draw
		if math.Abs(counts[y]-draws*p) > 5*math.Sqrt(draws*p)+1 {
			t.Errorf("y = %d was drawn %g times of %d, want a share of %g", y, counts[y], draws, p)
		}
	}
	// a third word that equals the upper 64 bits of the probability: the lower ones decide
	exponent := uint64(77777)
	scaled, _ := new(big.Float).SetMantExp(g.probability(exponent), 128).Int(nil)
	word, p := new(big.Int).Rsh(scaled, 64).Uint64(), float64(lowWord(scaled))/(1<<64)
	taken := 0.0
	for range draws {
		taken += float64(g.settle(exponent, word, s))
	}
	if math.Abs(taken-draws*p) > 5*math.Sqrt(draws*p*(1-p))+1 { // false rejection 6e-7
		t.Errorf("%g of %d ties were taken, want a share of %g", taken, draws, p)
	}
	const certain = 1 << 54 // u = 0 and y = 0: probability 1, which no 64-bit word below it decides
	if _, taken := g.trial(0, certain, ^uint64(0), s); taken != 1 {
		t.Error("a trial of probability 1 is not settled")
	}
	if g.settle(exponent, word-1, s) != 1 || g.settle(exponent, word+1, s) != 0 {
		t.Error("a word beside the probability is settled wrongly")
	}
}

// Zero has one sign, a u that would be biased is refused, and so is what is
// beyond the tail.
func TestTrialsRefuse(t *testing.T) {
	g, err := newGaussian(big.NewRat(300*300+1, 1))
	if err != nil {
		t.Fatal(err)
	}
	const zero, five, half = 1 << 54, 5*(1<<63)/150 + 1<<54, 1<<63 + 1<<54 // u = 0, 5, 150
	for name, test := range map[string]struct{ first, second, third, tail, want uint64 }{
		"plus zero":       {0, zero, 1000, g.tail, 1},
		"minus zero":      {1, zero, 1000, g.tail, 0},
		"minus five":      {1, five, 1000, g.tail, 1},
		"biased":          {0, 0, 1000, g.tail, 0},
		"beyond the tail": {0, half, 1000, 149, 0},
		"at the tail":     {0, half, 1000, 150, 1},
		"not chosen":      {0, half, ^uint64(0) - 1000, g.tail, 0},
	} {
		g := *g
		g.tail = test.tail
		if x, taken := g.trial(test.first, test.second, test.third, keystream{}); taken != test.want {
			t.Errorf("%s: %d, taken %d", name, x, taken)
		}
	}
}

func TestSamplersRefuse(t *testing.T) {
	for _, bad := range []*big.Rat{new(big.Rat), big.NewRat(-1, 1), big.NewRat(15, 1), big.NewRat(1<<32+1, 1), big.NewRat(1<<40, 1)} {
		if _, err := newGaussian(bad); err == nil {
			t.Errorf("a variance of %v is accepted", bad)
		}
		if _, err := newSkellam(bad); err == nil {
			t.Errorf("a Skellam variance of %v is accepted", bad)
		}
	}
}

func TestTailBoundIsExact(t *testing.T) {
	for _, test := range []struct {
		sigma2 *big.Rat
		want   int64
	}{
		{new(big.Rat), 0},
		{big.NewRat(100, 1), 133}, // 13.3 * 10 exactly
		{new(big.Rat).Add(big.NewRat(100, 1), big.NewRat(1, 1<<40)), 134}, // a hair above
		{big.NewRat(16, 1), 54},        // 53.2
		{big.NewRat(1<<32, 1), 871629}, // 871628.8
	} {
		if got := tailBound(test.sigma2); got != test.want {
			t.Errorf("ceil(13.3 sqrt(%v)) = %d, want %d", test.sigma2, got, test.want)
		}
	}
}
