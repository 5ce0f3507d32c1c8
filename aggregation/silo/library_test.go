package silo

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tuneinsight/lattigo/v5/ring"
	"github.com/tuneinsight/lattigo/v5/utils/sampling"
)

// What is known to be wrong in lattigo v5.0.7, pinned, and why it does not reach this mode. A test here that fails after an upgrade
// of the library says that the library got better: then doc.go wants a new paragraph.

func libraryRing(t *testing.T) (*Params, *ring.Ring, sampling.PRNG) {
	t.Helper()
	l, err := Choose(Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 1 << 17, Bound: 1 << 15})
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewParams(l)
	if err != nil {
		t.Fatal(err)
	}
	prng, err := sampling.NewKeyedPRNG([]byte("library"))
	if err != nil {
		t.Fatal(err)
	}
	return p, p.bgv.RingQ(), prng
}

// UniformSampler.AtLevel hands the same randomness out twice. This package never calls it, nor a method of lattigo that does:
// public-key encryption and the common polynomial do not, and Shamir polynomials come from our own source.
func TestUniformSamplerAtLevel(t *testing.T) {
	_, _, prng := libraryRing(t)
	q, err := primeAbove(1<<54/100*78, 13) // 22 % are rejected, so the sampler stops about a quarter into its buffer
	if err != nil {
		t.Fatal(err)
	}
	r, err := ring.NewRing(1<<13, []uint64{q})
	if err != nil {
		t.Fatal(err)
	}
	seen, again := map[uint64]bool{}, 0
	for range 4 {
		u, pol := ring.NewUniformSampler(prng, r), r.NewPoly()
		u.ReadNew()
		for range 2 {
			u.AtLevel(0).Read(pol)
			for _, v := range pol.Coeffs[0] {
				if seen[v] {
					again++
				}
				seen[v] = true
			}
		}
	}
	if again == 0 { // 2^16 honest draws of 54 bits repeat with probability 2^-23
		t.Error("AtLevel no longer reuses randomness")
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, banned := range []string{"AtLevel(", "NewUniformSampler", "NewKeyGenerator", "GenShamirPolynomial", "ShallowCopy("} {
			if !strings.HasSuffix(f, "_test.go") && strings.Contains(string(text), banned) {
				t.Errorf("%s calls %s", f, banned)
			}
		}
	}
}

// What the mode takes from the library as uniform has no coefficient twice: the common polynomial over all primes, and c_1 of every
// ciphertext. Chance of one repetition among 2^16 residues of 55 bits: below 2^-24.
func TestNoRandomnessTwice(t *testing.T) {
	w := newWorld(t, Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 1 << 15, Bound: 1 << 15})
	w.makeKeys()
	seen := map[uint64]bool{}
	p := w.cfg.params
	check := func(what string, words []uint64) {
		for _, v := range words {
			if seen[v] {
				t.Fatalf("%s repeats a residue", what)
			}
			seen[v] = true
		}
	}
	for _, c := range w.parties[0].public.Value[1].Q.Coeffs {
		check("common polynomial", c)
	}
	b, _, err := w.parties[0].Contribute(make([]int64, 1<<15))
	if err != nil {
		t.Fatal(err)
	}
	body := b[headerLen+digestLen:]
	for k := range p.Chunks() {
		pol, err := p.readPoly(body[(2*k+1)*p.polyLen : (2*k+2)*p.polyLen])
		if err != nil {
			t.Fatal(err)
		}
		check("c_1", pol.Coeffs[0])
	}
	other, err := NewConfig(func() ConfigLiteral { l := w.cfg.literal; l.Seed[0]++; return l }())
	if err != nil {
		t.Fatal(err)
	}
	public, err := other.publicKey(p.bgv.RingQ().NewPoly())
	if err != nil {
		t.Fatal(err)
	}
	check("another configuration's common polynomial", public.Value[1].Q.Coeffs[0])
}

// GaussianSampler does not reduce a sample beyond q: with 6σ > q_i it returns residues that are none. checkFlood refuses that σ.
func TestGaussianBeyondThePrime(t *testing.T) {
	p, r, prng := libraryRing(t)
	q := slices.Min(p.literal.Moduli)
	sigma := float64(q) / 2
	g := ring.NewGaussianSampler(prng, r, ring.DiscreteGaussian{Sigma: sigma, Bound: 6 * sigma}, false)
	if !slices.ContainsFunc(g.ReadNew().Coeffs[0], func(v uint64) bool { return v > p.literal.Moduli[0] }) {
		t.Fatal("the sampler reduces now")
	}
	l := p.Literal()
	l.Sigma = uint64(sigma)
	if checkFlood(l) == nil {
		t.Fatal("a Gaussian beyond q was accepted")
	}
	// and were it accepted, the round would end in an error, not in a wrong sum
	w := newWorld(t, small())
	w.makeKeys()
	w.contribute(1, 0, 1, 2)
	tally := w.tally()
	proposal := w.propose(tally, 0, 1, 2)
	o, err := NewOpening(tally, proposal)
	if err != nil {
		t.Fatal(err)
	}
	w.cfg.params.literal.Sigma = slices.Max(w.cfg.params.literal.Moduli) / 2
	for i := range 3 {
		b, _, err := w.parties[i].Decrypt(chacha(1), proposal, tally)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Combine(); !errors.Is(err, ErrNoise) {
		t.Fatalf("opened with a Gaussian beyond q: %v", err)
	}
}

// GaussianSampler fails near σ = 2^62; Sigma is below q/6 < 2^58.
func TestGaussianNear2to62(t *testing.T) {
	p, r, prng := libraryRing(t)
	panics := func(sigma float64) (failed bool) {
		defer func() { failed = recover() != nil }()
		ring.NewGaussianSampler(prng, r, ring.DiscreteGaussian{Sigma: sigma, Bound: 6 * sigma}, false).ReadNew()
		return false
	}
	if !panics(1 << 62) {
		t.Error("the sampler no longer panics at 2^62")
	}
	if widest := float64(slices.Min(p.literal.Moduli) / 6); panics(widest) {
		t.Fatal("panics within the accepted range")
	}
}

// GaussianSampler returns q for "-0". What is written is reduced, what is read is refused unless it is.
func TestMinusZero(t *testing.T) {
	p, r, prng := libraryRing(t)
	pol := ring.NewGaussianSampler(prng, r, ring.DiscreteGaussian{Sigma: 3.2, Bound: 19.2}, false).ReadNew()
	q := p.literal.Moduli[0]
	if !slices.Contains(pol.Coeffs[0], q) {
		t.Fatal("the sampler returns no -0 any more")
	}
	back, err := p.readPoly(p.appendPoly(nil, pol))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range back.Coeffs[0] {
		if v >= q || v != pol.Coeffs[0][i]%q {
			t.Fatal("a residue was not reduced on its way out")
		}
	}
}

// GaussianSampler draws 31 bits however large σ is (a ziggurat of 32-bit words, scaled): at σ = 2^50 two of 3·10^5 samples are often
// equal, which a Gaussian of that width shows with probability below 2^-15. Between its values lie gaps of about σ/2^23, and a flood
// with gaps hides nothing: what it should hide can be read in them. Hence our own flood.
func TestGaussianHasGaps(t *testing.T) {
	p, r, prng := libraryRing(t)
	const sigma, samples = 1 << 50, 40
	g := ring.NewGaussianSampler(prng, r, ring.DiscreteGaussian{Sigma: sigma, Bound: 6 * sigma}, false)
	repeated := func(draw func(ring.Poly)) (n int) {
		seen := map[uint64]bool{}
		pol, q := r.NewPoly(), p.literal.Moduli[0]
		for range samples {
			draw(pol)
			for _, v := range pol.Coeffs[0] {
				if v = min(v, q-v); seen[v] {
					n++
				}
				seen[v] = true
			}
		}
		return n
	}
	// 25 pairs are expected; none has probability e^-25
	if n := repeated(func(pol ring.Poly) { g.Read(pol) }); n == 0 {
		t.Error("the library's Gaussian no longer repeats itself at large sigma")
	}
	src := newSource([32]byte{1})
	if n := repeated(func(pol ring.Poly) { src.flood(r, pol, 50) }); n != 0 {
		t.Errorf("%d repetitions in our flood: chance below 2^-13", n)
	}
}
