package plan

import (
	"bytes"
	"crypto/ed25519"
	"math/big"
	"slices"

	"tutti/aggregation"
	"tutti/privacy/mechanism"
)

// Policy is what a device accepts, fixed by the app and its user before any plan arrives. Its keys are pinned: they
// never come from the server.
type Policy struct {
	Task      string
	Operator  ed25519.PublicKey
	Enroller  ed25519.PublicKey
	Committee []ed25519.PublicKey // every member of a plan must be one of these

	MinMembers  int      // smallest committee
	MinCorrupt  int      // smallest number of members assumed to collude with the server
	MinCohort   int      // smallest n_min
	MinColluder *big.Rat // share of all enrolled devices that may collude: t_c covers as many of a sum; nil: any t_c
	MaxClip     float64  // largest clip; 0: any
	MaxRhoRound *big.Rat // most that one round may cost; nil refuses every round with noise
	MaxRhoTotal *big.Rat // most that the device spends in all; nil refuses every round with noise
	MinPad      int      // fewest coordinates that carry noise only
	Population  int      // devices of the task, for the rule on delta; what the plan says if that is more

	MinPopulation int  // fewest devices that the enroller vouched for, of which the lot chooses
	PostQuantum   bool // envelopes that a quantum computer does not open
	CheckNorm     bool // every upload's norm is proven

	MaxParticipations uint32 // most rounds of the task that the device takes part in; 0: as many as the plan says
	MinSeparation     uint32 // fewest rounds between two of them, the second counted; 0: as the plan says

	AllowCentral  bool // the operator is trusted to add the noise: it sees sums without
	AllowNoiseOff bool // tests and comparisons only
}

// LogCheck is what a device found when it compared the plan's checkpoint with the one it keeps.
type LogCheck uint8

// Results of the comparison. The zero value refuses.
const (
	LogMissing     LogCheck = iota // no checkpoint, or none that verifies
	LogForked                      // signed, but it does not extend the one kept
	LogWithoutPlan                 // it extends the one kept, and the plan is not proven to stand in it
	LogConsistent                  // it extends the one kept, and the plan stands in it
)

// State is what a device remembers, and the time.
type State struct {
	Now        int64    // unix seconds
	Spent      *big.Rat // rho spent so far over all rounds; nil: nothing
	Seen       int64    // the latest time that the device has seen; a clock before it is not believed
	Sealed     bool     // a round of the task was sealed before
	LastRound  uint64   // the newest such round
	Rounds     uint32   // rounds of the task that were sealed and not given back
	BaseNumber uint64   // newest accepted model version; 0: none
	Base       Digest   // its digest
	Known      []Known  // older versions that the device is sure of
	Log        LogCheck

	Stream      Digest // of correlated noise that the device has paid for last; zero: none
	StreamFirst uint64 // its first round
}

// Open verifies a plan under the policy's operator key. Its only refusal is ReasonOperator.
func (p Policy) Open(s Signed) (Plan, error) {
	pl, err := Open(s, p.Operator)
	if err != nil {
		return Plan{}, refuse(ReasonOperator, "%v", err)
	}
	return pl, nil
}

// Check says whether a device with this policy and state may follow the plan: nil, or a *Refusal. The first broken
// rule is the one that is named: who asks, then who guards the sum, then how it is noised, then what it costs, then
// when.
func (p Policy) Check(pl Plan, st State) error {
	for _, rule := range []func(Plan, State) *Refusal{p.checkParties, p.checkPopulation, p.checkCommittee, p.checkMechanism, p.checkCost, p.checkTurn} {
		if r := rule(pl, st); r != nil {
			return r
		}
	}
	return nil
}

// checkParties: the task and the keys are the pinned ones.
func (p Policy) checkParties(pl Plan, _ State) *Refusal {
	if pl.Task != p.Task {
		return refuse(ReasonTask, "task %q", pl.Task)
	}
	if len(pl.Enroller) != ed25519.PublicKeySize || !bytes.Equal(pl.Enroller, p.Enroller) {
		return refuse(ReasonEnroller, "enroller %x", pl.Enroller)
	}
	return nil
}

// checkPopulation: the devices are those that the pinned enroller vouched for, enough of them for the sums that are
// asked of them, and the lot leaves enough (rules 1 and 11 of the secure sum's design).
func (p Policy) checkPopulation(pl Plan, _ State) *Refusal {
	if !pl.Population.Verify(p.Enroller, pl.Task) {
		return refuse(ReasonPopulation, "%d devices", pl.Population.Size)
	}
	if pl.Groups < 1 || pl.Groups > aggregation.MaxGroups {
		return refuse(ReasonGroups, "%d groups", pl.Groups)
	}
	needed := max(int64(p.MinPopulation), int64(pl.Groups)*int64(max(pl.Mechanism.NMin, 1)))
	if int64(pl.Population.Size) < needed {
		return refuse(ReasonSmallPopulation, "%d devices, at least %d wanted", pl.Population.Size, needed)
	}
	if pl.Threshold == 0 || admitted(pl) < float64(pl.Groups)*float64(pl.Mechanism.NMin) {
		return refuse(ReasonThreshold, "%.1f of %d devices for %d sums over %d", admitted(pl), pl.Population.Size, pl.Groups, pl.Mechanism.NMin)
	}
	return nil
}

// admitted is how many devices the plan's threshold makes eligible, on average.
func admitted(pl Plan) float64 {
	if pl.Threshold == aggregation.EveryDevice {
		return float64(pl.Population.Size)
	}
	return float64(pl.Population.Size) * (float64(pl.Threshold) + 1) / (1 << 64)
}

// checkCommittee: known members, enough of them, not too much trust in them, and a sum that can be built.
func (p Policy) checkCommittee(pl Plan, _ State) *Refusal {
	same := func(key ed25519.PublicKey) func(ed25519.PublicKey) bool {
		return func(k ed25519.PublicKey) bool { return bytes.Equal(k, key) }
	}
	for i, key := range pl.Committee {
		if !slices.ContainsFunc(p.Committee, same(key)) || slices.ContainsFunc(pl.Committee[:i], same(key)) {
			return refuse(ReasonMember, "member %d, key %x", i+1, key)
		}
	}
	if len(pl.Committee) < max(1, p.MinMembers) {
		return refuse(ReasonCommittee, "%d members, at least %d wanted", len(pl.Committee), p.MinMembers)
	}
	if int64(pl.Corrupt) < int64(max(1, p.MinCorrupt)) {
		return refuse(ReasonCorrupt, "%d members assumed to collude, at least %d wanted", pl.Corrupt, p.MinCorrupt)
	}
	if !pl.Suite.Valid() {
		return refuse(ReasonSuite, "%v", pl.Suite)
	}
	if p.PostQuantum && pl.Suite != aggregation.SuiteMLKEM768X25519 {
		return refuse(ReasonPostQuantum, "%v", pl.Suite)
	}
	if p.CheckNorm && !pl.CheckNorm {
		return refuse(ReasonUncheckedNorm, "")
	}
	return nil
}

// checkMechanism: noise on, its formulas exact, the cohort and the colluders as promised, room to measure it.
func (p Policy) checkMechanism(pl Plan, _ State) *Refusal {
	m := pl.Mechanism
	if pl.Central != nil && !p.AllowCentral {
		return refuse(ReasonCentral, "%v", pl.Central.Noise)
	}
	if !m.Noise && pl.Central == nil && !p.AllowNoiseOff {
		return refuse(ReasonNoiseOff, "")
	}
	if err := m.Validate(); err != nil {
		return refuse(ReasonMechanism, "%v", err)
	}
	if m.Kind != mechanism.DiscreteGaussian {
		return refuse(ReasonMechanism, "%v noise, whose cost no report recomputes", m.Kind)
	}
	if groups := int64(pl.Groups); int64(pl.Goal) < groups*int64(m.NMin) || int64(pl.Goal) > groups*int64(m.NMax) {
		return refuse(ReasonMechanism, "goal %d outside %d times %d to %d", pl.Goal, groups, m.NMin, m.NMax)
	}
	if m.NMin < p.MinCohort {
		return refuse(ReasonCohort, "n_min %d, at least %d wanted", m.NMin, p.MinCohort)
	}
	if p.MinColluder != nil {
		share, _ := p.MinColluder.Float64()
		if least := Colluders(m.NMax, int(pl.Population.Size), share, pl.Threshold, int(pl.Groups)); m.Colluders < least {
			return refuse(ReasonColluders, "t_c %d, at least %d wanted in sums over %d from %d devices", m.Colluders, least, m.NMax, pl.Population.Size)
		}
	}
	if pl.Metrics != nil {
		if r := p.checkMetrics(pl); r != nil {
			return r
		}
	}
	if p.MaxClip > 0 && !(m.Clip <= p.MaxClip) {
		return refuse(ReasonClip, "clip %g, at most %g allowed", m.Clip, p.MaxClip)
	}
	if m.Noise && m.Pad() < p.MinPad {
		return refuse(ReasonPad, "%d noise coordinates, at least %d wanted", m.Pad(), p.MinPad)
	}
	if _, err := Aggregation(pl); err != nil {
		return refuse(ReasonAggregation, "%v", err)
	}
	return nil
}

// checkCost: delta is small enough, and what was spent plus this round stays within the round's limit, the plan's own
// budget and the device's.
func (p Policy) checkCost(pl Plan, st State) *Refusal {
	if pl.Rho() == nil {
		return nil // allowed by the policy above; no finite cost exists
	}
	if !deltaFits(pl.Delta, max(pl.Mechanism.NMax, p.Population, int(pl.Population.Size))) {
		return refuse(ReasonDelta, "delta %s", pl.Delta)
	}
	if s := pl.Stream(); s != (Digest{}) && st.Stream != (Digest{}) && s != st.Stream && pl.StreamFirst() == st.StreamFirst {
		return refuse(ReasonStream, "round %d of the stream that began with round %d", pl.Round, st.StreamFirst)
	}
	rho := pl.Cost(st.Stream)
	if p.MaxRhoRound == nil || rho.Cmp(p.MaxRhoRound) > 0 {
		return refuse(ReasonRoundCost, "rho %s", rho.FloatString(6))
	}
	total := new(big.Rat).Set(rho)
	if st.Spent != nil {
		total.Add(total, st.Spent)
	}
	for _, limit := range []*big.Rat{p.MaxRhoTotal, pl.Budget} {
		if limit == nil || total.Cmp(limit) > 0 {
			return refuse(ReasonBudget, "rho %s with this round", total.FloatString(6))
		}
	}
	return nil
}

// checkTurn: in time, once per round, no way back to an older model, and a log that extends the one seen before.
func (p Policy) checkTurn(pl Plan, st State) *Refusal {
	if st.Now < st.Seen {
		return refuse(ReasonClock, "%d seconds", st.Seen-st.Now)
	}
	if st.Now >= pl.Deadline {
		return refuse(ReasonDeadline, "round %d", pl.Round)
	}
	if st.Sealed && pl.Round <= st.LastRound {
		return refuse(ReasonRepeated, "round %d, took part in %d", pl.Round, st.LastRound)
	}
	if most := least(pl.Participations, p.MaxParticipations); st.Rounds >= most {
		return refuse(ReasonParticipations, "%d of %d rounds", st.Rounds, most)
	}
	if apart := max(pl.Separation, p.MinSeparation); st.Sealed && pl.Round-st.LastRound < uint64(apart) {
		return refuse(ReasonSeparation, "round %d, took part in %d, %d apart wanted", pl.Round, st.LastRound, apart)
	}
	if pl.BaseNumber < st.BaseNumber || pl.BaseNumber == st.BaseNumber && pl.BaseNumber > 0 && pl.Base != st.Base {
		return refuse(ReasonOldBase, "version %d, has %d", pl.BaseNumber, st.BaseNumber)
	}
	if r := checkBases(pl, st); r != nil {
		return r
	}
	switch {
	case len(pl.Checkpoint) == 0 || st.Log == LogMissing:
		return refuse(ReasonLogMissing, "")
	case st.Log == LogWithoutPlan:
		return refuse(ReasonNotLogged, "")
	case st.Log != LogConsistent:
		return refuse(ReasonLogForked, "")
	}
	return nil
}

// checkMetrics: the second vector holds metrics of the closed list, keeps to the same devices, and carries noise of its
// own, no weaker than the main vector's.
func (p Policy) checkMetrics(pl Plan) *Refusal {
	m := pl.Metrics.Mechanism
	if err := pl.Metrics.listed(); err != nil {
		return refuse(ReasonMetrics, "%v", err)
	}
	if err := m.Validate(); err != nil {
		return refuse(ReasonMetrics, "%v", err)
	}
	if m.Kind != mechanism.DiscreteGaussian {
		return refuse(ReasonMechanism, "metrics with %v noise, whose cost no report recomputes", m.Kind)
	}
	if !m.Noise && (pl.Mechanism.Noise || pl.Central != nil) {
		return refuse(ReasonNoiseOff, "the metrics")
	}
	if cost, main := m.Rho(), pl.Mechanism.Rho(); cost != nil && main != nil && cost.Cmp(main) > 0 {
		return refuse(ReasonMetrics, "rho %s, more than the %s of what they are about", cost.FloatString(6), main.FloatString(6))
	}
	if main := pl.Mechanism; m.NMin != main.NMin || m.NMax != main.NMax || m.Colluders != main.Colluders {
		return refuse(ReasonMetrics, "another cohort than the main vector's")
	}
	return nil
}

// least is the smaller of the plan's limit and the device's own, which is none when it is 0.
func least(plan, own uint32) uint32 {
	if own == 0 {
		return plan
	}
	return min(plan, own)
}

// deltaFits is the rule on delta: at most min(1e-6, 1/(10 n)), in exact arithmetic.
func deltaFits(delta string, n int) bool {
	if !isDecimal(delta, 1) {
		return false
	}
	x, ok := new(big.Rat).SetString(delta)
	if !ok || x.Cmp(big.NewRat(1, 1_000_000)) > 0 {
		return false
	}
	return x.Mul(x, big.NewRat(10*int64(n), 1)).Cmp(big.NewRat(1, 1)) <= 0
}
