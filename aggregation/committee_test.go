package aggregation

import (
	"crypto/ed25519"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactAbove is P[X > k] in rationals.
func exactAbove(n int, p *big.Rat, k int) float64 {
	rest := new(big.Rat).Sub(big.NewRat(1, 1), p)
	sum := new(big.Rat)
	for i := k + 1; i <= n; i++ {
		term := new(big.Rat).SetInt(new(big.Int).Binomial(int64(n), int64(i)))
		for range i {
			term.Mul(term, p)
		}
		for range n - i {
			term.Mul(term, rest)
		}
		sum.Add(sum, term)
	}
	v, _ := sum.Float64()
	return v
}

// Tails agree with rational arithmetic to 1e-9 of their value where they are small, and to 1e-9 where they are not.
func TestTailsAreExact(t *testing.T) {
	for _, c := range []struct {
		n int
		p float64
	}{{1, .5}, {12, .25}, {28, 1.0 / 128}, {59, .0625}, {59, .9375}, {40, 1 - 1.0/128}} {
		p := new(big.Rat).SetFloat64(c.p)
		for k := -1; k <= c.n; k++ {
			want, got := exactAbove(c.n, p, k), above(c.n, c.p, k)
			if math.Abs(got-want) > 1e-9*math.Max(want, got) && (float64(k+1) > float64(c.n)*c.p || math.Abs(got-want) > 1e-9) {
				t.Errorf("P[Bin(%d, %v) > %d] = %g, want %g", c.n, c.p, k, got, want)
			}
			if low := below(c.n, c.p, k+1); math.Abs(low-(1-want)) > 1e-9 {
				t.Errorf("P[Bin(%d, %v) < %d] = %g, want %g", c.n, c.p, k+1, low, 1-want)
			}
		}
	}
	if p := above(1<<20, .5, 1<<18); math.Abs(p-1) > 1e-12 { // the first term of the upper tail is no number any more
		t.Errorf("P[Bin(2^20, 1/2) > 2^18] = %g", p)
	}
	if above(10, 0, 0) != 0 || above(10, 1, 9) != 1 || above(10, .5, 10) != 0 || above(10, .5, -1) != 1 || above(0, .5, 0) != 0 {
		t.Error("edges")
	}
}

func TestQuantilesAreTight(t *testing.T) {
	for _, n := range []int{0, 1, 2, 10, 500, 40_000, 1 << 20} {
		for _, p := range []float64{0, 1e-6, .01, .3, .5, .99, 1} {
			for _, level := range []float64{privacyLevel, livenessLevel, arrivalLevel} {
				high, low := upperQuantile(n, p, level), lowerQuantile(n, p, level)
				if above(n, p, high) >= level || high > 0 && above(n, p, high-1) < level {
					t.Errorf("Bin(%d, %v) at %g: upper quantile %d", n, p, level, high)
				}
				if below(n, p, low) >= level || low < n && below(n, p, low+1) < level {
					t.Errorf("Bin(%d, %v) at %g: lower quantile %d", n, p, level, low)
				}
			}
		}
	}
}

// The table of section 4, every cell: devices drawn at random, corrupt share by drop share.
func TestSection4_DrawnCommittees(t *testing.T) {
	drops := []float64{.05, .10, .20, .33}
	for corrupt, cells := range map[float64][4][2]int{
		.01: {{28, 9}, {41, 10}, {88, 13}, {294, 21}},
		.05: {{40, 17}, {59, 20}, {126, 29}, {485, 64}},
		.10: {{49, 24}, {76, 31}, {173, 50}, {819, 148}},
		.20: {{73, 42}, {116, 57}, {314, 117}, {}},
	} {
		for i, cell := range cells {
			s, err := SizeCommittee(corrupt, drops[i])
			if cell[0] == 0 {
				if !errors.Is(err, ErrCommittee) {
					t.Errorf("%v corrupt, %v down: m=%d c=%d, want none", corrupt, drops[i], s.Members, s.Corrupt)
				}
				continue
			}
			if err != nil || s.Members != cell[0] || s.Corrupt != cell[1] {
				t.Errorf("%v corrupt, %v down: m=%d c=%d (%v), want %v", corrupt, drops[i], s.Members, s.Corrupt, err, cell)
				continue
			}
			if above(s.Members, corrupt, s.Corrupt) >= 0x1p-40 || below(s.Members, 1-drops[i], s.Quorum) >= 0x1p-20 {
				t.Errorf("%v corrupt, %v down: the bounds do not hold", corrupt, drops[i])
			}
			literal := ParamsLiteral{Dim: 10, Bound: 10, NMin: 2, NMax: 10, Members: s.Members, Corrupt: s.Corrupt, Rho: s.Rho}
			if p, err := NewParams(literal); err != nil || p.Quorum() != s.Quorum || p.Need()+s.Slack() != s.Quorum {
				t.Errorf("%v corrupt, %v down: %+v makes no parameters: %v", corrupt, drops[i], s, err)
			}
		}
	}
	if s, err := SizeCommittee(.05, .10); err != nil || s.Quorum != 40 {
		t.Errorf("quorum %d of 59, want 40", s.Quorum)
	}
	for _, bad := range [][2]float64{{-.1, .1}, {.1, 1}, {1, .1}, {math.NaN(), .1}, {.1, math.NaN()}} {
		if _, err := SizeCommittee(bad[0], bad[1]); !errors.Is(err, ErrCommittee) {
			t.Errorf("shares %v: %v", bad, err)
		}
	}
}

// The list of section 4 and the demo's and production's committees: quorum, members that may drop, ρ, slack.
func TestSection4_PinnedCommittees(t *testing.T) {
	for _, c := range []struct {
		m, c                    int
		down                    float64
		quorum, drop, rho, need int
	}{
		{5, 1, 1.0 / 5, 4, 1, 2, 3},
		{7, 2, 1.0 / 3, 5, 2, 2, 4},
		{9, 2, 1.0 / 3, 6, 3, 2, 4},
		{16, 5, 1.0 / 3, 11, 5, 4, 9},
		{66, 20, 1.0 / 3, 44, 22, 16, 36},
	} {
		s, err := FixedCommittee(c.m, c.c, c.down)
		if err != nil || s.Quorum != c.quorum || s.Down() != c.drop || s.Rho != c.rho || s.Corrupt+s.Rho != c.need || s.Slack() != c.quorum-c.need {
			t.Errorf("m=%d, c=%d: %+v, %v", c.m, c.c, s, err)
		}
		if _, err := FixedCommittee(c.m, c.c, float64(c.drop+1)/float64(c.m)); !errors.Is(err, ErrCommittee) {
			t.Errorf("m=%d, c=%d with %d down: %v", c.m, c.c, c.drop+1, err)
		}
	}
	for _, c := range [][2]int{{0, 1}, {5, 0}, {5, 5}, {MaxMembers + 1, 2}} {
		if _, err := FixedCommittee(c[0], c[1], 0); !errors.Is(err, ErrCommittee) {
			t.Errorf("m=%d, c=%d: %v", c[0], c[1], err)
		}
	}
	if _, err := FixedCommittee(9, 2, math.NaN()); !errors.Is(err, ErrCommittee) {
		t.Errorf("a share that is no number: %v", err)
	}
}

// drawn is a population of keys with a committee drawn from it.
func drawn(t *testing.T, n, m int) (p Population, e *Enrolled, roster []ed25519.PublicKey, paths []EnrolmentPath) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{8})
	keys := make(map[DeviceID]ed25519.PublicKey, n)
	var ids []DeviceID
	for range n {
		key := publicOf(newKey(random))
		keys[IDOf(key)] = key
		ids = append(ids, IDOf(key))
	}
	e = enrolled(t, ids)
	seats, err := e.DrawCommittee(Digest{7}, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range seats {
		roster = append(roster, keys[s.ID])
		paths = append(paths, s.Path)
	}
	return e.Sign(newKey(random), "demo"), e, roster, paths
}

// A drawn roster holds for exactly its beacon and population; nobody in it can be left out, swapped or replaced.
func TestRule1_DrawnRosterIsVerifiable(t *testing.T) {
	p, e, roster, paths := drawn(t, 60, 12)
	beacon := Digest{7}
	if err := p.VerifyCommittee(beacon, roster, paths); err != nil {
		t.Fatal(err)
	}
	check := func(name string, p Population, beacon Digest, roster []ed25519.PublicKey, paths []EnrolmentPath) {
		t.Helper()
		if err := p.VerifyCommittee(beacon, roster, paths); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	check("another beacon", p, Digest{8}, roster, paths)
	check("the first left out", p, beacon, roster[1:], paths[1:])
	check("a path less", p, beacon, roster, paths[1:])
	check("a path more", p, beacon, roster, append(append([]EnrolmentPath{}, paths...), paths[0]))
	check("nobody", p, beacon, nil, nil)
	grown := p
	grown.Size++
	check("another population", grown, beacon, roster, paths)
	for k := range roster {
		swapped, ways := append([]ed25519.PublicKey{}, roster...), append([]EnrolmentPath{}, paths...)
		other := (k + 1) % len(roster)
		swapped[k], swapped[other] = swapped[other], swapped[k]
		ways[k], ways[other] = ways[other], ways[k]
		check("two swapped", p, beacon, swapped, ways)
		outsider := append([]ed25519.PublicKey{}, roster...)
		outsider[k] = publicOf(newKey(rand.NewChaCha8([32]byte{byte(k)})))
		check("an outsider in place of one", p, beacon, outsider, paths)
		// somebody enrolled, who was not drawn for this seat, with an honest path
		place := (paths[k].Index + 1) % p.Size
		path, _ := e.Path(e.ID(int(place)))
		moved := append([]EnrolmentPath{}, paths...)
		moved[k] = path
		check("a neighbour's path", p, beacon, roster, moved)
	}
	if _, err := e.DrawCommittee(beacon, 61); !errors.Is(err, ErrCommittee) {
		t.Errorf("61 of 60: %v", err)
	}
	if seats, err := e.DrawCommittee(beacon, 60); err != nil || len(seats) != 60 {
		t.Errorf("all of them: %d, %v", len(seats), err)
	}
}

// Over 2,000 beacons each of 20 devices sits in 5 of 20 seats about as often: chi-square with 19 degrees of freedom
// and seats drawn without replacement (which only lowers it); false rejection below 2^-30 at 87.
func TestDrawIsUniform(t *testing.T) {
	e := enrolled(t, someIDs(20))
	var count [20]float64
	for i := range 2000 {
		seats, err := e.DrawCommittee(Digest{byte(i), byte(i >> 8)}, 5)
		if err != nil {
			t.Fatal(err)
		}
		taken := map[uint32]bool{}
		for _, s := range seats {
			if taken[s.Path.Index] {
				t.Fatalf("beacon %d: a device sits twice", i)
			}
			taken[s.Path.Index] = true
			count[s.Path.Index]++
		}
	}
	chi := 0.0
	for _, k := range count {
		chi += (k - 500) * (k - 500) / 500
	}
	if chi > 87 {
		t.Errorf("chi-square %.1f: %v", chi, count)
	}
}
