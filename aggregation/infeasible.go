package aggregation

import (
	"fmt"
	"math"
	"strings"
)

// relaxation is one number of a model that may give.
type relaxation struct {
	name   string
	share  bool   // told in per cent
	mends  string // rules that it can mend, by their letters in threatRules
	value  func(*Threat) float64
	set    func(*Threat, float64)
	ladder func(Threat) []float64 // values to try instead, from the nearest on
}

// relaxations are tried in this order; of equal changes the first wins.
var relaxations = []relaxation{
	{"devices wanted", false, "ha", getDevices, setDevices,
		func(t Threat) []float64 { return towards(t.Devices, min(maxDevices, max(1000, 100*t.Devices))) }},
	{"devices wanted", false, "spr", getDevices, setDevices, func(t Threat) []float64 { return towards(t.Devices, 1) }},
	{"devices enrolled", false, "ph", func(t *Threat) float64 { return float64(t.population()) },
		func(t *Threat, v float64) { t.Population = int(v) },
		func(t Threat) []float64 {
			return towards(t.population(), min(MaxPopulation, max(MaxMembers, 2*t.Asked())))
		}},
	{"corrupt devices", true, "cph", func(t *Threat) float64 { return t.Corrupt },
		func(t *Threat, v float64) { t.Corrupt = v }, func(t Threat) []float64 { return percentages(t.Corrupt) }},
	{"devices that drop", true, "cpa", func(t *Threat) float64 { return t.Drop },
		func(t *Threat, v float64) { t.Drop = v }, func(t Threat) []float64 { return percentages(t.Drop) }},
	{"groups", false, "sha", getGroups, setGroups, func(t Threat) []float64 { return towards(t.groups(), 1) }},
	{"groups", false, "sr", getGroups, setGroups, func(t Threat) []float64 { return towards(t.groups(), MaxGroups) }},
	{"members", false, "c", func(t *Threat) float64 { return float64(t.Members) },
		func(t *Threat, v float64) { t.Members = int(v) },
		func(t Threat) []float64 { return pinnedOnly(t, counted(t.Members, MaxMembers)) }},
	{"corrupt members", false, "c", func(t *Threat) float64 { return float64(t.MembersCorrupt) },
		func(t *Threat, v float64) { t.MembersCorrupt = int(v) },
		func(t Threat) []float64 { return pinnedOnly(t, counted(t.MembersCorrupt, 1)) }},
	{"members down", true, "c", func(t *Threat) float64 { return t.MembersDown },
		func(t *Threat, v float64) { t.MembersDown = v },
		func(t Threat) []float64 { return pinnedOnly(t, percentages(t.MembersDown)) }},
	{"bound", false, "r", func(t *Threat) float64 { return float64(t.Bound) },
		func(t *Threat, v float64) { t.Bound = int64(v) }, func(t Threat) []float64 { return towards(int(t.Bound), 1) }},
	{"coordinates", false, "r", func(t *Threat) float64 { return float64(t.Dim) },
		func(t *Threat, v float64) { t.Dim = int(v) }, func(t Threat) []float64 { return towards(t.Dim, 1) }},
}

func getDevices(t *Threat) float64    { return float64(t.Devices) }
func setDevices(t *Threat, v float64) { t.Devices = int(v) }
func getGroups(t *Threat) float64     { return float64(t.groups()) }
func setGroups(t *Threat, v float64)  { t.Groups = int(v) }

// pinnedOnly empties the ladders that a drawn committee does not have.
func pinnedOnly(t Threat, ladder []float64) []float64 {
	if t.Members == 0 {
		return nil
	}
	return ladder
}

// counted gives every whole number after `from` to `to`.
func counted(from, to int) []float64 {
	var values []float64
	for v := from; v != to; {
		if v < to {
			v++
		} else {
			v--
		}
		values = append(values, float64(v))
	}
	return values
}

// towards gives whole numbers after `from` to `to`, in steps of one up to 16 and of an eighth beyond.
func towards(from, to int) []float64 {
	var values []float64
	for v := from; v != to; {
		step := max(1, v/8)
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

// nearest looks for one number whose change mends everything; failing that, it mends one broken rule after the other,
// each by the smallest change of one number, or of two.
func nearest(t Threat, broken int) Threat {
	draw := remember(SizeCommittee)
	if mended, ok := mend(t, draw, broken, len(threatRules)); ok {
		return mended
	}
	for broken < len(threatRules) {
		mended, ok := mend(t, draw, broken, broken+1)
		if !ok {
			mended, ok = mendByTwo(t, draw, broken)
		}
		if !ok { // the default committee, and no enemy among the devices
			return Threat{Devices: 1000, Members: 9, MembersCorrupt: 2, MembersDown: 1.0 / 3}
		}
		t = mended
		_, broken, _ = t.derive(draw)
	}
	return t
}

// remember keeps what draw gave: the search comes back to the same shares thousands of times.
func remember(draw sizer) sizer {
	type answer struct {
		size CommitteeSize
		err  error
	}
	known := make(map[[2]float64]answer)
	return func(corrupt, down float64) (CommitteeSize, error) {
		a, ok := known[[2]float64{corrupt, down}]
		if !ok {
			a.size, a.err = draw(corrupt, down)
			known[[2]float64{corrupt, down}] = a
		}
		return a.size, a.err
	}
}

// mending is the search for the nearest model that keeps the first `keep` rules.
type mending struct {
	draw  sizer
	rules string // letters of the rules to mend
	keep  int
	best  Threat
	cost  float64
}

// mend changes one number so that the first `keep` rules hold, among them the broken one.
func mend(t Threat, draw sizer, broken, keep int) (Threat, bool) {
	s := &mending{draw: draw, rules: threatRules[broken].letter, keep: keep, cost: math.Inf(1)}
	s.single(t, relaxations, 0)
	return s.best, !math.IsInf(s.cost, 1)
}

// mendByTwo changes two numbers so that the broken rule and those before it hold; the first is as coarse as its ladder.
func mendByTwo(t Threat, draw sizer, broken int) (Threat, bool) {
	s := &mending{draw: draw, rules: threatRules[broken].letter, keep: broken + 1, cost: math.Inf(1)}
	for i, r := range relaxations {
		if !r.canMend(s.rules) {
			continue
		}
		for _, v := range r.ladder(t) {
			spent := change(r.value(&t), v)
			if spent >= s.cost {
				break
			}
			eased := t
			r.set(&eased, v)
			s.single(eased, relaxations[i+1:], spent)
		}
	}
	return s.best, !math.IsInf(s.cost, 1)
}

// single climbs each ladder to its first rung that keeps the rules, and takes the least value from there that does, when it
// costs less than the best so far.
func (s *mending) single(t Threat, from []relaxation, spent float64) {
	for _, r := range from {
		if !r.canMend(s.rules) {
			continue
		}
		before := r.value(&t)
		for _, v := range r.ladder(t) {
			if spent+change(r.value(&t), before) >= s.cost {
				break
			}
			if s.keeps(t, r, v) {
				v = s.refine(t, r, before, v)
				if cost := spent + change(r.value(&t), v); cost < s.cost {
					s.cost, s.best = cost, t
					r.set(&s.best, v)
				}
				break
			}
			before = v
		}
	}
}

// keeps reports whether the rules hold with the number at v.
func (s *mending) keeps(t Threat, r relaxation, v float64) bool {
	r.set(&t, v)
	_, broken, _ := t.derive(s.draw)
	return broken >= s.keep
}

// refine looks between a rung that does not keep the rules and one that does; percentages stay whole.
func (s *mending) refine(t Threat, r relaxation, bad, good float64) float64 {
	for !r.share && math.Abs(good-bad) > 1 {
		if v := math.Floor((bad + good) / 2); s.keeps(t, r, v) {
			good = v
		} else {
			bad = v
		}
	}
	return good
}

func (r *relaxation) canMend(rules string) bool { return strings.ContainsAny(r.mends, rules) }

// Relaxation says in one sentence what would have to give.
func (e *InfeasibleError) Relaxation() string {
	var parts []string
	wanted, nearest := e.Wanted, e.Nearest
	told := map[string]bool{}
	for _, r := range relaxations {
		was, is := r.value(&wanted), r.value(&nearest)
		follows := r.name == "devices enrolled" && wanted.Population == nearest.Population
		if was == is || told[r.name] || follows {
			continue
		}
		told[r.name] = true
		if r.share {
			parts = append(parts, fmt.Sprintf("%s %.4g %% instead of %.4g %%", r.name, 100*is, 100*was))
		} else {
			parts = append(parts, fmt.Sprintf("%s %.0f instead of %.0f", r.name, is, was))
		}
	}
	return "nearest feasible: " + strings.Join(parts, " and ")
}
