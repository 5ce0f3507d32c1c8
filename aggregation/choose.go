package aggregation

import (
	"errors"
	"fmt"
	"math"

	"tutti/aggregation/mask"
)

// Threat is what a deployment assumes: how many devices it wants, how many of them lie or leave, and who the
// committee is. Choose turns it into parameters, so that nobody turns a knob of the protocol by hand.
type Threat struct {
	Devices    int     // n, devices wanted in a round, over all groups; at least 1
	Population int     // enrolled devices that the lot chooses from; 0: only those asked are enrolled
	Corrupt    float64 // share of the population that colludes with the server, in [0, 1)
	Drop       float64 // share of the devices asked that never finish, in [0, 1)
	Groups     int     // sums that the round is split into (rule 11); 0: one

	Members        int     // m pinned nodes; 0: the committee is drawn from the devices
	MembersCorrupt int     // pinned nodes that may collude with the server, at least 1; drawn: 0, Corrupt counts
	MembersDown    float64 // share of the pinned nodes that may be down at once; drawn: 0, Drop counts

	Dim   int   // coordinates of a vector; 0: not known yet
	Bound int64 // bound on a coordinate; 0: not known yet
}

// InfeasibleError reports a threat model that no parameters withstand, and the nearest one that some do: the model
// that differs by the smallest relative change of one number, or of two where one does not suffice.
type InfeasibleError struct {
	Wanted, Nearest Threat
	Because         error // the rule that Wanted breaks
}

// Error names the rule and says in one sentence what would have to give.
func (e *InfeasibleError) Error() string {
	return fmt.Sprintf("aggregation: no parameters withstand this model: %v; %s", e.Because, e.Relaxation())
}

// Unwrap gives the broken rule.
func (e *InfeasibleError) Unwrap() error { return e.Because }

// ErrThreat reports a model that is not one: shares outside [0, 1), negative counts, half a vector.
var ErrThreat = errors.New("aggregation: threat model")

// Choose gives the parameters for a threat model; Dim and Bound are the model's, 0 where it leaves them open.
//
//	n_min, n_max  Cohort: 0.7 and 1.3 times the goal, and per group what the lot makes of them
//	m, c          pinned as stated; drawn: the smallest committee of SizeCommittee
//	quorum        floor((m+c)/2)+1, so that two certificates share an honest member
//	ρ, slack      two thirds and one third of what a quorum has beyond c: c+ρ answers are needed, the slack that
//	              a quorum leaves corrects half as many wrong ones
//	t_c           Colluders: the upper 2^-40 quantile of corrupt ids among those that the lot admits to one group;
//	              n_min - t_c >= 2, or a sum could hold a single honest device (section 5)
//
// A model is refused with *InfeasibleError if the committee loses its quorum, if the devices that stay may be fewer
// than n_min more often than once in 2^10 rounds, if colluders may leave a sum fewer than two honest devices, or if a
// group's sum does not fit any ring. Malformed models are ErrThreat.
func Choose(t Threat) (ParamsLiteral, error) {
	if err := t.check(); err != nil {
		return ParamsLiteral{}, err
	}
	l, broken, err := t.derive(SizeCommittee)
	if err != nil {
		return ParamsLiteral{}, &InfeasibleError{Wanted: t, Nearest: nearest(t, broken), Because: err}
	}
	return l, nil
}

func (t Threat) check() error {
	share := func(v float64) bool { return v >= 0 && v < 1 }
	switch {
	case t.Devices < 1 || t.Devices > maxDevices || t.Population < 0 || t.Population > MaxPopulation || t.Groups < 0:
		return fmt.Errorf("%w: %d devices of %d in %d groups", ErrThreat, t.Devices, t.Population, t.Groups)
	case !share(t.Corrupt) || !share(t.Drop) || !share(t.MembersDown):
		return fmt.Errorf("%w: shares of %v corrupt, %v dropping, %v of the members down", ErrThreat, t.Corrupt, t.Drop, t.MembersDown)
	case t.Members < 0 || t.MembersCorrupt < 0 || t.Members == 0 && (t.MembersCorrupt > 0 || t.MembersDown > 0):
		return fmt.Errorf("%w: %d members, %d corrupt", ErrThreat, t.Members, t.MembersCorrupt)
	case t.Dim < 0 || t.Bound < 0 || (t.Dim == 0) != (t.Bound == 0):
		return fmt.Errorf("%w: vectors of %d coordinates with a bound of %d", ErrThreat, t.Dim, t.Bound)
	}
	return nil
}

// maxDevices keeps Asked and NMax, 1.3 times as many, within a population, and twice that within 32 bits.
const maxDevices = 1 << 28

// threatRules fill in the literal and check it, in this order; each assumes the ones before.
var threatRules = []struct {
	letter string
	apply  func(Threat, *ParamsLiteral) error // nil: seatCommittee
}{
	{"c", nil},
	{"s", Threat.splitCohort},
	{"p", Threat.fillPopulation},
	{"h", Threat.keepHonest},
	{"a", Threat.awaitArrivals},
	{"r", Threat.fitRing},
}

// derive applies the rules one after the other; broken is the place of the first that does not hold.
func (t Threat) derive(draw sizer) (l ParamsLiteral, broken int, err error) {
	l = ParamsLiteral{Dim: t.Dim, Bound: t.Bound, Profile: mask.Standard}
	if err := t.seatCommittee(&l, draw); err != nil {
		return ParamsLiteral{}, 0, err
	}
	for i, rule := range threatRules[1:] {
		if err := rule.apply(t, &l); err != nil {
			return ParamsLiteral{}, i + 1, err
		}
	}
	return l, len(threatRules), nil
}

// sizer is SizeCommittee, or one that remembers what it gave.
type sizer func(corrupt, down float64) (CommitteeSize, error)

func (t Threat) seatCommittee(l *ParamsLiteral, draw sizer) error {
	var s CommitteeSize
	var err error
	if t.Members > 0 {
		s, err = FixedCommittee(t.Members, t.MembersCorrupt, t.MembersDown)
	} else {
		s, err = draw(t.Corrupt, t.Drop)
	}
	l.Members, l.Corrupt, l.Rho = s.Members, s.Corrupt, s.Rho
	return err
}

func (t Threat) splitCohort(l *ParamsLiteral) error {
	if t.groups() > MaxGroups {
		return fmt.Errorf("%w: %d groups, at most %d", ErrCohort, t.groups(), MaxGroups)
	}
	l.NMin, l.NMax = Cohort(t.Devices, t.groups())
	if l.NMax > mask.MaxCount {
		return fmt.Errorf("%w: sums over up to %d devices, one ring takes %d", ErrCohort, l.NMax, mask.MaxCount)
	}
	return nil
}

func (t Threat) fillPopulation(l *ParamsLiteral) error {
	if t.population() < t.Asked() {
		return fmt.Errorf("%w: %d devices to ask from a population of %d", ErrCohort, t.Asked(), t.population())
	}
	if t.Members == 0 && l.Members > t.population() {
		return fmt.Errorf("%w: %d members to draw from %d devices", ErrCommittee, l.Members, t.population())
	}
	return nil
}

func (t Threat) keepHonest(l *ParamsLiteral) error {
	if n, p, level := corruptLot(t.population(), t.Corrupt, t.threshold(), t.groups()); above(n, p, l.NMin-2) >= level {
		return fmt.Errorf("%w: up to %d colluding devices in a sum over %d leave fewer than two honest ones", ErrCohort, t.Colluders(), l.NMin)
	}
	return nil
}

func (t Threat) awaitArrivals(l *ParamsLiteral) error {
	groups := float64(t.groups())
	if short := groups * below(t.Asked(), (1-t.Drop)/groups, l.NMin); short >= arrivalLevel {
		return fmt.Errorf("%w: of %d devices asked, fewer than %d finish in a group with probability %.2g", ErrCohort, t.Asked(), l.NMin, math.Min(short, 1))
	}
	return nil
}

func (t Threat) fitRing(l *ParamsLiteral) error {
	if t.Dim == 0 {
		return nil
	}
	chosen, err := mask.Choose(l.Profile, l.Dim, l.NMax, l.Bound)
	if err != nil {
		return err
	}
	return checkKeySum(l.NMax, chosen.Sigma, shareModulus(*l, chosen.Q))
}

func (t Threat) groups() int { return max(1, t.Groups) }

func (t Threat) population() int {
	if t.Population == 0 {
		return t.Asked()
	}
	return t.Population
}

// Asked is how many devices the round has to ask so that Devices are expected to finish: n/(1-drop), and never more
// than n_max, which would leave some out when nobody drops.
func (t Threat) Asked() int {
	_, most := Cohort(t.Devices, 1)
	return int(math.Min(math.Ceil(float64(t.Devices)/(1-t.Drop)-1e-9), float64(most)))
}

// Colluders is t_c of one group, under the threshold that admits Asked devices of the population.
func (t Threat) Colluders() int {
	return CorruptQuantile(t.population(), t.Corrupt, t.threshold(), t.groups())
}

func (t Threat) threshold() uint64 { return ThresholdFor(uint32(t.Asked()), uint32(t.population())) }

// Cohort gives n_min and n_max of one group when a round over `goal` devices is split by lot into `groups`.
// One group: 0.7 and 1.3 times the goal, rounded up. More: whenever 0.7 goal devices arrive, every group holds at
// least n_min of them, and of 1.3 goal devices none holds more than n_max, each but for a probability of 2^-20
// (GroupBounds), so that noise planned for n_min is neither too little nor paid for in voided groups (rule 11).
func Cohort(goal, groups int) (low, high int) {
	low, high = (7*goal+9)/10, (13*goal+9)/10
	if groups <= 1 {
		return low, high
	}
	low, _ = GroupBounds(low, groups)
	_, high = GroupBounds(high, groups)
	return low, high
}

// GroupBounds says how many of the devices the lot puts into one of the groups: with probability above 1 - 2^-20
// every group holds at least low, and with the same probability none more than high. Exact binomial quantiles, each
// at 2^-20/groups.
func GroupBounds(devices, groups int) (low, high int) {
	if groups <= 1 {
		return devices, devices
	}
	p, level := 1/float64(groups), livenessLevel/float64(groups)
	return lowerQuantile(devices, p, level), upperQuantile(devices, p, level)
}

// CorruptQuantile is t_c of a noise plan: with probability above 1 - 2^-40 no group holds more corrupt ids, eligible
// under the threshold, than this (rule 1). Corrupt ids are at most share·population; each is admitted to a group
// independently with probability (threshold+1)/2^64/groups, so their number is binomial, and the quantile is exact
// at 2^-40/groups. It counts every eligible id, not those in U, since the server may leave out any honest device.
// A beacon that the last to reveal throws away gives it another try: after 2^20 of them the level is still 2^-20.
func CorruptQuantile(population int, share float64, threshold uint64, groups int) int {
	return upperQuantile(corruptLot(population, share, threshold, max(1, groups)))
}

// corruptLot is the number of corrupt ids, the probability that one of them is admitted to a given group, and the level.
func corruptLot(population int, share float64, threshold uint64, groups int) (n int, p, level float64) {
	p = 1
	if threshold != EveryDevice {
		p = (float64(threshold) + 1) / (1 << 64)
	}
	return int(math.Floor(share*float64(population) + 1e-9)), p / float64(groups), privacyLevel / float64(groups)
}
