package mechanism

import (
	"math"
	"math/big"
	"testing"
)

// The table must hold the weights it was built from exactly: what each
// magnitude receives over all buckets, in units of 2^-127.
func TestAliasTableKeepsItsWeightsExactly(t *testing.T) {
	for _, sigma2 := range []*big.Rat{big.NewRat(256, 1), big.NewRat(10001, 17), big.NewRat(5000, 1)} {
		const b = 10
		weights := skellamWeights(sigma2, 1<<b)
		table := newAliasTable(weights, b)
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

// A tie of the upper bits (probability 2^-53) must be settled by the lower
// ones: forced here, counted over many draws.
func TestTieIsSettledByTheLowerBits(t *testing.T) {
	table := newAliasTable(skellamWeights(big.NewRat(2500, 1), 1<<10), 10)
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

// The recurrence against the series of the Bessel function:
// I_k(mu) = sum over j of (mu/2)^(2j+k) / (j! (j+k)!).
func TestSkellamWeightsAreBesselFunctions(t *testing.T) {
	float := func() *big.Float { return new(big.Float).SetPrec(2 * floatPrec) }
	for _, mu := range []*big.Rat{big.NewRat(256, 1), big.NewRat(5001, 17)} {
		weights := skellamWeights(mu, 1<<10)
		half := float().SetRat(new(big.Rat).Quo(mu, big.NewRat(2, 1)))
		norm := expBig(300, mu)
		for _, k := range []int{0, 1, 5, 40, 200} {
			term := float().SetInt64(1)
			for i := 1; i <= k; i++ {
				term.Quo(term.Mul(term, half), float().SetInt64(int64(i)))
			}
			sum := float().Set(term)
			for j := 1; j < 3000; j++ {
				term.Mul(term.Mul(term, half), half)
				term.Quo(term, float().SetInt64(int64(j)*int64(j+k)))
				sum.Add(sum, term)
			}
			if k > 0 {
				sum.Add(sum, sum) // both signs
			}
			want := sum.SetMantExp(sum.Mul(sum, norm), 127)
			diff, _ := want.Sub(want, float().SetInt(wide(weights[k]))).Float64()
			if math.Abs(diff) > 1<<11 { // rounding down, and what it gave to 0
				t.Errorf("mu %v: P[|X| = %d] is off by %g units of 2^-127", mu, k, diff)
			}
		}
	}
}

// skellamRDP is the bound of arXiv 2110.04995 (Corollary 4.1, scale 1).
func skellamRDP(order, b, d, mu float64) float64 {
	l1 := b * min(math.Sqrt(d), b)
	return order*b*b/(2*mu) + min(((2*order-1)*b*b+6*l1)/(4*mu*mu), 3*l1/(2*mu))
}

// Rho covers the published bound at every order that the reference uses, and
// the convex interpolation of it between them.
func TestSkellamRhoCoversThePublishedBound(t *testing.T) {
	for _, test := range []struct {
		b  int64
		d  int
		mu float64
	}{{32768, 36864, 1e9}, {8200, 1 << 20, 256 * 50}, {8200, 16, 1e6}, {1, 1, 256}, {40, 1 << 20, 256}, {3, 100, 1e7}} {
		exact := skellamRho(test.b, test.d, new(big.Rat).SetFloat64(test.mu))
		rho, _ := exact.Float64()
		at := func(n float64) float64 { return skellamRDP(n, float64(test.b), float64(test.d), test.mu) }
		tightest := math.Inf(1)
		for n := 2.0; n <= 256; n++ {
			for share := 0.0; share < 1; share += 1.0 / 16 {
				order := n + share
				bound := ((1-share)*(n-1)*at(n) + share*n*at(n+1)) / (order - 1)
				tightest = min(tightest, rho*order/bound)
			}
		}
		t.Logf("%+v: rho %.4g, at least %.4f of the bound", test, rho, tightest)
		if tightest < 1 || tightest > 1.08 {
			t.Errorf("%+v: rho is %g of the bound", test, tightest)
		}
	}
}

// B = 2, d = 1, mu = 256: L1 = 2, so that rho is 14/13 of
// 4/512 + (3 L1 + 3/2 B^2)/(4 mu^2) = 4/512 + 12/2^18; for B = 100 it is of
// 10^4/512 + 2 B^2/(4 mu^2).
func TestSkellamRhoExactly(t *testing.T) {
	want := big.NewRat(14*2060, 13<<18)
	if got := skellamRho(2, 1, big.NewRat(256, 1)); got.Cmp(want) != 0 {
		t.Errorf("%v, want %v", got, want)
	}
	want = big.NewRat(14*(10_000<<9+20_000), 13<<18)
	if got := skellamRho(100, 1, big.NewRat(256, 1)); got.Cmp(want) != 0 {
		t.Errorf("%v, want %v", got, want)
	}
}

// The exact Renyi divergence of shifted Skellam noise, at integer orders, between them
// and below 2, stays below what Rho says.
func TestSkellamRhoCoversTheExactDivergence(t *testing.T) {
	const variance, reach = 400, 200
	exact := skellamLaw(big.NewRat(variance, 1))
	for _, shift := range []int{1, 5, 10} {
		rho, _ := skellamRho(int64(shift), 1, big.NewRat(variance, 1)).Float64()
		for _, order := range []float64{1.1, 1.5, 2, 2.4, 3, 7.7} {
			total := 0.0
			for x := -reach; x <= reach; x++ { // 10 sigma; the mass is near order times shift
				total += math.Exp(order*math.Log(exact(x-shift)) + (1-order)*math.Log(exact(x)))
			}
			got := math.Log(total) / (order - 1)
			if limit := rho * order; got > limit || got < limit*0.9 {
				t.Errorf("shift %d, order %g: divergence %g, claimed %g", shift, order, got, limit)
			}
		}
	}
}

// A Skellam plan runs from end to end, and its meter is calm.
func TestSkellamRound(t *testing.T) {
	p := mustDesign(t, Literal{Dim: 3000, Clip: 1, NMin: 70, NMax: 130, Colluders: 7, Rho: big.NewRat(1, 2), Kind: Skellam, Noise: true})
	if p.Rho().Cmp(big.NewRat(1, 2)) > 0 {
		t.Errorf("rho %v", p.Rho())
	}
	// false rejection 6e-7, fixed draw
	if m := meterOf(t, p, 100, 0, 5); math.Abs(m.ZScore) > 5 {
		t.Errorf("z = %g", m.ZScore)
	}
}
