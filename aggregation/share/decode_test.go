package share

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Every received word of length 5 over the field of 11 elements, degree 2: a word within distance 1 of a polynomial decodes to it and
// the wrong place is named; any other is refused. 11^5 words against the list of all 11^3 polynomials.
func TestDecodeExhaustively(t *testing.T) {
	f := field(t, 11)
	points := []uint64{1, 2, 3, 4, 5}
	near := make(map[[5]uint64][]int) // word -> wrong places
	for c := range 11 * 11 * 11 {
		poly := Poly{uint64(c % 11), uint64(c / 11 % 11), uint64(c / 121)}
		var word [5]uint64
		for i, x := range points {
			word[i] = f.Eval(poly, x)
		}
		near[word] = nil
		for i := range word {
			for d := uint64(1); d < 11; d++ {
				other := word
				other[i] = f.Plus(other[i], d)
				near[other] = []int{i}
			}
		}
	}
	for c := range 11 * 11 * 11 * 11 * 11 {
		var word [5]uint64
		for i, v := 0, c; i < 5; i, v = i+1, v/11 {
			word[i] = uint64(v % 11)
		}
		poly, wrong, err := f.Decode(points, word[:], 2)
		want, ok := near[word]
		if ok != (err == nil) || !slices.Equal(wrong, want) {
			t.Fatalf("%v: wrong %v, %v; want %v, %v", word, wrong, err, want, ok)
		}
		for i, x := range points {
			if ok && !slices.Contains(want, i) && f.Eval(poly, x) != word[i] {
				t.Fatalf("%v: %v", word, poly)
			}
		}
		if !ok && !errors.Is(err, ErrInconsistent) || ok && len(poly) != 3 {
			t.Fatalf("%v: %v, %v", word, poly, err)
		}
	}
}

func TestDecodeRefusals(t *testing.T) {
	f := Default()
	if _, _, err := f.Decode([]uint64{1, 2}, []uint64{1, 2}, 2); !errors.Is(err, ErrTooFew) {
		t.Error(err)
	}
	if _, _, err := f.Decode([]uint64{1, 2}, []uint64{1}, 1); !errors.Is(err, ErrScheme) {
		t.Error(err)
	}
	if _, _, err := f.Decode(nil, nil, -1); !errors.Is(err, ErrScheme) {
		t.Error(err)
	}
	if poly, wrong, err := f.Decode([]uint64{1, 2, 3}, []uint64{0, 0, 7}, 0); err != nil || poly[0] != 0 || !slices.Equal(wrong, []int{2}) {
		t.Errorf("the zero polynomial: %v, %v, %v", poly, wrong, err)
	}
}

// A liar's way of lying; each changes at least one word.
var lies = map[string]func(f Field, words [][]uint64, rng *rand.Rand){
	"random in every word": func(f Field, words [][]uint64, rng *rand.Rand) {
		for _, share := range words {
			for w := range share {
				share[w] = f.Plus(share[w], 1+rng.Uint64N(f.p-1))
			}
		}
	},
	"one word only, another one each": func(f Field, words [][]uint64, rng *rand.Rand) {
		for i, share := range words {
			w := i % len(share)
			share[w] = f.Plus(share[w], 1+rng.Uint64N(f.p-1))
		}
	},
	"the same offset by all": func(f Field, words [][]uint64, rng *rand.Rand) {
		offset := 1 + rng.Uint64N(f.p-1)
		for _, share := range words {
			for w := range share {
				share[w] = f.Plus(share[w], offset)
			}
		}
	},
	"first all but one, last word that one": func(f Field, words [][]uint64, rng *rand.Rand) {
		for i, share := range words {
			w := 0
			if i == len(words)-1 {
				w = len(share) - 1
			}
			share[w] = f.Plus(share[w], 1+rng.Uint64N(f.p-1))
		}
	},
}

// T3.17: with slack 2e or 2e+1, e liars are corrected and named, for every e up to the bound, whatever they do; one more is
// never a wrong sum unless they agree on another polynomial, which independent lies do with probability below 2^-20 a case
// (200 cases or so with a field of 31 bits or more).
func TestT3_17_LiarsAreCorrectedAndNamed(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 3))
	for _, p := range [][3]int{{5, 1, 2}, {6, 1, 1}, {9, 2, 2}, {9, 2, 1}, {16, 5, 4}, {30, 8, 4}} {
		for _, modulus := range []uint64{P, 70368744067073} {
			s, err := New(field(t, modulus), p[0], p[1], p[2])
			if err != nil {
				t.Fatal(err)
			}
			for e := 0; 2*e+s.Need() <= s.m; e++ {
				for name, lie := range lies {
					checkLiars(t, s, e, name, lie, rng)
				}
			}
		}
	}
}

func checkLiars(t *testing.T, s *Scheme, e int, name string, lie func(Field, [][]uint64, *rand.Rand), rng *rand.Rand) {
	t.Helper()
	secrets := make([]int64, 3*s.rho)
	for i := range secrets {
		secrets[i] = rng.Int64N(79) - 39
	}
	shares := split(t, s, secrets, rng)
	rng.Shuffle(len(shares), func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
	answers := shares[:s.Need()+2*e+min(1, s.m-s.Need()-2*e)*rng.IntN(2)]
	var words [][]uint64
	var liars []int
	for _, at := range rng.Perm(len(answers))[:e] {
		words, liars = append(words, answers[at].Words), append(liars, answers[at].X)
	}
	slices.Sort(liars)
	if lie(s.field, words, rng); e == 0 {
		liars = nil
	}
	got, wrong, err := s.Combine(len(secrets), answers)
	if err != nil || !slices.Equal(got, secrets) || !slices.Equal(wrong, liars) {
		t.Fatalf("m=%d c=%d rho=%d, %d answers, %q by %v: named %v, %v", s.m, s.c, s.rho, len(answers), name, liars, wrong, err)
	}
	if len(answers) == s.Need() {
		return
	}
	for _, sh := range answers { // one liar more than can be corrected
		if !slices.Contains(liars, sh.X) {
			sh.Words[0] = s.field.Plus(sh.Words[0], 1+rng.Uint64N(s.field.p-1))
			break
		}
	}
	if e = (len(answers) - s.Need()) / 2; len(liars) == e {
		if got, _, err := s.Combine(len(secrets), answers); !errors.Is(err, ErrInconsistent) || got != nil {
			t.Fatalf("m=%d c=%d rho=%d, %d answers, %q by %v and one more: %v, %v", s.m, s.c, s.rho, len(answers), name, liars, got, err)
		}
	}
}

// Liars who know everything move their shares to those of other secrets. Below distance - e they fail; the guarantee ends there.
func TestLiarsWhoAgree(t *testing.T) {
	s := scheme(t, 9, 2, 2) // 9 answers, need 4: distance 6, corrects 2
	rng := rand.New(rand.NewPCG(9, 9))
	secrets, others := []int64{1, 2, 3, 4}, []int64{5, 6, 7, 8}
	for liars := 1; liars <= 4; liars++ {
		honest, lie := split(t, s, secrets, rng), split(t, s, others, rng)
		for j := range liars {
			honest[j] = lie[j]
		}
		got, wrong, err := s.Combine(4, honest)
		switch {
		case liars <= 2 && (err != nil || !slices.Equal(got, secrets) || len(wrong) != liars):
			t.Errorf("%d liars: %v, %v, %v", liars, got, wrong, err)
		case liars > 2 && !errors.Is(err, ErrInconsistent):
			t.Errorf("%d liars: %v, %v, %v", liars, got, wrong, err)
		}
	}
}

func TestSumsOfSharesAreSharesOfSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, err := NewField(rapid.SampledFrom(moduli[:6]).Draw(t, "p"))
		if err != nil {
			t.Fatal(err)
		}
		c, rho := rapid.IntRange(0, 5).Draw(t, "c"), rapid.IntRange(1, 5).Draw(t, "rho")
		s, err := New(f, c+rho+rapid.IntRange(0, 6).Draw(t, "spare"), c, rho)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, 12).Draw(t, "n")
		total, sums := make([]int64, n), make([]Share, s.m)
		for j := range sums {
			sums[j] = Share{X: j + 1, Words: make([]uint64, s.Words(n))}
		}
		for range rapid.IntRange(1, 4).Draw(t, "devices") {
			secrets := rapid.SliceOfN(rapid.Int64Range(-1000, 1000), n, n).Draw(t, "secrets")
			random := rapid.SliceOfN(rapid.Uint64Max(f.p-1), s.Draws(n), s.Draws(n)).Draw(t, "random")
			shares, err := s.Split(secrets, random)
			if err != nil {
				t.Fatal(err)
			}
			for j := range sums {
				f.Add(sums[j].Words, shares[j])
			}
			for i, v := range secrets {
				total[i] += v
			}
		}
		from := rapid.Permutation(sums).Draw(t, "order")[:s.Need()+rapid.IntRange(0, s.m-s.Need()).Draw(t, "more")]
		got, wrong, err := s.Combine(n, from)
		if err != nil || wrong != nil || !slices.Equal(got, total) {
			t.Fatalf("%v, %v, %v; want %v", got, wrong, err, total)
		}
	})
}

// Blinds have full degree: any c+rho members' values are those of the random elements at some nodes, so they are uniform
// together, and one more is determined.
func TestBlindsHaveFullDegree(t *testing.T) {
	s := scheme(t, 9, 2, 2)
	random := make([]uint64, 3*s.Need())
	if err := s.field.Draw(rngReader{rand.New(rand.NewPCG(4, 4))}, random); err != nil {
		t.Fatal(err)
	}
	shares, err := s.Blind(random)
	if err != nil {
		t.Fatal(err)
	}
	points := make([]uint64, s.m)
	for w := range 3 {
		values := make([]uint64, s.m)
		for j := range shares {
			points[j], values[j] = uint64(j+1), shares[j][w]
		}
		poly, wrong, err := s.field.Decode(points, values, s.Need()-1)
		if err != nil || wrong != nil || poly[s.Need()-1] == 0 {
			t.Fatalf("%v, %v, %v", poly, wrong, err)
		}
		for i, node := range s.nodes() {
			if got := s.field.Eval(poly, node); got != random[w*s.Need()+i] {
				t.Errorf("blind %d at node %d: %d", w, i, got)
			}
		}
	}
	subsets(s.m, s.Need(), func(members []int) {
		matrix := make([][]uint64, len(members))
		for i, j := range members {
			matrix[i] = slices.Clone(s.matrix[j])
		}
		if rank(s.field, matrix) != s.Need() {
			t.Fatalf("members %v hold dependent values", members)
		}
	})
	if _, err := s.Blind(random[1:]); !errors.Is(err, ErrScheme) {
		t.Error(err)
	}
}

type rngReader struct{ rng *rand.Rand }

func (r rngReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.rng.Uint32())
	}
	return len(b), nil
}

func BenchmarkSplit(b *testing.B) {
	for _, p := range []uint64{P, 70368744067073} {
		s, err := New(field(b, p), 9, 2, 2)
		if err != nil {
			b.Fatal(err)
		}
		secrets, random := make([]int64, 2048), make([]uint64, 2048)
		b.Run(s.field.name(), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Split(secrets, random); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func (f Field) name() string { return map[bool]string{true: "mersenne31", false: "generic"}[f.p == P] }
