package client

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"tutti/aggregation"
	"tutti/model"
	"tutti/privacy/accounting"
	"tutti/privacy/plan"
)

// Status is what a user may want to know of their device. Nothing in it says
// what the user did.
type Status struct {
	Task     string
	Device   aggregation.DeviceID // the device's name at the server
	Enrolled bool
	Events   int // in the history

	Spent    *big.Rat // rho (zCDP) charged in all rounds
	Budget   *big.Rat // most that the policy spends in all; nil: nothing
	Left     *big.Rat // Budget - Spent, never below 0
	Epsilon  float64  // of Spent, at Delta
	Delta    float64
	Unnoised int // rounds without noise taken part in: no finite claim covers them

	Rounds   int    // rounds charged and not given back
	Counted  uint64 // contributions that the server says are in a sum
	Proven   uint64 // those of them that are proven to stand in the log; see Device.Receipts
	Unproven int    // those that the server should have proven and did not: evidence, and the charge stays
	Open     int    // rounds charged whose end is not known

	Leaving Leaving // what the newest plan would have leave the device; zero before the first

	Model       uint64 // number of the model that ranks; 0 before the first
	ModelDigest model.Digest
	Doubted     uint64 // number of a newer one that did much worse on this device's own history; 0: none
	LogSize     uint64 // records of the operator's log that the device has seen
	Forked      bool   // two signed states of it do not go together; see Device.Evidence

	Last     LastOutcome
	Refusals []RefusalCount
}

// Leaving describes an upload. What it holds is clipped, noised and masked: the
// server cannot read it, only a sum over Cohort devices or more can be opened.
type Leaving struct {
	Kind    string   // "popularity", "transitions", "model"; "" if no plan was seen
	Numbers int      // that describe the user, before noise coordinates are added
	Sent    int      // numbers that are sent
	Bytes   int64    // of the upload, about
	Rho     *big.Rat // what it costs; nil: noise is off
	Cohort  int      // fewest devices in a sum that may be opened
	Central bool     // the operator adds the noise: it sees the sum without
}

// LastOutcome is what came of the last call of Contribute.
type LastOutcome struct {
	Kind   OutcomeKind
	Reason Reason
	Policy plan.Reason
	Round  uint64
	Time   time.Time // zero: there was none
}

// RefusalCount says how often the device refused, or was refused, for a reason.
type RefusalCount struct {
	Reason Reason
	Policy plan.Reason
	Count  int
}

// defaultDelta stands in before a plan has named one.
const defaultDelta = 1e-6

// Privacy says what was spent, what is left and what would leave the device.
// It needs no network. On a closed device it is the zero Status.
func (d *Device) Privacy() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return Status{}
	}
	st := &d.st
	s := Status{
		Task: st.task, Device: aggregation.IDOf(d.public()), Enrolled: len(st.enrolment) > 0, Events: len(d.events),
		Spent: new(big.Rat).Set(st.spent), Left: new(big.Rat), Delta: defaultDelta, Unnoised: int(st.unnoised),
		Rounds: int(st.rounds), Counted: st.counted, Proven: st.proven, Unproven: int(st.unproven),
		Leaving: st.offered.leaving(), LogSize: st.log.Last.Size, Forked: st.fork != nil,
		Last: LastOutcome{Kind: st.last.kind, Reason: st.last.reason, Policy: st.last.policy, Round: st.last.round},
	}
	if total := d.opts.Policy.MaxRhoTotal; total != nil {
		s.Budget = new(big.Rat).Set(total)
		if left := new(big.Rat).Sub(total, st.spent); left.Sign() > 0 {
			s.Left = left
		}
	}
	if delta, err := strconv.ParseFloat(st.delta, 64); err == nil {
		s.Delta = delta
	}
	if st.spent.Sign() > 0 {
		s.Epsilon, _ = accounting.EpsilonFromRho(st.spent, s.Delta) // rho > 0 and a delta that a plan carried: no error
	}
	if v := st.serving(); v != nil {
		s.Model, s.ModelDigest = v.number, v.digest
	}
	if st.doubts() {
		s.Doubted = st.newest().number
	}
	for _, c := range st.charges {
		switch {
		case c.phase < counted:
			s.Open++
		case c.phase == unproven:
			s.Unproven++
		}
	}
	if st.last.time != 0 {
		s.Last.Time = time.Unix(st.last.time, 0)
	}
	for _, r := range st.refusals {
		s.Refusals = append(s.Refusals, RefusalCount{r.reason, r.policy, int(r.count)})
	}
	slices.SortFunc(s.Refusals, func(a, b RefusalCount) int { return b.Count - a.Count })
	return s
}

func (o offered) leaving() Leaving {
	if o.kind == 0 {
		return Leaving{}
	}
	return Leaving{Kind: o.kind.String(), Numbers: int(o.numbers), Sent: int(o.padded), Bytes: int64(o.bytes), Rho: o.rho, Cohort: int(o.cohort), Central: o.central}
}

// String puts the description into words.
func (l Leaving) String() string {
	if l.Kind == "" {
		return "nothing is known to leave this device yet"
	}
	cost := "without noise"
	if l.Rho != nil {
		cost = "at a cost of rho " + l.Rho.FloatString(4)
	}
	if l.Central {
		return fmt.Sprintf("%s: %d numbers, clipped and masked among %d, about %d kB, %s; only a sum over %d devices or more can be opened, and the operator, who sees that sum without noise, adds it before it is used",
			l.Kind, l.Numbers, l.Sent, (l.Bytes+500)/1000, cost, l.Cohort)
	}
	return fmt.Sprintf("%s: %d numbers, clipped, noised and masked among %d, about %d kB, %s; only a sum over %d devices or more can be opened",
		l.Kind, l.Numbers, l.Sent, (l.Bytes+500)/1000, cost, l.Cohort)
}
