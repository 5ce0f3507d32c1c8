package mask

import (
	"errors"
	"math"
	"sync"
	"testing"
)

// rootHermite is the delta of BKZ with blocksize b (Chen's thesis; ADPS, section 6.3).
func rootHermite(b float64) float64 {
	return math.Pow(math.Pow(math.Pi*b, 1/b)*b/(2*math.Pi*math.E), 1/(2*(b-1)))
}

// primal is the cheapest uSVP attack, see estimate.
func primal(n, logQ, deviation float64) float64 {
	for b := 60.0; ; b++ {
		for m := n / 4; m < 2*n; m += 16 {
			d := n + m + 1
			if math.Log2(deviation)+math.Log2(b)/2 <= (2*b-d-1)*math.Log2(rootHermite(b))+m*logQ/d {
				return 0.292*b + 16.4 + math.Log2(8*d)
			}
		}
	}
}

func TestSecurityTable(t *testing.T) {
	t.Parallel()
	for _, e := range securityTable {
		if got := primal(float64(int(1)<<e.logN), float64(e.logQ), 3.25); got < e.bits || got >= e.bits+1.05 {
			t.Errorf("N = 2^%d, log q = %d: %.1f bits, the table says %v", e.logN, e.logQ, got, e.bits)
		}
	}
	for profile := Standard; profile <= Paired; profile++ {
		s, err := profile.shape()
		if err != nil {
			t.Fatal(err)
		}
		if estimate(s.logN, s.maxLogQ) == 0 || estimate(s.logN, s.maxLogQ) < estimate(s.logN, s.maxLogQ+100) {
			t.Errorf("profile %d may take a q that the table does not know", profile)
		}
	}
	if estimate(11, 54) != 0 || estimate(12, 85) != 0 || estimate(13, 40) != 0 {
		t.Error("something unknown is secure")
	}
	if estimate(11, 45) != 162 || estimate(11, 30) != 191 {
		t.Error("lengths between the entries")
	}
}

// The claims of section 5, and of Profile, after the hybrid argument.
func TestSecurity(t *testing.T) {
	for _, c := range []struct {
		profile Profile
		count   int
		bound   int64
		want    float64
	}{
		{Standard, 1 << 14, 1<<15 - 1, 148}, {Standard, 1 << 16, 1<<15 - 1, 131}, {High, 1 << 14, 1<<15 - 1, 246},
		{Paired, 1 << 14, 1<<15 - 1, 183}, {Paired, 1 << 20, 1<<11 - 1, 155}, {Standard, 1 << 20, 1<<12 - 1, 121},
	} {
		if got := params(t, c.profile, 2, c.count, c.bound).Security(); got != c.want {
			t.Errorf("profile %d, %d devices: %v bits, want %v", c.profile, c.count, got, c.want)
		}
	}
	if three := primal(4096, 106, 3.25) - 14; three < 120 || three > 122 {
		t.Errorf("three coordinates a coefficient: %.1f bits", three)
	}
}

// T3.22 for pairs: NewParams judges any literal.
func TestT3_22_NewParamsRefusesPairs(t *testing.T) {
	good := params(t, Paired, 1<<20, 1<<14, 1<<15-1).Literal()
	for name, c := range map[string]struct {
		change func(*Literal)
		want   error
	}{
		"odd dimension":           {func(l *Literal) { l.Dim-- }, ErrDimension},
		"one prime":               {func(l *Literal) { l.Q2 = 0 }, ErrModulus},
		"one prime twice":         {func(l *Literal) { l.Q2 = l.Q }, ErrModulus},
		"second not prime":        {func(l *Literal) { l.Q2 -= 8192 }, ErrModulus},
		"first not prime":         {func(l *Literal) { l.Q -= 8192 }, ErrModulus},
		"primes of other lengths": {func(l *Literal) { l.Q, l.Q2 = 4398046486529, 17179828225 }, ErrModulus},
		"odd log P":               {func(l *Literal) { l.LogP-- }, ErrModulus},
		"wire too close to q":     {func(l *Literal) { l.LogP = 72 }, ErrModulus},
		"13-sigma rule":           {func(l *Literal) { l.LogP = 68 }, ErrMargin},
		"log T":                   {func(l *Literal) { l.LogT = 33 }, ErrOverflow},
		"sum domain":              {func(l *Literal) { l.Bound++ }, ErrOverflow},
		"long inputs":             {func(l *Literal) { l.Count, l.Bound = 1, 1<<22+1 }, ErrOverflow},
		"q as of Standard":        {func(l *Literal) { l.Profile = Standard }, ErrModulus},
	} {
		l := good
		c.change(&l)
		if _, err := NewParams(l); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	swapped := good
	swapped.Q, swapped.Q2 = good.Q2, good.Q
	if p, err := NewParams(swapped); err != nil || p.ring.Modulus != good.Q2 || p.pair.halves[1].q != good.Q {
		t.Errorf("other primes than Choose's: %v", err)
	}
}

// What is remembered is what would be made: the same for everybody, whoever comes first, and nothing for a q of one's own.
func TestRingsAreRemembered(t *testing.T) {
	var group sync.WaitGroup
	made := make([]*Params, 8)
	for i := range made {
		group.Add(1)
		go func() {
			defer group.Done()
			made[i] = params(t, Paired, 2, 100, 12345)
		}()
	}
	group.Wait()
	for _, p := range made {
		if p.ring != made[0].ring {
			t.Error("tables are made twice")
		}
	}
	own := profileS(t, 2048).Literal()
	own.Q = largestPrime(own.Q, 4096)
	if own.Q >= profileSQ {
		t.Fatal("not another prime")
	}
	first, err := NewParams(own)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := NewParams(own); err != nil || first.ring == second.ring {
		t.Errorf("a prime that Choose never takes is remembered (%v)", err)
	}
}
