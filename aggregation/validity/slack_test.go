package validity

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"tutti/aggregation/share"
)

// No vector over Z_q beyond √2·B, in up to four coordinates, passes a projection more often than 25 times in 32: every one of them for
// small B and q = 64B + 3, exactly counted. (1, 1, 1)·B reaches the bound.
func TestNoVectorPassesOftener(t *testing.T) {
	worst := 0
	for _, bound := range []int{1, 2} {
		q := 64*bound + 3
		var walk func(from, square, coordinates int, weight []int)
		walk = func(from, square, coordinates int, weight []int) {
			if square > 2*bound*bound {
				passes, total := 0, 1<<(2*coordinates)
				for d := -bound; d <= bound; d++ {
					passes += weight[(d+q)%q]
				}
				if passes*32 > 25*total {
					t.Fatalf("B=%d: %d of %d pass at norm² %d", bound, passes, total, square)
				}
				worst = max(worst, passes*64/total)
			}
			if coordinates == 4 || coordinates == 3 && bound == 2 {
				return
			}
			for x := from; x <= q/2; x++ {
				next := make([]int, q)
				for v, w := range weight {
					next[v] += 2 * w
					next[(v+x)%q] += w
					next[(v+q-x)%q] += w
				}
				walk(x, square+x*x, coordinates+1, next)
			}
		}
		start := make([]int, q)
		start[0] = 1
		walk(1, 0, 0, start)
	}
	if worst != 50 {
		t.Errorf("worst case passes %d of 64", worst)
	}
}

// How often projections of extreme vectors pass, against the exact numbers: 25600 of each, six standard deviations (false rejection
// below 10^-8 each).
func TestPassRates(t *testing.T) {
	w := newWorld(t, small)
	b, q := int64(w.check.bound), int64(w.check.q)
	rng := rand.New(rand.NewPCG(5, 6))
	spread := make([]int64, 400)
	norm := 0.0
	for i := range spread {
		v := rng.NormFloat64()
		spread[i] = int64(v * 1e6)
		norm += v * 1e6 * v * 1e6
	}
	for i := range spread {
		spread[i] = int64(float64(spread[i]) * math.Sqrt2 * float64(b) / math.Sqrt(norm))
	}
	for name, c := range map[string]struct {
		x    []int64
		rate float64
	}{
		"B":                   {[]int64{b}, 1},
		"2B+1":                {[]int64{2*b + 1}, 0.5},
		"q/2":                 {[]int64{q / 2}, 0.5},
		"q/2 twice":           {[]int64{q / 2, q / 2}, 0.5},
		"2B+1, cancelling":    {[]int64{2*b + 1, 2*b + 1}, 0.375},
		"three of B":          {[]int64{b, b, -b}, 50.0 / 64},
		"five of B":           {[]int64{b, b, b, b, b}, 672.0 / 1024},
		"spread, norm √2·B":   {spread, math.Erf(math.Sqrt(0.5))},
		"spread and one 2B+1": {append(append([]int64{}, spread...), 2*b+1), 0.5 * math.Erf(math.Sqrt(0.5))},
	} {
		passes, n := 0.0, 0.0
		for range 200 {
			for _, l := range project(w.seed(), c.x) {
				if l = ((l+b)%q + q) % q; l <= 2*b {
					passes++
				}
				n++
			}
		}
		limit := 6 * math.Sqrt(n*c.rate*(1-c.rate))
		if name == "spread and one 2B+1" { // the other half passes where the spread part happens to lie beyond B
			if passes > n*0.5+limit || passes < n*c.rate-limit {
				t.Errorf("%s: %v of %v", name, passes, n)
			}
		} else if math.Abs(passes-n*c.rate) > limit {
			t.Errorf("%s: %v of %v, want %v", name, passes, n, n*c.rate)
		}
	}
}

// An honest vector of the full norm at a slack of 3: a try fails with 1 - (1-0.0027)^128 = 0.293 if spread. 1000 tries, six standard
// deviations and half a percent for what B allows the noise (false rejection below 10^-8). At the default slack none ever failed.
func TestHonestFailures(t *testing.T) {
	for _, c := range []struct{ slack, rate float64 }{{3, 0.2926}, {DefaultSlack, 0}} {
		w := newWorld(t, shape{600, 9, 2, 2})
		var err error
		if w.check, err = New(Literal{Mask: w.mask, Shares: w.key, Norm: testNorm, Slack: c.slack}); err != nil {
			t.Fatal(err)
		}
		u := w.maskOf(w.gaussian(testNorm))
		x := make([]int64, 600)
		if err := w.mask.Open(x, w.public, u.secret, u.packed); err != nil {
			t.Fatal(err)
		}
		const tries = 1000
		failed := 0.0
		for range tries {
			bad := false
			for _, l := range project(w.seed(), x) {
				bad = bad || l > int64(w.check.bound) || l < -int64(w.check.bound)
			}
			if bad {
				failed++
			}
		}
		if d := math.Abs(failed - tries*c.rate); d > 6*math.Sqrt(tries*c.rate*(1-c.rate))+5*c.rate {
			t.Errorf("slack %v: %v of 1000 tries failed, expected %v", c.slack, failed, tries*c.rate)
		}
	}
}

// What an answer shows beside its known value is uniform: evaluation at any c members and the functional that is known are independent on
// the polynomials of each degree, so that a blind with the known value 0 hides the rest from c members and the server.
func TestKnownValueIsIndependentOfAnyCMembers(t *testing.T) {
	for _, s := range []shape{{10, 5, 1, 2}, {10, 9, 2, 2}, {10, 9, 2, 1}, {10, 16, 5, 4}} {
		w := newWorld(t, s)
		f := w.check.field
		power := func(x uint64, degree int) []uint64 {
			row := []uint64{1}
			for len(row) <= degree {
				row = append(row, f.Mul(row[len(row)-1], x))
			}
			return row
		}
		for kind, degree := range []int{s.c + 2*s.rho - 2, 2 * s.c} {
			known := power(w.check.slots[0], degree)
			if kind == 0 {
				for _, x := range w.check.slots[1:] {
					f.Add(known, power(x, degree))
				}
			}
			for set := range 1 << s.m {
				var rows [][]uint64
				for j := range s.m {
					if set>>j&1 == 1 {
						rows = append(rows, power(uint64(j+1), degree))
					}
				}
				if len(rows) == s.c && rank(f, append(rows, append([]uint64{}, known...))) != s.c+1 {
					t.Fatalf("%+v, degree %d: members %b know the value", s, degree, set)
				}
			}
		}
	}
}

// rank is Gaussian elimination.
func rank(f share.Field, a [][]uint64) int {
	r := 0
	for col := 0; r < len(a) && col < len(a[0]); col++ {
		for i := r; i < len(a); i++ {
			if a[i][col] != 0 {
				a[r], a[i] = a[i], a[r]
				break
			}
		}
		if a[r][col] == 0 {
			continue
		}
		inverse := f.Inverse(a[r][col])
		for i := r + 1; i < len(a); i++ {
			c := f.Mul(a[i][col], inverse)
			for k := range a[i] {
				a[i][k] = f.Minus(a[i][k], f.Mul(c, a[r][k]))
			}
		}
		r++
	}
	return r
}

// One member's answers look the same whatever the vector: chi² of their top four bits over 100 proofs, 6 words each (15 degrees of freedom, each of
// the three above 60 with probability 2·10^-7).
func TestAnswersLookUniform(t *testing.T) {
	w := newWorld(t, shape{16, 9, 2, 2})
	extreme := make([]int32, 16)
	for i := range extreme {
		extreme[i] = testNorm / 4
	}
	for name, x := range map[string][]int32{"zero": make([]int32, 16), "extreme": extreme, "one": one(16, testNorm)} {
		var count [16]float64
		n := 0.0
		for range 100 {
			u := w.maskOf(x)
			if err := w.prove(u); err != nil {
				t.Fatal(err)
			}
			_, answers := w.answers(u)
			for _, v := range answers[4].Words {
				count[v>>(w.check.field.Bits()-4)]++
				n++
			}
		}
		chi := 0.0
		for _, c := range count {
			chi += (c - n/16) * (c - n/16) / (n / 16)
		}
		if chi > 60 {
			t.Errorf("%s: chi² %v", name, chi)
		}
	}
}

// A proof is made of fresh randomness: two of one vector share no word.
func TestProofsDiffer(t *testing.T) {
	w := newWorld(t, small)
	u := w.honest()
	first := u.proof[0]
	if err := w.prove(u); err != nil {
		t.Fatal(err)
	}
	same := 0
	for i, v := range u.proof[0] {
		if v == first[i] {
			same++
		}
	}
	if same > 0 { // 4700 words of 46 bits: 2^-33
		t.Errorf("%d of %d words are the same", same, len(first))
	}
	if _, err := w.check.Prove(empty{}, w.public, u.first, u.secret, u.packed); !errors.Is(err, errDry) {
		t.Errorf("no randomness: %v", err)
	}
}

type empty struct{}

var errDry = errors.New("dry")

func (empty) Read([]byte) (int, error) { return 0, errDry }
