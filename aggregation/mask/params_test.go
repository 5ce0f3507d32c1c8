package mask

import (
	"errors"
	"math"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

// What Choose gives NewParams takes, also where q lies so far below its power of two that the margin of the next smaller P fails.
func TestChosenParametersAreTaken(t *testing.T) {
	if _, err := Choose(Standard, 273759, 66254, 317557); !errors.Is(err, ErrOverflow) { // log q = 53 would do but for a hair
		t.Error(err)
	}
	hair := params(t, Standard, 273759, 66254, 10_000).literal
	hair.LogP--
	hair.Q, hair.Q2 = ladder(Standard, hair.LogP+extraLogQ).primes()
	if _, err := NewParams(hair); !errors.Is(err, ErrMargin) {
		t.Errorf("one bit less: %v", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		profile := rapid.SampledFrom([]Profile{Standard, High, Paired}).Draw(t, "profile")
		dim := rapid.IntRange(1, MaxDim/2).Draw(t, "dim") * 2
		count, bound := rapid.IntRange(1, MaxCount).Draw(t, "count"), rapid.Int64Range(1, MaxBound).Draw(t, "bound")
		l, err := Choose(profile, dim, count, bound)
		if err != nil {
			if !errors.Is(err, ErrOverflow) {
				t.Fatal(err)
			}
			return
		}
		if _, err := NewParams(l); err != nil {
			t.Fatalf("%+v: %v", l, err)
		}
	})
	// Counts just below and above where log P steps, which is where a hair decides.
	for _, profile := range []Profile{Standard, High, Paired} {
		s, err := profile.shape()
		if err != nil {
			t.Fatal(err)
		}
		for sigma, dim := range map[Sigma]int{Sigma65: 2, Sigma70: 3_000_000} {
			for step := 4.0; step <= 13; step++ {
				edge := math.Exp2(2*step) / square(2*margin) / (1.0/12 + square(sigma.Value()/(1<<extraLogQ)))
				for around := -3; around <= 0; around++ {
					l, err := Choose(profile, dim, min(MaxCount, max(1, int(edge)+around)), 1)
					if err != nil || l.Sigma != sigma || l.checkMargin(s) != nil {
						t.Fatalf("%+v: %v", l, err)
					}
				}
			}
		}
	}
}

// The general rule at the points that the design names: section 2 and binding rules 5 and 13.
func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name         string
		profile      Profile
		dim, count   int
		bound        int64
		logT, logP   int
		logQ         int
		sigma        Sigma
		bytesPer1024 int
	}{
		{"profile S", Standard, 1 << 20, 1 << 14, 1<<15 - 1, 30, 40, 46, Sigma65, 5120},
		{"12-bit inputs, 10^4 devices", Standard, 1 << 20, 10_000, 1<<11 - 1, 26, 36, 42, Sigma65, 4608},
		{"16-bit inputs, 2^10 devices", Standard, 1 << 20, 1 << 10, 1<<15 - 1, 26, 34, 40, Sigma65, 4352},
		{"rule 13, 2^16 devices", Standard, 1 << 20, 1 << 16, 1<<15 - 1, 32, 43, 49, Sigma65, 5504},
		{"rule 13, 2^20 devices", Standard, 1 << 20, 1 << 20, 1<<12 - 1, 33, 46, 52, Sigma65, 5888},
		{"profile L", High, 1 << 20, 1 << 14, 1<<15 - 1, 30, 40, 60, Sigma65, 5120},
		{"rule 5, below", Standard, 2_750_000, 1 << 14, 1<<15 - 1, 30, 40, 46, Sigma65, 5120},
		{"rule 5, above: margins at 7.0 need one bit more", Standard, 2_770_000, 1 << 14, 1<<15 - 1, 30, 41, 47, Sigma70, 5248},
		{"tiny", Standard, 1, 2, 1, 3, minLogP, 30, Sigma65, 3072},
	} {
		l, err := Choose(c.profile, c.dim, c.count, c.bound)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		p, err := NewParams(l)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if l.LogT != c.logT || l.LogP != c.logP || l.Q>>(c.logQ-1) != 1 || l.Sigma != c.sigma || 128*p.WordBits() != c.bytesPer1024 {
			t.Errorf("%s: T 2^%d, P 2^%d, q %d, sigma %v", c.name, l.LogT, l.LogP, l.Q, l.Sigma.Value())
		}
		if want := map[Profile]uint64{High: 1152921504606830593}[c.profile]; want != 0 && l.Q != want {
			t.Errorf("%s: q = %d", c.name, l.Q)
		}
	}
	if p := params(t, High, 1, 4130, MaxBound); p.literal.LogT != MaxLogT {
		t.Errorf("the longest T is 2^%d", p.literal.LogT)
	}
	for _, c := range []struct {
		profile    Profile
		dim, count int
		bound      int64
		want       error
	}{
		{Standard, 0, 2, 1, ErrDimension}, {Standard, MaxDim + 1, 2, 1, ErrDimension}, {Standard, 1, 0, 1, ErrCount},
		{Standard, 1, MaxCount + 1, 1, ErrCount}, {Standard, 1, 2, 0, ErrOverflow}, {Standard, 1, 2, MaxBound + 1, ErrOverflow},
		{Standard, 1, 1 << 20, 1 << 14, ErrOverflow}, {High, 1, 1 << 20, 1 << 30, ErrOverflow}, {0, 1, 2, 1, ErrModulus}, {4, 1, 2, 1, ErrModulus}, {Paired, 3, 2, 1, ErrDimension}, {Paired, 2, 1 << 16, 1 << 15, ErrOverflow}, {Paired, 2, 2, 1 << 29, ErrOverflow},
	} {
		if _, err := Choose(c.profile, c.dim, c.count, c.bound); !errors.Is(err, c.want) {
			t.Errorf("profile %d, dim %d, %d devices, bound %d: %v, want %v", c.profile, c.dim, c.count, c.bound, err, c.want)
		}
	}
}

// T3.22: NewParams judges any literal, not only those of Choose. Each case changes one thing of profile S.
func TestT3_22_NewParamsRefuses(t *testing.T) {
	good := Literal{Profile: Standard, Q: profileSQ, LogT: 30, LogP: 40, Sigma: Sigma65, Dim: 1 << 20, Count: 1 << 14, Bound: 1<<15 - 1}
	if _, err := NewParams(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Literal)
		want   error
	}{
		"profile":                  {func(l *Literal) { l.Profile = 7 }, ErrModulus},
		"log q too large for N":    {func(l *Literal) { l.Q = 18014398509404161 }, ErrModulus},
		"q not prime":              {func(l *Literal) { l.Q -= 4096 }, ErrModulus},
		"prime but not NTT":        {func(l *Literal) { l.Q = 70368744177643 }, ErrModulus},
		"q zero":                   {func(l *Literal) { l.Q = 0 }, ErrModulus},
		"wire too close to q":      {func(l *Literal) { l.LogP = 41 }, ErrModulus},
		"wire too narrow":          {func(l *Literal) { l.LogP = 23 }, ErrModulus},
		"T beyond P":               {func(l *Literal) { l.LogT = 40 }, ErrModulus},
		"sigma without table":      {func(l *Literal) { l.Sigma = 12 }, ErrDimension},
		"sigma does not smooth":    {func(l *Literal) { l.Dim = 2_770_000 }, ErrDimension},
		"T1.7: sum at 2^29":        {func(l *Literal) { l.Bound = 1 << 15 }, ErrOverflow},
		"13-sigma rule, n":         {func(l *Literal) { l.Count, l.Bound = 1<<14+200, 1<<14 }, ErrMargin},
		"13-sigma rule, P":         {func(l *Literal) { l.LogP = 39 }, ErrMargin},
		"13-sigma rule, T":         {func(l *Literal) { l.LogT = 31 }, ErrMargin},
		"a second prime":           {func(l *Literal) { l.Q2 = 274877816833 }, ErrModulus},
		"no coordinate":            {func(l *Literal) { l.Dim = 0 }, ErrDimension},
		"too many devices for any": {func(l *Literal) { l.Count = MaxCount + 1 }, ErrCount},
	} {
		l := good
		c.change(&l)
		if _, err := NewParams(l); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Pairs add two numbers below Bound·q_j in 64 bits, so their primes have to be alike; and their P counts two coordinates.
func TestNewParamsRefusesPairs(t *testing.T) {
	good := params(t, Paired, 4, 1<<14, 1<<15-1).literal
	for name, c := range map[string]struct {
		change func(*Literal)
		want   error
	}{
		"as chosen":             {func(*Literal) {}, nil},
		"a long and a short":    {func(l *Literal) { l.Q, l.Q2 = largestPrime(1<<45, 8192), largestPrime(1<<31, 8192) }, ErrModulus},
		"a short and a long":    {func(l *Literal) { l.Q, l.Q2 = largestPrime(1<<31, 8192), largestPrime(1<<45, 8192) }, ErrModulus},
		"twice the same":        {func(l *Literal) { l.Q2 = l.Q }, ErrModulus},
		"second is no prime":    {func(l *Literal) { l.Q2 -= 8192 }, ErrModulus},
		"second is not NTT":     {func(l *Literal) { l.Q2 = 274877906857 }, ErrModulus},
		"wire too narrow":       {func(l *Literal) { l.LogP, l.LogT, l.Count, l.Bound = 46, 2, 1, 1 }, ErrModulus},
		"wire barely wide":      {func(l *Literal) { l.LogP, l.LogT, l.Count, l.Bound = 48, 2, 1, 1 }, nil},
		"odd length of a wire":  {func(l *Literal) { l.LogP-- }, ErrModulus},
		"odd number":            {func(l *Literal) { l.Dim-- }, ErrDimension},
		"margin for one number": {func(l *Literal) { l.LogT++ }, ErrMargin},
	} {
		l := good
		c.change(&l)
		if _, err := NewParams(l); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestLargestPrimeIsLargest(t *testing.T) {
	for log := 30; log <= 53; log++ {
		q := largestPrime(1<<log, 4096)
		if q>>log != 0 || q%4096 != 1 || !isPrime(q) {
			t.Errorf("2^%d: %d", log, q)
		}
		for higher := q + 4096; higher>>log == 0; higher += 4096 {
			if isPrime(higher) {
				t.Errorf("2^%d: %d is larger than %d", log, higher, q)
			}
		}
	}
}

// Rule 5 counts D+N coordinates: at its edge both Choose and NewParams do.
func TestSmoothingCountsTheKey(t *testing.T) {
	most := sort.Search(MaxDim, func(m int) bool { return !Sigma65.smooths(m + 1) })
	if most < 2_755_000 || most > 2_765_000 {
		t.Fatalf("6.5 smooths %d coordinates, 2.76 million expected", most)
	}
	for dim, want := range map[int]Sigma{most - 2048: Sigma65, most - 2047: Sigma70} {
		l, err := Choose(Standard, dim, 1<<10, 1000)
		if err != nil || l.Sigma != want {
			t.Errorf("%d coordinates: sigma %v, want %v (%v)", dim, l.Sigma.Value(), want.Value(), err)
		}
		l.Sigma = Sigma65
		if _, err := NewParams(l); (err == nil) != (want == Sigma65) || err != nil && !errors.Is(err, ErrDimension) {
			t.Errorf("%d coordinates under sigma 6.5: %v", dim, err)
		}
	}
}
