package aggregation

import (
	"errors"
	"testing"

	"tutti/aggregation/mask"
	"tutti/aggregation/share"
)

func TestParamsOfTheDemo(t *testing.T) {
	p, err := NewParams(ParamsLiteral{Dim: 36864, Bound: 1<<15 - 1, NMin: 140, NMax: 260, Members: 5, Corrupt: 1, Rho: 2})
	if err != nil {
		t.Fatal(err)
	}
	if p.Quorum() != 4 || p.Need() != 3 || p.AnswerWords() != 1024 || p.EnvelopeLen(SuiteX25519) != 48+1+4*(1024+3) {
		t.Errorf("quorum %d, need %d, %d answer words, envelopes of %d bytes", p.Quorum(), p.Need(), p.AnswerWords(), p.EnvelopeLen(SuiteX25519))
	}
	if p.VectorLen() != 36864/8*p.WordBits() {
		t.Errorf("%d bytes for %d-bit words", p.VectorLen(), p.WordBits())
	}
}

// Section 4's committees: quorum and how many may be down.
func TestCommitteeSizing(t *testing.T) {
	for _, c := range []struct{ m, c, rho, quorum, need int }{
		{5, 1, 2, 4, 3}, {7, 2, 2, 5, 4}, {9, 2, 2, 6, 4}, {16, 5, 4, 11, 9}, {66, 20, 16, 44, 36}, {59, 20, 16, 40, 36},
	} {
		p, err := NewParams(ParamsLiteral{Dim: 10, Bound: 10, NMin: 2, NMax: 10, Members: c.m, Corrupt: c.c, Rho: c.rho})
		if err != nil {
			t.Errorf("m=%d: %v", c.m, err)
			continue
		}
		if p.Quorum() != c.quorum || p.Need() != c.need || 2*p.Quorum()-c.m <= c.c {
			t.Errorf("m=%d c=%d: quorum %d, need %d", c.m, c.c, p.Quorum(), p.Need())
		}
	}
}

// An open profile is the one with the smaller upload; an odd dimension, and the norm check, leave only the standard one.
func TestOpenProfile(t *testing.T) {
	large := ParamsLiteral{Dim: 1 << 17, Bound: 1<<15 - 1, NMin: 100, NMax: 1 << 14, Members: 9, Corrupt: 2, Rho: 2}
	small, odd, norm, crowd := large, large, large, large
	small.Dim, odd.Dim, norm.Norm = 1<<12, 1<<17-1, 1<<14
	crowd.Dim, crowd.NMax, crowd.Bound = 1<<12, 1<<20, 1<<11-1 // 121 bits in the standard profile
	for name, c := range map[string]struct {
		l    ParamsLiteral
		want mask.Profile
	}{"large": {large, mask.Paired}, "small": {small, mask.Standard}, "odd": {odd, mask.Standard}, "norm": {norm, mask.Standard}, "crowd": {crowd, mask.Paired}} {
		p, err := NewParams(c.l)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := p.Literal().Profile; got != c.want {
			t.Errorf("%s: profile %d, want %d", name, got, c.want)
		}
		again, err := NewParams(p.Literal())
		if err != nil || again.Literal() != p.Literal() {
			t.Errorf("%s: the chosen profile does not stand by itself: %v", name, err)
		}
	}
}

// T3.22 and T1.7: everything is refused before any key is made.
func TestT3_22_ParamsRefuse(t *testing.T) {
	good := ParamsLiteral{Dim: 1 << 20, Bound: 1<<15 - 1, NMin: 100, NMax: 1 << 14, Members: 9, Corrupt: 2, Rho: 2}
	if p, err := NewParams(good); err != nil || p.Literal().Profile != mask.Paired {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*ParamsLiteral)
		want   error
	}{
		"no dimension":            {func(l *ParamsLiteral) { l.Dim = 0 }, ErrDimension},
		"dimension too large":     {func(l *ParamsLiteral) { l.Dim = mask.MaxDim + 1 }, ErrDimension},
		"no bound":                {func(l *ParamsLiteral) { l.Bound = 0 }, ErrOverflow},
		"overflow":                {func(l *ParamsLiteral) { l.Bound, l.NMax = 1<<20, 1<<20 }, ErrOverflow},
		"a single device":         {func(l *ParamsLiteral) { l.NMin = 1 }, ErrCohort},
		"NMax below NMin":         {func(l *ParamsLiteral) { l.NMax = 99 }, ErrCohort},
		"too many devices":        {func(l *ParamsLiteral) { l.NMax = mask.MaxCount + 1 }, mask.ErrCount},
		"no member":               {func(l *ParamsLiteral) { l.Members = 0 }, ErrCommittee},
		"too many members":        {func(l *ParamsLiteral) { l.Members = MaxMembers + 1 }, ErrCommittee},
		"nobody corrupt":          {func(l *ParamsLiteral) { l.Corrupt = 0 }, ErrCommittee},
		"all corrupt":             {func(l *ParamsLiteral) { l.Corrupt = 9 }, ErrCommittee},
		"rho 0":                   {func(l *ParamsLiteral) { l.Rho = 0 }, ErrCommittee},
		"rho above quorum - c":    {func(l *ParamsLiteral) { l.Rho = 5 }, ErrCommittee},
		"unknown profile":         {func(l *ParamsLiteral) { l.Profile = 9 }, ErrModulus},
		"a quorum beyond members": {func(l *ParamsLiteral) { l.Members, l.Corrupt, l.Rho = 2, 1, 1 }, nil}, // quorum 2 of 2: allowed
	} {
		l := good
		c.change(&l)
		if _, err := NewParams(l); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Without the norm check a sharing check takes three words of the default field and c+ρ answers; with it the field is the
// ring's prime, and a quorum has to give the answers that products of polynomials need.
func TestParamsOfTheChecks(t *testing.T) {
	plain := ParamsLiteral{Dim: 1000, Bound: 1000, NMin: 20, NMax: 1000, Members: 9, Corrupt: 2, Rho: 2}
	p, err := NewParams(plain)
	if err != nil {
		t.Fatal(err)
	}
	if p.CheckWords() != 3 || p.CheckNeed() != 4 || p.shares.Field().Modulus() != share.P || p.norm != nil {
		t.Errorf("without norm: %d words, %d answers, field of %d", p.CheckWords(), p.CheckNeed(), p.shares.Field().Modulus())
	}
	checked := plain
	checked.Norm, checked.Bound = 1000, 100_000
	q, err := NewParams(checked)
	if err != nil {
		t.Fatal(err)
	}
	if q.CheckNeed() != 5 || q.CheckNeed() != q.norm.Need() || q.shares.Field().Modulus() != q.mask.Literal().Q || q.Literal() != checkedWithProfile(checked) {
		t.Errorf("with norm: %d answers, the check asks for %d", q.CheckNeed(), q.norm.Need())
	}
	for name, change := range map[string]func(*ParamsLiteral){
		"a quorum that cannot decide": func(l *ParamsLiteral) { l.Rho = 4 }, // need 9 of a quorum of 6; without norm 6 are enough
		"a norm below none":           func(l *ParamsLiteral) { l.Norm = -1 },
		"a norm the ring cannot hold": func(l *ParamsLiteral) { l.Norm = 1 << 50 },
		"two primes":                  func(l *ParamsLiteral) { l.Profile = mask.Paired },
	} {
		l := checked
		change(&l)
		if _, err := NewParams(l); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	plain.Rho = 4
	if p, err := NewParams(plain); err != nil || p.CheckNeed() != p.Quorum() {
		t.Errorf("rho 4 without norm: %v", err)
	}
}

func checkedWithProfile(l ParamsLiteral) ParamsLiteral {
	l.Profile = mask.Standard
	return l
}

// T3.22 for the default field: 87 n < 2^30 with sigma 6.5, and n_max never comes near it.
func TestT3_22_KeySum(t *testing.T) {
	limit := (share.P - 1) / 2 / mask.Sigma65.Tail()
	if err := checkKeySum(limit, mask.Sigma65, share.P); err != nil {
		t.Errorf("%d devices: %v", limit, err)
	}
	if err := checkKeySum(limit+1, mask.Sigma65, share.P); !errors.Is(err, ErrKeySum) {
		t.Errorf("%d devices: %v", limit+1, err)
	}
	if limit < mask.MaxCount {
		t.Errorf("the default field carries %d keys only", limit)
	}
}

// Small cohorts get the sum domain that the norm asks for, not one that NMax·Bound does, and their devices' bound stays as it is. A norm
// that no ring holds is refused with the largest that one does.
func TestNormMakesRoom(t *testing.T) {
	for _, n := range []int{2, 4, 20, 130, 1300, 1 << 16} {
		l := ParamsLiteral{Dim: 4096, Bound: 1<<15 - 1, NMin: 2, NMax: n, Members: 9, Corrupt: 2, Rho: 2, Norm: 1 << 18}
		p, err := NewParams(l)
		if err != nil {
			t.Errorf("%d devices: %v", n, err)
			continue
		}
		ring := p.mask.Literal()
		if 64*p.norm.Bound() > ring.Q || ring.Bound != l.Bound || p.Bound() != l.Bound || p.mask.Security() < minSecurity {
			t.Errorf("%d devices: B = %d, q = %d, bound %d, %.0f bits", n, p.norm.Bound(), ring.Q, ring.Bound, p.mask.Security())
		}
		if again, err := NewParams(p.Literal()); err != nil || again.mask.Literal() != ring {
			t.Errorf("%d devices: the literal does not stand by itself: %v", n, err)
		}
	}
}

func TestNormWithoutRoom(t *testing.T) {
	l := ParamsLiteral{Dim: 4096, Bound: 1<<15 - 1, NMin: 2, NMax: 20, Members: 9, Corrupt: 2, Rho: 2, Norm: 1 << 50}
	_, err := NewParams(l)
	var none *NormError
	if !errors.As(err, &none) || !errors.Is(err, ErrOverflow) || none.Nearest < 1<<20 {
		t.Fatalf("a norm of 2^50: %v", err)
	}
	l.Norm = none.Nearest
	if _, err := NewParams(l); err != nil {
		t.Errorf("the nearest norm: %v", err)
	}
	l.Norm++
	if _, err := NewParams(l); !errors.As(err, &none) {
		t.Errorf("one more: %v", err)
	}
	l.Norm, l.Profile = 100, mask.Paired
	if _, err := NewParams(l); !errors.Is(err, ErrModulus) {
		t.Errorf("pairs: %v", err)
	}
}
