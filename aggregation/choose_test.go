package aggregation

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"tutti/aggregation/mask"
)

func TestChooseFollowsTheModel(t *testing.T) {
	for name, c := range map[string]struct {
		threat Threat
		want   ParamsLiteral
	}{
		"demo": {Threat{Devices: 200, Corrupt: .05, Drop: .3, Members: 5, MembersCorrupt: 1, MembersDown: .2},
			ParamsLiteral{NMin: 140, NMax: 260, Members: 5, Corrupt: 1, Rho: 2}},
		"production": {Threat{Devices: 10_000, Corrupt: .05, Drop: 1.0 / 3, Members: 9, MembersCorrupt: 2, MembersDown: 1.0 / 3, Dim: 1 << 20, Bound: 1<<15 - 1},
			ParamsLiteral{NMin: 7000, NMax: 13_000, Members: 9, Corrupt: 2, Rho: 2, Dim: 1 << 20, Bound: 1<<15 - 1}},
		"drawn": {Threat{Devices: 10_000, Population: 1_000_000, Corrupt: .05, Drop: .1},
			ParamsLiteral{NMin: 7000, NMax: 13_000, Members: 59, Corrupt: 20, Rho: 13}},
		"odd goal": {Threat{Devices: 101, Members: 5, MembersCorrupt: 1},
			ParamsLiteral{NMin: 71, NMax: 132, Members: 5, Corrupt: 1, Rho: 2}},
	} {
		c.want.Profile = mask.Standard
		if got, err := Choose(c.threat); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestChooseRefusesWithTheNearest(t *testing.T) {
	pinned := Threat{Devices: 1000, Corrupt: .05, Drop: .1, Members: 9, MembersCorrupt: 2, MembersDown: 1.0 / 3}
	for name, c := range map[string]struct {
		change  func(*Threat)
		because error
		nearest func(*Threat)
		says    string
	}{
		"section 4's infeasible cell": {func(m *Threat) { *m = Threat{Devices: 10_000, Corrupt: .2, Drop: .33} }, ErrCommittee,
			func(m *Threat) { m.Drop = .28 }, "nearest feasible: devices that drop 28 % instead of 33 %"},
		"a member short": {func(m *Threat) { m.Members, m.MembersCorrupt = 7, 3 }, ErrCommittee,
			func(m *Threat) { m.Members = 8 }, "nearest feasible: members 8 instead of 7"},
		"no member may be corrupt": {func(m *Threat) { m.MembersCorrupt = 0 }, ErrCommittee,
			func(m *Threat) { m.MembersCorrupt = 1 }, "nearest feasible: corrupt members 1 instead of 0"},
		"half of the committee down": {func(m *Threat) { m.MembersDown = .5 }, ErrCommittee,
			func(m *Threat) { m.MembersDown = .44 }, "nearest feasible: members down 44 % instead of 50 %"},
		"too few to stay": {func(m *Threat) { m.Devices = 3 }, ErrCohort,
			func(m *Threat) { m.Devices = 10 }, "nearest feasible: devices wanted 10 instead of 3"},
		"colluders fill the sum": {func(m *Threat) { m.Devices, m.Corrupt, m.Drop = 10, .6, 0 }, ErrCohort,
			func(m *Threat) { m.Corrupt = .59 }, "nearest feasible: corrupt devices 59 % instead of 60 %"},
		"groups too small": {func(m *Threat) { m.Groups, m.Population, m.Corrupt = 20, 100_000, .1 }, ErrCohort,
			func(m *Threat) { m.Groups = 7 }, "nearest feasible: groups 7 instead of 20"},
		"too few enrolled": {func(m *Threat) { m.Population, m.Drop = 900, 0 }, ErrCohort,
			func(m *Threat) { m.Devices = 900 }, "nearest feasible: devices wanted 900 instead of 1000"},
		"more to sum than one ring takes": {func(m *Threat) { m.Devices = 1 << 20 }, ErrCohort,
			func(m *Threat) { m.Devices = 806_596 }, ""},
		"more groups than a round has": {func(m *Threat) { m.Devices, m.Groups, m.Corrupt = 20_000_000, MaxGroups+1, 0 }, ErrCohort,
			func(m *Threat) { m.Groups = MaxGroups }, ""},
		"more to draw than there are": {func(m *Threat) { *m = Threat{Devices: 20, Corrupt: .05, Drop: .1, Population: 40} }, ErrCommittee, nil, ""},
		"too large a bound":           {func(m *Threat) { m.Dim, m.Bound = 1<<20, 1<<31 }, ErrOverflow, nil, ""},
		"two rules at once":           {func(m *Threat) { m.Drop, m.MembersDown = .9, .9 }, ErrCommittee, nil, ""},
	} {
		threat := pinned
		c.change(&threat)
		_, err := Choose(threat)
		var infeasible *InfeasibleError
		if !errors.As(err, &infeasible) || !errors.Is(err, c.because) || infeasible.Wanted != threat {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.nearest != nil {
			want := threat
			if c.nearest(&want); infeasible.Nearest != want {
				t.Errorf("%s: nearest %+v, want %+v", name, infeasible.Nearest, want)
			}
		}
		if c.says != "" && infeasible.Relaxation() != c.says {
			t.Errorf("%s: says %q", name, infeasible.Relaxation())
		}
		if _, err := Choose(infeasible.Nearest); err != nil {
			t.Errorf("%s: the nearest model is refused too: %v", name, err)
		}
	}
}

func TestChooseRefusesMalformedModels(t *testing.T) {
	good := Threat{Devices: 1000, Members: 9, MembersCorrupt: 2}
	for name, change := range map[string]func(*Threat){
		"no devices":                    func(m *Threat) { m.Devices = 0 },
		"too many devices":              func(m *Threat) { m.Devices = maxDevices + 1 },
		"negative population":           func(m *Threat) { m.Population = -1 },
		"negative groups":               func(m *Threat) { m.Groups = -1 },
		"all corrupt":                   func(m *Threat) { m.Corrupt = 1 },
		"all drop":                      func(m *Threat) { m.Drop = 1 },
		"no number":                     func(m *Threat) { m.Drop = math.NaN() },
		"all members down":              func(m *Threat) { m.MembersDown = 1 },
		"negative members":              func(m *Threat) { m.Members = -1 },
		"corrupt members of none":       func(m *Threat) { m.Members = 0 },
		"members of none down":          func(m *Threat) { m.Members, m.MembersCorrupt, m.MembersDown = 0, 0, .1 },
		"a dimension without a bound":   func(m *Threat) { m.Dim = 1 },
		"a bound without a dimension":   func(m *Threat) { m.Bound = 1 },
		"a negative number of corrupts": func(m *Threat) { m.MembersCorrupt = -1 },
	} {
		m := good
		change(&m)
		if _, err := Choose(m); !errors.Is(err, ErrThreat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every model is answered with parameters that hold its own promises, or with a model that is.
func TestChooseOnAnyModel(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	feasible := 0
	for range 100 {
		m := Threat{Devices: 1 + int(math.Exp(random.Float64()*14)), Corrupt: random.Float64() * .5, Drop: random.Float64() * .7, Groups: random.IntN(3) * random.IntN(20)}
		if random.IntN(2) == 0 {
			m.Members = 1 + random.IntN(80)
			m.MembersCorrupt, m.MembersDown = random.IntN(m.Members+2)/(1+random.IntN(5)), random.Float64()*.6
		}
		if random.IntN(2) == 0 {
			m.Population = m.Devices * (1 + random.IntN(50))
		}
		if random.IntN(2) == 0 {
			m.Dim, m.Bound = 1+random.IntN(1<<22), 1+random.Int64N(1<<uint(1+random.IntN(33)))
		}
		l, err := Choose(m)
		var infeasible *InfeasibleError
		switch {
		case err == nil:
			feasible++
			keepsPromises(t, m, l)
		case !errors.As(err, &infeasible):
			t.Fatalf("%+v: %v", m, err)
		default:
			l, err := Choose(infeasible.Nearest)
			if err != nil || infeasible.Nearest == m {
				t.Fatalf("%+v: nearest %+v: %v", m, infeasible.Nearest, err)
			}
			keepsPromises(t, infeasible.Nearest, l)
		}
	}
	if feasible < 10 || feasible > 90 {
		t.Errorf("%d of 100 models feasible: the test shows one side only", feasible)
	}
}

func keepsPromises(t *testing.T, m Threat, l ParamsLiteral) {
	t.Helper()
	if m.Dim == 0 {
		l.Dim, l.Bound = 1, 1
	}
	p, err := NewParams(l)
	if err != nil {
		t.Fatalf("%+v gives %+v: %v", m, l, err)
	}
	quorum := p.Quorum()
	if m.Members > 0 && (l.Members != m.Members || l.Corrupt != m.MembersCorrupt || m.Members-int(m.MembersDown*float64(m.Members)) < quorum) {
		t.Fatalf("%+v: quorum %d of %d, c=%d", m, quorum, l.Members, l.Corrupt)
	}
	if m.Members == 0 && (above(l.Members, m.Corrupt, l.Corrupt) >= 0x1p-40 || below(l.Members, 1-m.Drop, quorum) >= 0x1p-20) {
		t.Fatalf("%+v: the drawn committee m=%d, c=%d does not hold", m, l.Members, l.Corrupt)
	}
	if l.NMin-m.Colluders() < 2 || l.NMin > l.NMax || l.NMax > mask.MaxCount {
		t.Fatalf("%+v: sums over %d to %d with %d colluders", m, l.NMin, l.NMax, m.Colluders())
	}
}

// No single number of a pinned committee has a smaller change than the nearest model's.
func TestNearestIsNearest(t *testing.T) {
	feasible := func(m Threat) bool { _, _, err := m.derive(SizeCommittee); return err == nil }
	for members := 1; members <= 12; members++ {
		for corrupt := 1; corrupt <= 5; corrupt++ {
			for _, down := range []float64{0, .2, 1.0 / 3, .45} {
				wanted := Threat{Devices: 1000, Members: members, MembersCorrupt: corrupt, MembersDown: down}
				if feasible(wanted) {
					continue
				}
				_, err := Choose(wanted)
				var infeasible *InfeasibleError
				if !errors.As(err, &infeasible) {
					t.Fatal(err)
				}
				n := infeasible.Nearest
				cost := change(float64(members), float64(n.Members)) + change(float64(corrupt), float64(n.MembersCorrupt)) + change(down, n.MembersDown)
				for other := 1; other <= 200; other++ {
					m, c, d := wanted, wanted, wanted
					m.Members, c.MembersCorrupt = other, other
					d.MembersDown = float64(other) / 200 * down
					if feasible(m) && change(float64(members), float64(other)) < cost-1e-9 ||
						feasible(c) && change(float64(corrupt), float64(other)) < cost-1e-9 ||
						feasible(d) && change(down, d.MembersDown) < cost-.011/math.Max(down, .01) {
						t.Errorf("%+v: nearest %+v costs %.3f, a change to %d costs less", wanted, n, cost, other)
					}
				}
			}
		}
	}
}

// t_c by rational arithmetic, and its edges.
func TestRule1_CorruptQuantile(t *testing.T) {
	if got := CorruptQuantile(200, .05, EveryDevice, 1); got != 10 {
		t.Errorf("all of 200 eligible, 5 %% corrupt: %d", got)
	}
	if CorruptQuantile(200, 0, EveryDevice, 1) != 0 || CorruptQuantile(0, .5, EveryDevice, 1) != 0 {
		t.Error("nobody corrupt")
	}
	// 50 corrupt of 1000, a quarter eligible: the exact tail crosses 2^-40 between the quantile and the number before it.
	threshold := ThresholdFor(250, 1000)
	got := CorruptQuantile(1000, .05, threshold, 1)
	quarter := big.NewRat(1, 4)
	if exactAbove(50, quarter, got) >= 0x1p-40 || exactAbove(50, quarter, got-1) < 0x1p-40 {
		t.Errorf("quantile %d: tails %g and %g", got, exactAbove(50, quarter, got-1), exactAbove(50, quarter, got))
	}
	if mean := 50 / 4; got <= mean {
		t.Errorf("quantile %d is a share, not a quantile", got)
	}
	// Groups of the same eligible devices: a part each, at a part of the level, since any of them may go wrong.
	for groups := int64(2); groups <= 64; groups *= 2 {
		part := big.NewRat(1, 4*groups)
		got, level := CorruptQuantile(1000, .05, threshold, int(groups)), 0x1p-40/float64(groups)
		if exactAbove(50, part, got) >= level || exactAbove(50, part, got-1) < level {
			t.Errorf("in %d groups: quantile %d", groups, got)
		}
	}
}

// Bounds of groups: exact, tight, and 200 beacons' shards stay within (false rejection below 200·2^-19 = 2^-11).
func TestRule11_GroupBounds(t *testing.T) {
	if low, high := GroupBounds(500, 1); low != 500 || high != 500 {
		t.Errorf("one group: %d to %d", low, high)
	}
	const n, groups = 600, 6
	low, high := GroupBounds(n, groups)
	if below(n, 1.0/groups, low) >= 0x1p-20/groups || below(n, 1.0/groups, low+1) < 0x1p-20/groups ||
		above(n, 1.0/groups, high) >= 0x1p-20/groups || above(n, 1.0/groups, high-1) < 0x1p-20/groups {
		t.Errorf("%d to %d of %d in a group", low, high, n)
	}
	ids := someIDs(n)
	for seed := range 200 {
		c := lotOf(byte(seed), EveryDevice, groups)
		var count [groups]int
		for _, id := range ids {
			count[c.ShardOf(id)]++
		}
		for g, k := range count {
			if k < low || k > high {
				t.Errorf("beacon %d: %d devices in group %d, bounds %d to %d", seed, k, g, low, high)
			}
		}
	}
	nMin, nMax := Cohort(1000, 10)
	wantLow, _ := GroupBounds(700, 10)
	if _, wantHigh := GroupBounds(1300, 10); nMin != wantLow || nMax != wantHigh || nMin >= 70 || nMax <= 130 {
		t.Errorf("cohort of a group: %d to %d", nMin, nMax)
	}
}

func ExampleChoose() {
	literal, err := Choose(Threat{
		Devices: 10_000, Corrupt: .05, Drop: .3, // of the devices
		Members: 9, MembersCorrupt: 2, MembersDown: 1.0 / 3, // of the pinned committee
	})
	fmt.Println(literal.NMin, literal.NMax, literal.Members, literal.Corrupt, literal.Rho, err)

	_, err = Choose(Threat{Devices: 10_000, Corrupt: .2, Drop: .33}) // a committee drawn from the devices
	var infeasible *InfeasibleError
	if errors.As(err, &infeasible) {
		fmt.Println(infeasible.Relaxation())
	}
	// Output:
	// 7000 13000 9 2 2 <nil>
	// nearest feasible: devices that drop 28 % instead of 33 %
}
