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
