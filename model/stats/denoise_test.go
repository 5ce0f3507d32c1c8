package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A prior of nine in ten zeros and exponential values, noise as large as the
// values: the posterior mean must beat the best soft threshold, and come near what
// one gets who knows the prior. The seed is fixed, so the test cannot fail by chance.
func TestDenoiseBeatsThresholds(t *testing.T) {
	const n, sigma = 40000, 2.0
	random := rand.New(rand.NewPCG(1, 1))
	truth, seen := make([]float64, n), make([]float32, n)
	for i := range truth {
		if random.Float64() < 0.1 {
			truth[i] = 4 * random.ExpFloat64()
		}
		seen[i] = float32(truth[i] + sigma*random.NormFloat64())
	}
	means, err := Denoise(seen, sigma)
	if err != nil {
		t.Fatal(err)
	}
	mistake := func(first int, estimate func(i int) float64) float64 {
		sum := 0.0
		for i, v := range truth[:first] {
			sum += (estimate(i) - v) * (estimate(i) - v)
		}
		return sum / float64(first)
	}
	denoised := func(i int) float64 { return float64(means[i]) }
	ours := mistake(n, denoised)
	threshold := math.Inf(1)
	for cut := 0.0; cut < 8; cut += 0.25 {
		threshold = min(threshold, mistake(n, func(i int) float64 { return max(0, float64(seen[i])-cut) }))
	}
	t.Logf("mean squared error %.3f, best soft threshold %.3f, noised %.3f", ours, threshold, mistake(n, func(i int) float64 { return float64(seen[i]) }))
	if ours > 0.95*threshold {
		t.Errorf("mean squared error %.3f, the best soft threshold has %.3f", ours, threshold)
	}
	// An oracle that knows the prior has the least error there is.
	const few = 4000
	oracle := mistake(few, func(i int) float64 { return oracleMean(float64(seen[i]), 0.1, 4, sigma) })
	if ours := mistake(few, denoised); ours > 1.02*oracle {
		t.Errorf("mean squared error %.4f, with the true prior %.4f", ours, oracle)
	}
}

// oracleMean integrates the posterior mean under the true prior numerically.
func oracleMean(z, share, scale, sigma float64) float64 {
	density := func(x float64) float64 { return math.Exp(-(z - x) * (z - x) / (2 * sigma * sigma)) }
	evidence, sum := (1-share)*density(0), 0.0
	const step = 0.05
	for x := step / 2; x < 60; x += step {
		p := share / scale * math.Exp(-x/scale) * step * density(x)
		evidence += p
		sum += p * x
	}
	return sum / evidence
}

func TestDenoiseRisesAndIsNotNegative(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	seen := make([]float32, 3000)
	for i := range seen {
		seen[i] = float32(random.NormFloat64() + 5*max(0, random.NormFloat64()-1))
	}
	seen[0], seen[1], seen[2] = -1e9, 1e9, 500
	slices.Sort(seen)
	means, err := Denoise(seen, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(means) || means[0] < 0 {
		t.Errorf("means fall somewhere, or begin with %v", means[0])
	}
	if n := len(means); means[n-1] != 1e9 || means[n-2] != 500 {
		t.Errorf("values far above the noise became %v and %v", means[n-1], means[n-2])
	}
}

func TestDenoisePureNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	seen := make([]float32, 20000)
	for i := range seen {
		seen[i] = float32(random.NormFloat64())
	}
	means, err := Denoise(seen, 1)
	if err != nil {
		t.Fatal(err)
	}
	if largest := slices.Max(means); largest > 0.5 {
		t.Errorf("of nothing but noise, %v remains", largest)
	}
}

func TestDenoiseWithoutNoise(t *testing.T) {
	means, err := Denoise([]float32{-1, 0, 2.5}, 0)
	if err != nil || !slices.Equal(means, []float32{0, 0, 2.5}) {
		t.Errorf("%v, %v", means, err)
	}
	if means, err := Denoise(nil, 1); err != nil || len(means) != 0 {
		t.Errorf("of nothing: %v, %v", means, err)
	}
}

func TestDenoiseRefuses(t *testing.T) {
	inf := float32(math.Inf(1))
	for name, bad := range map[string][]float32{"NaN": {1, float32(math.NaN())}, "infinite": {inf}, "-infinite": {-inf}} {
		if _, err := Denoise(bad, 1); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, sigma := range []float64{-1, math.NaN(), math.Inf(1)} {
		if _, err := Denoise([]float32{1}, sigma); err == nil {
			t.Errorf("sigma %v was accepted", sigma)
		}
	}
}
