package silo

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func TestModelsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Model)
		want   error
	}{
		"two organisations":               {func(m *Model) { m.Organisations, m.Present, m.Minimum = 2, 2, 2 }, ErrOrganisations},
		"21 organisations":                {func(m *Model) { m.Organisations, m.Present = 21, 21 }, ErrOrganisations},
		"nobody colludes":                 {func(m *Model) { m.Corrupt = 0 }, ErrOrganisations},
		"one honest":                      {func(m *Model) { m.Corrupt = 3 }, ErrOrganisations},
		"two disjoint groups":             {func(m *Model) { m.Organisations, m.Corrupt, m.Present = 5, 1, 3 }, ErrOrganisations},
		"more present than there are":     {func(m *Model) { m.Present = 5 }, ErrOrganisations},
		"minimum leaves one honest":       {func(m *Model) { m.Minimum = 2 }, ErrOrganisations},
		"minimum above all":               {func(m *Model) { m.Minimum = 5 }, ErrOrganisations},
		"no coordinates":                  {func(m *Model) { m.Length = 0 }, ErrVector},
		"too many coordinates":            {func(m *Model) { m.Length = MaxLength + 1 }, ErrVector},
		"bound zero":                      {func(m *Model) { m.Bound = 0 }, ErrVector},
		"bound above 2^32":                {func(m *Model) { m.Bound = MaxBound + 1 }, ErrVector},
		"hiding less than 40 bits":        {func(m *Model) { m.Hiding = 39 }, ErrFlood},
		"hiding more than a word carries": {func(m *Model) { m.Hiding = 81 }, ErrFlood},
	} {
		m := small()
		c.change(&m)
		if _, err := Choose(m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// T3.22 for this mode, and the third part of T3.23: every rule on the numbers themselves.
func TestT323FloodBeyondThePrimeAndOtherNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ParamsLiteral)
		want   error
	}{
		"6 sigma reaches q":        {func(l *ParamsLiteral) { l.Sigma = slices.Min(l.Moduli)/6 + 1 }, ErrFlood},
		"sigma near 2^62":          {func(l *ParamsLiteral) { l.Sigma = 1 << 62 }, ErrFlood},
		"sigma zero":               {func(l *ParamsLiteral) { l.Sigma = 0 }, ErrFlood},
		"flood one bit too narrow": {func(l *ParamsLiteral) { l.FloodBits-- }, ErrFlood},
		"flood beyond 128 bits":    {func(l *ParamsLiteral) { l.FloodBits = 127 }, ErrFlood},
		"flood beyond the margin":  {func(l *ParamsLiteral) { l.FloodBits += 8 }, ErrMargin},
		"plaintext too small":      {func(l *ParamsLiteral) { l.Bound = 6000 }, ErrPlaintext},
		"plaintext even":           {func(l *ParamsLiteral) { l.Plaintext++ }, ErrPlaintext},
		"plaintext composite":      {func(l *ParamsLiteral) { l.Plaintext = 8193 * 3 }, ErrPlaintext},
		"plaintext not friendly":   {func(l *ParamsLiteral) { l.Plaintext = 40973 }, ErrPlaintext}, // prime, but 5 mod 8
		"plaintext above q":        {func(l *ParamsLiteral) { l.Plaintext = l.Moduli[0] }, ErrPlaintext},
		"one prime":                {func(l *ParamsLiteral) { l.Moduli = l.Moduli[:1] }, ErrModulus},
		"four primes":              {func(l *ParamsLiteral) { l.Moduli, _ = primesBelow(25, 4, l.LogN) }, ErrModulus},
		"same prime twice":         {func(l *ParamsLiteral) { l.Moduli[1] = l.Moduli[0] }, ErrModulus},
		"composite":                {func(l *ParamsLiteral) { l.Moduli[1] = 1<<43 + 1 }, ErrModulus},
		"61 bits":                  {func(l *ParamsLiteral) { l.Moduli, _ = primesBelow(61, 2, l.LogN) }, ErrModulus},
		"unknown ring":             {func(l *ParamsLiteral) { l.LogN = 11 }, ErrModulus},
		"too large for 128 bits":   {func(l *ParamsLiteral) { l.Moduli, _ = primesBelow(54, 2, l.LogN) }, ErrSecurity},
	} {
		l, err := Choose(small())
		if err != nil {
			t.Fatal(err)
		}
		c.change(&l)
		if _, err := NewParams(l); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	l, err := Choose(small())
	if err != nil {
		t.Fatal(err)
	}
	l.Sigma = slices.Min(l.Moduli)/6 - 1
	if err := checkFlood(l); err != nil {
		t.Errorf("the widest Gaussian that lattigo draws right: %v", err)
	}
}

// The chosen numbers of the benchmarks' models stay what doc.go says, and keep their margins.
func TestChoose(t *testing.T) {
	for _, c := range []struct {
		model          Model
		logN           int
		logQ           float64
		flood, primes  int
		perCoordinate  int // bytes of a contribution
		plaintextAbove int64
	}{
		{Model{Organisations: 3, Corrupt: 1, Minimum: 3, Length: 1 << 17, Bound: 1 << 15}, 13, 110, 82, 2, 28, 2 * 3 << 15},
		{Model{Organisations: 20, Corrupt: 5, Present: 13, Minimum: 13, Length: 1 << 20, Bound: 1 << 15}, 13, 120, 88, 2, 32, 2 * 20 << 15},
		{Model{Organisations: 20, Corrupt: 5, Present: 13, Minimum: 13, Length: 1 << 20, Bound: 1 << 32}, 13, 138, 88, 3, 36, 2 * 20 << 32},
	} {
		l, err := Choose(c.model)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewParams(l)
		if err != nil {
			t.Fatal(err)
		}
		logQ := math.Log2(toFloat(l.product()))
		if l.LogN != c.logN || math.Abs(logQ-c.logQ) > 0.01 || l.FloodBits != c.flood || len(l.Moduli) != c.primes {
			t.Errorf("N = 2^%d, log Q = %.2f, flood 2^%d, %d primes: not what was chosen before", l.LogN, logQ, l.FloodBits, len(l.Moduli))
		}
		if got := (p.ContributionLen() - overhead - digestLen) / c.model.Length; got != c.perCoordinate {
			t.Errorf("%d bytes a coordinate, want %d", got, c.perCoordinate)
		}
		if int64(l.Plaintext) <= c.plaintextAbove {
			t.Errorf("plaintext modulus %d", l.Plaintext)
		}
		// hiding: padded coordinates · E|offset| / 2^(f+1) <= 2^-κ, from the numbers as published
		offset := float64(p.Chunks()<<l.LogN) * l.sumNoise()
		if math.Log2(offset)-float64(l.FloodBits+1) > -float64(l.Hiding) {
			t.Errorf("flood of 2^%d hides only to 2^%.1f", l.FloodBits, math.Log2(offset)-float64(l.FloodBits+1))
		}
	}
	if _, err := Choose(Model{Organisations: 20, Corrupt: 5, Minimum: 20, Length: MaxLength, Bound: MaxBound, Hiding: MaxHiding}); err != nil {
		t.Errorf("the largest model: %v", err)
	}
}

// The noise that a sum of fresh ciphertexts really has is what needFlood reckons with. Standard deviation over 2·2^12 coefficients:
// a relative error beyond 6 % lies at 7.7 standard errors, false rejection below 2^-45.
func TestSumNoiseIsWhatIsReckoned(t *testing.T) {
	w := newWorld(t, Model{Organisations: 4, Corrupt: 1, Minimum: 3, Length: 8192, Bound: 1, Hiding: 40})
	p := w.cfg.params
	if p.literal.LogN != 12 {
		t.Fatalf("N = 2^%d", p.literal.LogN)
	}
	w.makeKeys()
	for i := range 4 {
		b, _, err := w.parties[i].Contribute(make([]int64, 8192))
		if err != nil {
			t.Fatal(err)
		}
		w.contributions = append(w.contributions, b)
	}
	tally, ringQ := w.tally(), p.bgv.RingQ()
	var square, n float64
	for k := range p.Chunks() {
		phase := *tally.sum[k][0].CopyNew()
		for _, party := range w.parties {
			sk, err := party.secretKey()
			if err != nil {
				t.Fatal(err)
			}
			ringQ.MulCoeffsMontgomeryThenAdd(tally.sum[k][1], sk.Value.Q, phase)
		}
		ringQ.INTT(phase, phase)
		q := p.literal.Moduli[0]
		for _, v := range phase.Coeffs[0] {
			e := float64(v)
			if v > q/2 {
				e = -float64(q - v)
			}
			square, n = square+e*e, n+1
		}
	}
	got, want := math.Sqrt(square/n), p.literal.sumNoise()
	if math.Abs(got/want-1) > 0.06 {
		t.Errorf("noise of a sum has standard deviation %.0f, reckoned with %.0f", got, want)
	}
}
