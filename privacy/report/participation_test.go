package report

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"tutti/privacy/accounting"
)

// TestWorstDevice compares the table with every subset of up to ten rounds.
func TestWorstDevice(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 8))
	for trial := range 600 {
		n := 1 + rng.IntN(10)
		visits := make([]visit, n)
		round := uint64(0)
		for i := range visits {
			round += 1 + rng.Uint64N(3)
			visits[i] = visit{round, big.NewRat(1+rng.Int64N(20), 1+rng.Int64N(9)), 1 + rng.Uint64N(12), 1 + rng.Uint64N(5), nil}
		}
		if trial%3 == 0 { // as a task would set them
			for i := range visits {
				visits[i].most, visits[i].separation = visits[0].most, visits[0].separation
			}
		}
		after, limited := worstDevice(visits)
		for upTo := 1; upTo <= n; upTo++ {
			want := new(big.Rat)
			for set := range 1 << upTo {
				if sum, ok := allowed(visits[:upTo], set); ok && sum.Cmp(want) > 0 {
					want = sum
				}
			}
			if after[upTo-1].Cmp(want) != 0 {
				t.Fatalf("trial %d, %+v: after %d rounds %s, want %s (limited %v)", trial, visits, upTo, after[upTo-1], want, limited)
			}
		}
	}
}

// TestWorstDeviceAgrees: the accountant's own sum, for one k and b over all rounds.
func TestWorstDeviceAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 9))
	for range 100 {
		k, b := 1+rng.Uint64N(6), 1+rng.Uint64N(6)
		exposure := accounting.NewExposure(k, b)
		visits := make([]visit, 40)
		for i := range visits {
			visits[i] = visit{uint64(2*i + 1), big.NewRat(1+rng.Int64N(50), 7), k, b, nil}
			if err := exposure.Add(visits[i].round, visits[i].rho); err != nil {
				t.Fatal(err)
			}
		}
		after, _ := worstDevice(visits)
		if after[39].Cmp(exposure.Worst()) != 0 {
			t.Fatalf("k %d, b %d: %s here, %s by the accountant", k, b, after[39], exposure.Worst())
		}
	}
}

// allowed says whether a device may be in these rounds, and what they cost it.
func allowed(visits []visit, set int) (*big.Rat, bool) {
	sum, count, last := new(big.Rat), uint64(0), uint64(0)
	for i, v := range visits {
		if set>>i&1 == 0 {
			continue
		}
		if count++; count > v.most || count > 1 && v.round < last+v.separation {
			return nil, false
		}
		last = v.round
		sum.Add(sum, v.rho)
	}
	return sum, true
}

// TestWorstDeviceWithoutLimits: without k and b all rounds count, and a table that would be too large counts them too.
func TestWorstDeviceWithoutLimits(t *testing.T) {
	visits := make([]visit, 4000)
	for i := range visits {
		visits[i] = visit{uint64(i + 1), big.NewRat(1, 100), 1 << 32, 1, nil}
	}
	after, limited := worstDevice(visits)
	if last := after[len(after)-1]; limited || last.Cmp(big.NewRat(40, 1)) != 0 {
		t.Errorf("%s, limited %v", last, limited)
	}
	for i := range visits {
		visits[i].most = 2000
	}
	after, limited = worstDevice(visits)
	if last := after[len(after)-1]; limited || last.Cmp(big.NewRat(40, 1)) != 0 {
		t.Errorf("too large a table: %s, limited %v", last, limited)
	}
	for i := range visits {
		visits[i].most, visits[i].separation = 5, 500
	}
	if after, limited = worstDevice(visits); !limited || after[len(after)-1].Cmp(big.NewRat(5, 100)) != 0 {
		t.Errorf("k = 5: %s, limited %v", after[len(after)-1], limited)
	}
}
