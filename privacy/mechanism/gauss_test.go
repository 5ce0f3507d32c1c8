package mechanism

import (
	"math"
	"math/big"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// The table must hold the weights it was built from exactly: what each
// magnitude receives over all buckets, in units of 2^-127.
func TestAliasTableKeepsItsWeightsExactly(t *testing.T) {
	for _, sigma2 := range []*big.Rat{big.NewRat(16, 1), big.NewRat(1001, 17), big.NewRat(5000, 1)} {
		const b = 10
		weights := magnitudeWeights(sigma2, 1<<b)
		table := newAliasTable(sigma2, b)
		got := make([]*big.Int, len(weights))
		for i := range got {
			got[i] = new(big.Int)
		}
		capacity := new(big.Int).Lsh(big.NewInt(1), 127-b)
		for j, entry := range table.entries {
			threshold := wide(uint128{hi: entry >> b, lo: table.low[j]})
			got[j].Add(got[j], threshold)
			alias := int(entry & (1<<b - 1))
			got[alias].Add(got[alias], new(big.Int).Sub(capacity, threshold))
		}
		for m, w := range weights {
			if got[m].Cmp(wide(w)) != 0 {
				t.Fatalf("sigma2 %v: magnitude %d has mass %v, want %v", sigma2, m, got[m], wide(w))
			}
		}
	}
}

func wide(a uint128) *big.Int {
	v := new(big.Int).Lsh(new(big.Int).SetUint64(a.hi), 64)
	return v.Add(v, new(big.Int).SetUint64(a.lo))
}

func TestMagnitudeWeightsAreTheDiscreteGaussian(t *testing.T) {
	for _, sigma := range []float64{4, 10, 76} {
		weights := magnitudeWeights(new(big.Rat).SetFloat64(sigma*sigma), 1024)
		total := new(big.Int)
		for _, w := range weights {
			total.Add(total, wide(w))
		}
		if total.Cmp(new(big.Int).Lsh(big.NewInt(1), 127)) != 0 {
			t.Fatalf("sigma %g: the weights sum to %v, not 2^127", sigma, total)
		}
		exact := exactLaw(sigma)
		for _, m := range []int{0, 1, 2, 7, int(sigma), int(3 * sigma)} {
			p, _ := new(big.Float).SetMantExp(new(big.Float).SetInt(wide(weights[m])), -127).Float64()
			want := exact(m)
			if m > 0 {
				want *= 2
			}
			if math.Abs(p/want-1) > 1e-12 {
				t.Errorf("sigma %g: P[|X|=%d] = %g, want %g", sigma, m, p, want)
			}
		}
	}
}

// exactLaw returns the probability function of N_Z(0, sigma^2) in float64.
func exactLaw(sigma float64) func(x int) float64 {
	total := 1.0
	for x := 1; x < int(40*sigma)+2; x++ {
		total += 2 * math.Exp(-float64(x)*float64(x)/(2*sigma*sigma))
	}
	return func(x int) float64 { return math.Exp(-float64(x)*float64(x)/(2*sigma*sigma)) / total }
}

// The claim of the convolution, checked as such: the exact law of x1 + k x2
// under the table's weights against the exact law of N_Z(0, sigma2).
func TestConvolutionIsTheDiscreteGaussian(t *testing.T) {
	sigma2 := big.NewRat(300*300, 1)
	tableBits, k, err := convolutionPlan(sigma2)
	if err != nil || k == 0 {
		t.Fatalf("bits %d, k %d, %v; want a convolution", tableBits, k, err)
	}
	base := new(big.Rat).Quo(sigma2, new(big.Rat).SetInt64(1+k*k))
	weights := magnitudeWeights(base, 1<<tableBits)
	law := func(x int64) *big.Int { // 2^128 P[X = x]
		if x < 0 {
			x = -x
		}
		if x >= int64(len(weights)) {
			return new(big.Int)
		}
		w := wide(weights[x])
		if x == 0 {
			w.Lsh(w, 1)
		}
		return w
	}
	exact := magnitudeWeights(sigma2, 1<<13)
	// absolute difference allowed: 2^-112, in units of 2^-256
	allowed := new(big.Int).Lsh(big.NewInt(1), 256-112)
	for x := int64(0); x < 4100; x += 41 {
		got := new(big.Int)
		for y := -int64(len(weights)); y < int64(len(weights)); y++ {
			got.Add(got, new(big.Int).Mul(law(x-k*y), law(y)))
		}
		want := wide(exact[x])
		if x == 0 {
			want.Lsh(want, 1)
		}
		want.Lsh(want, 128)
		if want.Sub(want, got).CmpAbs(allowed) > 0 {
			t.Fatalf("P[X=%d] is off by %v units of 2^-256", x, want)
		}
	}
}

func TestConvolutionPlanCoversTheRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sigma := rapid.Float64Range(MinSigma, MaxSigma).Draw(t, "sigma")
		sigma2 := new(big.Rat).SetFloat64(sigma * sigma)
		tableBits, k, err := convolutionPlan(sigma2)
		if err != nil {
			t.Fatal(err)
		}
		base := sigma / math.Sqrt(float64(1+k*k))
		if 13.3*base > float64(int(1)<<tableBits) {
			t.Fatalf("13.3 * %g does not fit 2^%d", base, tableBits)
		}
		if k > 0 && base*base/float64(1+k*k) < 4.5999 {
			t.Fatalf("k = %d breaks the smoothing condition", k)
		}
		if sigma <= 2048 && tableBits > 10 {
			t.Fatalf("sigma %g wants a table of 2^%d", sigma, tableBits)
		}
	})
	for _, bad := range []*big.Rat{new(big.Rat), big.NewRat(-1, 1), big.NewRat(1<<40, 1)} {
		if _, err := newGaussian(bad); err == nil {
			t.Errorf("a variance of %v is accepted", bad)
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

// A tie of the upper bits (probability 2^-53) must be settled by the lower
// ones: forced here, counted over many draws.
func TestTieIsSettledByTheLowerBits(t *testing.T) {
	table := newAliasTable(big.NewRat(2500, 1), 10)
	s, err := newStream(seeded(3))
	if err != nil {
		t.Fatal(err)
	}
	const j, draws = 40, 20000
	entry := table.entries[j]
	alias := int64(entry & 1023)
	word := (entry>>10)<<11 | j<<1 // fraction equal to the threshold, sign plus
	stayed := 0
	for range draws {
		switch x := table.sample(word, s); x {
		case j:
			stayed++
		case alias:
		default:
			t.Fatalf("a tie in bucket %d gave %d", j, x)
		}
	}
	p := float64(table.low[j]) / (1 << 63) / 2
	// 5 standard deviations: falsely rejected with probability 6e-7, fixed draw
	if d := math.Abs(float64(stayed) - p*draws); d > 5*math.Sqrt(draws*p*(1-p))+1 {
		t.Fatalf("%d of %d ties stayed, want a share of %g", stayed, draws, p)
	}
	if x := table.sample(word|1, s); x != -j && x != -alias {
		t.Fatalf("the sign of a tie is lost: %d", x)
	}
}

const chiDraws = 1_000_000

// chiSquare returns the p-value of counts of samples against the exact law,
// in bins of whole integers that each expect at least least samples.
func chiSquare(counts map[int]int, total int, sigma, least float64) float64 {
	law := exactLaw(sigma)
	statistic, bins := 0.0, 0
	expect, seen := 0.0, 0
	close := func() {
		statistic += (float64(seen) - expect) * (float64(seen) - expect) / expect
		bins++
		expect, seen = 0, 0
	}
	edge := int(4 * sigma)
	left, rest := total, float64(total)
	for x := -edge; x <= edge; x++ {
		expect += law(x) * float64(total)
		seen += counts[x]
		if expect >= least {
			left, rest = left-seen, rest-expect
			close()
		}
	}
	expect, seen = rest, left // both tails and the last open bin
	close()
	return distuv.ChiSquared{K: float64(bins - 1)}.Survival(statistic)
}

// Both samplers against exact probabilities. Each sigma is falsely rejected
// with probability 1e-4; the draws are fixed by their seed, so the test does
// not flicker.
func TestSamplersMatchTheExactLaw(t *testing.T) {
	for seed, sigma := range []int64{4, 25, 76, 100, 2000, 30000} {
		g, err := newGaussian(big.NewRat(sigma*sigma, 1))
		if err != nil {
			t.Fatal(err)
		}
		s, err := newStream(seeded(uint64(seed)))
		if err != nil {
			t.Fatal(err)
		}
		y := make([]int32, chiDraws)
		g.addTo(y, s, make([]byte, scratchBytes))
		counts := map[int]int{}
		square := 0.0
		for _, x := range y {
			counts[int(x)]++
			square += float64(x) * float64(x)
		}
		p := chiSquare(counts, chiDraws, float64(sigma), chiDraws/200)
		ratio := square / chiDraws / float64(sigma*sigma)
		t.Logf("sigma %d: k %d, table 2^%d, chi-square p %.4f, variance ratio %.5f", sigma, g.k, g.table.bits, p, ratio)
		if p < 1e-4 {
			t.Errorf("sigma %d: p = %g", sigma, p)
		}
		// 5 standard deviations of sqrt(2/N): false rejection 6e-7
		if math.Abs(ratio-1) > 5*math.Sqrt(2.0/chiDraws) {
			t.Errorf("sigma %d: variance ratio %g", sigma, ratio)
		}
	}
}

func TestOracleMatchesTheExactLaw(t *testing.T) {
	for seed, sigma := range []int64{4, 100} {
		o := newOracle(sigma*sigma, 1, uint64(seed)+50)
		counts := map[int]int{}
		for range chiDraws {
			counts[int(o.gaussian())]++
		}
		// false rejection 1e-4
		if p := chiSquare(counts, chiDraws, float64(sigma), chiDraws/100); p < 1e-4 {
			t.Errorf("sigma %d: p = %g", sigma, p)
		} else {
			t.Logf("oracle, sigma %d: chi-square p %.4f", sigma, p)
		}
	}
}

// A sampler that is wrong by little must be seen: the control of the tests
// above. A rounded continuous variance of 4.05^2 in place of 4^2 fails.
func TestChiSquareRejectsTheWrongSigma(t *testing.T) {
	g, err := newGaussian(big.NewRat(405*405, 100*100))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStream(seeded(9))
	if err != nil {
		t.Fatal(err)
	}
	y := make([]int32, chiDraws)
	g.addTo(y, s, make([]byte, scratchBytes))
	counts := map[int]int{}
	for _, x := range y {
		counts[int(x)]++
	}
	if p := chiSquare(counts, chiDraws, 4, chiDraws/200); p > 1e-6 {
		t.Fatalf("sigma 4.05 passes for 4: p = %g", p)
	}
}

// Samples beyond the tail are redrawn, never clamped, in both modes.
func TestTailIsRedrawn(t *testing.T) {
	for _, sigma := range []int64{10, 300} {
		g, err := newGaussian(big.NewRat(sigma*sigma, 1))
		if err != nil {
			t.Fatal(err)
		}
		g.tail = sigma // far tighter than in use, so that redraws happen
		s, err := newStream(seeded(11))
		if err != nil {
			t.Fatal(err)
		}
		y := make([]int32, 50000)
		g.addTo(y, s, make([]byte, scratchBytes))
		atEdge := 0
		for _, x := range y {
			if int64(x) > g.tail || int64(x) < -g.tail {
				t.Fatalf("sigma %d: %d is beyond %d", sigma, x, g.tail)
			}
			if int64(x) == g.tail || int64(x) == -g.tail {
				atEdge++
			}
		}
		// truncated law: P[|X| = tail] is at most 2 * .8 * the density at 0 / sqrt(e)
		if limit := 50000 * 2 * 0.4 / float64(sigma); float64(atEdge) > limit {
			t.Errorf("sigma %d: %d samples sit on the edge, at most %.0f expected: clamped?", sigma, atEdge, limit)
		}
	}
}
