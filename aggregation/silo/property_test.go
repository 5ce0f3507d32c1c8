package silo

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the model, whoever contributes and whoever decrypts: the sum is exact.
func TestPropertyExact(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("20"); err != nil { // rounds cost 60 ms; -rapid.checks asks for more
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(MinOrganisations, 4).Draw(r, "N")
		c := rapid.IntRange(1, n-2).Draw(r, "c")
		present := rapid.IntRange((n+c)/2+1, n).Draw(r, "t")
		minimum := rapid.IntRange(c+2, n).Draw(r, "n_min")
		m := Model{Organisations: n, Corrupt: c, Present: present, Minimum: minimum, Length: rapid.IntRange(1, 30).Draw(r, "d"),
			Bound: int64(1) << rapid.IntRange(0, 32).Draw(r, "log M"), Hiding: MinHiding}
		w := newWorld(r, m)
		w.makeKeys()
		from := rapid.Permutation(upTo(n)).Draw(r, "order")[:rapid.IntRange(minimum, n).Draw(r, "contributors")]
		active := rapid.Permutation(upTo(n)).Draw(r, "active")[:present]
		extreme := rapid.Bool().Draw(r, "extreme")
		inputs := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		want := make([]int64, m.Length)
		for _, i := range from {
			x := make([]int64, m.Length)
			for k := range x {
				if x[k] = inputs.Int64N(2*m.Bound+1) - m.Bound; extreme {
					x[k] = m.Bound * int64(1-2*(k%2))
				}
				want[k] += x[k]
			}
			b, rs, err := w.parties[i].Contribute(x)
			w.contributions = append(w.contributions, w.must(i, b, rs, err))
		}
		tally := w.tally()
		if got := w.open(tally, w.propose(tally, active...), active...); !slices.Equal(got, want) {
			r.Fatalf("not the exact sum of %v", from)
		}
	})
}
