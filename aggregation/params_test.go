package aggregation

import (
	"errors"
	"testing"

	"tutti/aggregation/mask"
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

// T3.22 and T1.7: everything is refused before any key is made.
func TestT3_22_ParamsRefuse(t *testing.T) {
	good := ParamsLiteral{Dim: 1 << 20, Bound: 1<<15 - 1, NMin: 100, NMax: 1 << 14, Members: 9, Corrupt: 2, Rho: 2}
	if p, err := NewParams(good); err != nil || p.Literal().Profile != mask.Standard {
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
