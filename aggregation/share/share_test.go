package share

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func scheme(t testing.TB, m, c, rho int) *Scheme {
	t.Helper()
	s, err := New(Default(), m, c, rho)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestT1_5_KnownShares(t *testing.T) {
	s := scheme(t, 5, 1, 2)
	first, err := s.Split([]int64{1, -2}, []uint64{7})
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Split([]int64{10, 20}, []uint64{5})
	if err != nil {
		t.Fatal(err)
	}
	wantFirst := []uint64{43, 82, 133, 196, 271}
	wantSecond := []uint64{2147483562, 2147483477, 2147483367, 2147483232, 2147483072}
	sums := make([]Share, 5)
	for j := range sums {
		if first[j][0] != wantFirst[j] || second[j][0] != wantSecond[j] {
			t.Errorf("member %d: shares %d and %d, want %d and %d", j+1, first[j][0], second[j][0], wantFirst[j], wantSecond[j])
		}
		sums[j] = Share{X: j + 1, Words: slices.Clone(first[j])}
		s.field.Add(sums[j].Words, second[j])
	}
	for a := range 5 {
		for b := a + 1; b < 5; b++ {
			for c := b + 1; c < 5; c++ {
				got, _, err := s.Combine(2, []Share{sums[c], sums[a], sums[b]})
				if err != nil || got[0] != 11 || got[1] != 18 {
					t.Fatalf("members %d, %d, %d: %v, %v", a+1, b+1, c+1, got, err)
				}
			}
		}
	}
}

// Exhaustive in a small sense: every committee up to 9, every c and rho, random secrets at the edges of the key range.
func TestSplitCombineAllSmallCommittees(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	for m := 1; m <= 9; m++ {
		for c := 0; c < m; c++ {
			for rho := 1; c+rho <= m; rho++ {
				s := scheme(t, m, c, rho)
				n := 1 + rng.IntN(7)
				secrets := make([]int64, n)
				for i := range secrets {
					secrets[i] = rng.Int64N(P) - P/2
				}
				secrets[0] = [2]int64{P / 2, -(P / 2)}[m%2]
				shares := split(t, s, secrets, rng)
				rng.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
				got, wrong, err := s.Combine(n, shares)
				if err != nil || wrong != nil || !slices.Equal(got, secrets) {
					t.Fatalf("m=%d c=%d rho=%d: %v from %v, %v", m, c, rho, got, secrets, err)
				}
				if _, _, err := s.Combine(n, shares[:s.Need()-1]); !errors.Is(err, ErrTooFew) {
					t.Fatalf("m=%d c=%d rho=%d: %v with one share too few", m, c, rho, err)
				}
			}
		}
	}
}

func split(t *testing.T, s *Scheme, secrets []int64, rng *rand.Rand) []Share {
	t.Helper()
	random := make([]uint64, s.Draws(len(secrets)))
	for i := range random {
		random[i] = rng.Uint64N(P)
	}
	words, err := s.Split(secrets, random)
	if err != nil {
		t.Fatal(err)
	}
	shares := make([]Share, len(words))
	for j := range shares {
		shares[j] = Share{X: j + 1, Words: words[j]}
	}
	return shares
}

// T3.17: with one share to spare, any single wrong share is noticed, whoever gave it.
func TestT3_17_OneWrongShare(t *testing.T) {
	s := scheme(t, 5, 1, 2)
	rng := rand.New(rand.NewPCG(3, 17))
	secrets := []int64{5, -6, 7, -8}
	for wrong := range 4 {
		shares := split(t, s, secrets, rng)[:4]
		shares[wrong].Words[1] = (shares[wrong].Words[1] + 1 + rng.Uint64N(P-1)) % P
		if got, _, err := s.Combine(4, shares); !errors.Is(err, ErrInconsistent) {
			t.Errorf("wrong share of member %d: %v, %v", wrong+1, got, err)
		}
	}
}

// A word outside of the field is found wherever it stands.
func TestParseLooksAtEveryWord(t *testing.T) {
	for _, modulus := range []uint64{P, 70368744067073, 1152921504606830593} {
		f := field(t, modulus)
		for at := range 3 {
			words := []uint64{1, 2, modulus - 1}
			words[at] = modulus
			b := make([]byte, 3*f.Bytes())
			f.Put(b, words)
			if got, err := f.Parse(b); !errors.Is(err, ErrWord) || got != nil {
				t.Errorf("mod %d, word %d: %d, %v", modulus, at, got, err)
			}
		}
	}
}

// Too few random elements, or some left over, which could be used again.
func TestRandomnessIsCounted(t *testing.T) {
	s := scheme(t, 5, 1, 2)
	for _, n := range []int{0, 1, 3} {
		if _, err := s.Split([]int64{1, 2, 3, 4}, make([]uint64, n)); !errors.Is(err, ErrScheme) {
			t.Errorf("split with %d elements: %v", n, err)
		}
	}
	for _, n := range []int{1, 2, 4, 5} {
		if _, err := s.Blind(make([]uint64, n)); !errors.Is(err, ErrScheme) {
			t.Errorf("blind with %d elements: %v", n, err)
		}
	}
}

// One sharer that puts something into the padding of a well-formed sharing spoils nobody's sum.
func TestPaddingIsIgnored(t *testing.T) {
	s := scheme(t, 5, 1, 2)
	secrets := []int64{5, -6, 7}
	shares := split(t, s, secrets, rand.New(rand.NewPCG(3, 17)))
	for j := range shares {
		shares[j].Words[1] = (shares[j].Words[1] + s.matrix[j][1]) % P
	}
	if got, wrong, err := s.Combine(3, shares); err != nil || wrong != nil || !slices.Equal(got, secrets) {
		t.Errorf("%d, %d, %v", got, wrong, err)
	}
}

// T2.9: the part of the sharing matrix that multiplies the randomness is invertible for every set of c members, so that
// c shares are uniform whatever the secrets; and c+rho members determine them.
func TestT2_9_AnyCSharesAreIndependentOfTheKey(t *testing.T) {
	for _, p := range [][3]int{{5, 1, 2}, {7, 2, 2}, {9, 2, 2}, {9, 3, 4}, {16, 5, 4}} {
		for _, modulus := range []uint64{P, 70368744067073, 101} {
			s, err := New(field(t, modulus), p[0], p[1], p[2])
			if err != nil {
				t.Fatal(err)
			}
			subsets(s.m, s.c, func(members []int) {
				matrix := make([][]uint64, s.c)
				for i, j := range members {
					matrix[i] = slices.Clone(s.matrix[j][s.rho:])
				}
				if rank(s.field, matrix) != s.c {
					t.Fatalf("m=%d c=%d rho=%d mod %d: members %v learn something", s.m, s.c, s.rho, modulus, members)
				}
			})
			if p[0] > 9 {
				continue
			}
			subsets(s.m, s.Need(), func(members []int) {
				matrix := make([][]uint64, s.Need())
				for i, j := range members {
					matrix[i] = slices.Clone(s.matrix[j])
				}
				if rank(s.field, matrix) != s.Need() {
					t.Fatalf("m=%d c=%d rho=%d mod %d: members %v do not determine the key", s.m, s.c, s.rho, modulus, members)
				}
			})
		}
	}
}

func subsets(n, k int, visit func([]int)) {
	var walk func(from int, chosen []int)
	walk = func(from int, chosen []int) {
		if len(chosen) == k {
			visit(chosen)
			return
		}
		for i := from; i < n; i++ {
			walk(i+1, append(chosen, i))
		}
	}
	walk(0, nil)
}

// rank is Gaussian elimination mod p.
func rank(f Field, a [][]uint64) int {
	r := 0
	for col := 0; r < len(a) && col < len(a[0]); col++ {
		pivot := slices.IndexFunc(a[r:], func(row []uint64) bool { return row[col] != 0 })
		if pivot < 0 {
			continue
		}
		a[r], a[r+pivot] = a[r+pivot], a[r]
		inv := f.Inverse(a[r][col])
		for i := r + 1; i < len(a); i++ {
			c := f.Mul(a[i][col], inv)
			for k := range a[i] {
				a[i][k] = f.Minus(a[i][k], f.Mul(c, a[r][k]))
			}
		}
		r++
	}
	return r
}

func TestRefusals(t *testing.T) {
	for _, p := range [][3]int{{2, 1, 2}, {3, -1, 1}, {3, 1, 0}, {1 << 17, 1, 1}} {
		if _, err := New(Default(), p[0], p[1], p[2]); !errors.Is(err, ErrScheme) {
			t.Errorf("%v: %v", p, err)
		}
	}
	s := scheme(t, 4, 1, 1)
	if _, err := s.Split([]int64{1}, nil); !errors.Is(err, ErrScheme) {
		t.Errorf("no randomness: %v", err)
	}
	ok := []uint64{1}
	for name, shares := range map[string][]Share{
		"twice":      {{1, ok}, {1, ok}},
		"member 0":   {{0, ok}, {1, ok}},
		"member m+1": {{5, ok}, {1, ok}},
		"length":     {{1, ok}, {2, []uint64{1, 2}}},
		"field":      {{1, ok}, {2, []uint64{P}}},
	} {
		if _, _, err := s.Combine(1, shares); !errors.Is(err, ErrScheme) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
