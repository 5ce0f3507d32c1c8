package aggregation

import (
	"fmt"
	"math"
	"strings"
)

// relaxation is one number of a model that may give.
type relaxation struct {
	name    string
	percent bool // a share, told in per cent
	value   func(*Threat) float64
	set     func(*Threat, float64)
	ladder  func(Threat) []float64 // values to try instead, from the nearest on
}

// relaxations are tried in this order; of equal ones the first wins.
var relaxations = []relaxation{
	{"devices wanted", false, func(t *Threat) float64 { return float64(t.Devices) }, func(t *Threat, v float64) { t.Devices = int(v) },
		func(t Threat) []float64 { return towards(t.Devices, min(maxDevices, max(1000, 100*t.Devices))) }},
	{"devices wanted", false, func(t *Threat) float64 { return float64(t.Devices) }, func(t *Threat, v float64) { t.Devices = int(v) },
		func(t Threat) []float64 { return towards(t.Devices, 1) }},
	{"devices enrolled", false, func(t *Threat) float64 { return float64(t.population()) }, func(t *Threat, v float64) { t.Population = int(v) },
		func(t Threat) []float64 {
			return towards(t.population(), min(MaxPopulation, max(MaxMembers, 2*t.Asked())))
		}},
	{"corrupt devices", true, func(t *Threat) float64 { return t.Corrupt }, func(t *Threat, v float64) { t.Corrupt = v },
		func(t Threat) []float64 { return percentages(t.Corrupt) }},
	{"devices that drop", true, func(t *Threat) float64 { return t.Drop }, func(t *Threat, v float64) { t.Drop = v },
		func(t Threat) []float64 { return percentages(t.Drop) }},
	{"groups", false, func(t *Threat) float64 { return float64(t.groups()) }, func(t *Threat, v float64) { t.Groups = int(v) },
		func(t Threat) []float64 { return towards(t.groups(), 1) }},
	{"groups", false, func(t *Threat) float64 { return float64(t.groups()) }, func(t *Threat, v float64) { t.Groups = int(v) },
		func(t Threat) []float64 { return towards(t.groups(), MaxGroups) }},
	{"members", false, func(t *Threat) float64 { return float64(t.Members) }, func(t *Threat, v float64) { t.Members = int(v) },
		func(t Threat) []float64 { return pinnedOnly(t, towards(t.Members, MaxMembers)) }},
	{"corrupt members", false, func(t *Threat) float64 { return float64(t.MembersCorrupt) }, func(t *Threat, v float64) { t.MembersCorrupt = int(v) },
		func(t Threat) []float64 { return pinnedOnly(t, towards(t.MembersCorrupt, 1)) }},
	{"members down", true, func(t *Threat) float64 { return t.MembersDown }, func(t *Threat, v float64) { t.MembersDown = v },
		func(t Threat) []float64 { return pinnedOnly(t, percentages(t.MembersDown)) }},
	{"bound", false, func(t *Threat) float64 { return float64(t.Bound) }, func(t *Threat, v float64) { t.Bound = int64(v) },
		func(t Threat) []float64 { return towards(int(t.Bound), min(1, int(t.Bound))) }},
	{"coordinates", false, func(t *Threat) float64 { return float64(t.Dim) }, func(t *Threat, v float64) { t.Dim = int(v) },
		func(t Threat) []float64 { return towards(t.Dim, min(1, t.Dim)) }},
}

// pinnedOnly empties the ladders that a drawn committee does not have.
func pinnedOnly(t Threat, ladder []float64) []float64 {
	if t.Members == 0 {
		return nil
	}
	return ladder
}

// towards gives the whole numbers after `from` to `to`, in steps of one up to 50 and of a fiftieth beyond.
func towards(from, to int) []float64 {
	var values []float64
	for v := from; v != to; {
		step := max(1, v/50)
		if v < to {
			v = min(v+step, to)
		} else {
			v = max(v-step, to)
		}
		values = append(values, float64(v))
	}
	return values
}

// percentages gives the whole percentages below a share.
func percentages(share float64) []float64 {
	var values []float64
	for p := math.Ceil(100*share-1e-9) - 1; p >= 0; p-- {
		values = append(values, p/100)
	}
	return values
}

// change is |a-b| relative to the larger: 0 for none, 1 for one that gives all up.
func change(a, b float64) float64 {
	if a == b {
		return 0
	}
	return math.Abs(a-b) / math.Max(a, b)
}

// nearest mends one broken rule after the other, each by the smallest relative change of one number, or of two.
func nearest(t Threat, broken int) Threat {
	for broken < len(threatRules) {
		mended, ok := mend(t, broken)
		if !ok {
			return Threat{Devices: max(1000, t.Devices), Members: 9, MembersCorrupt: 2, MembersDown: 1.0 / 3} // the default committee, and no enemy else
		}
		t = mended
		_, broken, _ = t.derive()
	}
	return t
}

// mend looks for the nearest model that keeps the first rules, up to and with the broken one.
func mend(t Threat, broken int) (best Threat, found bool) {
	search := &mending{broken: broken, cost: math.Inf(1)}
	search.single(t, 0)
	if math.IsInf(search.cost, 1) {
		for i := range relaxations {
			search.pairs(t, i)
		}
	}
	return search.best, !math.IsInf(search.cost, 1)
}

type mending struct {
	broken int
	best   Threat
	cost   float64
	spent  float64 // by the first number of a pair
}

// single tries the relaxations from the i-th on, each by itself.
func (s *mending) single(t Threat, from int) {
	for _, r := range relaxations[from:] {
		for _, v := range r.ladder(t) {
			cost := s.spent + change(r.value(&t), v)
			if cost >= s.cost {
				break
			}
			eased := t
			r.set(&eased, v)
			if _, broken, _ := eased.derive(); broken > s.broken {
				s.best, s.cost = eased, cost
				break
			}
		}
	}
}

// pairs tries the i-th relaxation together with each later one.
func (s *mending) pairs(t Threat, i int) {
	r := relaxations[i]
	for _, v := range r.ladder(t) {
		if s.spent = change(r.value(&t), v); s.spent >= s.cost {
			break
		}
		eased := t
		r.set(&eased, v)
		s.single(eased, i+1)
	}
	s.spent = 0
}

// Relaxation says in one sentence what would have to give.
func (e *InfeasibleError) Relaxation() string {
	var parts []string
	wanted, nearest := e.Wanted, e.Nearest
	told := map[string]bool{}
	for _, r := range relaxations {
		was, is := r.value(&wanted), r.value(&nearest)
		if was == is || told[r.name] {
			continue
		}
		told[r.name] = true
		if r.percent {
			parts = append(parts, fmt.Sprintf("%s from %.4g %% to %.4g %%", r.name, 100*was, 100*is))
		} else {
			parts = append(parts, fmt.Sprintf("%s from %.0f to %.0f", r.name, was, is))
		}
	}
	return "the nearest that some withstand changes " + strings.Join(parts, " and ") + "."
}
