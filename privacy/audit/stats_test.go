package audit

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// Randomised response of epsilon is the mechanism that one-run auditing is
// tight for: at level .05 its epsilon is exceeded in at most 5 % of runs.
// 2,000 runs: more than 100 + 5 standard deviations has probability 3e-7.
func TestOneRunHoldsItsLevel(t *testing.T) {
	const runs, m, eps, alpha = 2000, 200, 1.0, 0.05
	r := rand.New(rand.NewPCG(5, 5))
	exceeded := 0
	for range runs {
		right := 0
		for range m {
			if r.Float64() < 1/(1+math.Exp(-eps)) {
				right++
			}
		}
		lower, err := EpsilonOneRun(Guesses{m, m, right}, 0, alpha)
		if err != nil {
			t.Fatal(err)
		}
		if lower > eps {
			exceeded++
		}
	}
	t.Logf("%d of %d", exceeded, runs)
	if limit := runs*alpha + 5*math.Sqrt(runs*alpha); float64(exceeded) > limit {
		t.Errorf("epsilon was exceeded in %d of %d runs", exceeded, runs)
	}
	if exceeded < runs/100 {
		t.Errorf("the bound is loose: exceeded in %d of %d runs only", exceeded, runs)
	}
}

// The grid with its correction, f-DP and the pair hold their level against
// Gaussian scores: 400 runs at .05, more than 20 + 5 standard deviations =
// 42 has probability below 1e-5 each.
func TestBoundsHoldTheirLevelOnGaussians(t *testing.T) {
	const runs, m, mu = 400, 400, 1.0
	r := rand.New(rand.NewPCG(6, 6))
	var oneRuns, curves, pairs int
	limit, err := EpsilonOfMu(mu, 1e-5)
	if err != nil {
		t.Fatal(err)
	}
	for range runs {
		scores, coins := make([]float64, m), make([]bool, m)
		for i := range scores {
			coins[i] = r.IntN(2) == 1
			scores[i] = r.NormFloat64()
			if coins[i] {
				scores[i] += mu
			}
		}
		all := guessed(scores, coins)
		eps, _, err := best(all, .05, func(g Guesses, a float64) (float64, error) { return EpsilonOneRun(g, 1e-5, a) })
		curve, _, err2 := best(all, .05, MuOneRunFDP)
		pair, err3 := NewPair(split(scores, coins))
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		if eps > limit {
			oneRuns++
		}
		if curve > mu {
			curves++
		}
		if pair.Lower(.05) > mu {
			pairs++
		}
	}
	t.Logf("exceeded in %d: one-run %d, f-DP %d, pair %d", runs, oneRuns, curves, pairs)
	for name, n := range map[string]int{"one-run": oneRuns, "f-DP": curves, "pair": pairs} {
		if n > 42 {
			t.Errorf("%s exceeds the truth in %d of %d runs", name, n, runs)
		}
	}
	if pairs < 4 {
		t.Errorf("the pair is loose: exceeded in %d of %d runs only", pairs, runs)
	}
}

func TestBinomial(t *testing.T) {
	for _, n := range []int{0, 1, 2, 17, 1000} {
		for _, x := range []float64{-30, -1, 0, .3, 5, 40} {
			p, sum, mean := binomial(n, x), 0.0, 0.0
			for k, v := range p {
				sum += v
				mean += float64(k) * v
			}
			if want := float64(n) * rate(x); math.Abs(sum-1) > 1e-10 || math.Abs(mean-want) > 1e-8*max(1, want) {
				t.Errorf("Bin(%d, logit %g): sum %g, mean %g, want %g", n, x, sum, mean, want)
			}
		}
	}
	if low, high, err := ClopperPearson(0, 10, .025); err != nil || low != 0 || math.Abs(high-0.30849710781876083) > 1e-9 {
		t.Errorf("0 of 10: %g, %g, %v", low, high, err)
	}
}

func TestEpsilonOneShotIsTheHockeyStick(t *testing.T) {
	// against a sum over a fine grid
	for _, c := range []struct{ p, q Normal }{
		{Normal{0, 1}, Normal{1, 1}}, {Normal{0, 1}, Normal{.5, 1.4}}, {Normal{0, 1.3}, Normal{.2, .9}}, {Normal{2, .5}, Normal{0, .5}}, {Normal{0, 1}, Normal{0, 2}},
	} {
		for _, eps := range []float64{0, .3, 1, 2} {
			const step = 1e-3
			sum := 0.0
			for x := -20.0; x < 20; x += step {
				sum += step * max(0, density(c.p, x)-math.Exp(eps)*density(c.q, x))
			}
			if got := hockeyStick(c.p, c.q, eps); math.Abs(got-sum) > 1e-6 {
				t.Errorf("%v against %v at %g: %.9f, the sum is %.9f", c.p, c.q, eps, got, sum)
			}
		}
	}
	if eps, err := EpsilonOneShot(Normal{0, 1}, Normal{0, 1}, 1e-6); err != nil || eps != 0 {
		t.Errorf("no difference: %g, %v", eps, err)
	}
}

func density(n Normal, x float64) float64 {
	u := (x - n.Mean) / n.Sd
	return math.Exp(-u*u/2) / (n.Sd * math.Sqrt(2*math.Pi))
}

func TestOutOfRange(t *testing.T) {
	fails := []error{}
	add := func(_ float64, err error) { fails = append(fails, err) }
	add(EpsilonOneRun(Guesses{10, 11, 5}, 0, .05))
	add(EpsilonOneRun(Guesses{10, 5, 6}, 0, .05))
	add(EpsilonOneRun(Guesses{10, 5, 5}, -1, .05))
	add(EpsilonOneRun(Guesses{10, 5, 5}, 0, math.NaN()))
	add(EpsilonOneRun(Guesses{maxTrials + 1, 5, 5}, 0, .05))
	add(PValueOneRun(Guesses{10, 5, 5}, math.NaN(), 0))
	add(MuOneRunFDP(Guesses{10, 5, 5}, 0))
	add(MuOneRunFDP(Guesses{0, 0, 0}, .05))
	add(EpsilonClopperPearson(5, 4, 0, 4, 0, .05))
	add(EpsilonClopperPearson(4, 4, 0, 4, 1, .05))
	add(EpsilonClopperPearson(4, 4, 0, 0, 0, .05))
	add(EpsilonOneShot(Normal{0, 0}, Normal{1, 1}, 1e-6))
	add(EpsilonOneShot(Normal{0, 1}, Normal{math.NaN(), 1}, 1e-6))
	add(EpsilonOneShot(Normal{0, 1}, Normal{1, 1}, 0))
	_, err := NewPair([]float64{1}, []float64{1, 2})
	for i, err := range append(fails, err) {
		if !errors.Is(err, ErrRange) {
			t.Errorf("case %d: %v", i, err)
		}
	}
}
